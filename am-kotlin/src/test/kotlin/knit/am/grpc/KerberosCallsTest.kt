package knit.am.grpc

import io.grpc.Channel
import io.grpc.ClientInterceptors
import io.grpc.ManagedChannel
import io.grpc.Metadata
import io.grpc.Status
import io.grpc.StatusException
import io.grpc.TlsChannelCredentials
import io.grpc.netty.NettyChannelBuilder
import io.grpc.stub.MetadataUtils
import knit.am.ApplicationLoop
import knit.am.core.ContainerRef
import knit.am.core.Granted
import knit.am.core.Lease
import knit.am.core.Reason
import knit.am.core.Role
import knit.am.core.SMALL
import knit.am.core.Shape
import knit.am.core.after
import knit.am.core.id
import knit.am.core.registered
import knit.am.core.service
import knit.am.core.started
import knit.am.log.FakeNodeServer
import knit.am.log.LiveLogSource
import knit.am.log.LogStreams
import knit.am.log.NodeAccess
import knit.am.log.NodeLogClient
import knit.am.security.ClientRoles
import knit.am.security.ContainerHolder
import knit.am.security.ContainerTokens
import knit.am.security.Tls
import knit.am.security.TokenDescription
import knit.client.Keys
import knit.v1.ApplicationServiceGrpcKt.ApplicationServiceCoroutineStub
import knit.v1.ApplicationSpec
import knit.v1.DelegationToken
import knit.v1.GetApplicationRequest
import knit.v1.LogServiceGrpcKt.LogServiceCoroutineStub
import knit.v1.StreamLogsRequest
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancel
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import java.time.Clock
import java.time.Instant
import java.util.concurrent.TimeUnit

/** What clients are told where the cluster has Kerberos, over real mutual TLS. */
@Timeout(180)
class KerberosCallsTest {
  private val keys = Keys.generate()
  private val containerTokens = ContainerTokens(keys.tokenKey, "history")
  private val node = FakeNodeServer()
  private val scope = CoroutineScope(Dispatchers.Default)
  private val application =
    registered("worker" to service()).after(Granted(Lease(id(1), "node1:8041", node.address, SMALL), Shape(SMALL)), started(1))
  private val worker =
    checkNotNull(application.container(id(1))).let { ContainerHolder(ContainerRef("worker", it.ordinal), it.key.attemptNumber) }
  private val loop = ApplicationLoop(application, Clock.systemUTC(), {}) { throw it }
  private val nowMillis = { TimeUnit.NANOSECONDS.toMillis(System.nanoTime()) }
  private val held =
    listOf(
      TokenDescription("HDFS_DELEGATION_TOKEN", "ha-hdfs:ns", Instant.ofEpochMilli(1_000), Instant.ofEpochMilli(9_000), "ann", true),
      TokenDescription("HDFS_DELEGATION_TOKEN", "ha-hdfs:ns", null, null, "rm", true, expireTime = Instant.ofEpochMilli(5_500)),
    )
  private val server: AmServer
  private val channels = ArrayList<ManagedChannel>()

  init {
    scope.launch { runCatching { loop.run() } }
    val client = NodeLogClient(lazyOf(null), NodeAccess(null, "ann", null, nowMillis))
    val logs = LogStreams(loop.snapshots, loop.changes, LiveLogSource(client, Dispatchers.IO))
    val document = SubmissionDocument.of(ApplicationSpec.getDefaultInstance().toByteArray())
    val services = listOf(ApplicationGrpcService(document, loop, { emptyList() }, { held }, {}), LogGrpcService(logs))
    val tls = Tls(keys.authority.toByteArray(), keys.server.certificate.toByteArray(), keys.server.key.toByteArray())
    val callers = CallerInterceptor(containerTokens) { holder -> Role.CONTAINER.takeIf { holder == worker } }
    val activity = ClientActivity(nowMillis)
    server = AmServer(tls.serverCredentials(emptySet()), services, activity, callers, ClientRoles(emptyList())).start()
  }

  @AfterEach
  fun stop() {
    channels.forEach { it.shutdownNow() }
    server.stop()
    scope.cancel()
    node.close()
  }

  private fun channel(role: Role): Channel {
    val pair = keys.clients.getValue(role)
    val credentials =
      TlsChannelCredentials
        .newBuilder()
        .trustManager(keys.authority.byteInputStream())
        .keyManager(pair.certificate.byteInputStream(), pair.key.byteInputStream())
        .build()
    val channel = NettyChannelBuilder.forAddress("localhost", server.port, credentials).overrideAuthority(Keys.SERVER_NAME).build()
    channels += channel
    if (role != Role.CONTAINER) return channel
    val headers = Metadata().apply { put(CallerInterceptor.TOKEN, containerTokens.of(worker)) }
    return ClientInterceptors.intercept(channel, MetadataUtils.newAttachHeadersInterceptor(headers))
  }

  private fun tokensToldTo(role: Role): List<DelegationToken> =
    runBlocking {
      ApplicationServiceCoroutineStub(channel(role)).getApplication(GetApplicationRequest.getDefaultInstance()).tokensList
    }

  @Test
  fun allButViewersAreToldOfTheTokensAndNothingThatProvesThem() {
    for (role in Role.entries - Role.VIEWER) {
      val (own, other) = tokensToldTo(role)
      assertEquals(listOf("HDFS_DELEGATION_TOKEN", "ha-hdfs:ns", "ann"), listOf(own.kind, own.service, own.renewer), "$role")
      assertEquals(listOf(1L, 9L), listOf(own.issueTime.seconds, own.maxTime.seconds))
      assertTrue(own.isReplaced && !own.hasExpireTime())
      assertEquals(5L to 500_000_000, other.expireTime.let { it.seconds to it.nanos })
      assertTrue(!other.hasIssueTime() && !other.hasMaxTime())
    }
    assertEquals(emptyList<DelegationToken>(), tokensToldTo(Role.VIEWER))
  }

  @Test
  fun whereNodesWantKerberosAndThereIsNoKeytabAStreamOfLogsSaysSoForProgramsAndPeople() {
    node.gate = { listOf("Negotiate") }
    val requests = listOf(StreamLogsRequest.newBuilder(), StreamLogsRequest.newBuilder().setFollow(true).addContainerIds(id(1)))
    for (request in requests) {
      val stub = LogServiceCoroutineStub(channel(Role.VIEWER)).withDeadlineAfter(60, TimeUnit.SECONDS)
      val refused = assertThrows(StatusException::class.java) { runBlocking { stub.streamLogs(request.build()).toList() } }
      val told = CallOutcome(refused.status, checkNotNull(refused.trailers))
      assertEquals(Status.Code.FAILED_PRECONDITION to Reason.LOGS_NEED_KERBEROS.name, told.status.code to told.error?.reason)
      assertTrue("submit with a keytab" in told.status.description.orEmpty(), "$told")
    }
    assertEquals(1, node.requests.size, "the second was told without asking the node once more")
  }
}
