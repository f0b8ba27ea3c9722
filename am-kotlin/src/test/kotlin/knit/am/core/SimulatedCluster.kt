package knit.am.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertSame
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

  /** The fold of all turns so far. */
  private var folded = Application.nothing(application.retention).with(application.beginning())

  private class SimulatedLease(
    val lease: Lease,
  ) {
    var launches = 0
    var stops = 0
    var releases = 0
    var reportedEnd = false
  }

  private val leases = mutableListOf<SimulatedLease>()
  private val effects = mutableListOf<Effect>()
  private val launched = mutableSetOf<ContainerKey>()
  private val answers = mutableMapOf<String, List<Container>>()

  /** Every container there ever was, as it was last seen. */
  private val seen = sortedMapOf<ContainerKey, Container>()

  /** What speaks against nodes, and since when. */
  private val blames = mutableMapOf<String, List<Pair<ExitReason, Instant>>>()
  private val unlaunchable = mutableSetOf<String>()

  init {
    send(Registered(MOST))
  }

  fun take(step: Step) {
    when (step) {
      is GrantSome -> grant(step)
      is GrantAgain -> pick(step.lease)?.let { send(Granted(it.lease, it.lease.resource)) }
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
    }
  }

  /** Everything that is asked for is granted, starts and ends, everything that is stopped ends, until nothing is open. */
  fun drain(exitStatuses: List<Int>) {
    var rounds = 0
    while (!application.isDone) {
      assertTrue(rounds++ < 10_000, "it never ends: $application")
      if (application.size == 0) request(EndApplication(FinalStatus.SUCCEEDED, "nothing to do"))
      grant(GrantSome(count = 100, node = rounds % 3, extra = false))
      val alive = leases.filter { !it.reportedEnd && (it.releases == 0 || application.header.isGivenBack) }
      alive.forEach { send(Started(it.lease.containerId)) }
      alive.forEachIndexed { index, lease -> complete(lease, exitStatuses[(rounds + index) % exitStatuses.size]) }
    }
    send(Unregistered)
    leases.forEach { complete(it, 0) }
  }

  private fun failLaunch(
    lease: SimulatedLease,
    fault: LaunchFault,
  ) {
    if (fault == LaunchFault.SPECIFICATION) unlaunchable += lease.lease.containerId
    send(LaunchFailed(lease.lease.containerId, "refused", fault))
  }

  private fun passes(deadline: Instant) {
    now = maxOf(now, deadline)
    blames.replaceAll { _, failures -> failures.filter { (_, time) -> now < time.plusSeconds(600) } }
    send(Due)
  }

  private fun pick(number: Int): SimulatedLease? = if (leases.isEmpty()) null else leases[number % leases.size]

  private fun grant(step: GrantSome) {
    val wanted = application.wanted()
    val sizes = wanted.flatMap { (size, count) -> List(count) { size } }.take(step.count) + if (step.extra) listOf(SMALL) else emptyList()
    for (size in sizes) {
      val lease = SimulatedLease(lease(leases.size + 1, step.node, size))
      leases += lease
      send(Granted(lease.lease, size))
    }
  }

  private fun complete(
    lease: SimulatedLease,
    exitStatus: Int,
  ) {
    val before = application.container(lease.lease.containerId)
    lease.reportedEnd = true
    send(Completed(lease.lease.containerId, exitStatus, "said so ".repeat(leases.indexOf(lease) % 3 * 200)))
    if (before == null || before.state.isFinal) return
    val after = checkNotNull(seen[before.key])
    val expected =
      when {
        before.state == ContainerState.STOPPING -> ContainerState.STOPPED
        exitStatus == 0 -> ContainerState.SUCCEEDED
        else -> ContainerState.FAILED
      }
    assertEquals(expected, after.state, "after its end was reported")
  }

  private fun stopPlace(number: Int) {
    val keys =
      application.containers
        .map { it.key.place }
        .distinct()
        .toList()
    if (keys.isNotEmpty()) request(StopContainers(emptyList(), listOf(keys[number % keys.size])))
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
    } catch (_: AmException.ApplicationEnding) {
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
    checkTurn(before, decision)
    decision.effects.forEach { carryOut(it) }
    decision.ended.forEach { seen[it.key] = it }
    application.containers.forEach { seen[it.key] = it }
    blame(input, before, decision.ended)
    try {
      checkContainers(before)
      checkCounts()
      checkLeases()
      checkBudgets()
      checkPhase(before)
    } catch (wrong: AssertionError) {
      throw AssertionError("after $input: ${wrong.message}\n${application.containers.joinToString("\n")}", wrong)
    }
  }

  /** A turn that changes something has the next number, and its changes are all that there is to know of it. */
  private fun checkTurn(
    before: Application,
    decision: Decision<*>,
  ) {
    val turn = decision.changes
    if (turn == null) {
      assertSame(before, application, "nothing has changed")
      return
    }
    assertEquals(before.sequence + 1, turn.sequence)
    assertEquals(turn.sequence, application.sequence)
    folded = folded.with(turn)
    folded.assertLike(application)
    val recovered = Application.nothing(application.retention).with(ChangeSet(application.sequence, now, application.asChanges().toList()))
    recovered.assertLike(application)
    assertEquals(Index.of(application), application.index, "what follows from the records")
  }

  private fun carryOut(effect: Effect) {
    effects += effect
    when (effect) {
      is Launch -> {
        val lease = leaseOf(effect.lease.containerId)
        assertEquals(1, ++lease.launches, "launches on ${effect.lease.containerId}")
        assertTrue(launched.add(effect.key), "${effect.key} is launched twice")
        assertEquals(0, lease.releases, "${effect.lease.containerId} was given back before")
      }

      is StopContainer -> {
        leaseOf(effect.lease.containerId).stops++
      }

      is Release -> {
        val releases = ++leaseOf(effect.containerId).releases
        assertTrue(releases == 1 || application.header.isGivenBack, "$releases releases of ${effect.containerId}")
      }

      is Unregister -> {}
    }
  }

  private fun leaseOf(containerId: String) = leases.single { it.lease.containerId == containerId }

  private fun blame(
    input: Input,
    before: Application,
    ended: List<Container>,
  ) {
    if (input is Started) {
      val started = before.container(input.containerId)
      if (started?.state == ContainerState.LAUNCHING) {
        blames.computeIfPresent(started.lease!!.nodeId) { _, failures -> failures.filter { it.first != ExitReason.LAUNCH_FAILED } }
      }
    }
    for (container in ended) {
      val nodeId = container.lease?.nodeId ?: continue
      val reason = container.exit!!.reason
      val isNodes = input !is LaunchFailed || input.fault == LaunchFault.NODE
      when (reason) {
        ExitReason.EXITED -> {
          blames.remove(nodeId)
        }

        ExitReason.LAUNCH_FAILED, ExitReason.DISK_FAILED -> {
          if (isNodes) blames.merge(nodeId, listOf(reason to now)) { a, b -> (a + b).takeLast(2) }
        }

        else -> {}
      }
    }
  }

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
        assertTrue(attempts.size - 1 <= application.retention.attemptsPerRank, "too many attempts of ${last.place}")
        assertTrue(attempts.dropLast(1).all { it.state == ContainerState.FAILED }, "only a failed one is followed: $attempts")
      }
    }
    for (container in application.containers) {
      assertEquals(container.state.isFinal, container.exit != null, "exit of $container")
      if (container.stopCause != null) {
        assertTrue(container.state == ContainerState.STOPPING || container.state == ContainerState.STOPPED, "was to stop: $container")
      }
    }
  }

  private fun checkCounts() {
    val requested = application.containers.filter { it.state == ContainerState.REQUESTED }.toList()
    assertEquals(requested.groupingBy { it.resource }.eachCount(), application.wanted(), "wanted")
    for (state in ContainerState.values()) {
      assertEquals(seen.values.count { it.state == state }, application.count(state), "count of $state")
    }
    assertEquals(blames.filterValues { it.size >= 2 }.keys, application.excludedNodes, "excluded nodes")
  }

  /** Each lease is held by an open container, was given back, or YARN reported its end itself. */
  private fun checkLeases() {
    val holders = application.containers.filter { it.lease != null }.groupBy { it.lease!!.containerId }
    val forgotten = seen.values.filter { application.container(it.key) == null }.mapNotNull { it.lease?.containerId }
    for (lease in leases) {
      val id = lease.lease.containerId
      val holder = holders[id]?.single()
      assertEquals(holder, application.container(id), "the container found by $id")
      assertEquals(holder == null && id !in forgotten, lease.launches == 0, "launch of $id")
      val held = holder != null && !holder.state.isFinal
      assertTrue(held || lease.releases > 0 || lease.reportedEnd, "the lease $id is forgotten")
      assertTrue(!held || lease.releases == 0 || application.header.isGivenBack, "the lease $id was given back under $holder")
      if (holder?.state == ContainerState.STOPPING) assertTrue(lease.stops > 0, "$holder is not being stopped")
    }
  }

  private fun checkBudgets() {
    val byYarn = setOf(ExitReason.PREEMPTED, ExitReason.NODE_LOST, ExitReason.DISK_FAILED, ExitReason.LAUNCH_FAILED)
    for ((place, attempts) in seen.values.groupBy { it.key.place }) {
      val service = application.services.getValue(place.serviceName)
      val (taken, failed) = attempts.dropLast(1).partition { it.exit?.reason in byYarn }
      assertTrue(taken.size <= service.maxReplacements, "$place was replaced ${taken.size} times")
      assertTrue(failed.size <= service.maxRestarts, "$place was restarted ${failed.size} times")
      val last = attempts.last()
      if (last.state != ContainerState.FAILED || last.lease?.containerId in unlaunchable) continue
      val left = if (last.exit?.reason in byYarn) service.maxReplacements - taken.size else service.maxRestarts - failed.size
      assertTrue(left == 0 || application.phase != Phase.RUNNING, "$place had $left tries left")
      if (service.failurePolicy == FailurePolicy.FAIL_APPLICATION) assertTrue(application.phase != Phase.RUNNING, "$place failed for good")
    }
  }

  private fun checkPhase(before: Application) {
    assertTrue(application.phase >= before.phase, "${before.phase} to ${application.phase}")
    assertEquals(application.phase != Phase.RUNNING, application.outcome != null)
    if (before.outcome != null) assertEquals(before.outcome, application.outcome, "the first outcome stands")
    assertEquals(if (application.isDone) 1 else 0, effects.count { it is Unregister }, "times it unregistered")
    assertEquals(application.phase == Phase.ENDING, application.header.endDeadline != null, "it waits without a limit, or for nothing")
    val open = application.containers.filterNot { it.state.isFinal }.toList()
    when (application.phase) {
      Phase.RUNNING -> assertTrue(open.isNotEmpty() || application.size == 0, "everything has ended, except the application")
      Phase.ENDING -> assertTrue(open.isNotEmpty() && open.all { it.state == ContainerState.STOPPING }, "still open: $open")
      Phase.REPORTING, Phase.ENDED -> assertEquals(emptyList<Container>(), open)
    }
    val outcome = application.outcome ?: return
    assertTrue(outcome.diagnostics.isNotBlank())
    assertEquals(outcome.finalStatus == FinalStatus.SUCCEEDED, outcome.exitCode == 0, "$outcome")
  }
}
