package knit.am.security

import knit.am.core.Access
import knit.am.core.Application
import knit.am.core.Role

/** What the container that a token was given to may, as its service says now; null where it has ended. */
internal fun Application.roleOf(holder: TokenHolder): Role? {
  val container = container(holder.container) ?: return null
  if (container.state.isFinal || container.key.attemptNumber != holder.attemptNumber) return null
  return when (spec(holder.container.serviceName).access) {
    Access.CONTAINER -> Role.CONTAINER
    Access.OPERATOR -> Role.OPERATOR
    Access.OWNER -> Role.OWNER
  }
}
