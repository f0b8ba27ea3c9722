package knit.am.grpc

import io.grpc.BindableService
import io.grpc.Server
import io.grpc.ServerCredentials
import io.grpc.ServerInterceptors
import io.grpc.health.v1.HealthCheckResponse.ServingStatus
import io.grpc.netty.NettyServerBuilder
import io.grpc.protobuf.services.HealthStatusManager
import io.grpc.protobuf.services.ProtoReflectionService
import io.grpc.protobuf.services.ProtoReflectionServiceV1
import io.netty.buffer.UnpooledByteBufAllocator
import io.netty.channel.ChannelOption
import io.netty.channel.EventLoopGroup
import io.netty.channel.MultiThreadIoEventLoopGroup
import io.netty.channel.nio.NioIoHandler
import io.netty.util.concurrent.DefaultThreadFactory
import knit.am.security.ClientRoles
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.asExecutor
import java.io.IOException
import java.net.InetSocketAddress
import java.util.concurrent.TimeUnit
import java.util.logging.Level
import java.util.logging.Logger

/** There is no free port among those that the submission allows. The message is for the user. */
internal class NoFreePortException(
  message: String,
) : Exception(message)

/**
 * The gRPC server: our services, health and reflection, all behind the same credentials.
 *
 * Everything that comes from outside has a bound: connections ([ConnectionLimiter]), how long they take to begin, the calls
 * on one, the size of messages and headers, the threads that serve them. What a client does not read waits where it is made:
 * gRPC tells a call that it is ready once the socket has taken what it sent before.
 *
 * @param callers knows who calls, and stands before each service
 * @param roles which role a client's certificate stands for
 * @param ports where to listen: the first that is free
 */
