package knit.am.yarn

import knit.am.core.Resource
import java.util.PriorityQueue

/**
 * Decides which nodes to name when asking for containers.
 *
 * By default CapacityScheduler grants one container per node and second to requests that name no node, and all at once
 * to requests that name the node at hand. So each ask names one node, in proportion to what is free there, which spreads
 * the containers; and what is open for longer than a node's heartbeat names every node, for the one it named has filled
 * up meanwhile.
 */
internal class Planner(
  private val countsVcores: Boolean,
) {
  /**
   * Returns what is to be asked for instead of [open]: as much of it as still fits, and what is missing.
   *
   * @param wanted how many containers of each size
   * @param nodes where containers are welcome; null where nothing is known of them
   */
  fun plan(
    wanted: Map<Resource, Int>,
    open: Collection<Ask>,
    nodes: List<NodeRoom>?,
    nowMillis: Long,
  ): List<Ask> {
    val named = nodes.orEmpty().associateBy { it.nodeId }
    val everywhere = nodes.orEmpty().sortedByDescending { it.free.memoryMib }.take(MAX_NAMED_NODES)
    val openBySize = open.groupBy { it.resource }
    val kept = mutableListOf<Ask>()
    val missing = mutableListOf<Pair<Resource, Int>>()
    for ((size, count) in wanted) {
      // The longest waiting stay: the scheduler has counted them already.
      val staying = openBySize[size].orEmpty().take(count)
      staying.mapTo(kept) { ask -> ask.takeIf { isGood(it, named, everywhere, nowMillis) } ?: wide(size, everywhere, ask.sinceMillis) }
      if (staying.size < count) missing += size to count - staying.size
    }
    val free = FreeRoom(named.values, countsVcores)
    kept.filterNot { it.isWide }.forEach { free.take(it.nodes.first().nodeId, it.resource) }
    for ((size, count) in missing) {
      val spread = free.spread(size, count)
      spread.mapTo(kept) { Ask(size, listOf(it), isWide = false, sinceMillis = nowMillis) }
      repeat(count - spread.size) { kept += wide(size, everywhere, nowMillis) }
    }
    return kept
  }

  private fun isGood(
    ask: Ask,
    named: Map<String, NodeRoom>,
    everywhere: List<NodeRoom>,
    nowMillis: Long,
  ): Boolean =
    if (ask.isWide) {
      // Grants change what is free on a node all the time; only which nodes there are makes a new ask of it.
      ask.nodes.size == everywhere.size && ask.nodes.all { it.nodeId in named }
    } else {
      nowMillis - ask.sinceMillis < WIDEN_AFTER_MILLIS && ask.nodes.all { it.nodeId in named }
    }

  private fun wide(
    size: Resource,
    everywhere: List<NodeRoom>,
    sinceMillis: Long,
  ) = Ask(size, everywhere, isWide = true, sinceMillis = sinceMillis)

  companion object {
    /** A little more than the second between a node's heartbeats. */
    const val WIDEN_AFTER_MILLIS = 1_200L

    /** Naming more does not make the scheduler faster, only the requests longer. */
    const val MAX_NAMED_NODES = 500
  }
}

/** What is free on each node, less what was promised. */
private class FreeRoom(
  nodes: Collection<NodeRoom>,
  private val countsVcores: Boolean,
) {
  private val nodes = nodes.associateBy { it.nodeId }
  private val memoryMib = nodes.associateTo(HashMap()) { it.nodeId to it.free.memoryMib }
  private val vcores = nodes.associateTo(HashMap()) { it.nodeId to it.free.vcores }

  fun take(
    nodeId: String,
    size: Resource,
  ) {
    memoryMib.computeIfPresent(nodeId) { _, free -> free - size.memoryMib }
    vcores.computeIfPresent(nodeId) { _, free -> free - size.vcores }
  }

  /** Names a node for each of [count] containers, as far as there is room, so that every node is filled to the same degree. */
  fun spread(
    size: Resource,
    count: Int,
  ): List<NodeRoom> {
    class Candidate(
      val node: NodeRoom,
      val room: Int,
    ) {
      var taken = 0

      // D'Hondt's rule: whoever has most room for each container it would then hold.
      val weight get() = room.toDouble() / (taken + 1)
    }
    val candidates = PriorityQueue<Candidate>(compareByDescending<Candidate> { it.weight }.thenBy { it.node.nodeId })
    nodes.values.map { Candidate(it, roomFor(it.nodeId, size)) }.filterTo(candidates) { it.room > 0 }
    val spread = mutableListOf<NodeRoom>()
    while (spread.size < count) {
      val best = candidates.poll() ?: break
      spread += best.node
      take(best.node.nodeId, size)
      best.taken++
      if (best.taken < best.room) candidates += best
    }
    return spread
  }

  private fun roomFor(
    nodeId: String,
    size: Resource,
  ): Int {
    val byMemory = memoryMib.getValue(nodeId) / size.memoryMib.coerceAtLeast(1)
    val byVcores = if (countsVcores) vcores.getValue(nodeId).toLong() / size.vcores.coerceAtLeast(1) else Long.MAX_VALUE
    return minOf(byMemory, byVcores).coerceIn(0, Int.MAX_VALUE.toLong()).toInt()
  }
}
