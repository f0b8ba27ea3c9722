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
