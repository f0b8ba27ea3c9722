package knit.am.core

import kotlinx.collections.immutable.PersistentList
import kotlinx.collections.immutable.PersistentMap
import kotlinx.collections.immutable.persistentHashMapOf
import kotlinx.collections.immutable.persistentListOf
import kotlinx.collections.immutable.toPersistentList
import java.time.Duration
import java.time.Instant

/** How many containers may fail on a node, for reasons that speak against it, before no more are asked for there. */
internal const val NODE_FAILURES_TO_EXCLUDE = 2

/** How long a failure speaks against a node: a NodeManager is restarted and a disk cleared in minutes. */
internal val BLAME_LASTS: Duration = Duration.ofMinutes(10)

/** A container that failed for a reason that speaks against its node. */
internal data class Blame(
  val reason: ExitReason,
  val time: Instant,
)

/** Whether a container that ended for this reason speaks against its node. */
internal val ExitReason.blamesNode: Boolean
  get() = this == ExitReason.LAUNCH_FAILED || this == ExitReason.DISK_FAILED

/** What speaks against nodes, and for how long still. Of each node as many failures are kept as it takes to exclude it. */
internal class NodeBlames private constructor(
  private val byNode: PersistentMap<String, PersistentList<Blame>>,
) {
  /** The nodes no more containers should be asked for on. */
  val excludedNodes: Set<String> =
    byNode.entries
      .filter { it.value.size >= NODE_FAILURES_TO_EXCLUDE }
      .map { it.key }
      .toSet()

  /** When the next failure is to be forgiven; null where there is none. */
  val forgiveTime: Instant? =
    byNode.values
      .mapNotNull { blames -> blames.firstOrNull()?.time }
      .minOrNull()
      ?.plus(BLAME_LASTS)

  /** These and one failure more. */
  fun plus(
    nodeId: String,
    blame: Blame,
  ): NodeBlames {
    val blames = (byNode[nodeId] ?: persistentListOf()).add(blame)
    return NodeBlames(byNode.put(nodeId, blames.takeLast(NODE_FAILURES_TO_EXCLUDE).toPersistentList()))
  }

  /** These without what is too old to speak against anybody. */
  fun forgiven(now: Instant): NodeBlames =
    if (forgiveTime == null || now < forgiveTime) this else filtered(byNode.keys) { now < it.time.plus(BLAME_LASTS) }

  /** These after a launch that [nodeId] accepted. */
  fun launchedOn(nodeId: String): NodeBlames =
    if (nodeId in byNode) filtered(setOf(nodeId)) { it.reason != ExitReason.LAUNCH_FAILED } else this

  /** These after a program ran to an end of its own on [nodeId]. */
  fun ranOn(nodeId: String): NodeBlames = if (nodeId in byNode) NodeBlames(byNode.remove(nodeId)) else this

  private fun filtered(
    nodeIds: Set<String>,
    stays: (Blame) -> Boolean,
  ): NodeBlames =
    NodeBlames(
      nodeIds.fold(byNode) { rest, nodeId ->
        val left = rest.getValue(nodeId).filter(stays)
        if (left.isEmpty()) rest.remove(nodeId) else rest.put(nodeId, left.toPersistentList())
      },
    )

  companion object {
    val NONE = NodeBlames(persistentHashMapOf())
  }
}
