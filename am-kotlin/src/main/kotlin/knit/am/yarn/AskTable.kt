package knit.am.yarn

import knit.am.core.Resource
import knit.am.core.Shape
import kotlin.math.ln

/** One line of a heartbeat: from now on [count] containers of [shape] are asked for at [name], a node, a rack or [ANYWHERE]. */
internal data class Ask(
  val shape: Shape,
  val priority: Int,
  val name: String,
  val count: Int,
  /** YARN's `relaxLocality` of the name: whether nodes below it will do that are not named themselves. */
  val isRelaxed: Boolean = true,
)

/** YARN's name for wherever there is room. */
internal const val ANYWHERE = "*"

/**
 * What the RM was told to grant, as it counts it, so that only differences are sent.
 *
 * The RM counts its own numbers down when it grants; [granted] does the same here, so that a grant where it was asked
 * for needs no new request. A request that crosses a grant on its way would have the RM grant one too many.
 *
 * YARN refuses a heartbeat as a whole for one request it does not like, and does not say which. All that were in it are
 * suspects then and go out alone, one heartbeat each, until it has taken them. What takes a request back is never
 * refused, for it names the smallest size there is.
 */
internal class AskTable(
  private val nowMillis: () -> Long,
) {
  private class Row(
    val shape: Shape,
    val priority: Int,
  ) {
    /** By name; those that count 0 are here only where the RM was not told so, but has counted them down itself. */
    val counts = LinkedHashMap<String, Int>()
    var sentMillis = 0L

    /** As it was told; see [NamedCounts.onlyRacks]. */
    var onlyRacks: Set<String>? = null

    /** Whether [counts] rests on a guess how the RM has counted. */
    var isGuess = false

    /** Whether the RM may have heard otherwise than [counts]. */
    var isDoubtful = false

    /** Whether its priority is about to be another shape's. */
    var isClosing = false

    val isEmpty get() = counts.values.all { it == 0 }
  }

  private val rows = LinkedHashMap<Shape, Row>()
  private val rowsByPriority = HashMap<Int, Row>()
  private val suspects = LinkedHashSet<Shape>()

  /** What is to be sent so that the RM grants what is [wanted]; not all of it at once where something is suspect. */
  fun difference(wanted: Map<Shape, NamedCounts>): Difference {
    var hasAllRows = true
    val changes = LinkedHashMap<Shape, List<Ask>>()
    for (shape in wanted.keys) if (rows[shape] == null && !open(shape, wanted.keys)) hasAllRows = false
    for (row in rows.values) {
      if (row.shape in wanted) row.isClosing = false
      changesOf(row, wanted[row.shape] ?: NOTHING).ifEmpty { null }?.let { changes[row.shape] = it }
    }
    val suspect = suspects.firstOrNull { shape -> changes[shape].orEmpty().any { it.count > 0 } }
    if (suspect != null) return Difference(changes.getValue(suspect), isAll = changes.size == 1 && hasAllRows)
    return Difference(changes.values.flatten(), hasAllRows)
  }

  /** What [difference] found. */
  class Difference(
    val asks: List<Ask>,
    /** Whether nothing is left to be told after [asks]. */
    val isAll: Boolean,
  )

  /**
   * Returns which shape a grant at [priority] answers, and counts it as the RM does; null if it answers none.
   *
   * Of a heartbeat's answer all grants come first, then [accepted]: they were made before the RM read the asks.
   */
  fun granted(
    priority: Int,
    resource: Resource,
    nodeName: String,
    rack: String?,
  ): Shape? {
    val row = rowsByPriority[priority] ?: return null
    val names =
      when {
        row.counts.isPositiveAt(nodeName) -> listOf(nodeName, rack, ANYWHERE)
        row.counts.isPositiveAt(rack) -> listOf(rack, ANYWHERE)
        else -> listOf(ANYWHERE)
      }
    names.filterNotNull().forEach { name -> row.counts.computeIfPresent(name) { _, count -> (count - 1).coerceAtLeast(0) } }
    row.isGuess = true
    // The priority may have been another shape's when it was granted. Of vcores YARN grants what its scheduler counts.
    return row.shape.takeIf { it.resource.memoryMib <= resource.memoryMib }
  }

  /** The RM has answered a heartbeat with these asks. */
  fun accepted(asks: List<Ask>) {
    val now = nowMillis()
    for ((shape, ofShape) in asks.groupBy { it.shape }) {
      val row = rows[shape] ?: continue
      ofShape.forEach { if (it.count > 0) row.counts[it.name] = it.count else row.counts -= it.name }
      row.sentMillis = now
      row.isGuess = false
      row.isDoubtful = false
      if (ofShape.any { it.count > 0 }) suspects -= shape
      if (row.isClosing) remove(row)
    }
  }

  /** The RM has refused a heartbeat with these asks. Returns the shape it was for, if that is certain. */
  fun refused(asks: List<Ask>): Shape? {
    val shapes = asks.filter { it.count > 0 }.map { it.shape }.distinct()
    suspects += shapes
    // It must not happen. What cannot even be taken back is given up, for other things depend on the heartbeat.
    if (shapes.isEmpty()) asks.mapNotNull { rows[it.shape] }.distinct().forEach(::remove)
    return shapes.singleOrNull()
  }

  /** The RM may have heard more or less than it answered to: it is told everything anew. */
  fun doubt() {
    rows.values.forEach { it.isDoubtful = true }
  }

  /** The RM has forgotten everything. */
  fun forget() {
    rows.clear()
    rowsByPriority.clear()
    suspects.clear()
  }

  private fun changesOf(
    row: Row,
    wanted: NamedCounts,
  ): List<Ask> {
    val target = LinkedHashMap<String, Int>()
    target += wanted.byNode
    target += wanted.byRack
    target[ANYWHERE] = wanted.total
    if (wanted.total > 0 && row.onlyRacks != wanted.onlyRacks) {
      row.onlyRacks = wanted.onlyRacks
      if (row.counts.isNotEmpty()) row.isDoubtful = true
    }
    // A wrong guess would leave a container ungranted for ever, so what rests on one is told anew if nothing comes of it.
    val isStale = row.isGuess && wanted.total > 0 && nowMillis() - row.sentMillis >= RESEND_MILLIS
    val isAnew = isStale || row.isDoubtful || row.isClosing || row.counts.size > MAX_NAMES
    return (row.counts.keys + target.keys).mapNotNull { name ->
      val count = target[name] ?: 0
      val known = row.counts[name]
      val isRelaxed = wanted.onlyRacks == null || name in wanted.byNode || name in wanted.onlyRacks
      Ask(row.shape, row.priority, name, count, isRelaxed).takeIf { count != (known ?: 0) || (isAnew && (known != null || count > 0)) }
    }
  }

  /** Finds a priority for [shape]; where there is none, has one that is no longer used cleared for the next heartbeat. */
  private fun open(
    shape: Shape,
    wanted: Set<Shape>,
  ): Boolean {
    if (rows.size < MAX_ROWS) {
      val priority = freePriority(shape.resource)
      val row = Row(shape, priority)
      rows[shape] = row
      rowsByPriority[priority] = row
      return true
    }
    val unused = rows.values.filter { it.shape !in wanted }
    val cleared = unused.filter { it.counts.isEmpty() }.minByOrNull { it.sentMillis }
    if (cleared != null) {
      remove(cleared)
      return open(shape, wanted)
    }
    if (unused.none { it.isClosing }) unused.filter { it.isEmpty }.minByOrNull { it.sentMillis }?.isClosing = true
    return false
  }

  /**
   * The free number nearest to what [size] has by its order: the larger, the higher.
   *
   * Lower numbers come first, and on a node that cannot hold what comes first the CapacityScheduler looks at nothing
   * else of the application. What fits where the next smaller one does must not stand before it, and what few nodes have
   * any of not before what all have.
   */
  private fun freePriority(size: Resource): Int {
    val bySize = (PRIORITIES_PER_DOUBLING * (log2(size.memoryMib) + log2(size.vcores.toLong()))).toInt() + 1
    val own = if (size.others.isEmpty()) bySize.coerceAtMost(FIRST_OF_NAMED - 1) else FIRST_OF_NAMED + bySize / PRIORITIES_PER_DOUBLING
    return (own.coerceAtMost(MAX_PRIORITIES - MAX_ROWS)..MAX_PRIORITIES).first { it !in rowsByPriority }
  }

  private fun log2(amount: Long): Double = ln(amount.coerceAtLeast(1).toDouble()) / ln(2.0)

  private fun remove(row: Row) {
    rows -= row.shape
    rowsByPriority -= row.priority
    suspects -= row.shape
  }

  private fun Map<String, Int>.isPositiveAt(name: String?): Boolean = name != null && (get(name) ?: 0) > 0

  companion object {
    /** Twice what is asked for at a time, which leaves room for grants that come late. */
    const val MAX_ROWS = 2 * ShapeAdmission.MAX_OPEN_SHAPES

    /** The RM keeps a table for each priority it has ever heard of. */
    const val MAX_PRIORITIES = 1_024

    /** As many as there is room for: memory and vcores double 62 times at most between them. */
    private const val PRIORITIES_PER_DOUBLING = 14

    /** Beyond what a node of 2 PiB of memory and 2,048 vcores has by its size. */
    private const val FIRST_OF_NAMED = 600

    const val RESEND_MILLIS = 10_000L

    /** More than can be named at a time: what is beyond was granted, and is told to be 0 to be forgotten. */
    const val MAX_NAMES = 256

    private val NOTHING = NamedCounts(0)
  }
}
