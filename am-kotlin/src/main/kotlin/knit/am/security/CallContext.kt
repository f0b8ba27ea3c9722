package knit.am.security

import io.grpc.Context
import knit.am.core.Caller

/** Who makes the call that is being answered. Set before a service sees the call; coroutines of a call inherit it. */
internal val CALLER: Context.Key<Caller> = Context.key("knit-caller")

/** Who makes the call that is being answered. Throws outside of one: nobody is nobody, and may nothing. */
internal fun callerOf(): Caller = checkNotNull(CALLER.get()) { "This is not within a call, or no CallerInterceptor stands before it." }
