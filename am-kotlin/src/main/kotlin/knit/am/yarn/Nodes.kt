package knit.am.yarn

import knit.am.core.Resource
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineName
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.async
import kotlinx.coroutines.withTimeoutOrNull
import org.slf4j.LoggerFactory

/** What we know of the cluster's nodes: the RM's report of them, with what we have been granted since. */
internal class Nodes(
  private val resourceManager: ResourceManager,
  private val nowMillis: () -> Long,
) {
  private val log = LoggerFactory.getLogger(Nodes::class.java)
  private val known = LinkedHashMap<String, NodeRoom>()
  private val lostMeanwhile = HashSet<String>()
  private val grantedIn = HashSet<String>()
  private var registered = UNKNOWN
  private var ceiling = Resource(Long.MAX_VALUE, Int.MAX_VALUE)
  private val sizes = HashMap<String?, ContainerSizes>()

  /** Another one whenever there are other nodes or a newer report of them. */
  var generation = 1L
    private set
  private var isTold = true
  private var isComplete = false
  private var first: Deferred<Result<List<NodeRoom>?>>? = null
  private var underWay: Deferred<Result<List<NodeRoom>?>>? = null
  private var reportMillis: Long? = null
  private var reportIntervalMillis = FRESH_MILLIS

  /** False where the nodes are not known, or only those that have come or changed since. */
  val isKnown: Boolean
    get() = isComplete && known.isNotEmpty()

  /**
   * The nodes that have a label, or, with null, those that containers without one come from.
   *
   * Partitions of the cluster give nothing to requests without their label, so their nodes are left out; but where a
   * queue has a label of its own all grants come from there.
   */
  fun inPartition(label: String?): List<NodeRoom> = if (label == null) inReach() else known.values.filter { it.partition == label }

  /** Whether a container of [size] would have room on an empty [node]. */
  fun couldHold(
    node: NodeRoom,
    size: Resource,
  ): Boolean = if (registered.countsVcores) size.fitsIn(node.capacity) else size.memoryMib <= node.capacity.memoryMib

  /** On which rack a node is, where that is known. */
  fun rackOf(nodeId: String): String? = known[nodeId]?.rack?.ifEmpty { null }

  /**
   * Which of [excluded] to tell the RM: none, if that would leave no node in reach, or if we cannot know whether it would.
   *
   * The RM knows them by name, as a rule their host's: one that shares it with a node in use must not take that with it.
   */
  fun avoidable(excluded: Set<String>): Set<String> {
    if (excluded.isEmpty()) return excluded
    val used = inReach().filterNot { it.nodeId in excluded }
    if (used.isEmpty()) return emptySet()
    val names = used.mapTo(HashSet()) { it.name }
    return excluded.filterTo(HashSet()) { nodeId -> nodeId !in names && nodeId.substringBeforeLast(':') !in names }
  }

  /** How large a container can be now, anywhere or on nodes with [label]. */
  fun sizes(label: String? = null): ContainerSizes = sizes.getOrPut(label) { measure(label) }

  /** The same by label, as it is now. */
  fun sizesNow(labels: Set<String?>): Map<String?, ContainerSizes> = labels.associateWith(::sizes)

  /** All that the nodes of a partition offer; null where they are not known. */
  fun total(label: String? = null): Resource? =
    inPartition(label).takeIf { isKnown && it.isNotEmpty() }?.map { it.capacity }?.reduce(Resource::plus)

  /** Begins with what the RM has said, and the [report] that was asked for meanwhile. */
  suspend fun begin(
    registration: Registration,
    report: Deferred<Result<List<NodeRoom>?>>,
  ) {
    registered = registration
    first = report
    await(report)
  }

  /** An RM has taken another's place, or its own: it does not tell of nodes that have gone meanwhile. */
  suspend fun beginAnew(
    registration: Registration,
    scope: CoroutineScope,
  ) {
    registered = registration
    // What YARN grants now is not beyond what it is configured to.
    val most = registration.maxResource
    ceiling =
      Resource(
        if (most.memoryMib > ceiling.memoryMib) Long.MAX_VALUE else ceiling.memoryMib,
        if (most.vcores > ceiling.vcores) Int.MAX_VALUE else ceiling.vcores,
        ceiling.others.filter { (name, amount) -> most.amountOf(name) <= amount },
      )
    changed()
    refresh(scope)
  }

  fun add(node: NodeRoom) {
    lostMeanwhile -= node.nodeId
    if (known.put(node.nodeId, node) != node) changed()
  }

  fun remove(nodeId: String) {
    if (underWay != null) lostMeanwhile += nodeId
    if (known.remove(nodeId) != null) changed()
  }

  fun granted(
    nodeId: String,
    size: Resource,
    label: String? = null,
  ) {
    if (label == null && known[nodeId]?.let { grantedIn.add(it.partition) } == true) sizes.clear()
    change(nodeId) { it - size }
  }

  fun completed(
    nodeId: String,
    size: Resource,
  ) = change(nodeId) { it + size }

  /**
   * Asks the RM where there is room, if the last report is too old for what is at hand.
   *
   * A report may be megabytes, and the RM tells of nodes that come and go by itself: the longer one waits, the less
   * often it is asked.
   *
   * @param isShort whether there are containers to ask for anew
   * @param isWaiting whether some are waited for anywhere
   */
  suspend fun refreshIfUseful(
    scope: CoroutineScope,
    isShort: Boolean,
    isWaiting: Boolean,
  ) {
    takeReport()
    val age = reportMillis?.let { nowMillis() - it } ?: Long.MAX_VALUE
    if (!isWaiting && age >= MAX_INTERVAL_MILLIS) reportIntervalMillis = FRESH_MILLIS
    val isDue = (isShort && age > reportIntervalMillis) || (isWaiting && age > maxOf(reportIntervalMillis, WAITING_MILLIS))
    if (isTold && isDue && underWay == null) {
      reportIntervalMillis = (reportIntervalMillis * 2).coerceAtMost(MAX_INTERVAL_MILLIS)
      refresh(scope)
    }
  }

  /** Asks the RM for a report now, and waits for it a moment; one that takes longer is used when it comes. */
  private suspend fun refresh(scope: CoroutineScope) {
    if (underWay != null) return
    await(scope.async(CoroutineName("node-report")) { runCatching { resourceManager.nodes() } })
  }

  private suspend fun await(report: Deferred<Result<List<NodeRoom>?>>) {
    reportMillis = nowMillis()
    underWay = report
    withTimeoutOrNull(REPORT_PATIENCE_MILLIS) { report.join() }
    takeReport()
  }

  @OptIn(ExperimentalCoroutinesApi::class)
  private fun takeReport() {
    val report = underWay?.takeIf { it.isCompleted } ?: return
    underWay = null
    reportMillis = nowMillis()
    val nodes =
      report.getCompletionExceptionOrNull()?.let { throw it } ?: report.getCompleted().getOrElse { failure ->
        if (failure is CancellationException) throw failure
        log.warn("The ResourceManager does not report its nodes, and is asked for containers anywhere: {}", failure.toString())
        lostMeanwhile.clear()
        return
      }
    isTold = nodes != null
    isComplete = isTold
    known.clear()
    nodes.orEmpty().filterNot { it.nodeId in lostMeanwhile }.associateByTo(known) { it.nodeId }
    lostMeanwhile.clear()
    if (isComplete && report === first) compareWithRegistration()
    changed()
  }

  private fun inReach(): List<NodeRoom> {
    val partitions = if (DEFAULT_PARTITION in grantedIn) setOf(DEFAULT_PARTITION) else grantedIn.ifEmpty { setOf(DEFAULT_PARTITION) }
    return known.values.filter { it.partition in partitions }
  }

  private fun changed() {
    generation++
    sizes.clear()
  }

  /**
   * YARN's maximum is what it is configured to, and no more than its largest node has. Of a maximum that is less than
   * the largest node has we know that it is the configured one; any other follows the nodes.
   */
  private fun measure(label: String?): ContainerSizes {
    val most = registered.maxResource
    if (known.isEmpty()) return ContainerSizes(most, emptyList(), registered.countsVcores)
    val names = most.others.keys
    val largest =
      Resource(
        known.values.maxOf { it.capacity.memoryMib },
        known.values.maxOf { it.capacity.vcores },
        names.associateWith { name -> known.values.maxOf { it.capacity.amountOf(name) } },
      )
    if (!isComplete) {
      val others = names.associateWith { maxOf(most.amountOf(it), largest.amountOf(it)) }
      val maximum = Resource(maxOf(most.memoryMib, largest.memoryMib), maxOf(most.vcores, largest.vcores), others)
      return ContainerSizes(maximum, emptyList(), registered.countsVcores)
    }
    return ContainerSizes(
      Resource(
        minOf(ceiling.memoryMib, largest.memoryMib),
        minOf(ceiling.vcores, largest.vcores),
        largest.others.mapValues { (name, amount) -> minOf(ceiling.others[name] ?: Long.MAX_VALUE, amount) },
      ),
      if (label == null) known.values else inPartition(label),
      registered.countsVcores,
      inPartition(label),
    )
  }

  /** The first report was asked for while we registered: it shows whether the maximum we were told is a configured one. */
  private fun compareWithRegistration() {
    val most = registered.maxResource
    ceiling =
      Resource(
        if (known.values.any { it.capacity.memoryMib > most.memoryMib }) most.memoryMib else Long.MAX_VALUE,
        if (known.values.any { it.capacity.vcores > most.vcores }) most.vcores else Int.MAX_VALUE,
        most.others.filter { (name, amount) -> known.values.any { it.capacity.amountOf(name) > amount } },
      )
  }

  private fun change(
    nodeId: String,
    free: (Resource) -> Resource,
  ) {
    known.computeIfPresent(nodeId) { _, node -> node.copy(free = free(node.free)) }
  }

  private companion object {
    const val FRESH_MILLIS = 1_000L
    const val WAITING_MILLIS = 5_000L
    const val MAX_INTERVAL_MILLIS = 60_000L
    const val REPORT_PATIENCE_MILLIS = 1_000L
    const val DEFAULT_PARTITION = ""
    val UNKNOWN = Registration(Resource(Long.MAX_VALUE, Int.MAX_VALUE), countsVcores = false)
  }
}
