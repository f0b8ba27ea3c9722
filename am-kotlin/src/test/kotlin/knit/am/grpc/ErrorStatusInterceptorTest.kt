package knit.am.grpc

import io.grpc.Metadata
import io.grpc.MethodDescriptor
import io.grpc.ServerCall
import io.grpc.Status
import knit.am.core.AmException
import knit.v1.ApplicationServiceGrpc
import knit.v1.GetApplicationRequest
import knit.v1.GetApplicationResponse
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class ErrorStatusInterceptorTest {
  private class Call : ServerCall<GetApplicationRequest, GetApplicationResponse>() {
    lateinit var status: Status

    override fun request(number: Int) = Unit

    override fun sendHeaders(headers: Metadata) = Unit

    override fun sendMessage(message: GetApplicationResponse) = Unit

    override fun close(
      status: Status,
      trailers: Metadata,
    ) {
      this.status = status
    }

    override fun isCancelled() = false

    override fun getMethodDescriptor(): MethodDescriptor<GetApplicationRequest, GetApplicationResponse> =
      ApplicationServiceGrpc.getGetApplicationMethod()
  }

  /** What a client is told where a call ends as grpc-kotlin ends it with [failure]. */
  private fun told(failure: Throwable): Status {
    val call = Call()
    ErrorStatusInterceptor().interceptCall(call, Metadata()) { inner, _ ->
      inner.close(Status.fromThrowable(failure), Metadata())
      object : ServerCall.Listener<GetApplicationRequest>() {}
    }
    return call.status
  }

  @Test
  fun anInternalErrorTellsClientsNoDetails() {
    val status = told(IllegalStateException("the password is hunter2"))
    assertEquals(Status.Code.INTERNAL, status.code)
    assertFalse("hunter2" in status.description.orEmpty())
    assertTrue("GetApplication failed inside the Application Master" in status.description.orEmpty(), status.description)
  }

  @Test
  fun eachOfOurOwnErrorsHasAStatusAndItsSentence() {
    val table =
      mapOf(
        AmException.NotFound("x") to Status.Code.NOT_FOUND,
        AmException.InvalidArgument("x") to Status.Code.INVALID_ARGUMENT,
        AmException.ApplicationEnding("x") to Status.Code.FAILED_PRECONDITION,
        AmException.ResourceExhausted("x") to Status.Code.RESOURCE_EXHAUSTED,
        AmException.OutOfRange("x") to Status.Code.OUT_OF_RANGE,
        AmException.Unavailable("x") to Status.Code.UNAVAILABLE,
      )
    for ((failure, code) in table) {
      assertEquals(code to "x", told(failure).let { it.code to it.description })
    }
    assertEquals(Status.Code.CANCELLED, told(Status.CANCELLED.asException()).code)
  }
}
