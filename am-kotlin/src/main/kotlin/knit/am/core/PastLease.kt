package knit.am.core

/** A lease that was given back at once, or whose container is forgotten: YARN may speak of it again. */
data class PastLease(
  val containerId: String,
  /** The [Application.sequence] of the turn in which it passed. */
  val sequence: Long,
) : Comparable<PastLease> {
  /** Whose turn it is to be forgotten. */
  override fun compareTo(other: PastLease): Int {
    val bySequence = sequence.compareTo(other.sequence)
    return if (bySequence != 0) bySequence else containerId.compareTo(other.containerId)
  }
}