internal class AmServer(
  private val credentials: ServerCredentials,
  private val services: List<BindableService>,
  private val activity: ClientActivity,
  private val callers: CallerInterceptor,
  private val roles: ClientRoles,
  private val ports: IntRange = ANY_PORT,
) {
  private val health = HealthStatusManager()
  private val guard = CallGuard({ TimeUnit.NANOSECONDS.toMillis(System.nanoTime()) })
  private val accepting: EventLoopGroup
  private val serving: EventLoopGroup
  private lateinit var server: Server

  init {
    spareNettyTheQuestions()
    accepting = eventLoops("knit-accept", 1)
    serving = eventLoops("knit-serve", SERVING_THREADS)
  }

  /** Where it listens. */
  val port: Int
    get() = server.port

  /**
   * Binds the port, on every interface.
   *
   * @throws NoFreePortException where each is taken, or not to be had.
   */
  fun start(): AmServer {
    server = ports.firstNotNullOfOrNull(::bound) ?: throw noFreePort()
    health.setStatus(HealthStatusManager.SERVICE_NAME_ALL_SERVICES, ServingStatus.SERVING)
    return this
  }

  private var lastFailure: IOException? = null

  private fun bound(port: Int): Server? {
    val candidate = build(port)
    return try {
      candidate.start()
    } catch (taken: IOException) {
      candidate.shutdownNow()
      lastFailure = taken
      null
    }
  }

  private fun noFreePort(): NoFreePortException {
    endLoops()
    val last = generateSequence<Throwable>(lastFailure) { it.cause }.last().message
    return NoFreePortException(
      "The Application Master may listen on ports ${ports.first} to ${ports.last} only (master_ports), and none of them can be " +
        "had on its node (the last: $last). Allow more ports, or more time between applications.",
    )
  }

  private fun build(port: Int): Server {
    val connections = OpenConnections()
    val builder =
      NettyServerBuilder
        .forAddress(InetSocketAddress(port), credentials)
        .bossEventLoopGroup(accepting)
        .workerEventLoopGroup(serving)
        .channelFactory { LimitedServerChannel(connections) }
        .addTransportFilter(connections)
        .addTransportFilter(PeerRoles(roles))
        .withOption(ChannelOption.SO_BACKLOG, BACKLOG)
        .withChildOption(ChannelOption.ALLOCATOR, BUFFERS)
        .executor(Dispatchers.Default.asExecutor())
        .handshakeTimeout(HANDSHAKE_SECONDS, TimeUnit.SECONDS)
        .keepAliveTime(KEEP_ALIVE_SECONDS, TimeUnit.SECONDS)
        .keepAliveTimeout(KEEP_ALIVE_TIMEOUT_SECONDS, TimeUnit.SECONDS)
        .maxConnectionIdle(MAX_IDLE_MINUTES, TimeUnit.MINUTES)
        .permitKeepAliveTime(PERMITTED_KEEP_ALIVE_SECONDS, TimeUnit.SECONDS)
        .permitKeepAliveWithoutCalls(true)
        .maxConcurrentCallsPerConnection(MAX_CALLS)
        .maxInboundMessageSize(MAX_MESSAGE_BYTES)
        .maxInboundMetadataSize(MAX_METADATA_BYTES)
        .flowControlWindow(WINDOW_BYTES)
    services.forEach {
      builder.addService(guard.around(ServerInterceptors.intercept(it, callers, ErrorStatusInterceptor(), activity)))
    }
    // Python's reflection client and older tools know the first version only.
    @Suppress("DEPRECATION")
    val others = listOf(health.healthService, ProtoReflectionServiceV1.newInstance(), ProtoReflectionService.newInstance())
    others.forEach { builder.addService(guard.around(ServerInterceptors.intercept(it, callers, ErrorStatusInterceptor()))) }
    return builder.build()
  }

  /** Takes no new calls, lets open ones end for a moment, and ends. Blocks. */
  fun stop() {
    health.enterTerminalState()
    server.shutdown()
    if (!server.awaitTermination(GRACE_MILLIS, TimeUnit.MILLISECONDS)) {
      server.shutdownNow()
      server.awaitTermination(GRACE_MILLIS, TimeUnit.MILLISECONDS)
    }
    endLoops()
  }

  private fun endLoops() {
    listOf(accepting, serving).forEach { it.shutdownGracefully(0, GRACE_MILLIS, TimeUnit.MILLISECONDS) }
  }

  internal companion object {
    /** Held here, for a level is forgotten with its logger. A stack trace for each client that leaves, or sends too much. */
    private val transportLog = Logger.getLogger(NettyServerBuilder::class.java.name.substringBeforeLast('.')).apply { level = Level.SEVERE }

    /** Any that the operating system gives. */
    val ANY_PORT = 0..0

    /** Both ways; clients refuse larger ones themselves. */
    const val MAX_MESSAGE_BYTES = 16 * 1024 * 1024

    /** Ours send a few hundred bytes; this is gRPC's own default. */
    const val MAX_METADATA_BYTES = 8 * 1024

    /** What a client may send of a request before it is read, on a call and on a connection. */
    const val WINDOW_BYTES = 256 * 1024

    const val MAX_CALLS = 256
    private const val HANDSHAKE_SECONDS = 10L

    /** A client whose machine sleeps, or that reads nothing at all, is gone after this and the next. */
    private const val KEEP_ALIVE_SECONDS = 60L
    private const val KEEP_ALIVE_TIMEOUT_SECONDS = 20L

    /** Clients connect anew without a word. */
    private const val MAX_IDLE_MINUTES = 10L
    private const val PERMITTED_KEEP_ALIVE_SECONDS = 5L
    private const val GRACE_MILLIS = 1_000L

    /** As many as the kernel usually allows: strangers must not fill the queue before they are turned away. */
    private const val BACKLOG = 4_096

    /** Encryption is what they do, and one connection is always served by the same thread. */
    private const val SERVING_THREADS = 4

    /**
     * On the heap, where the collector bounds them together with everything else: direct ones lie beside it, and the memory
     * of the container counts both. The JDK's TLS works on the heap anyway, and pools cost more at the start than they save.
     */
    private val BUFFERS = UnpooledByteBufAllocator(false, true)

    private fun eventLoops(
      name: String,
      threads: Int,
    ): EventLoopGroup = MultiThreadIoEventLoopGroup(threads, DefaultThreadFactory(name, true), NioIoHandler.newFactory())

    /**
     * Netty asks the machine for its network cards and the process for its number, which nothing here needs, and makes pools
     * for buffers, which nothing here uses: a fifth of a second at the start.
     */
    private fun spareNettyTheQuestions() {
      setDefault("io.netty.machineId", "00:00:00:00:00:00:00:01")
      setDefault("io.netty.processId", "1")
      setDefault("io.grpc.netty.useCustomAllocator", "false")
      setDefault("io.netty.allocator.type", "unpooled")
    }

    private fun setDefault(
      name: String,
      value: String,
    ) {
      if (System.getProperty(name) == null) System.setProperty(name, value)
    }
  }
}
