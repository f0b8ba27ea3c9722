package knit.am.grpc

import com.google.rpc.ErrorInfo
import io.grpc.BindableService
import io.grpc.CallOptions
import io.grpc.Channel
import io.grpc.ClientInterceptors
import io.grpc.ManagedChannel
import io.grpc.Metadata
import io.grpc.MethodDescriptor
import io.grpc.Status
import io.grpc.StatusRuntimeException
import io.grpc.TlsChannelCredentials
import io.grpc.netty.NettyChannelBuilder
import io.grpc.stub.ClientCalls
import io.grpc.stub.MetadataUtils
import knit.am.core.Caller
import knit.am.core.ContainerRef
import knit.am.core.Role
import knit.am.security.ClientGrant
import knit.am.security.ClientRoles
import knit.am.security.ContainerHolder
import knit.am.security.ContainerTokens
import knit.am.security.Fingerprint
import knit.am.security.Roles
import knit.am.security.Tls
import knit.am.security.TokenHolder
import knit.am.security.callerOf
import knit.client.Keys
import knit.v1.ApplicationServiceGrpcKt.ApplicationServiceCoroutineImplBase
import knit.v1.ContainerServiceGrpcKt.ContainerServiceCoroutineImplBase
import knit.v1.EventServiceGrpcKt.EventServiceCoroutineImplBase
import knit.v1.GetApplicationRequest
import knit.v1.GetApplicationResponse
import knit.v1.KeyValueServiceGrpcKt.KeyValueServiceCoroutineImplBase
import knit.v1.LogServiceGrpcKt.LogServiceCoroutineImplBase
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import java.io.InputStream
import java.security.cert.CertificateFactory
import java.security.cert.X509Certificate
import java.util.concurrent.TimeUnit
import com.google.rpc.Status as StatusMessage

/** Who may what, over real mutual TLS. */
@Timeout(180)
class CallersTest {
  private val keys = Keys.generate()
  private val tokens = ContainerTokens(keys.tokenKey, "history")
  private val worker = ContainerHolder(ContainerRef("worker", 3), 2)

  /** What the application says of its containers. */
  private val living = HashMap<TokenHolder, Role>()
  private val seen = ArrayList<Caller>()

  private val applications =
    object : ApplicationServiceCoroutineImplBase() {
      override suspend fun getApplication(request: GetApplicationRequest): GetApplicationResponse {
        seen += callerOf()
        return GetApplicationResponse.getDefaultInstance()
      }
    }

  /** What is not made here is UNIMPLEMENTED: who gets that far was let through. */
  private val services: List<BindableService> =
    listOf(
      applications,
      object : ContainerServiceCoroutineImplBase() {},
      object : EventServiceCoroutineImplBase() {},
      object : KeyValueServiceCoroutineImplBase() {},
      object : LogServiceCoroutineImplBase() {},
    )
  private val ownKeys = Keys.generate()
  private val grants = listOf(ClientGrant(fingerprint(ownKeys.client.certificate), Role.VIEWER))
  private val server = serve(Tls(keys.authority.toByteArray(), keys.server.certificate.toByteArray(), keys.server.key.toByteArray()))
  private val channels = ArrayList<ManagedChannel>()

  private fun serve(tls: Tls): AmServer {
    val activity = ClientActivity { TimeUnit.NANOSECONDS.toMillis(System.nanoTime()) }
    val callers = CallerInterceptor(tokens) { living[it] }
    return AmServer(tls.serverCredentials(grants.map { it.fingerprint }.toSet()), services, activity, callers, ClientRoles(grants)).start()
  }

  private fun fingerprint(pem: String) =
    Fingerprint.of(CertificateFactory.getInstance("X.509").generateCertificate(pem.byteInputStream()) as X509Certificate)

  @AfterEach
  fun stop() {
    channels.forEach { it.shutdownNow() }
    server.stop()
  }

  private fun channel(
    pair: Keys.KeyedCertificate,
    to: AmServer = server,
    authority: String = keys.authority,
  ): ManagedChannel =
    NettyChannelBuilder
      .forAddress(
        "localhost",
        to.port,
        TlsChannelCredentials
          .newBuilder()
          .trustManager(authority.byteInputStream())
          .keyManager(pair.certificate.byteInputStream(), pair.key.byteInputStream())
          .build(),
      ).overrideAuthority(Keys.SERVER_NAME)
      .build()
      .also(channels::add)

  private fun channel(role: Role) = channel(keys.clients.getValue(role))

  private fun Channel.with(token: String): Channel {
    val headers = Metadata().apply { put(CallerInterceptor.TOKEN, token) }
    return ClientInterceptors.intercept(this, MetadataUtils.newAttachHeadersInterceptor(headers))
  }

  private class Answer(
    val status: Status,
    val reason: String?,
  ) {
    val isRefused = status.code in setOf(Status.Code.PERMISSION_DENIED, Status.Code.UNAUTHENTICATED)

    override fun toString() = "$status $reason"
  }

  private val raw =
    object : MethodDescriptor.Marshaller<ByteArray> {
      override fun stream(value: ByteArray) = value.inputStream()

      override fun parse(stream: InputStream) = stream.readBytes()
    }

