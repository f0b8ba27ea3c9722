package knit.am.grpc

import com.google.protobuf.ByteString
import com.sun.management.UnixOperatingSystemMXBean
import io.grpc.CallOptions
import io.grpc.ManagedChannel
import io.grpc.MethodDescriptor
import io.grpc.Status
import io.grpc.StatusRuntimeException
import io.grpc.TlsChannelCredentials
import io.grpc.netty.NettyChannelBuilder
import io.grpc.stub.ClientCallStreamObserver
import io.grpc.stub.ClientCalls
import io.grpc.stub.ClientResponseObserver
import knit.am.core.Role
import knit.am.security.ClientGrant
import knit.am.security.ClientRoles
import knit.am.security.ContainerTokens
import knit.am.security.Fingerprint
import knit.am.security.Tls
import knit.v1.ApplicationServiceGrpcKt.ApplicationServiceCoroutineImplBase
import knit.v1.ContainerServiceGrpcKt.ContainerServiceCoroutineImplBase
import knit.v1.GetApplicationRequest
import knit.v1.GetApplicationResponse
import knit.v1.ListContainersRequest
import knit.v1.ListContainersResponse
import knit.v1.LogChunk
import knit.v1.LogServiceGrpc
import knit.v1.LogServiceGrpcKt.LogServiceCoroutineImplBase
import knit.v1.StreamLogsRequest
import knit.v1.StreamLogsResponse
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.Timeout
import java.io.IOException
import java.io.InputStream
import java.lang.management.ManagementFactory
import java.net.InetSocketAddress
import java.net.ServerSocket
import java.net.Socket
import java.nio.ByteBuffer
import java.nio.channels.SocketChannel
import java.security.KeyFactory
import java.security.KeyStore
import java.security.cert.CertificateFactory
import java.security.cert.X509Certificate
import java.security.spec.PKCS8EncodedKeySpec
import java.util.Base64
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicLong
import javax.net.ssl.KeyManagerFactory
import javax.net.ssl.SSLContext
import javax.net.ssl.SSLException
import javax.net.ssl.SSLSocket
import javax.net.ssl.TrustManagerFactory
import kotlin.random.Random

/** What a server on the network has to live through, over real sockets and mutual TLS. */
@Timeout(180)
class AmServerTest {
  private val sentBytes = AtomicLong()
  private val applications =
    object : ApplicationServiceCoroutineImplBase() {
      override suspend fun getApplication(request: GetApplicationRequest): GetApplicationResponse =
        GetApplicationResponse.newBuilder().setHistoryId("history").build()
    }
  private val containers =
    object : ContainerServiceCoroutineImplBase() {
      /** A page of a long list. */
      override suspend fun listContainers(request: ListContainersRequest): ListContainersResponse {
        sentBytes.addAndGet(PAGE_BYTES.toLong())
        return ListContainersResponse.newBuilder().setNextPageToken("x".repeat(PAGE_BYTES)).build()
      }
    }
  private val logs =
    object : LogServiceCoroutineImplBase() {
      /** Without end. */
      override fun streamLogs(request: StreamLogsRequest): Flow<StreamLogsResponse> =
        flow {
          val data = ByteString.copyFrom(ByteArray(CHUNK_BYTES.toInt()))
          while (true) {
            emit(StreamLogsResponse.newBuilder().setChunk(LogChunk.newBuilder().setData(data)).build())
            sentBytes.addAndGet(data.size().toLong())
          }
        }
    }
  private val activity = ClientActivity { TimeUnit.NANOSECONDS.toMillis(System.nanoTime()) }
  private val server = server(AmServer.ANY_PORT).start()
  private val channel = channel()

  private fun server(ports: IntRange): AmServer {
    val tls = Tls(resource("ca.pem").readBytes(), resource("server.pem").readBytes(), resource("server.key").readBytes())
    val certificate = CertificateFactory.getInstance("X.509").generateCertificate(resource("client.pem")) as X509Certificate
    val roles = ClientRoles(listOf(ClientGrant(Fingerprint.of(certificate), Role.OWNER)))
    val callers = CallerInterceptor(ContainerTokens(ByteArray(32), "history")) { null }
    return AmServer(tls.serverCredentials(), listOf(applications, containers, logs), activity, callers, roles, ports)
  }

  private fun resource(name: String): InputStream = checkNotNull(javaClass.getResourceAsStream("/tls/$name")) { name }

  private fun channel(): ManagedChannel =
    NettyChannelBuilder
      .forAddress(
        "localhost",
        server.port,
        TlsChannelCredentials
          .newBuilder()
          .trustManager(resource("ca.pem"))
          .keyManager(resource("client.pem"), resource("client.key"))
          .build(),
      ).overrideAuthority("knit-application-master")
      .build()

  @AfterEach
  fun stop() {
    channel.shutdownNow()
    server.stop()
  }

  private val raw =
    object : MethodDescriptor.Marshaller<ByteArray> {
      override fun stream(value: ByteArray) = value.inputStream()

