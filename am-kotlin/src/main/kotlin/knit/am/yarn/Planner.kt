package knit.am.yarn

import knit.am.core.Shape
import java.util.PriorityQueue

/**
 * Decides which nodes to name when asking for containers.
 *
 * By default CapacityScheduler grants one container per node and second to requests that name no node, and all at once
 * to requests that name the node at hand. So a container first names one node, in proportion to what is free there,
 * which spreads them; and what is open for longer than a node's heartbeat names many nodes, for the one it named has
 * filled up meanwhile.
 *
 * It counts: what it does and what it keeps is in proportion to shapes × nodes, whatever the number of containers.
 */
internal class Planner(
  private val countsVcores: Boolean,
) {
  private val open = HashMap<Shape, OpenShape>()

  /**
   * Returns what is to be asked for: what was and still fits, and what is missing.
   *
   * @param wanted how many containers of each shape
   * @param candidates the nodes there are for a shape; none where a shape is not asked for
   */
  fun plan(
    wanted: Map<Shape, Int>,
    candidates: (Shape) -> Candidates,
    nowMillis: Long,
  ): Map<Shape, NamedCounts> {
    val chosen = wanted.keys.associateWith(candidates)
    val spread = chosen.mapNotNull { (shape, nodes) -> nodes.preferred?.let { shape to it } }.toMap()
    open.keys.retainAll(spread.keys)
    for ((shape, preferred) in spread) {
      val shapeNow = open.getOrPut(shape) { OpenShape() }
      shapeNow.widen(nowMillis - WIDEN_AFTER_MILLIS)
      shapeNow.forgetNodesBut(preferred)
      shapeNow.reduceTo(wanted.getValue(shape))
    }
    val free = FreeRoom(spread.values.distinct().flatMap { it.nodes }, countsVcores)
    open.forEach { (shape, shapeNow) -> shapeNow.narrow { nodeId, count -> free.take(nodeId, shape, count) } }
    val counts = LinkedHashMap<Shape, NamedCounts>()
    for ((shape, nodes) in chosen) {
      val count = wanted.getValue(shape)
      when (nodes) {
        is Candidates.None -> {}

        is Candidates.Named -> {
          counts[shape] = nodes.toCounts(count)
        }

        is Candidates.Apart -> {
          counts[shape] = nodes.toCounts(count)
        }

        is Candidates.Preferred -> {
          counts[shape] = spread(shape, count, nodes, free, nowMillis)
        }

        Candidates.Unknown -> {
          counts[shape] = spread(shape, count, UNKNOWN, free, nowMillis)
        }
      }
    }
    return counts
  }

  private fun spread(
    shape: Shape,
    count: Int,
    among: Candidates.Preferred,
    free: FreeRoom,
    nowMillis: Long,
  ): NamedCounts {
    val shapeNow = open.getValue(shape)
    val missing = count - shapeNow.total
    if (missing > 0) {
      val held = among.held?.let { shapeNow.withNamed(it) }
      val spread = free.spread(shape, missing, among.nodes.nodes, shapeNow.namedNodes(), held)
      shapeNow.add(spread, wide = missing - spread.values.sum(), nowMillis)
    }
    return shapeNow.toCounts(among.nodes)
  }

  private val Candidates.preferred: PreferredNodes?
    get() =
      when (this) {
        is Candidates.Preferred -> nodes
        Candidates.Unknown -> PreferredNodes.NONE
        else -> null
      }

  /** Each of the names is welcome to all of them: the scheduler takes whichever is first. */
  private fun Candidates.Named.toCounts(count: Int): NamedCounts {
    val reachable = nodes.filter { it.rack.isNotEmpty() }
    val byName = reachable.map { it.name }.distinct().take(MAX_NAMED_NODES)
    val byRack = (reachable.map { it.rack } + racks).distinct().take(MAX_NAMED_RACKS * 2)
    return NamedCounts(count, byName.associateWith { count }, byRack.associateWith { count }, racks.takeIf { isStrict })
  }

  private fun Candidates.Apart.toCounts(count: Int): NamedCounts {
    val byRack = nodes.groupingBy { it.rack }.eachCount()
    return NamedCounts(minOf(count, nodes.size), nodes.associate { it.name to 1 }, byRack, onlyRacks = emptySet())
  }

  /** One container of [shape] less is open: that which named [nodeId], if there is one. */
  fun granted(
    shape: Shape,
    nodeId: String,
  ) {
    open[shape]?.granted(nodeId)
  }

  companion object {
    /** A little more than the second between a node's heartbeats. */
    const val WIDEN_AFTER_MILLIS = 1_200L

    /** For one shape. The racks that are named beside them let every other node grant just as quickly, a little later. */
    const val MAX_NAMED_NODES = 50

    const val MAX_NAMED_RACKS = 50

    private val UNKNOWN = Candidates.Preferred(PreferredNodes.NONE)
  }
}

