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
 * What a place's budgets have been spent on. A place with nothing to tell of has no such record, as most have none.
 *
 * How many attempts there were is the number of the latest container's.
 */
data class Place(
  val key: PlaceKey,
  val restarts: Int = 0,
  val replacements: Int = 0,
)
