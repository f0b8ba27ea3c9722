package knit.am.core

import java.time.Duration

/** How many containers may fail on a node, for reasons that speak against it, before no more are asked for there. */
internal const val NODE_FAILURES_TO_EXCLUDE = 2

/** How long a failure speaks against a node: a NodeManager is restarted and a disk cleared in minutes. */
internal val BLAME_LASTS: Duration = Duration.ofMinutes(10)

/** Whether a container that ended for this reason speaks against its node. */
internal val ExitReason.blamesNode: Boolean
  get() = this == ExitReason.LAUNCH_FAILED || this == ExitReason.DISK_FAILED

internal fun Turn.judgeNode(
  ended: Container,
  fault: LaunchFault,
) {
  val nodeId = ended.lease?.nodeId ?: return
  val reason = checkNotNull(ended.exit).reason
  when {
    // A program that ran to an end of its own clears the node of everything.
    reason == ExitReason.EXITED -> forgive(nodeId) { false }

    reason.blamesNode && fault == LaunchFault.NODE -> blame(nodeId, reason)
  }
}

/** A launch that the node accepted clears it of those it did not. */
internal fun Turn.launchedOn(nodeId: String) = forgive(nodeId) { it.reason != ExitReason.LAUNCH_FAILED }

internal fun Turn.forgiveInTime(nodeId: String) = forgive(nodeId) { now < it.time.plus(BLAME_LASTS) }

private fun Turn.blame(
  nodeId: String,
  reason: ExitReason,
) {
  forgiveInTime(nodeId)
  val failures = application.nodes[nodeId]?.failures.orEmpty() + NodeFailure(reason, now)
  put(NodeChanged(Node(nodeId, failures.takeLast(NODE_FAILURES_TO_EXCLUDE))))
}

private fun Turn.forgive(
  nodeId: String,
  stays: (NodeFailure) -> Boolean,
) {
  val node = application.nodes[nodeId] ?: return
  val left = node.failures.filter(stays)
  when (left.size) {
    node.failures.size -> {}

    0 -> {
      put(NodeForgiven(nodeId))
    }

    else -> {
      put(NodeChanged(Node(nodeId, left)))
    }
  }
}