      override fun parse(stream: InputStream) = stream.readBytes()
    }

  /** Calls [method] with whatever bytes; returns the status. */
  private fun call(
    request: ByteArray,
    method: String = "knit.v1.ApplicationService/GetApplication",
    through: ManagedChannel = channel,
  ): Status =
    try {
      val descriptor =
        MethodDescriptor
          .newBuilder(raw, raw)
          .setType(MethodDescriptor.MethodType.UNARY)
          .setFullMethodName(method)
          .build()
      ClientCalls.blockingUnaryCall(through, descriptor, CallOptions.DEFAULT.withDeadlineAfter(30, TimeUnit.SECONDS), request)
      Status.OK
    } catch (refused: StatusRuntimeException) {
      refused.status
    }

  private fun assertAnswers(through: ManagedChannel = channel) = assertEquals(Status.Code.OK, call(ByteArray(0), through = through).code)

  @Test
  fun strangersWhoSayNothingHoldUpNobody() {
    assertAnswers()
    val limit = (ManagementFactory.getOperatingSystemMXBean() as UnixOperatingSystemMXBean).maxFileDescriptorCount
    // As many as the issue says, or as this process may have.
    val count = minOf(10_000, limit - 2_000).toInt()
    val threads = Thread.activeCount()
    val strangers = ArrayList<SocketChannel>()
    try {
      repeat(count) { strangers += SocketChannel.open(InetSocketAddress("localhost", server.port)) }
      val late = channel()
      assertAnswers(late)
      late.shutdownNow()
      assertAnswers()
      assertTrue(Thread.activeCount() - threads < 50, "${Thread.activeCount()} threads, $threads before")
      // All but the last 64 have been shown out; a client's connection is none of them.
      strangers.dropLast(ConnectionLimiter.MAX_STRANGERS).forEach { stranger ->
        val read =
          try {
            stranger.read(ByteBuffer.allocate(1))
          } catch (
            @Suppress("SwallowedException") reset: IOException,
          ) {
            -1
          }
        assertEquals(-1, read)
      }
    } finally {
      strangers.forEach { it.close() }
    }
  }

  @Test
  fun strangersWhoSayAnythingElseHoldUpNobodyEither() {
    val random = Random(1)
    repeat(300) { number ->
      Socket("localhost", server.port).use { socket ->
        if (number % 3 != 0) socket.getOutputStream().write(random.nextBytes(200))
        if (number % 2 == 0) socket.setSoLinger(true, 0)
      }
    }
    assertAnswers()
  }

  @Test
  fun clientsAreSeveralAndStay() {
    val others = List(100) { channel() }
    others.forEach(::assertAnswers)
    others.forEach(::assertAnswers)
    others.forEach { it.shutdownNow() }
    assertAnswers()
  }

  @Test
  fun whoeverReadsNothingIsSentNoMoreThanTheSocketTakes() {
    RawHttp2Client(clientTls(), server.port).use { client ->
      client.callWithoutReading("knit.v1.LogService/StreamLogs", ByteArray(0))
      var before = -1L
      while (before != sentBytes.get() || before == 0L) {
        before = sentBytes.get()
        assertAnswers()
        Thread.sleep(500)
      }
      assertTrue(before in 1..MAX_SOCKET_BYTES, "$before bytes were taken from the call")
    }
  }

  @Test
  fun aStreamThatItsClientDoesNotLetOnHasTwoMessagesMade() {
    RawHttp2Client(clientTls(), server.port).use { client ->
      client.callWithoutReading("knit.v1.LogService/StreamLogs", ByteArray(0), window = 0)
      // One that is encrypted while the next one is made, and no third.
      while (sentBytes.get() < 2 * CHUNK_BYTES) Thread.sleep(10)
      repeat(10) { assertAnswers() }
      assertEquals(2 * CHUNK_BYTES, sentBytes.get())
    }
  }

  @Test
  fun anOpenStreamIsAClientThatIsThereAndOneThatIsLeftIsGone() {
    assertAnswers()
    awaitQuiet()
    val stream = channel.newCall(LogServiceGrpc.getStreamLogsMethod(), CallOptions.DEFAULT)
    ClientCalls.asyncServerStreamingCall(stream, StreamLogsRequest.getDefaultInstance(), Unread())
    while (sentBytes.get() == 0L) Thread.sleep(10)
    assertEquals(0, activity.quietMillis())
    stream.cancel("enough", null)
    awaitQuiet()
  }

  /** A call's end is told to the server some time after the client knows it. */
  private fun awaitQuiet() {
    while (activity.quietMillis() == 0L) Thread.sleep(10)
  }

  /** Takes one message, and no more. */
  private class Unread : ClientResponseObserver<StreamLogsRequest, StreamLogsResponse> {
    override fun beforeStart(stream: ClientCallStreamObserver<StreamLogsRequest>) = stream.disableAutoRequestWithInitial(1)

    override fun onNext(value: StreamLogsResponse) = Unit

