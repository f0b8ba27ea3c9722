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

/** Who asks for something. */
data class Caller(
  val role: Role,
  /** The container that asks; null: a client from outside. Its [role] is more than [Role.CONTAINER] where its service says so. */
  val container: ContainerRef? = null,
)

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
  throw AmException.PermissionDenied(
    "A container may $what itself only: this is $container, and not $other. Submit its service with the access operator, and it may $what any.",
    Reason.NOT_YOURSELF,
    mapOf("service_name" to other.serviceName, "ordinal" to "${other.ordinal}"),
  )
}

/** Throws unless the caller may itself what containers of [serviceName] may with [access]: nobody gives away more than they have. */
internal fun Caller.refuseMoreAccess(
  serviceName: String,
  access: Access,
) {
  // Everybody who may change services may what any container may; roles are ordered from the one that may most.
  if (access == Access.CONTAINER || role <= access.role) return
  val wanted = access.name.lowercase()
  val own = role.name.lowercase()
  val who = if (container == null) "these credentials are a $own's" else "this is container $container, whose service has the access $own"
  throw AmException.PermissionDenied(
    "Service $serviceName cannot be given the access $wanted: $who, and nobody gives more than they have. " +
      "Specify less access, or ask an owner to do it.",
    facts = mapOf("service_name" to serviceName, "role" to own, "needed" to wanted),
  )
}