  private fun call(
    channel: Channel,
    method: String = GET_APPLICATION,
  ): Answer =
    try {
      val descriptor =
        MethodDescriptor
          .newBuilder(raw, raw)
          .setType(MethodDescriptor.MethodType.UNARY)
          .setFullMethodName(method)
          .build()
      ClientCalls.blockingUnaryCall(channel, descriptor, CallOptions.DEFAULT.withDeadlineAfter(30, TimeUnit.SECONDS), ByteArray(0))
      Answer(Status.OK, null)
    } catch (refused: StatusRuntimeException) {
      Answer(refused.status, refused.trailers?.get(STATUS_DETAILS)?.let(::reasonIn))
    }

  private fun reasonIn(details: ByteArray): String =
    StatusMessage
      .parseFrom(details)
      .getDetails(0)
      .unpack(ErrorInfo::class.java)
      .reason

  @Test
  fun eachRoleMayWhatTheTableSaysAndNothingElse() {
    living[worker] = Role.CONTAINER
    for (role in Role.entries) {
      val channel = if (role == Role.CONTAINER) channel(role).with(tokens.of(worker)) else channel(role)
      for ((method, roles) in Roles.allowed - WATCHED) {
        val answer = call(channel, method)
        assertEquals(role !in roles, answer.isRefused, "$role $method: $answer")
        if (answer.isRefused) assertEquals(Status.Code.PERMISSION_DENIED to "PERMISSION_DENIED", answer.status.code to answer.reason)
      }
    }
    assertEquals(listOf(Caller(Role.OWNER), Caller(Role.OPERATOR), Caller(Role.VIEWER), Caller(Role.CONTAINER, worker.container)), seen)
  }

  @Test
  fun aServicesAccessRaisesItsContainersAndNoOthers() {
    val other = ContainerHolder(ContainerRef("other", 0), 1)
    living[worker] = Role.OPERATOR
    living[other] = Role.CONTAINER
    val container = channel(Role.CONTAINER)
    assertFalse(call(container.with(tokens.of(worker)), SCALE).isRefused)
    assertTrue(call(container.with(tokens.of(other)), SCALE).isRefused)
    assertTrue(call(container.with(tokens.of(worker)), SHUTDOWN).isRefused)
    living[worker] = Role.OWNER
    assertFalse(call(container.with(tokens.of(worker)), SHUTDOWN).isRefused)
  }

  @Test
  fun aContainerIsKnownByATokenThatIsItsOwnAndOnlyWhileItLives() {
    val container = channel(Role.CONTAINER)
    living[worker] = Role.CONTAINER
    val token = tokens.of(worker)
    assertEquals(Status.OK, call(container.with(token)).status)

    fun reasonFor(channel: Channel): String? =
      call(channel).also { assertEquals(Status.Code.UNAUTHENTICATED, it.status.code, "$it") }.reason
    assertEquals("TOKEN_MISSING", reasonFor(container))
    val forged = token.replace("/3/", "/4/")
    val hostile = listOf("", "worker", "x".repeat(6_000), token + token, ContainerTokens(ByteArray(32), "history").of(worker), forged)
    for (other in hostile + ContainerTokens(keys.tokenKey, "another").of(worker)) {
      assertEquals("TOKEN_REFUSED", reasonFor(container.with(other)), other.take(80))
    }
    living.clear()
    assertEquals("CONTAINER_ENDED", reasonFor(container.with(token)))
    assertEquals(Status.Code.UNAUTHENTICATED, call(container.with(token), "grpc.health.v1.Health/Check").status.code)
    // Whoever has no need of a token gets nothing by one.
    living[worker] = Role.OWNER
    assertTrue(call(channel(Role.VIEWER).with(token), SHUTDOWN).isRefused)
  }

  @Test
  fun clientsThatTheSubmissionNamesAreLetInWithTheRoleItSays() {
    // Signed by an authority of its own, and its own certificate says that it is an owner.
    val named = channel(ownKeys.client)
    assertEquals(Status.OK, call(named).status)
    assertEquals(listOf(Caller(Role.VIEWER)), seen)
    assertTrue(call(named, SHUTDOWN).isRefused)
    // Another one of that authority is a stranger.
    assertEquals(Status.Code.UNAVAILABLE, call(channel(ownKeys.clients.getValue(Role.OPERATOR))).status.code)
  }

  @Test
  fun whoeverHasACertificateOfAnotherApplicationGetsNoAnswer() {
    val other = Keys.generate()
    for (pair in other.clients.values + other.server + keys.server) {
      assertEquals(Status.Code.UNAVAILABLE, call(channel(pair)).status.code)
    }
    assertEquals(Status.OK, call(channel(Role.VIEWER)).status)
  }

  @Test
  fun aCertificateWithoutARoleIsLetInAndMayNothing() {
    fun text(name: String) = checkNotNull(javaClass.getResourceAsStream("/tls/$name")).reader().readText()
    val older = serve(Tls(text("ca.pem").toByteArray(), text("server.pem").toByteArray(), text("server.key").toByteArray()))
    try {
      val pair = Keys.KeyedCertificate(text("client.pem"), text("client.key"))
      val answer = call(channel(pair, older, text("ca.pem")))
      assertEquals(Status.Code.UNAUTHENTICATED to "NO_ROLE", answer.status.code to answer.reason)
      assertTrue("client_grants" in answer.status.description.orEmpty(), "$answer")
    } finally {
      older.stop()
    }
  }

  private companion object {
    const val GET_APPLICATION = "knit.v1.ApplicationService/GetApplication"
    const val SCALE = "knit.v1.ApplicationService/ScaleService"
    const val SHUTDOWN = "knit.v1.ApplicationService/Shutdown"

    /** These answer until they are cancelled. */
    val WATCHED = setOf("grpc.health.v1.Health/Watch")
  }
}
