package knit.am.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import java.time.Instant

/** One thing that happens in a [SimulatedCluster]; numbers choose among what there is, so that every sequence has a meaning. */
sealed interface Step

/** The RM grants up to [count] containers of a size somebody waits for, one more than waits with [extra]. */
data class GrantSome(
  val count: Int,
  val node: Int,
  val extra: Boolean,
) : Step

data class GrantAgain(
  val lease: Int,
) : Step

data class Start(
  val lease: Int,
) : Step

data class FailLaunch(
  val lease: Int,
  val fault: LaunchFault,
) : Step

/** Several ends in one heartbeat, some of them perhaps reported before, perhaps of containers that never started. */
data class CompleteSome(
  val leases: List<Int>,
  val exitStatus: Int,
) : Step

data class LoseNode(
  val node: Int,
) : Step

data class StopLease(
  val lease: Int,
) : Step

data class StopPlace(
  val place: Int,
) : Step

data class Add(
  val count: Int,
  val large: Boolean,
  val requestId: Int,
) : Step

data class End(
  val finalStatus: FinalStatus,
) : Step

/** The application's next deadline passes. */
data object TimeOut : Step

data object RegisterAgain : Step

/** A program says whether it is ready. */
data class SayReady(
  val lease: Int,
  val isReady: Boolean,
) : Step

data class RestartPlace(
  val place: Int,
) : Step

/** As many rounds of what fails, at most, before the programs of a [SimulatedCluster] succeed; budgets without a window end sooner. */
internal const val MOST_FAILING_ROUNDS = 300

/**
 * A cluster and its clients, as far as an application can tell, that checks after every input that nothing is wrong.
 *
 * What it checks is counted here from scratch, from the containers and from what was sent and received; it shares no
 * bookkeeping with the core.
 */
