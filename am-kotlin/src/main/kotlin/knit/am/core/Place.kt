package knit.am.core

/** Names a place in a service: what a replacement takes over from the container it replaces. */
data class PlaceKey(
  val serviceName: String,
  val rank: Int,
) : Comparable<PlaceKey> {
  override fun compareTo(other: PlaceKey): Int {
    val byName = serviceName.compareTo(other.serviceName)
    return if (byName != 0) byName else rank.compareTo(other.rank)
  }

  /** As people read it: `worker 3`. */
  override fun toString(): String = "$serviceName $rank"
}

/**
 * What there is to tell of a place beside its containers. A place with nothing to tell of has no such record, as most have none.
 *
 * How many attempts there were is the number of the latest container's.
 */
data class Place(
  val key: PlaceKey,
  /** What its own budgets were spent on, by their place in the specification. */
  val accounts: Map<Int, Account> = emptyMap(),
  /** How many failures in a row it has rested after. */
  val rests: Int = 0,
  /** Whether it is to be filled no more, until the service is scaled up again. */
  val isRetired: Boolean = false,
  /** How many of its attempts that are forgotten had succeeded; those that had neither succeeded nor been stopped had failed. */
  val forgottenSucceeded: Int = 0,
  val forgottenStopped: Int = 0,
)
