package knit.am.yarn

import knit.am.core.Placement
import knit.am.core.Resource
import knit.am.core.Shape
import knit.am.core.Spread

/** Which nodes there are for the containers of one shape. */
internal sealed interface Candidates {
  /** The most memory that is free on one of them; null where that is not known. */
  val mostFreeMib: Long?
    get() = null

  /** No more is known of the nodes than YARN knows. */
  object Unknown : Candidates

  /** Any will do; [nodes] are where they are preferred. */
  class Preferred(
    val nodes: PreferredNodes,
    /** How many of the service's containers each node has, where they are to be spread evenly; null: in proportion to what is free. */
    val held: Map<String, Int>? = null,
  ) : Candidates {
    override val mostFreeMib: Long?
      get() = nodes.mostFreeMib
  }

  /** Those that were named, by name or by rack, and no others if it [isStrict]. */
  class Named(
    val nodes: List<NodeRoom>,
    val racks: Set<String>,
    val isStrict: Boolean,
  ) : Candidates {
    override val mostFreeMib: Long?
      get() = nodes.takeIf { isStrict && it.none { room -> room.capacity.memoryMib == 0L } }?.maxOfOrNull { it.free.memoryMib }
  }

  /** One container each, and no others. */
  class Apart(
    val nodes: List<NodeRoom>,
  ) : Candidates {
    override val mostFreeMib: Long?
      get() = nodes.maxOfOrNull { it.free.memoryMib }
  }

  /** There is none, so that nothing is asked for. */
  class None(
    val shortage: Shortage,
  ) : Candidates
}

/** Why no node will do, though some are alive. */
internal sealed interface Shortage {
  /** No live node has the label. */
  object Label : Shortage

  /** None of those that were named is alive. */
  object Names : Shortage

  /** Each of the [nodes] that could hold one has a container of the service already. */
  data class Apart(
    val nodes: Int,
  ) : Shortage

  /** YARN has granted [times] containers in a row where they must not be, and is left alone for a while. */
  data class Misplaced(
    val times: Int,
  ) : Shortage
}

/**
 * Chooses nodes for each shape that is wanted, for one heartbeat.
 *
 * @param excluded nodes, as `host:port`, that are used only where there are no others
 * @param held how many leased containers of a service each node has, by `host:port`
 */
internal class NodeChoice(
  private val nodes: Nodes,
  private val excluded: Set<String>,
  private val held: (serviceName: String) -> Map<String, Int>,
) {
  private val preferred = HashMap<String?, PreferredNodes>()

  /** Nodes that one shape of a service was given alone: another one of the same service needs others. */
  private val given = HashMap<String, HashSet<String>>()
  private val used = HashSet<String>()

  /** Those of [excluded] that somebody is asked for on all the same. */
  val needed: Set<String>
    get() = used

  /** @param count how many are wanted */
  fun of(
    shape: Shape,
    count: Int,
  ): Candidates {
    val placement = shape.placement
    if (!nodes.isKnown) return ofUnknown(placement)
    val inPartition = nodes.inPartition(placement.label)
    if (placement.label != null && inPartition.isEmpty()) return Candidates.None(Shortage.Label)
    val named = if (placement.hasNames) inPartition.filter { placement.names(it) } else emptyList()
    return when {
      placement.isStrict && placement.hasNames && named.isEmpty() -> Candidates.None(Shortage.Names)
      placement.spread == Spread.ANTI_AFFINITY -> apart(shape, inPartition, named, count)
      named.isNotEmpty() -> Candidates.Named(usable(named), placement.racks, placement.isStrict)
      else -> Candidates.Preferred(preferredIn(placement.label, inPartition), placement.heldIfEven())
    }
  }

  /** Where YARN does not tell of its nodes: what was named is believed to be there, on the rack that nodes have by default. */
  private fun ofUnknown(placement: Placement): Candidates {
    if (!placement.hasNames) return Candidates.Unknown
    val rooms = placement.nodes.map { NodeRoom(it, it, DEFAULT_RACK, NOTHING) }
    return Candidates.Named(rooms, placement.racks, placement.isStrict)
  }

  private fun apart(
    shape: Shape,
    inPartition: List<NodeRoom>,
    named: List<NodeRoom>,
    count: Int,
  ): Candidates {
    val serviceName = checkNotNull(shape.placement.spreadOf) { "$shape is spread, and nobody knows among what" }
    val pool = if (shape.placement.isStrict && shape.placement.hasNames) named else inPartition
    val able = pool.filter { nodes.couldHold(it, shape.resource) && it.rack.isNotEmpty() }
    val taken = held(serviceName).keys
    val others = given.getOrPut(serviceName) { HashSet() }
    val free = able.filter { it.nodeId !in taken && it.nodeId !in others }
    if (free.isEmpty()) return Candidates.None(Shortage.Apart(able.size))
    val wished = named.mapTo(HashSet()) { it.nodeId }
    val best =
      usable(free)
        .sortedWith(
          compareByDescending<NodeRoom> { it.nodeId in wished }
            .thenByDescending { shape.resource.memoryMib <= it.free.memoryMib }
            .thenByDescending { it.free.memoryMib }
            .thenBy { it.nodeId },
        )
        // Of two NodeManagers on one host the scheduler knows one name.
        .distinctBy { it.name }
        .take(count.coerceAtMost(MAX_APART_NODES))
    best.mapTo(others) { it.nodeId }
    return Candidates.Apart(best)
  }

  private fun preferredIn(
    label: String?,
    inPartition: List<NodeRoom>,
  ) = preferred.getOrPut(label) { PreferredNodes(usable(inPartition), nodes.generation) }

  /** Without those that are excluded, unless there are no others. */
  private fun usable(rooms: List<NodeRoom>): List<NodeRoom> =
    rooms.filterNot { it.nodeId in excluded }.ifEmpty { rooms.onEach { used += it.nodeId } }

  private fun Placement.heldIfEven(): Map<String, Int>? = spreadOf?.takeIf { spread == Spread.EVENLY }?.let(held)

  companion object {
    /** Named at a time for one shape whose containers may not share a node: each is a request in the heartbeat and a row in the RM. */
    const val MAX_APART_NODES = 200
    private const val DEFAULT_RACK = "/default-rack"
    private val NOTHING = Resource(0, 0)
  }
}

