package knit.am.yarn

import knit.am.core.Resource

/** How large a container YARN can grant at the moment, as far as is known. */
internal class ContainerSizes(
  /** The most of each: what YARN compares a request with, and refuses what is beyond it. */
  val maximum: Resource,
  nodes: Collection<NodeRoom>,
  private val countsVcores: Boolean,
) {
  /** Every node that is not smaller than another one in all respects; of equal ones one. */
  private val largest: List<NodeRoom> =
    nodes.sortedWith(mostMemoryFirst).fold(emptyList()) { soFar, node ->
      if (soFar.isEmpty() || node.capacity.vcores > soFar.last().capacity.vcores) soFar + node else soFar
    }

  /** Whether YARN takes a request for [size], and some node could hold it if it were empty. */
  fun holds(size: Resource): Boolean = size.fitsIn(maximum) && (largest.isEmpty() || largest.any { it.couldHold(size) })

  /** The node that comes closest to holding [size]; null where none is known. */
  fun closestTo(size: Resource): NodeRoom? =
    largest.firstOrNull { !countsVcores || size.vcores <= it.capacity.vcores } ?: largest.lastOrNull()

  private fun NodeRoom.couldHold(size: Resource) = size.memoryMib <= capacity.memoryMib && (!countsVcores || size.vcores <= capacity.vcores)

  private companion object {
    val mostMemoryFirst =
      compareByDescending<NodeRoom> { it.capacity.memoryMib }.thenByDescending { it.capacity.vcores }.thenBy { it.nodeId }
  }
}