    override fun onError(failure: Throwable) = Unit

    override fun onCompleted() = Unit
  }

  @Test
  fun whoeverReadsNoAnswersIsGivenNoMoreThanItMay() {
    val before = Runtime.getRuntime().let { it.totalMemory() - it.freeMemory() }
    List(4) { RawHttp2Client(clientTls(), server.port) }.let { clients ->
      clients.forEach { it.callWithoutReading("knit.v1.ContainerService/ListContainers", ByteArray(0), times = AmServer.MAX_CALLS) }
      while (sentBytes.get() < 4L * AmServer.MAX_CALLS * PAGE_BYTES) Thread.sleep(50)
      assertAnswers()
      val page = call(ByteArray(0), "knit.v1.ContainerService/ListContainers")
      assertEquals(Status.Code.OK, page.code, page.toString())
      System.gc()
      val held = Runtime.getRuntime().let { it.totalMemory() - it.freeMemory() } - before
      // Each has its share, encrypted or not; without a bound it would be a gigabyte.
      assertTrue(held < 4L * 4 * UnreadAnswers.MAX_BYTES, "$held bytes are held")
      clients.forEach { it.close() }
    }
  }

  @Test
  fun messagesThatCannotBeReadAreRefusedAndCounted() {
    val unreadable = byteArrayOf(0x0a, 0x7f, 0x01)
    repeat(5_000) {
      val status = call(unreadable, if (it % 2 == 0) "knit.v1.ApplicationService/Shutdown" else "knit.v1.LogService/StreamLogs")
      assertEquals(Status.Code.INVALID_ARGUMENT, status.code, status.toString())
    }
    assertEquals(Status.Code.INVALID_ARGUMENT, call(unreadable, "grpc.health.v1.Health/Check").code)
    assertAnswers()
    assertEquals(0L, sentBytes.get())
  }

  @Test
  fun aMessageThatIsTooLargeIsRefusedAndPoisonsNothing() {
    val large = ByteArray(AmServer.MAX_MESSAGE_BYTES + 1)
    repeat(10) {
      val status = call(large)
      assertEquals(Status.Code.RESOURCE_EXHAUSTED, status.code, status.toString())
    }
    assertAnswers()
  }

  @Test
  fun tlsIsTheNewestWithTheCipherThatIsCheapHere() {
    val sessions =
      listOf("TLSv1.3", "TLSv1.2").map { protocol ->
        (clientTls().socketFactory.createSocket("localhost", server.port) as SSLSocket).use { socket ->
          socket.enabledProtocols = arrayOf(protocol)
          socket.sslParameters = socket.sslParameters.apply { applicationProtocols = arrayOf("h2") }
          socket.startHandshake()
          socket.session.cipherSuite
        }
      }
    assertEquals("TLS_CHACHA20_POLY1305_SHA256", sessions[0])
    assertTrue("CHACHA20" in sessions[1], sessions[1])
    val old = clientTls().socketFactory.createSocket("localhost", server.port) as SSLSocket
    old.use {
      it.enabledProtocols = arrayOf("TLSv1.1")
      assertThrows(SSLException::class.java) { it.startHandshake() }
    }
  }

  @Test
  fun ofAllowedPortsTheFirstFreeOneIsTaken() {
    ServerSocket(0).use { first ->
      val next = first.localPort + 1
      val second = server(first.localPort..first.localPort + 20).start()
      try {
        assertTrue(second.port in next..first.localPort + 20, "${second.port}")
      } finally {
        second.stop()
      }
      val refused = assertThrows(NoFreePortException::class.java) { server(first.localPort..first.localPort).start() }
      assertTrue("${first.localPort}" in refused.message.orEmpty() && "master_ports" in refused.message.orEmpty(), refused.message)
    }
  }

  private fun clientTls(): SSLContext {
    val certificates = CertificateFactory.getInstance("X.509")
    val pem = resource("client.key").reader().readText()
    val key = Base64.getMimeDecoder().decode(pem.replace(Regex("-----[A-Z ]+-----"), ""))
    val keys = KeyStore.getInstance("PKCS12").apply { load(null, null) }
    keys.setKeyEntry(
      "client",
      KeyFactory.getInstance("EC").generatePrivate(PKCS8EncodedKeySpec(key)),
      CharArray(0),
      arrayOf(certificates.generateCertificate(resource("client.pem"))),
    )
    keys.setCertificateEntry("ca", certificates.generateCertificate(resource("ca.pem")))
    val own = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm()).apply { init(keys, CharArray(0)) }
    val trusted = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm()).apply { init(keys) }
    return SSLContext.getInstance("TLS").apply { init(own.keyManagers, trusted.trustManagers, null) }
  }

  private companion object {
    const val PAGE_BYTES = 1024 * 1024

    /** What the kernel keeps for a connection both ways, and what gRPC has encrypted already. */
    const val CHUNK_BYTES = 64L * 1024
    const val MAX_SOCKET_BYTES = 32L * 1024 * 1024
  }
}
