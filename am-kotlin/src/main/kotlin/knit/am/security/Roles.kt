package knit.am.security

import knit.am.core.AmException
import knit.am.core.Caller
import knit.am.core.Reason
import knit.am.core.Role
import knit.am.core.Role.CONTAINER
import knit.am.core.Role.OPERATOR
import knit.am.core.Role.OWNER
import knit.am.core.Role.VIEWER
import knit.am.core.inWords

/**
 * Which roles may make which call: the only place that says so, but for what depends on the request (see [Caller]).
 *
 * `docs/contract.md` has the same table for people. A call that is not here is refused to everybody.
 */
internal object Roles {
  private val all = setOf(OWNER, OPERATOR, VIEWER, CONTAINER)
  private val working = setOf(OWNER, OPERATOR, CONTAINER)
  private val operating = setOf(OWNER, OPERATOR)
  private val owning = setOf(OWNER)

  /** By full method name. */
  val allowed: Map<String, Set<Role>> =
    mapOf(
      "knit.v1.ApplicationService/GetApplication" to all,
      "knit.v1.ApplicationService/UpdateApplication" to operating,
      "knit.v1.ApplicationService/Shutdown" to owning,
      "knit.v1.ApplicationService/ReportProgress" to working,
      "knit.v1.ApplicationService/ListServices" to all,
      "knit.v1.ApplicationService/AddServices" to operating,
      "knit.v1.ApplicationService/RemoveServices" to operating,
      "knit.v1.ApplicationService/UpdateService" to operating,
      "knit.v1.ApplicationService/ScaleService" to operating,
      "knit.v1.ContainerService/ListContainers" to all,
      "knit.v1.ContainerService/AddContainers" to operating,
      "knit.v1.ContainerService/StopContainers" to working,
      "knit.v1.ContainerService/RestartContainers" to operating,
      "knit.v1.ContainerService/ReportReady" to working,
      "knit.v1.EventService/WatchEvents" to all,
      "knit.v1.KeyValueService/Get" to all,
      "knit.v1.KeyValueService/Range" to all,
      "knit.v1.KeyValueService/Put" to working,
      "knit.v1.KeyValueService/Delete" to working,
      "knit.v1.KeyValueService/Commit" to working,
      "knit.v1.KeyValueService/GrantLease" to working,
      "knit.v1.KeyValueService/KeepLease" to working,
      "knit.v1.KeyValueService/RevokeLease" to working,
      "knit.v1.LogService/ListLogFiles" to all,
      "knit.v1.LogService/StreamLogs" to all,
      "grpc.health.v1.Health/Check" to all,
      "grpc.health.v1.Health/Watch" to all,
      "grpc.reflection.v1.ServerReflection/ServerReflectionInfo" to all,
      "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" to all,
    )

  /** Throws unless [caller] may make the call [methodName], by its full name. */
  fun refuseUnless(
    caller: Caller,
    methodName: String,
  ) {
    val roles = allowed[methodName].orEmpty()
    if (caller.role !in roles) throw refusal(caller, methodName, roles)
  }

  private fun refusal(
    caller: Caller,
    methodName: String,
    roles: Set<Role>,
  ): AmException {
    val call = methodName.substringAfterLast('/')
    val needed = roles.reversed().joinToString(" or ") { it.word }
    val way =
      when {
        roles.isEmpty() -> {
          "$call is for nobody."
        }

        caller.isDriver -> {
          "$call needs the role $needed, and ${caller.inWords()}. Submit the driver with the access operator or owner."
        }

        caller.container != null -> {
          "$call needs the role $needed, and ${caller.inWords()}. Submit the service with the access operator or owner."
        }

        else -> {
          "$call needs the role $needed, and ${caller.inWords()}. " + HOW_TO_GET_A_ROLE
        }
      }
    return AmException.PermissionDenied(
      way,
      Reason.PERMISSION_DENIED,
      mapOf("method" to methodName, "role" to caller.role.word, "needed" to roles.joinToString(",") { it.word }),
    )
  }

  private fun Set<Role>.reversed(): List<Role> = sortedByDescending { it.ordinal }
}

/** What people write. */
internal val Role.word: String
  get() = name.lowercase()

internal const val HOW_TO_GET_A_ROLE =
  "Whoever submitted the application gets credentials of another role with: knit credentials APPLICATION --role ROLE --out DIRECTORY."
