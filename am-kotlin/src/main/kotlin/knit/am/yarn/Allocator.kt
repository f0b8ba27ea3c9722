package knit.am.yarn

import knit.am.core.Application
import knit.am.core.ContainerState
import knit.am.core.Granted
import knit.am.core.MaximumChanged
import knit.am.core.NodeLost
import knit.am.core.Report
import knit.am.core.Resource
import knit.am.core.Shape
import knit.am.core.WaitingExplained
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
  private val queues = QueueReports(resourceManager, nowMillis)
  private var queueName = ""
  private var mostFreeMib = emptyMap<Shape, Long>()
  private var explained = emptyList<WaitingReason>()
  private var explainedMillis = 0L
  private val misplacements = Misplacements(nowMillis)
  private val schedule = HeartbeatSchedule(nowMillis)
  private val round = AllocationRound(nowMillis)
  private var demandKey: DemandKey? = null
  private var failures = 0
  private var isBehind = false
  private var maximum: Resource? = null
  private var shrunkMillis: Long? = null

  @Volatile
  private var status = AllocationStatus(emptyMap(), { null }, null, emptyMap(), clock.instant(), nowMillis())

  /** Has the next heartbeat sent at once, or as soon as the floor allows. From any thread. */
  fun wake() {
    wake.trySend(Unit)
  }

  /** Why containers wait. From any thread. */
  fun waitingReasons(): List<WaitingReason> =
    waitingReasons(
      applications.value.waitingByService(),
      status,
      nowMillis(),
    )

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
    queueName = registration.queue
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
    val choice = NodeChoice(nodes, application.excludedNodes, application.held())
    val asks = plan(key.wanted, choice)
    round.asks(key.wanted.values.sum())
    val allocation =
      try {
        resourceManager.allocate(Demand(asks, nodes.avoidable(application.excludedNodes) - choice.needed, application.progress.toFloat()))
      } catch (gone: LeftBehindException) {
        throw gone
      } catch (
        @Suppress("TooGenericExceptionCaught") failure: Exception,
      ) {
        currentCoroutineContext().ensureActive()
        if (failures++ == 0) log.warn("The ResourceManager does not answer; trying on: {}", failure.toString())
        publishStatus(null, scope)
        return
      }
    if (failures > 0) log.info("The ResourceManager answers again")
    failures = 0
    isBehind = allocation.isBehind
    handle(allocation, scope)
    publishStatus(allocation, scope)
    tellMaximum()
  }

  private fun plan(
    wanted: Map<Shape, Int>,
    choice: NodeChoice,
  ): Map<Shape, NamedCounts> {
    misplacements.retain(wanted.keys)
    val candidates = wanted.mapValues { (shape, count) -> choice.of(shape, count) }
    mostFreeMib = candidates.mapNotNull { (shape, nodes) -> nodes.mostFreeMib?.let { shape to it } }.toMap()
    val admitted = admission.admit(wanted.keys) { shape -> withheld(shape, candidates.getValue(shape)) }
    return planner.plan(wanted.filterKeys { it in admitted }, candidates::getValue, nowMillis())
  }

  private fun withheld(
    shape: Shape,
    candidates: Candidates,
  ): Standing? {
    val shortage = misplacements.shortage(shape) ?: (candidates as? Candidates.None)?.shortage
    return when {
      shortage == Shortage.Label -> Standing.NoPlace(Shortage.Label)
      !nodes.sizes(shape.placement.label).holds(shape.resource) -> Standing.TooLarge
      shortage != null -> Standing.NoPlace(shortage)
      else -> null
    }
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

    val held = HashMap<String, Map<String, Int>>()
    val before = applications.value.held()
    val leases = allocation.granted.associate { it.lease.containerId to it.lease }
    val given = HashSet<String>()
    for (grant in allocation.granted) {
      val shape = grant.requested
      nodes.granted(grant.lease.nodeId, grant.lease.resource, shape.placement.label)
      planner.granted(shape, grant.lease.nodeId)
      val heldNow = { service: String -> held.getOrPut(service) { before(service) } }
      if (!shape.placement.allows(grant.lease.nodeId, grant.rack ?: nodes.rackOf(grant.lease.nodeId), heldNow)) {
        giveBack(grant)
        continue
      }
      shape.placement.spreadOf?.let { held[it] = heldNow(it) + (grant.lease.nodeId to 1) }
      misplacements.clear(shape)
      admission.granted(shape)
      given += grant.lease.containerId
      post(Granted(grant.lease, shape))
    }
    allocation.completed.forEach { completed ->
      val lease = leases[completed.containerId] ?: applications.value.container(completed.containerId)?.lease
      lease?.let { nodes.completed(it.nodeId, it.resource) }
      post(completed)
    }
    allocation.lostNodes.forEach { post(NodeLost(it)) }
    if (allocation.completed.isNotEmpty()) schedule.changed(isDemand = false)
    // Wait until the core has applied these grants. Otherwise wantedShapes() still counts them and we would ask twice.
    applications.first { application -> given.all { application.knows(it) } }
    round.answered(given.size, applications.value.count(ContainerState.REQUESTED))?.let(log::info)
  }

  /** YARN was told where it may be, and has granted it elsewhere: what was asked for has crossed a grant, or the scheduler minds no names. */
  private fun giveBack(grant: Grant) {
    log.info("{} is given back: it must not be on {}, {}", grant.lease.containerId, grant.lease.nodeId, grant.requested.placement)
    misplacements.add(grant.requested)
    nodes.completed(grant.lease.nodeId, grant.lease.resource)
    resourceManager.release(grant.lease.containerId)
  }

  private fun publishStatus(
    allocation: Allocation?,
    scope: CoroutineScope,
  ) {
    if (allocation == null) {
      status = status.copy(shapes = admission.statuses())
    } else {
      val shapes = admission.statuses()
      status =
        AllocationStatus(
          shapes,
          nodes.sizesNow(shapes.keys.mapTo(HashSet()) { it.placement.label } + null)::get,
          allocation.headroom,
          mostFreeMib,
          clock.instant(),
          nowMillis(),
          queues.latest?.let { QueueUse.of(it, nodes.total()) },
        )
      val isShort =
        shapes.any { (shape, now) ->
          nowMillis() - now.sinceMillis >= QueueReports.USEFUL_AFTER_MILLIS &&
            status.isShortOfHeadroom(shape)
        }
      queues.refreshIfUseful(scope, queueName, isShort)
    }
    explain()
  }

  /** Tells the core why containers wait: at once where the reasons are others, where only numbers are after a while. */
  private fun explain() {
    val reasons = waitingReasons()
    if (reasons == explained) return
    val isOther = reasons.map { it.withoutNumbers() } != explained.map { it.withoutNumbers() }
    if (!isOther && nowMillis() - explainedMillis < EXPLAIN_NUMBERS_MILLIS) return
    explained = reasons
    explainedMillis = nowMillis()
    post(WaitingExplained(reasons))
  }

  private fun WaitingReason.withoutNumbers() = copy(count = 0, explanation = "", facts = emptyMap())

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
    val wanted: Map<Shape, Int>,
    val excludedNodes: Set<String>,
    val stopping: Int,
    val isDone: Boolean,
  ) {
    fun asksForMoreThan(before: DemandKey) = wanted.any { (size, count) -> count > (before.wanted[size] ?: 0) }

    companion object {
      fun of(application: Application) =
        DemandKey(
          application.wantedShapes(),
          application.excludedNodes,
          application.count(ContainerState.STOPPING),
          application.isDone,
        )
    }
  }

  private companion object {
    const val SHRINK_AFTER_MILLIS = 60_000L
    const val EXPLAIN_NUMBERS_MILLIS = 10_000L
  }
}

/** How many leased containers of a service each node has, counted once for each service that somebody asks of. */
private fun Application.held(): (String) -> Map<String, Int> {
  val counted = HashMap<String, Map<String, Int>>()
  return { serviceName -> counted.getOrPut(serviceName) { leasedByNode(serviceName) } }
}