/** Where containers are preferred, most free memory first. */
internal class PreferredNodes(
  nodes: Collection<NodeRoom>,
  /** Another one whenever there are other nodes or a newer report of them; not when a grant has changed what is free. */
  val generation: Long,
) {
  // A node without a rack cannot be named: the RM counts the rack down with it.
  val nodes = nodes.filter { it.rack.isNotEmpty() }.sortedWith(compareByDescending<NodeRoom> { it.free.memoryMib }.thenBy { it.nodeId })
  val byId = this.nodes.associateBy { it.nodeId }

  /** The most memory that is free on one of them; null where there is none. */
  val mostFreeMib: Long? = nodes.maxOfOrNull { it.free.memoryMib }

  companion object {
    val NONE = PreferredNodes(emptyList(), 0)
  }
}

/** What is open of one shape: some name one node each, the others many. */
private class OpenShape {
  private class Batch(
    val sinceMillis: Long,
    val byNode: MutableMap<String, Int>,
  )

  /** Oldest first. */
  private val batches = ArrayDeque<Batch>()
  private var wide = 0
  private var wideNodes = emptyList<NodeRoom>()
  private var wideRacks = emptyList<String>()
  private var wideGeneration: Long? = null

  val total get() = wide + batches.sumOf { it.byNode.values.sum() }

  fun widen(untilMillis: Long) {
    while (batches.isNotEmpty() && batches.first().sinceMillis <= untilMillis) {
      wide +=
        batches
          .removeFirst()
          .byNode.values
          .sum()
    }
  }

  fun forgetNodesBut(preferred: PreferredNodes) {
    batches.forEach { it.byNode.keys.retainAll(preferred.byId.keys) }
    batches.removeAll { it.byNode.isEmpty() }
  }

  /** The longest waiting stay: the scheduler has counted them already. */
  fun reduceTo(count: Int) {
    var excess = total - count
    while (excess > 0 && batches.isNotEmpty()) {
      val newest = batches.last().byNode
      val nodeId = newest.keys.last()
      val taken = minOf(excess, newest.getValue(nodeId))
      newest.minus(nodeId, taken)
      if (newest.isEmpty()) batches.removeLast()
      excess -= taken
    }
    if (excess > 0) wide -= excess
  }

  fun add(
    spread: Map<String, Int>,
    wide: Int,
    nowMillis: Long,
  ) {
    this.wide += wide
    if (spread.isEmpty()) return
    // Few batches: what comes within a moment of the last one waits no longer than that.
    val last = batches.lastOrNull()?.takeIf { nowMillis - it.sinceMillis < BATCH_MILLIS }
    val batch = last ?: Batch(nowMillis, LinkedHashMap()).also { batches += it }
    spread.forEach { (nodeId, count) -> batch.byNode.merge(nodeId, count, Int::plus) }
  }

  fun granted(nodeId: String) {
    val batch = batches.firstOrNull { nodeId in it.byNode }
    when {
      batch != null -> batch.byNode.minus(nodeId, 1)
      wide > 0 -> wide--
      else -> batches.firstOrNull()?.byNode?.let { it.minus(it.keys.first(), 1) }
    }
    batches.removeAll { it.byNode.isEmpty() }
  }

  fun narrow(action: (nodeId: String, count: Int) -> Unit) {
    batches.forEach { batch -> batch.byNode.forEach { (nodeId, count) -> action(nodeId, count) } }
  }

  /** [held] with those that name one node each. */
  fun withNamed(held: Map<String, Int>): Map<String, Int> =
    HashMap(held).also { all -> narrow { nodeId, count -> all.merge(nodeId, count, Int::plus) } }

  fun namedNodes(): Set<String> = narrowNodes().also { named -> if (wide > 0) wideNodes.mapTo(named) { it.nodeId } }

  private fun narrowNodes(): MutableSet<String> = batches.flatMapTo(LinkedHashSet()) { it.byNode.keys }

  fun toCounts(preferred: PreferredNodes): NamedCounts {
    val byNode = HashMap<String, Int>()
    val byRack = HashMap<String, Int>()
    narrow { nodeId, count ->
      val node = preferred.byId.getValue(nodeId)
      byNode.merge(node.name, count, Int::plus)
      byRack.merge(node.rack, count, Int::plus)
    }
    if (wide > 0) {
      if (wideGeneration != preferred.generation) chooseWide(preferred)
      wideNodes
        .asSequence()
        .map { it.name }
        .distinct()
        .forEach { byNode.merge(it, wide, Int::plus) }
      wideRacks.forEach { byRack.merge(it, wide, Int::plus) }
    }
    return NamedCounts(total, byNode, byRack)
  }

  private fun chooseWide(preferred: PreferredNodes) {
    val named = narrowNodes()
    val others = preferred.nodes.asSequence().filterNot { it.nodeId in named }
    wideNodes = (named.asSequence().mapNotNull { preferred.byId[it] } + others).take(Planner.MAX_NAMED_NODES).toList()
    val racks = wideNodes.asSequence().map { it.rack } + preferred.nodes.asSequence().map { it.rack }
    wideRacks = racks.distinct().take(Planner.MAX_NAMED_RACKS).toList()
    wideGeneration = preferred.generation
  }

