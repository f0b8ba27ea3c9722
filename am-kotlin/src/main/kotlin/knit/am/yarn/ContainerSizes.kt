package knit.am.yarn

import knit.am.core.Resource

/** How large a container YARN can grant at the moment, as far as is known. */
internal class ContainerSizes(
  /** The most of each: what YARN compares a request with, and refuses what is beyond it. */
  val maximum: Resource,
  nodes: Collection<NodeRoom>,
  val countsVcores: Boolean,
  /** Those of [nodes] that grants come from, as far as is known. */
  inReach: Collection<NodeRoom> = nodes,
) {
  /** Every node that is not smaller than another one in all respects; of equal ones one. */
  private val largest = largestOf(nodes)
  private val largestInReach = largestOf(inReach)

  private fun largestOf(nodes: Collection<NodeRoom>): List<NodeRoom> =
    nodes.sortedWith(mostMemoryFirst).distinctBy { it.capacity }.fold(emptyList()) { soFar, node ->
      if (soFar.none { node.capacity.fitsIn(it.capacity) }) soFar + node else soFar
    }

  /** Whether YARN takes a request for [size], and some node could hold it if it were empty. */
  fun holds(size: Resource): Boolean = size.fitsIn(maximum) && (largest.isEmpty() || largest.any { it.couldHold(size) })

  /**
   * Whether a node that grants come from could hold [size] if it were empty. YARN may be asked for what only others hold:
   * it lends the nodes of some partitions, and does not say of which.
   */
  fun holdsInReach(size: Resource): Boolean = largestInReach.isEmpty() || largestInReach.any { it.couldHold(size) }

  /** The node in reach that comes closest to holding [size]; null where none is known. */
  fun closestInReachTo(size: Resource): NodeRoom? = closest(largestInReach, size)

  /** The node that comes closest to holding [size]; null where none is known. */
  fun closestTo(size: Resource): NodeRoom? = closest(largest, size)

  private fun closest(
    largest: List<NodeRoom>,
    size: Resource,
  ): NodeRoom? = largest.firstOrNull { it.couldHold(size.copy(memoryMib = 0)) } ?: largest.lastOrNull()

  private fun NodeRoom.couldHold(size: Resource) = if (countsVcores) size.fitsIn(capacity) else size.memoryMib <= capacity.memoryMib

  private companion object {
    val mostMemoryFirst =
      compareByDescending<NodeRoom> { it.capacity.memoryMib }.thenByDescending { it.capacity.vcores }.thenBy { it.nodeId }
  }
}
