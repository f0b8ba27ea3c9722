package knit.am.security

import knit.am.core.Application
import knit.am.core.Role
import knit.am.core.role

/** What the container that a token was given to may, as its service says now; null where it has ended. */
internal fun Application.roleOf(holder: TokenHolder): Role? {
  val container = container(holder.container) ?: return null
  if (container.state.isFinal || container.key.attemptNumber != holder.attemptNumber) return null
  return spec(holder.container.serviceName).access.role
}
