package knit.client

import io.grpc.Grpc
import io.grpc.TlsChannelCredentials
import knit.v1.ApplicationOutcome
import knit.v1.ApplicationServiceGrpc
import knit.v1.FinalStatus
import knit.v1.GetApplicationRequest
import knit.v1.ShutdownRequest
import java.util.concurrent.TimeUnit

/** What a client that waits asks an Application Master; each call blocks for some seconds at most, and throws where there is no answer. */
internal interface MasterClient : AutoCloseable {
  /** How the application ended; null while that is open. */
  fun outcome(): ApplicationOutcome?

  /** Ends the application; where it has ended, lets its Application Master go. */
  fun shutdown(
    status: FinalStatus,
    diagnostics: String,
  )
}

/** Over gRPC, with the application's own certificates. */
internal class RealMasterClient(
  host: String,
  port: Int,
  keys: Keys,
) : MasterClient {
  private val channel =
    Grpc
      .newChannelBuilderForAddress(
        host,
        port,
        TlsChannelCredentials
          .newBuilder()
          .trustManager(keys.authority.byteInputStream())
          .keyManager(keys.client.certificate.byteInputStream(), keys.client.key.byteInputStream())
          .build(),
      ).overrideAuthority(Keys.SERVER_NAME)
      // A proxy to the world outside leads to no node.
      .proxyDetector { null }
      .build()

  private val stub
    get() = ApplicationServiceGrpc.newBlockingStub(channel).withDeadlineAfter(CALL_SECONDS, TimeUnit.SECONDS)

  override fun outcome(): ApplicationOutcome? =
    stub
      .getApplication(
        GetApplicationRequest.getDefaultInstance(),
      ).let { if (it.application.hasOutcome()) it.application.outcome else null }

  override fun shutdown(
    status: FinalStatus,
    diagnostics: String,
  ) {
    stub.shutdown(
      ShutdownRequest
        .newBuilder()
        .setFinalStatus(status)
        .setDiagnostics(diagnostics)
        .build(),
    )
  }

  override fun close() {
    channel.shutdownNow()
  }

  private companion object {
    const val CALL_SECONDS = 5L
  }
}