/** Whether [node] is one of those that were named, by its host, its `host:port` or its rack. */
internal fun Placement.names(node: NodeRoom): Boolean =
  node.name in nodes || node.nodeId in nodes || node.nodeId.substringBeforeLast(':') in nodes || node.rack in racks

/**
 * Whether a container of this placement may be on a node.
 *
 * @param rack null where it is not known, and then not held against it
 */
internal fun Placement.allows(
  nodeId: String,
  rack: String?,
  held: (serviceName: String) -> Map<String, Int>,
): Boolean {
  if (spread == Spread.ANTI_AFFINITY && nodeId in held(checkNotNull(spreadOf))) return false
  if (!isStrict || !hasNames) return true
  val isOnRack = racks.isNotEmpty() && (rack == null || rack in racks)
  return isOnRack || nodeId in nodes || nodeId.substringBeforeLast(':') in nodes
}

/**
 * Counts containers that were granted where they must not be, and have been given back: a scheduler that goes on with it is
 * asked less and less often. It is forgiven once it has done better for a while.
 */
internal class Misplacements(
  private val nowMillis: () -> Long,
) {
  private class Entry(
    val times: Int,
    val untilMillis: Long,
  )

  private val entries = HashMap<Shape, Entry>()

  fun add(shape: Shape) {
    val before = entries[shape]?.takeIf { nowMillis() - it.untilMillis < LAST_REST_MILLIS }
    val times = (before?.times ?: 0) + 1
    val rest = (FIRST_REST_MILLIS shl (times - 1).coerceAtMost(MAX_DOUBLINGS)).coerceAtMost(LAST_REST_MILLIS)
    entries[shape] = Entry(times, nowMillis() + rest)
  }

  /** One was granted where it may be. */
  fun clear(shape: Shape) {
    entries -= shape
  }

  fun retain(shapes: Set<Shape>) {
    entries.keys.retainAll(shapes)
  }

  /** Why it is not asked for now; null if it may be. */
  fun shortage(shape: Shape): Shortage? = entries[shape]?.takeIf { nowMillis() < it.untilMillis }?.let { Shortage.Misplaced(it.times) }

  companion object {
    const val FIRST_REST_MILLIS = 250L
    const val LAST_REST_MILLIS = 60_000L
    private const val MAX_DOUBLINGS = 8
  }
}
