package knit.am.core

import java.time.Instant

/** A time that stands on a record, and which record that is. */
internal data class Deadline(
  val time: Instant,
  val kind: Kind,
  /** Names the record among those of its kind; empty where there is one. */
  val name: String,
) : Comparable<Deadline> {
  /** What is due; of the same moment in this order. */
  enum class Kind {
    /** [Node.forgiveTime]. */
    FORGIVENESS,

    /** [Header.endDeadline]. */
    ENDING,
  }

  override fun compareTo(other: Deadline): Int = compareValuesBy(this, other, { it.time }, { it.kind }, { it.name })

  companion object {
    fun of(header: Header): Deadline? = header.endDeadline?.let { Deadline(it, Kind.ENDING, "") }

    fun of(node: Node) = Deadline(node.forgiveTime, Kind.FORGIVENESS, node.nodeId)
  }
}
