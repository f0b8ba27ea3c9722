package knit.am.security

import io.grpc.Context
import io.grpc.Contexts
import io.grpc.Metadata
import io.grpc.ServerCall
import io.grpc.ServerCallHandler
import io.grpc.ServerInterceptor
import knit.am.core.Caller
import knit.am.core.Role

/** Lets every call of a server in the test's process be [caller]'s. */
internal class CallingAs(
  var caller: Caller = Caller(Role.OWNER),
) : ServerInterceptor {
  override fun <Q, A> interceptCall(
    call: ServerCall<Q, A>,
    headers: Metadata,
    next: ServerCallHandler<Q, A>,
  ): ServerCall.Listener<Q> = Contexts.interceptCall(Context.current().withValue(CALLER, caller), call, headers, next)
}
