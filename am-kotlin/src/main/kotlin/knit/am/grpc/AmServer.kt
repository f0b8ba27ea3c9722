package knit.am.grpc

import io.grpc.BindableService
import io.grpc.Grpc
import io.grpc.Server
import io.grpc.ServerCredentials
import io.grpc.ServerInterceptors
import io.grpc.health.v1.HealthCheckResponse.ServingStatus
import io.grpc.protobuf.services.HealthStatusManager
import io.grpc.protobuf.services.ProtoReflectionService
import io.grpc.protobuf.services.ProtoReflectionServiceV1
import java.util.concurrent.TimeUnit

/** The gRPC server: our services, health and reflection, all behind the same credentials. */
internal class AmServer(
  credentials: ServerCredentials,
  services: List<BindableService>,
  activity: ClientActivity,
) {
  private val health = HealthStatusManager()
  private val server: Server =
    Grpc
      .newServerBuilderForPort(0, credentials)
      .apply { services.forEach { addService(ServerInterceptors.intercept(it, ErrorStatusInterceptor(), activity)) } }
      .addService(health.healthService)
      .addService(ProtoReflectionServiceV1.newInstance())
      // Python's reflection client and older tools know this version only.
      .addService(@Suppress("DEPRECATION") ProtoReflectionService.newInstance())
      .permitKeepAliveTime(KEEP_ALIVE_SECONDS, TimeUnit.SECONDS)
      .permitKeepAliveWithoutCalls(true)
      .build()

  /** Where it listens. */
  val port: Int
    get() = server.port

  /** Binds the port, on every interface. */
  fun start(): AmServer {
    server.start()
    health.setStatus(HealthStatusManager.SERVICE_NAME_ALL_SERVICES, ServingStatus.SERVING)
    return this
  }

  /** Takes no new calls, lets open ones end for a moment, and ends. Blocks. */
  fun stop() {
    health.enterTerminalState()
    server.shutdown()
    if (!server.awaitTermination(GRACE_MILLIS, TimeUnit.MILLISECONDS)) {
      server.shutdownNow()
      server.awaitTermination(GRACE_MILLIS, TimeUnit.MILLISECONDS)
    }
  }

  private companion object {
    const val KEEP_ALIVE_SECONDS = 5L
    const val GRACE_MILLIS = 1_000L
  }
}
