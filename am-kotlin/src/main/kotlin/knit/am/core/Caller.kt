package knit.am.core

/** Names one container of the application, also before YARN has granted it: the [ordinal] of a service is never given again. */
data class ContainerRef(
  val serviceName: String,
  /** In the order they were wanted, from 0. */
  val ordinal: Int,
) : Comparable<ContainerRef> {
  override fun compareTo(other: ContainerRef): Int {
    val byName = serviceName.compareTo(other.serviceName)
    return if (byName != 0) byName else ordinal.compareTo(other.ordinal)
  }

  /** As people read it: `worker #3`. */
  override fun toString(): String = "$serviceName #$ordinal"
}

/** What a client may do. */
enum class Role {
  /** Everything. */
  OWNER,

  /** Everything but to see values of variables and annotations and to end the application. */
  OPERATOR,

  /** Look. */
  VIEWER,

  /** Read, use the store, report, stop itself. */
  CONTAINER,
}

/** What a container of a service with this access may. */
internal val Access.role: Role
  get() =
    when (this) {
      Access.CONTAINER -> Role.CONTAINER
      Access.OPERATOR -> Role.OPERATOR
      Access.OWNER -> Role.OWNER
    }

/** Who asks for something: a container, the driver, or a client from outside. */
data class Caller(
  val role: Role,
  /** The container that asks; null: a client from outside. Its [role] is more than [Role.CONTAINER] where its service says so. */
  val container: ContainerRef? = null,
  /** Whether it is the program beside the Application Master, which is in no container of a service. */
  val isDriver: Boolean = false,
)

/** Who that is, as the beginning of a sentence goes on with it: what it may, and why. */
internal fun Caller.inWords(): String {
  val own = role.name.lowercase()
  return when {
    container != null -> "this is container $container, whose service has the access $own"
    isDriver -> "this is the driver, which has the access $own"
    else -> "these credentials are ${if (role == Role.OWNER || role == Role.OPERATOR) "an" else "a"} $own's"
  }
}

/**
 * Throws unless the caller may deal with [containers]: where it is no more than a container, with itself only.
 *
 * @param what what it wants to do with them, as in "stop"
 */
internal fun Caller.refuseOthers(
  containers: Iterable<ContainerRef>,
  what: String,
) {
  if (role != Role.CONTAINER) return
  val other = containers.firstOrNull { it != container } ?: return
  val who =
    if (isDriver) {
      "A driver may $what no container, unless it is submitted with the access operator: this one is not."
    } else {
      "A container may $what itself only: this is $container, and not $other. Submit its service with the access operator, and it may " +
        "$what any."
    }
  throw AmException.PermissionDenied(
    who,
    Reason.NOT_YOURSELF,
    mapOf("service_name" to other.serviceName, "ordinal" to "${other.ordinal}"),
  )
}

/** Throws unless the caller may itself what containers of [serviceName] may with [access]: nobody gives away more than they have. */
internal fun Caller.refuseMoreAccess(
  serviceName: String,
  access: Access,
) {
  if (!isLessThan(access)) return
  throw moreAccess(
    serviceName,
    access,
    "Service $serviceName cannot be given the access ${access.name.lowercase()}: ${inWords()}, and nobody gives more than they have. " +
      "Specify less access, or ask an owner to do it.",
  )
}

/**
 * Throws unless the caller may itself what containers of [serviceName] may with [access]: whoever chooses the variables of a program
 * chooses what it does (`BASH_ENV`, `LD_PRELOAD`, `PYTHONSTARTUP`), and so does it with the program's access.
 */
internal fun Caller.refuseOtherVariables(
  serviceName: String,
  access: Access,
) {
  if (!isLessThan(access)) return
  throw moreAccess(
    serviceName,
    access,
    "Containers of $serviceName cannot be given other variables: they have the access ${access.name.lowercase()}, ${inWords()}, and " +
      "nobody has a program do more than they may. Add them without variables, or ask an owner to do it.",
  )
}

/** Everybody who may change services may what any container may; roles are ordered from the one that may most. */
private fun Caller.isLessThan(access: Access) = access != Access.CONTAINER && role > access.role

private fun Caller.moreAccess(
  serviceName: String,
  access: Access,
  sentence: String,
) = AmException.PermissionDenied(
  sentence,
  facts = mapOf("service_name" to serviceName, "role" to role.name.lowercase(), "needed" to access.name.lowercase()),
)
