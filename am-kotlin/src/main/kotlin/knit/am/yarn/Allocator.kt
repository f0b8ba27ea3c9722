package knit.am.yarn

import knit.am.core.Application
import knit.am.core.ContainerState
import knit.am.core.Granted
import knit.am.core.MaximumChanged
import knit.am.core.NodeLost
import knit.am.core.Report
import knit.am.core.Resource
import knit.am.core.WaitingReason
import kotlinx.coroutines.CoroutineName
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.async
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.delay
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.distinctUntilChanged
import kotlinx.coroutines.flow.drop
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeoutOrNull
import org.slf4j.LoggerFactory
import java.time.Clock

/**
 * Our loop around the RM: it makes what is asked of YARN equal to what the application wants, and posts what comes back.
 *
 * It can be woken between heartbeats, and keeps a floor between two whatever wakes it.
 */
internal class Allocator(
  private val resourceManager: ResourceManager,
  private val applications: StateFlow<Application>,
  private val post: (Report) -> Unit,
  private val clock: Clock,
  private val nowMillis: () -> Long,
) {
  private val log = LoggerFactory.getLogger(Allocator::class.java)
  private var planner = Planner(countsVcores = false)
  private val wake = Channel<Unit>(Channel.CONFLATED)
  private val nodes = Nodes(resourceManager, nowMillis)
  private val admission = ShapeAdmission(nowMillis, clock::instant)
  private val schedule = HeartbeatSchedule(nowMillis)
  private val round = AllocationRound(nowMillis)
  private var demandKey: DemandKey? = null
  private var failures = 0
  private var isBehind = false
  private var maximum: Resource? = null
  private var shrunkMillis: Long? = null

  @Volatile
  private var status = AllocationStatus(emptyMap(), null, null, null, clock.instant(), nowMillis())

  /** Has the next heartbeat sent at once, or as soon as the floor allows. From any thread. */
  fun wake() {
    wake.trySend(Unit)
  }

  /** Why containers wait. From any thread. */
  fun waitingReasons(): List<WaitingReason> = waitingReasons(applications.value.waitingByService(), status, nowMillis())

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
    maximum = registration.maxResource
    status = status.copy(answer = clock.instant(), answerMillis = nowMillis())
    val firstReport = if (registration.hasNewNames) async { runCatching { resourceManager.nodes() } } else report
    nodes.begin(registration, firstReport)
    val watch =
      // Undispatched, so that the first, which the first heartbeat sends, is seen before that and need not wake it.
      launch(CoroutineName("allocator-watch"), CoroutineStart.UNDISPATCHED) {
        applications
          .map { DemandKey.of(it) }
          .distinctUntilChanged()
          .drop(1)
          .collect { wake() }
      }
    while (!applications.value.isDone) {
      val beganMillis = nowMillis()
      heartbeat(this)
      val wait =
        when {
          failures > 0 -> schedule.afterFailures(failures)
          isBehind -> 0
          else -> schedule.interval()
        }
      delay(beganMillis + HeartbeatSchedule.FLOOR_MILLIS - nowMillis())
      withTimeoutOrNull(beganMillis + wait - nowMillis()) { wake.receive() }
    }
    watch.cancel()
  }

  private suspend fun heartbeat(scope: CoroutineScope) {
    val application = applications.value
    val before = demandKey
    val key = DemandKey.of(application)
    if (key != before) schedule.changed(isDemand = key.wanted != before?.wanted || key.stopping > before.stopping)
    demandKey = key
    nodes.refreshIfUseful(scope, isShort = before != null && key.asksForMoreThan(before), isWaiting = key.wanted.isNotEmpty())
    val asks = plan(application, key.wanted)
    round.asks(key.wanted.values.sum())
    val allocation =
      try {
        resourceManager.allocate(Demand(asks, nodes.avoidable(application.excludedNodes), application.progress.toFloat()))
      } catch (gone: LeftBehindException) {
        throw gone
      } catch (
        @Suppress("TooGenericExceptionCaught") failure: Exception,
      ) {
        currentCoroutineContext().ensureActive()
        if (failures++ == 0) log.warn("The ResourceManager does not answer; trying on: {}", failure.toString())
        publishStatus(null)
        return
      }
    if (failures > 0) log.info("The ResourceManager answers again")
    failures = 0
    isBehind = allocation.isBehind
    handle(allocation, scope)
    publishStatus(allocation)
    tellMaximum()
  }

  private fun plan(
    application: Application,
    wanted: Map<Resource, Int>,
  ): Map<Shape, NamedCounts> {
    val shapes = wanted.entries.associate { (size, count) -> Shape(size) to count }
    val admitted = admission.admit(shapes.keys, nodes.sizes())
    val preferred = if (admitted.isEmpty()) null else nodes.preferredNodes(application.excludedNodes)
    return planner.plan(shapes.filterKeys { it in admitted }, preferred, nowMillis())
  }

  /** Grants come first: a container may be granted and end in one answer, and nobody knows the end of what was not granted. */
  private suspend fun handle(
    allocation: Allocation,
    scope: CoroutineScope,
  ) {
    allocation.registration?.let {
      log.info("Registered again: another ResourceManager, or one that was started anew, grants up to {}", it.maxResource)
      nodes.beginAnew(it, scope)
    }
    allocation.lostNodes.forEach(nodes::remove)
    allocation.newNodes.forEach(nodes::add)
    if (allocation.lostNodes.isNotEmpty() || allocation.newNodes.isNotEmpty()) admission.nodesChanged()
    allocation.refused.forEach { (shape, words) ->
      log.warn("YARN refuses to be asked for containers of {}, which are withheld for now: {}", shape.resource, words)
      admission.refused(shape, words)
    }
    if (allocation.preempted.isNotEmpty()) log.warn("YARN wants these containers back soon: {}", allocation.preempted.joinToString())

    allocation.granted.forEach { grant ->
      val shape = Shape(grant.requested)
      nodes.granted(grant.lease.nodeId, grant.lease.resource)
      planner.granted(shape, grant.lease.nodeId)
      admission.granted(shape)
      post(Granted(grant.lease, grant.requested))
    }
    val leases = allocation.granted.associate { it.lease.containerId to it.lease }
    allocation.completed.forEach { completed ->
      val lease = leases[completed.containerId] ?: applications.value.container(completed.containerId)?.lease
      lease?.let { nodes.completed(it.nodeId, it.resource) }
      post(completed)
    }
    allocation.lostNodes.forEach { post(NodeLost(it)) }
    if (allocation.completed.isNotEmpty()) schedule.changed(isDemand = false)
    // Wait until the core has applied these grants. Otherwise wanted() still counts them and we would ask twice.
    applications.first { application -> allocation.granted.all { application.knows(it.lease.containerId) } }
    round.answered(allocation.granted.size, applications.value.count(ContainerState.REQUESTED))?.let(log::info)
  }

  private fun publishStatus(allocation: Allocation?) {
    status =
      if (allocation == null) {
        status.copy(shapes = admission.statuses())
      } else {
        AllocationStatus(
          admission.statuses(),
          nodes.sizes(),
          allocation.headroom,
          nodes.mostFreeMib(),
          clock.instant(),
          nowMillis(),
        )
      }
  }

  /**
   * Tells the core how large a container can be from now on.
   *
   * A larger one at once; a smaller one only once it has been so for a while, for nodes are away for a moment whenever
   * an RM or they themselves are started anew, and what is added then would be refused for no lasting reason.
   */
  private fun tellMaximum() {
    val now = nodes.sizes().maximum
    val told = maximum
    if (told == now) {
      shrunkMillis = null
      return
    }
    val isSmaller = told != null && !told.fitsIn(now)
    if (!isSmaller) shrunkMillis = null
    val since = if (isSmaller) shrunkMillis ?: nowMillis().also { shrunkMillis = it } else null
    if (since != null && nowMillis() - since < SHRINK_AFTER_MILLIS) return
    shrunkMillis = null
    maximum = now
    post(MaximumChanged(now))
  }

  /** What is worth a heartbeat before its time if it changes. */
  private data class DemandKey(
    val wanted: Map<Resource, Int>,
    val excludedNodes: Set<String>,
    val stopping: Int,
    val isDone: Boolean,
  ) {
    fun asksForMoreThan(before: DemandKey) = wanted.any { (size, count) -> count > (before.wanted[size] ?: 0) }

    companion object {
      fun of(application: Application) =
        DemandKey(
          application.wanted(),
          application.excludedNodes,
          application.count(ContainerState.STOPPING),
          application.isDone,
        )
    }
  }

  private companion object {
    const val SHRINK_AFTER_MILLIS = 60_000L
  }
}
