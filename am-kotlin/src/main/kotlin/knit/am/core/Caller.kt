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
