package knit.am.grpc

import io.grpc.ForwardingServerCall.SimpleForwardingServerCall
import io.grpc.Metadata
import io.grpc.ServerCall
import io.grpc.ServerCallHandler
import io.grpc.ServerInterceptor
import io.grpc.Status
import knit.am.core.AmException
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
        ) = super.close(translated(status, methodDescriptor.fullMethodName), trailers)
      },
      headers,
    )

  private fun translated(
    status: Status,
    methodName: String,
  ): Status {
    val cause = status.cause
    return when {
      cause is AmException -> {
        cause.toStatus()
      }

      cause != null && status.code == Status.Code.UNKNOWN -> {
        log.error("{} failed", methodName, cause)
        Status.INTERNAL.withDescription("$methodName failed inside the Application Master; its log says why.")
      }

      else -> {
        status
      }
    }
  }
}

/** Sealed errors, so an error without a status does not compile. */
internal fun AmException.toStatus(): Status =
  when (this) {
    is AmException.NotFound -> Status.NOT_FOUND
    is AmException.InvalidArgument -> Status.INVALID_ARGUMENT
    is AmException.ApplicationEnding -> Status.FAILED_PRECONDITION
    is AmException.ResourceExhausted -> Status.RESOURCE_EXHAUSTED
    is AmException.OutOfRange -> Status.OUT_OF_RANGE
    is AmException.Unavailable -> Status.UNAVAILABLE
  }.withDescription(message).withCause(this)
