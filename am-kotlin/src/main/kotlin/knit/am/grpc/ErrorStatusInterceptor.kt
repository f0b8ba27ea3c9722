package knit.am.grpc

import io.grpc.ForwardingServerCall.SimpleForwardingServerCall
import io.grpc.Metadata
import io.grpc.ServerCall
import io.grpc.ServerCallHandler
import io.grpc.ServerInterceptor
import io.grpc.Status
import knit.am.core.AmException
import knit.am.core.Reason
import org.slf4j.LoggerFactory

/** The one place that turns errors into statuses. What no client can act on is logged here, and told without its details. */
internal class ErrorStatusInterceptor : ServerInterceptor {
  private val log = LoggerFactory.getLogger(ErrorStatusInterceptor::class.java)

  override fun <Q, A> interceptCall(
    call: ServerCall<Q, A>,
    headers: Metadata,
    next: ServerCallHandler<Q, A>,
  ): ServerCall.Listener<Q> =
    next.startCall(
      object : SimpleForwardingServerCall<Q, A>(call) {
        override fun close(
          status: Status,
          trailers: Metadata,
        ) {
          val told = translated(status, trailers, methodDescriptor.fullMethodName)
          super.close(told, trailers)
        }
      },
      headers,
    )

  private fun translated(
    status: Status,
    trailers: Metadata,
    methodName: String,
  ): Status {
    val cause = status.cause
    return when {
      cause is AmException -> {
        trailers.merge(cause.toTrailers())
        cause.toStatus()
      }

      cause != null && status.code == Status.Code.UNKNOWN -> {
        log.error("{} failed", methodName, cause)
        Status.INTERNAL
          .withDescription("$methodName failed inside the Application Master; its log says why.")
          .also { trailers.put(STATUS_DETAILS, details(it, Reason.INTERNAL.name)) }
      }

      else -> {
        status
      }
    }
  }
}
