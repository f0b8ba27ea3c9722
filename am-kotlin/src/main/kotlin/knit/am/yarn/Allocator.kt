package knit.am.yarn

import knit.am.core.Application
import knit.am.core.ContainerState
import knit.am.core.Event
import knit.am.core.Granted
import knit.am.core.NodeLost
import knit.am.core.Resource
import kotlinx.coroutines.CoroutineName
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.distinctUntilChanged
import kotlinx.coroutines.flow.drop
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeoutOrNull
import org.slf4j.LoggerFactory

/**
 * Our loop around the RM: it makes what is asked of YARN equal to what the application wants, and posts what comes back.
 *
 * YARN's own asynchronous client sleeps between heartbeats and cannot be woken; this one can.
 */
internal class Allocator(
  private val resourceManager: ResourceManager,
  private val applications: StateFlow<Application>,
  private val post: (Event) -> Unit,
  private val nowMillis: () -> Long,
) {
  private val log = LoggerFactory.getLogger(Allocator::class.java)
  private var planner = Planner(countsVcores = false)
  private val wake = Channel<Unit>(Channel.CONFLATED)
  private var asks: List<Ask> = emptyList()
  private val nodes = Nodes(resourceManager, nowMillis)
  private val pace = Pace(nowMillis)
  private val round = Round(nowMillis)
  private var wish: Wish? = null
  private var failures = 0

  /** Has the next heartbeat sent at once. From any thread. */
  fun wake() {
    wake.trySend(Unit)
  }

  /**
   * Talks to the RM until the application has ended.
   *
   * @param report of the nodes, asked for while we registered
   * @throws LeftBehindException where the RM knows us no more.
   */
  suspend fun run(
    registration: Registration,
    report: Deferred<Result<List<NodeRoom>?>>,
  ) = coroutineScope {
    planner = Planner(registration.countsVcores)
    nodes.refresh { report.await().getOrThrow() }
    val watch =
      // Undispatched, so that the first, which the first heartbeat sends, is seen before that and need not wake it.
      launch(CoroutineName("allocator-watch"), CoroutineStart.UNDISPATCHED) {
        applications
          .map { Wish.of(it) }
          .distinctUntilChanged()
          .drop(1)
          .collect { wake() }
      }
    while (!applications.value.isDone) {
      heartbeat()
      withTimeoutOrNull(if (failures > 0) pace.afterFailures(failures) else pace.interval()) { wake.receive() }
    }
    watch.cancel()
  }

  private suspend fun heartbeat() {
    val application = applications.value
    val before = wish
    val now = Wish.of(application)
    if (now != before) pace.changed(isWish = now.wanted != before?.wanted || now.stopping > before.stopping)
    wish = now
    nodes.refreshIfUseful(isShort = now.wanted.values.sum() > asks.size, isWaiting = asks.any { it.isWide })
    asks = planner.plan(now.wanted, asks, nodes.welcome(application.excludedNodes), nowMillis())
    round.asks(asks.size)
    val allocation =
      try {
        resourceManager.allocate(Demand(asks, nodes.avoidable(application.excludedNodes), application.progress()))
      } catch (gone: LeftBehindException) {
        throw gone
      } catch (
        @Suppress("TooGenericExceptionCaught") failure: Exception,
      ) {
        currentCoroutineContext().ensureActive()
        if (failures++ == 0) log.warn("The ResourceManager does not answer; trying on: {}", failure.toString())
        return
      }
    if (failures > 0) log.info("The ResourceManager answers again")
    failures = 0
    handle(allocation)
    round.answered(allocation.granted.size, asks.size)?.let(log::info)
  }

  private suspend fun handle(allocation: Allocation) {
    allocation.completed.forEach { completed ->
      applications.value
        .container(completed.containerId)
        ?.lease
        ?.let { nodes.give(it.nodeId, it.resource) }
      post(completed)
    }
    allocation.lostNodes.forEach {
      nodes.remove(it)
      post(NodeLost(it))
    }
    allocation.newNodes.forEach(nodes::add)
    if (allocation.completed.isNotEmpty()) pace.changed(isWish = false)
    if (allocation.granted.isEmpty()) return
    allocation.granted.forEach { grant ->
      nodes.take(grant.lease.nodeId, grant.lease.resource)
      asks = asks.answeredBy(grant)
      post(Granted(grant.lease, grant.requested))
    }
    // Until the core has seen the grants it wants as many as before, and would be asked for twice.
    applications.first { application -> allocation.granted.all { application.knows(it.lease.containerId) } }
  }

  /** What is worth a heartbeat at once if it changes. */
  private data class Wish(
    val wanted: Map<Resource, Int>,
    val excludedNodes: Set<String>,
    val stopping: Int,
    val running: Int,
    val isDone: Boolean,
  ) {
    companion object {
      fun of(application: Application) =
        Wish(
          application.wanted(),
          application.excludedNodes,
          application.count(ContainerState.STOPPING),
          application.count(ContainerState.RUNNING),
          application.isDone,
        )
    }
  }
}

private fun Application.progress(): Float {
  val total = size
  return if (total == 0) 0f else (total - openCount).toFloat() / total
}

/** These without the one [grant] answers best: of its size, one that names its node if there is, else the longest open. */
private fun List<Ask>.answeredBy(grant: Grant): List<Ask> {
  val sameSize = filter { it.resource == grant.requested }
  val answered =
    sameSize.firstOrNull { !it.isWide && it.nodes.any { node -> node.nodeId == grant.lease.nodeId } }
      ?: sameSize.firstOrNull { it.isWide }
      ?: sameSize.firstOrNull()
  return if (answered == null) this else filter { it !== answered }
}
