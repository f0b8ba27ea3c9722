package knit.am.security

import knit.am.core.Access
import knit.am.core.Application
import knit.am.core.DriverState
import knit.am.core.Role
import knit.am.core.role

/**
 * What the program that a token was given to may, as its service says now; null where it has ended.
 *
 * @param driverAccess what the driver may; null: there is none
 */
internal fun Application.roleOf(
  holder: TokenHolder,
  driverAccess: Access?,
): Role? =
  when (holder) {
    is ContainerHolder -> accessOf(holder)?.role
    is DriverHolder -> driverAccess?.role.takeIf { isAlive(holder) }
  }

private fun Application.isAlive(driver: DriverHolder) =
  driver.attemptNumber == attemptNumber && (header.driver == DriverState.RUNNING || header.driver == DriverState.STOPPING)

private fun Application.accessOf(holder: ContainerHolder): Access? {
  val container = container(holder.container) ?: return null
  if (container.state.isFinal || container.key.attemptNumber != holder.attemptNumber) return null
  val service = services.getValue(holder.container.serviceName)
  val present = spec(service.name).access
  if (service.isPresent(container.revision)) return present
  // What another revision runs may no more than that one says, or a rollback would give a program what nobody has given it.
  return minOf(present, spec(service.name, container.revision).access)
}