class SimulatedCluster(
  services: Map<String, ServiceSpec>,
) {
  /** With room for little that has ended where there is one service only, so that forgetting is a part of it. */
  var application: Application =
    start(
      services,
      if (services.size == 1) Retention(attemptsPerRank = 1, attempts = 3, diagnostics = 2) else Retention(),
    )
    private set
  private var now = NOW

  private val turns = SeenTurns(application)

  private val seenLeases = SeenLeases()

  /** The same, in order. */
  private val leases = mutableListOf<SeenLease>()
  private val answers = mutableMapOf<String, List<Container>>()

  /** Every container there ever was, as it was last seen. */
  private val seen = sortedMapOf<ContainerKey, Container>()

  private val failures = SeenFailures()
  private val unlaunchable = mutableSetOf<String>()
  private val restarted = mutableMapOf<PlaceKey, Int>()

  init {
    send(Registered(MOST))
  }

  fun take(step: Step) {
    when (step) {
      is GrantSome -> grant(step)
      is GrantAgain -> pick(step.lease)?.let { send(Granted(it.lease, Shape(it.lease.resource))) }
      is Start -> pick(step.lease)?.let { if (it.launches > 0) send(Started(it.lease.containerId)) }
      is FailLaunch -> pick(step.lease)?.let { if (it.launches > 0) failLaunch(it, step.fault) }
      is CompleteSome -> step.leases.mapNotNull(::pick).forEach { complete(it, step.exitStatus) }
      is LoseNode -> send(NodeLost("node${step.node}:8041"))
      is StopLease -> pick(step.lease)?.let { request(StopContainers(listOf(it.lease.containerId), emptyList())) }
      is StopPlace -> stopPlace(step.place)
      is Add -> add(step)
      is End -> request(EndApplication(step.finalStatus, "asked for"))
      is TimeOut -> application.nextDeadline?.let { passes(it) }
      is RegisterAgain -> send(Registered(MOST))
      is SayReady -> sayReady(step)
      is RestartPlace -> place(step.place)?.let { restart(it) }
    }
  }

  private fun restart(place: PlaceKey) {
    val before = checkNotNull(application.latest(place))
    restarted.merge(place, 1, Int::plus)
    val answer = request(RestartContainers(Named(places = listOf(place))))?.answer ?: return
    val now = answer.containers.single()
    assertEquals(place, now.key.place)
    assertTrue(now.key == before.key || now.key.attemptNumber == before.key.attemptNumber + 1, "$before is followed by $now")
  }

  private fun sayReady(step: SayReady) {
    val container = pick(step.lease)?.let { application.container(it.lease.containerId) } ?: return
    if (container.state != ContainerState.RUNNING && container.state != ContainerState.LAUNCHING) return
    if (application.spec(container.ref.serviceName).readiness.isReported) request(ReportReady(container.ref, step.isReady))
  }

  /**
   * Everything that is asked for is granted, starts and ends, everything that is stopped ends, until nothing is open.
   *
   * A rank that fails seldom enough for a budget with a window is started again for ever, so after [MOST_FAILING_ROUNDS] all succeeds.
   */
  fun drain(exitStatuses: List<Int>) {
    var rounds = 0
    while (!application.isDone) {
      assertTrue(rounds++ < 10 * MOST_FAILING_ROUNDS, "it never ends: $application")
      if (application.size == 0) request(EndApplication(FinalStatus.SUCCEEDED, "nothing to do"))
      if (application.wanted().isEmpty() && application.leasedCount == 0) application.nextDeadline?.let { passes(it) }
      grant(GrantSome(count = 100, node = rounds % 3, extra = false))
      val alive = leases.filter { !it.isEndTold && (it.releases == 0 || application.header.isGivenBack) }
      alive.forEach { send(Started(it.lease.containerId)) }
      val statuses = if (rounds > MOST_FAILING_ROUNDS) listOf(0) else exitStatuses
      alive.forEachIndexed { index, lease -> complete(lease, statuses[(rounds + index) % statuses.size]) }
    }
    send(Unregistered)
    leases.forEach { complete(it, 0) }
  }

  private fun failLaunch(
    lease: SeenLease,
    fault: LaunchFault,
  ) {
    if (fault == LaunchFault.SPECIFICATION) unlaunchable += lease.lease.containerId
    send(LaunchFailed(lease.lease.containerId, "refused", fault))
  }

  private fun passes(deadline: Instant) {
    now = maxOf(now, deadline)
    failures.forgive(now)
    send(Due)
  }

  private fun pick(number: Int): SeenLease? = if (leases.isEmpty()) null else leases[number % leases.size]

  private fun grant(step: GrantSome) {
    val wanted = application.wanted()
    val sizes = wanted.flatMap { (size, count) -> List(count) { size } }.take(step.count) + if (step.extra) listOf(SMALL) else emptyList()
    for (size in sizes) {
      val lease = seenLeases.granted(lease(leases.size + 1, step.node, size))
      leases += lease
      send(Granted(lease.lease, Shape(size)))
    }
  }

  private fun complete(
    lease: SeenLease,
    exitStatus: Int,
  ) {
    val before = application.container(lease.lease.containerId)
    lease.isEndTold = true
    send(Completed(lease.lease.containerId, exitStatus, "said so ".repeat(leases.indexOf(lease) % 3 * 200)))
    if (before == null || before.state.isFinal) return
    val after = checkNotNull(seen[before.key])
    assertEquals(before.stateAfter(exitStatus), after.state, "after its end was reported")
  }

  private fun stopPlace(number: Int) {
    place(number)?.let { request(StopContainers(emptyList(), listOf(it))) }
  }

  private fun place(number: Int): PlaceKey? {
    val keys =
      application.containers
        .map { it.key.place }
        .distinct()
        .toList()
    return if (keys.isEmpty()) null else keys[number % keys.size]
  }

  private fun add(step: Add) {
    val requestId = if (step.requestId == 0) "" else "request-${step.requestId}"
    val before = application
    val resource = if (step.large) LARGE else null
    val decision = request(AddContainers("worker", step.count, resource, emptyMap(), requestId)) ?: return
    val known = answers[requestId]
    assertEquals(known ?: decision.answer, decision.answer, "the answer to $requestId")
    assertEquals(if (known == null) before.size + step.count else before.size, decision.application.size)
    if (requestId.isNotEmpty()) answers[requestId] = decision.answer
  }

  private fun <A : Any> request(request: Command<A>): Decision<A>? =
    try {
      val before = application
      before.decide(request, now).also { take(request, before, it) }
    } catch (_: AmException.FailedPrecondition) {
      assertTrue(application.phase != Phase.RUNNING)
      null
    } catch (_: AmException.NotFound) {
      val named = (request as StopContainers).containerIds
      assertTrue(named.any { leaseOf(it).launches == 0 || it in application.pastLeases }, "refused to stop $named")
      null
    }

  private fun send(input: Input) {
    val before = application
    take(input, before, before.decide(input, now))
  }

  private fun take(
    input: Input,
    before: Application,
    decision: Decision<*>,
  ) {
    application = decision.application
    turns.take(before, decision)
    if (decision.changes != null) turns.check(application)
    decision.effects.forEach { seenLeases.take(it, application) }
    decision.ended.forEach { seen[it.key] = it }
    application.containers.forEach { seen[it.key] = it }
    failures.take(input, before, decision.ended, now)
    try {
      checkContainers(before)
      checkCounts(application, seen.values)
      checkOrdinals(application, seen.values)
      checkWaits(application, now)
      assertEquals(failures.excluded, application.excludedNodes, "excluded nodes")
      seenLeases.check(application, seen.values)
      checkBudgets(application, seen.values, restarted) { it.lease?.containerId in unlaunchable }
      checkPhase(before, application, seenLeases.unregistrations)
    } catch (wrong: AssertionError) {
      throw AssertionError("after $input: ${wrong.message}\n${application.containers.joinToString("\n")}", wrong)
    }
  }

  private fun leaseOf(containerId: String) = checkNotNull(seenLeases[containerId])

  /** None vanishes that is not one attempt of too many, a final one never changes, none skips a state, ranks and attempts have no gaps, one at most is open per place. */
  private fun checkContainers(before: Application) {
    for (old in before.containers) {
      val now = application.container(old.key)
      if (now == null) {
        val later = application.containers.count { it.key.place == old.key.place && it.key > old.key }
        assertTrue(
          later > application.retention.attemptsPerRank || application.index.followed.size == application.retention.attempts,
          "${old.key} vanished",
        )
      } else if (old.state.isFinal) {
        val words = setOf(old.exit?.diagnostics, lastWords(old.exit?.diagnostics.orEmpty()))
        assertTrue(now.exit?.diagnostics in words)
        assertEquals(old, now.copy(exit = old.exit?.let { now.exit?.copy(diagnostics = it.diagnostics) }), "a final container changed")
      }
    }
    assertTrue(application.containers.count { (it.exit?.diagnostics?.length ?: 0) > 301 } <= application.retention.diagnostics)
    for ((name, containers) in application.containers.groupBy { it.key.place.serviceName }) {
      val byRank = containers.groupBy { it.key.place.rank }
      assertEquals((0 until byRank.size).toList(), byRank.keys.toList(), "ranks of $name")
      for (attempts in byRank.values) {
        val last = attempts.last().key
        assertEquals(seen.keys.last { it.place == last.place }, last)
        assertEquals(
          (last.attemptNumber - attempts.size + 1..last.attemptNumber).toList(),
          attempts.map { it.key.attemptNumber },
          "attempts",
        )
        val isKept = attempts.first().state.isFinal
        assertTrue(!isKept || attempts.size - 1 <= application.retention.attemptsPerRank, "too many attempts of ${last.place}")
        checkFollowed(attempts)
      }
    }
    checkExits(application)
  }
}
