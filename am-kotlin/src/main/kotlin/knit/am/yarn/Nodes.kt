package knit.am.yarn

import knit.am.core.Resource
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.withTimeoutOrNull
import org.slf4j.LoggerFactory

/** What we know of the cluster's nodes: the RM's report of them, with what we have been granted since. */
internal class Nodes(
  private val resourceManager: ResourceManager,
  private val nowMillis: () -> Long,
) {
  private val log = LoggerFactory.getLogger(Nodes::class.java)
  private val known = LinkedHashMap<String, NodeRoom>()
  private var isTold = true
  private var reportMillis: Long? = null

  /** Where containers are welcome: anywhere, if every node is excluded. Null where nothing is known. */
  fun welcome(excluded: Set<String>): List<NodeRoom>? {
    if (known.isEmpty()) return null
    return known.values.filterNot { it.nodeId in excluded }.ifEmpty { known.values.toList() }
  }

  /**
   * Which of [excluded] to tell the RM: none, if that would leave no node, or if we cannot know whether it would.
   *
   * The RM knows them by name, as a rule their host's: one that shares it with a welcome node must not take that with it.
   */
  fun avoidable(excluded: Set<String>): Set<String> {
    val welcome = known.values.filterNot { it.nodeId in excluded }
    if (welcome.isEmpty()) return emptySet()
    val names = welcome.mapTo(HashSet()) { it.name }
    return excluded.filterTo(HashSet()) { nodeId -> nodeId !in names && nodeId.substringBeforeLast(':') !in names }
  }

  fun add(node: NodeRoom) {
    known[node.nodeId] = node
  }

  fun remove(nodeId: String) {
    known.remove(nodeId)
  }

  fun take(
    nodeId: String,
    size: Resource,
  ) = change(nodeId) { Resource(it.memoryMib - size.memoryMib, it.vcores - size.vcores) }

  fun give(
    nodeId: String,
    size: Resource,
  ) = change(nodeId) { Resource(it.memoryMib + size.memoryMib, it.vcores + size.vcores) }

  /**
   * Asks the RM where there is room, if the last report is too old for what is at hand.
   *
   * @param isShort whether there are containers to ask for anew
   * @param isWaiting whether some are waited for anywhere
   */
  suspend fun refreshIfUseful(
    isShort: Boolean,
    isWaiting: Boolean,
  ) {
    val age = reportMillis?.let { nowMillis() - it } ?: Long.MAX_VALUE
    val isDue = (isShort && age > FRESH_MILLIS) || (isWaiting && age > WAITING_MILLIS)
    if (isTold && isDue) refresh { resourceManager.nodes() }
  }

  /** Takes what [ask] reports, if that comes in time. */
  suspend fun refresh(ask: suspend () -> List<NodeRoom>?) {
    reportMillis = nowMillis()
    try {
      val report = withTimeoutOrNull(REPORT_TIMEOUT_MILLIS) { Report(ask()) } ?: return
      isTold = report.nodes != null
      known.clear()
      report.nodes?.forEach(::add)
    } catch (
      @Suppress("TooGenericExceptionCaught") failure: Exception,
    ) {
      currentCoroutineContext().ensureActive()
      log.warn("The ResourceManager does not report its nodes, and is asked for containers anywhere: {}", failure.toString())
    }
  }

  private fun change(
    nodeId: String,
    free: (Resource) -> Resource,
  ) {
    known.computeIfPresent(nodeId) { _, node -> node.copy(free = free(node.free)) }
  }

  private class Report(
    val nodes: List<NodeRoom>?,
  )

  private companion object {
    const val FRESH_MILLIS = 1_000L
    const val WAITING_MILLIS = 5_000L
    const val REPORT_TIMEOUT_MILLIS = 1_000L
  }
}