  private fun MutableMap<String, Int>.minus(
    nodeId: String,
    count: Int,
  ) {
    compute(nodeId) { _, there -> there?.minus(count)?.takeIf { it > 0 } }
  }

  private companion object {
    const val BATCH_MILLIS = 100
  }
}

/** What is free on each node, less what was promised. */
private class FreeRoom(
  nodes: List<NodeRoom>,
  private val countsVcores: Boolean,
) {
  private val memoryMib = nodes.associateTo(HashMap()) { it.nodeId to it.free.memoryMib }
  private val vcores = nodes.associateTo(HashMap()) { it.nodeId to it.free.vcores.toLong() }

  /** Only of nodes that have any. */
  private val others =
    nodes.filter { it.free.others.isNotEmpty() }.associateTo(HashMap()) { it.nodeId to HashMap(it.free.others) }

  fun take(
    nodeId: String,
    shape: Shape,
    count: Int,
  ) {
    memoryMib.computeIfPresent(nodeId) { _, free -> free - shape.resource.memoryMib * count }
    vcores.computeIfPresent(nodeId) { _, free -> free - shape.resource.vcores.toLong() * count }
    for ((name, amount) in shape.resource.others) others[nodeId]?.computeIfPresent(name) { _, free -> free - amount * count }
  }

  /**
   * Names one of [nodes] for each of [count] containers, as far as there is room on [Planner.MAX_NAMED_NODES] of them, those
   * that are [named] already among these: so that every one is filled to the same degree, or, where it is said what the
   * service has [held] on each, so that every one has as many of it. Returns how many name which node.
   */
  fun spread(
    shape: Shape,
    count: Int,
    nodes: List<NodeRoom>,
    named: Set<String>,
    held: Map<String, Int>?,
  ): Map<String, Int> {
    val withRoom = nodes.map { Seats(it.nodeId, roomFor(it.nodeId, shape), held?.get(it.nodeId) ?: 0) }.filter { it.room > 0 }
    val (old, new) = withRoom.partition { it.nodeId in named }
    val order = if (held == null) mostRoomFirst else fewestFirst
    val candidates = old + new.sortedWith(order).take((Planner.MAX_NAMED_NODES - named.size).coerceAtLeast(0))
    val seats = if (held == null) divide(count, candidates) else level(count, candidates)
    seats.forEach { take(it.nodeId, shape, it.taken) }
    return seats.associateTo(LinkedHashMap()) { it.nodeId to it.taken }
  }

  private fun roomFor(
    nodeId: String,
    shape: Shape,
  ): Int {
    val byMemory = memoryMib.getValue(nodeId) / shape.resource.memoryMib.coerceAtLeast(1)
    val byVcores = if (countsVcores) vcores.getValue(nodeId) / shape.resource.vcores.coerceAtLeast(1) else Long.MAX_VALUE
    val byOthers = shape.resource.others.minOfOrNull { (name, amount) -> (others[nodeId]?.get(name) ?: 0) / amount } ?: Long.MAX_VALUE
    return minOf(byMemory, byVcores, byOthers).coerceIn(0, Int.MAX_VALUE.toLong()).toInt()
  }

  private companion object {
    val mostRoomFirst = compareByDescending<Seats> { it.room }.thenBy { it.nodeId }
    val fewestFirst = compareBy<Seats> { it.held }.then(mostRoomFirst)
  }
}

/** How many of the [room] containers a node has room for are [taken]. */
private class Seats(
  val nodeId: String,
  val room: Int,
  /** How many of the same service are there already. */
  val held: Int,
) {
  var taken = 0

  val weight get() = room.toDouble() / (taken + 1)
}

/** D'Hondt's rule: one after the other goes to whoever has most room for each container it would then hold. */
private fun divide(
  count: Int,
  candidates: List<Seats>,
): List<Seats> {
  val room = candidates.sumOf { it.room.toLong() }
  // By that rule nobody gets less than its share rounded down, so these need not be dealt out one by one.
  candidates.forEach { it.taken = if (count >= room) it.room else (count.toLong() * it.room / room).toInt() }
  var left = minOf(count.toLong(), room) - candidates.sumOf { it.taken.toLong() }
  val queue = PriorityQueue(compareByDescending<Seats> { it.weight }.thenBy { it.nodeId })
  candidates.filterTo(queue) { it.taken < it.room }
  while (left-- > 0) {
    val best = queue.poll() ?: break
    best.taken++
    if (best.taken < best.room) queue += best
  }
  return candidates.filter { it.taken > 0 }
}

/** One after the other goes to whoever has fewest of the service. */
private fun level(
  count: Int,
  candidates: List<Seats>,
): List<Seats> {
  val queue = PriorityQueue(compareBy<Seats> { it.held.toLong() + it.taken }.thenByDescending { it.weight }.thenBy { it.nodeId })
  queue += candidates
  repeat(count) {
    val next = queue.poll() ?: return@repeat
    next.taken++
    if (next.taken < next.room) queue += next
  }
  return candidates.filter { it.taken > 0 }
}
