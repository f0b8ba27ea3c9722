package knit.am.core

import java.time.Instant

/** A node that something speaks against. */
data class Node(
  val nodeId: String,
  /** The latest, oldest first; never empty, and never more than it takes to exclude the node. */
  val failures: List<NodeFailure>,
) {
  /** When the first of [failures] no longer speaks against it. */
  val forgiveTime: Instant
    get() = failures.first().time.plus(BLAME_LASTS)

  /** Whether no more containers should be asked for here. */
  val isExcluded: Boolean
    get() = failures.size >= NODE_FAILURES_TO_EXCLUDE
}

/** A container that failed for a reason that speaks against its node. */
data class NodeFailure(
  val reason: ExitReason,
  val time: Instant,
)
