package knit.am

import com.google.rpc.ErrorInfo
import io.grpc.Channel
import io.grpc.ClientInterceptors
import io.grpc.Grpc
import io.grpc.ManagedChannel
import io.grpc.Metadata
import io.grpc.Status
import io.grpc.StatusException
import io.grpc.TlsChannelCredentials
import io.grpc.stub.MetadataUtils
import knit.am.core.Role
import knit.am.core.ServiceSpec
import knit.am.core.kv.Bytes
import knit.am.core.lease
import knit.am.driver.DriverFactory
import knit.am.driver.FakeDriver
import knit.am.grpc.documentOf
import knit.am.log.ContainerIndex
import knit.am.log.FakeLogSource
import knit.am.security.ContainerKeys
import knit.am.security.Tls
import knit.am.yarn.FakeNodeManager
import knit.am.yarn.FakeResourceManager
import knit.client.Keys
import knit.v1.ApplicationServiceGrpcKt.ApplicationServiceCoroutineStub
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.Dispatchers
import java.nio.file.Path
import java.time.Clock
import java.time.Duration
import java.util.concurrent.TimeUnit
import com.google.rpc.Status as StatusMessage

/** A whole Application Master over real mutual TLS, for programs that call it with nothing but the files that their launch writes. */
internal class InsideCalls(
  private val logDirectory: Path,
) : AutoCloseable {
  private val keys = Keys.generate()
  val resourceManager = FakeResourceManager().apply { isGenerous = true }
  val nodeManager = FakeNodeManager()

  /** Where it serves, once it does. */
  val published = CompletableDeferred<String>()
  private val channels = ArrayList<ManagedChannel>()
  private val staging =
    object : Staging {
      override suspend fun publish(address: String) {
        published.complete(address)
      }

      override suspend fun remove() = Unit
    }

  fun master(
    services: Map<String, ServiceSpec>,
    driver: DriverSpec? = null,
    drivers: DriverFactory = DriverFactory { _, script -> FakeDriver(script) },
  ): ApplicationMaster {
    val container = keys.clients.getValue(Role.CONTAINER)
    return ApplicationMaster(
      config =
        AmConfig(
          applicationId = "application_1_0001",
          attemptNumber = 1,
          host = "localhost",
          document = documentOf(submission(services, driver)),
          logDirectory = logDirectory,
          tls = Tls(keys.authority.toByteArray(), keys.server.certificate.toByteArray(), keys.server.key.toByteArray()),
          lease = lease(0),
          containerKeys = ContainerKeys(container.certificate.toByteArray(), container.key.toByteArray(), keys.tokenKey),
        ),
      resourceManager = resourceManager,
      nodeManager = nodeManager,
      logSource = FakeLogSource(),
      index = ContainerIndex(logDirectory, Dispatchers.IO.limitedParallelism(1)),
      events = EventLogs(logDirectory, Dispatchers.IO.limitedParallelism(1)),
      staging = staging,
      clock = Clock.systemUTC(),
      nowMillis = { TimeUnit.NANOSECONDS.toMillis(System.nanoTime()) },
      drivers = drivers,
    )
  }

  private fun submission(
    services: Map<String, ServiceSpec>,
    driver: DriverSpec?,
  ) = Submission("demo", services, Duration.ZERO, null, "ann", driver = driver, annotations = mapOf("ticket" to Bytes.of("42")))

  override fun close() = channels.forEach { it.shutdownNow() }

  /** What a person does with a certificate of this role. */
  suspend fun connect(role: Role): ApplicationServiceCoroutineStub {
    val pair = keys.clients.getValue(role)
    val credentials =
      TlsChannelCredentials
        .newBuilder()
        .trustManager(keys.authority.byteInputStream())
        .keyManager(pair.certificate.byteInputStream(), pair.key.byteInputStream())
        .build()
    val port = published.await().substringAfter(':').toInt()
    val channel = Grpc.newChannelBuilderForAddress("localhost", port, credentials).overrideAuthority(Keys.SERVER_NAME).build()
    channels += channel
    return ApplicationServiceCoroutineStub(channel)
  }

  /** What a program in any language does with the files. */
  fun connect(files: Map<String, String>): Channel {
    val credentials =
      TlsChannelCredentials
        .newBuilder()
        .trustManager(files.getValue("ca.pem").byteInputStream())
        .keyManager(files.getValue("cert.pem").byteInputStream(), files.getValue("key.pem").byteInputStream())
        .build()
    val (host, port) = files.getValue("address").split(':')
    val channel = Grpc.newChannelBuilderForAddress(host, port.toInt(), credentials).overrideAuthority(files.getValue("server_name")).build()
    channels += channel
    val headers = Metadata().apply { put(Metadata.Key.of("knit-token", Metadata.ASCII_STRING_MARSHALLER), files.getValue("token")) }
    return ClientInterceptors.intercept(channel, MetadataUtils.newAttachHeadersInterceptor(headers))
  }

  suspend fun refusal(call: suspend () -> Any): Pair<Status.Code, String> =
    try {
      call()
      Status.Code.OK to ""
    } catch (refused: StatusException) {
      val details = checkNotNull(refused.trailers?.get(Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER)))
      refused.status.code to
        StatusMessage
          .parseFrom(details)
          .getDetails(0)
          .unpack(ErrorInfo::class.java)
          .reason
    }
}
