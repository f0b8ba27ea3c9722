package knit.am.sim

import knit.am.core.AddContainers
import knit.am.core.Application
import knit.am.core.ChangeSet
import knit.am.core.Completed
import knit.am.core.Container
import knit.am.core.ContainerKey
import knit.am.core.ContainerState
import knit.am.core.Decision
import knit.am.core.Due
import knit.am.core.Effect
import knit.am.core.ExitReason
import knit.am.core.FailurePolicy
import knit.am.core.FinalStatus
import knit.am.core.Granted
import knit.am.core.Index
import knit.am.core.Input
import knit.am.core.Launch
import knit.am.core.LaunchFailed
import knit.am.core.LaunchFault
import knit.am.core.Lease
import knit.am.core.NOW
import knit.am.core.NodeLost
import knit.am.core.Phase
import knit.am.core.Release
import knit.am.core.Started
import knit.am.core.StopContainer
import knit.am.core.Unregister
import knit.am.core.asChanges
import knit.am.core.assertLike
import knit.am.core.beginning
import knit.am.core.with
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertTrue
import java.time.Instant

/**
 * What must hold after every turn of an application.
 *
 * It counts from scratch, from the containers and from what was sent and received, and shares no bookkeeping with the core.
 * Of long runs it looks at everything only every [interval] turns, and at what a turn has touched always.
 */
internal class Oracle(
  initial: Application,
  private val interval: Int = 1,
) {
  private class SeenLease(
    val lease: Lease,
  ) {
    var launches = 0
    var stops = 0
    var releases = 0
    var isEndTold = false
  }

  private val leases = LinkedHashMap<String, SeenLease>()
  private val launched = HashSet<ContainerKey>()
  private val answers = HashMap<String, List<Container>>()
  private var unregistrations = 0
  private var turns = 0

  /** The ranks there must be, by service: as many as were submitted, and what was added. */
  private val ranks = initial.services.mapValuesTo(HashMap()) { it.value.instances }

  /** Every container there ever was, as it was last seen. */
  private val seen = sortedMapOf<ContainerKey, Container>()

  /** What speaks against nodes, and since when. */
  private val blames = HashMap<String, List<Pair<ExitReason, Instant>>>()
  private var checked = initial

  /** The fold of all turns so far. */
  private var folded = Application.nothing(initial.retention).with(initial.beginning())

  /** All of it once more, whenever that was last. */
  fun check(application: Application) {
    application.containers.forEach { seen[it.key] = it }
    checkFold(application)
    checkContainers(checked, application)
    checkCounts(application)
    checkLeases(application)
    checkBudgets(application)
    checkPhase(checked, application)
    checked = application
  }

  fun turn(
    before: Application,
    input: Input,
    decision: Decision<*>,
    now: Instant,
  ) {
    val application = decision.application
    checkNothingIsOverdue(input, now)
    if (input is Granted) leases.getOrPut(input.lease.containerId) { SeenLease(input.lease) }
    if (input is Completed) leases[input.containerId]?.isEndTold = true
    decision.effects.forEach { take(it, application) }
    decision.ended.forEach { seen[it.key] = it }
    blame(before, input, decision.ended, now)
    if (input is Completed) checkEnd(before, input)
    if (input is NodeLost) {
      assertTrue(application.containers.none { it.state.isLeased && it.lease?.nodeId == input.nodeId }, "some live on ${input.nodeId}")
    }
    checkTurn(before, decision)
    checkDeadlines(application, now)
    if (turns++ % interval == 0) {
      checkExcluded(application)
      check(application)
    }
  }

  /** An answer to [request]: as it was the first time, and what it says was done once. */
  fun added(
    request: AddContainers,
    answer: List<Container>,
  ) {
    val known = answers[request.requestId]
    assertEquals(known ?: answer, answer, "the answer to ${request.requestId}")
    if (known != null) return
    assertEquals(request.count, answer.size)
    ranks.merge(request.serviceName, request.count, Int::plus)
    if (request.requestId.isNotEmpty()) answers[request.requestId] = answer
  }

  /** A turn that changes something has the next number. */
  private fun checkTurn(
    before: Application,
    decision: Decision<*>,
  ) {
    val turn = decision.changes
    if (turn == null) {
      assertSame(before, decision.application, "nothing has changed")
      return
    }
    assertEquals(before.sequence + 1, turn.sequence)
    assertEquals(turn.sequence, decision.application.sequence)
    folded = folded.with(turn)
  }

  /** The changes are all that there is to know: an application is their fold, whether all of them or the last of each record. */
  private fun checkFold(application: Application) {
    folded.assertLike(application)
    val last = ChangeSet(application.sequence, NOW, application.asChanges().toList())
    Application.nothing(application.retention).with(last).assertLike(application)
    assertEquals(Index.of(application), application.index, "what follows from the records")
  }

  private fun take(
    effect: Effect,
    application: Application,
  ) {
    when (effect) {
      is Launch -> {
        val lease = leases.getValue(effect.lease.containerId)
        assertEquals(1, ++lease.launches, "launches on ${effect.lease.containerId}")
        assertTrue(launched.add(effect.key), "${effect.key} is launched twice")
        assertEquals(0, lease.releases, "${effect.lease.containerId} was given back before")
      }

      is StopContainer -> {
        leases.getValue(effect.lease.containerId).stops++
      }

      is Release -> {
        val releases = ++leases.getValue(effect.containerId).releases
        assertTrue(releases == 1 || application.header.isGivenBack, "$releases releases of ${effect.containerId}")
      }

      is Unregister -> {
        unregistrations++
      }
    }
  }

  private fun checkEnd(
    before: Application,
    input: Completed,
  ) {
    val container = before.container(input.containerId) ?: return
    if (container.state.isFinal) return
    val expected =
      when {
        container.state == ContainerState.STOPPING -> ContainerState.STOPPED
        input.exitStatus == 0 -> ContainerState.SUCCEEDED
        else -> ContainerState.FAILED
      }
    assertEquals(expected, seen[container.key]?.state, "after its end was reported")
  }

  private fun blame(
    before: Application,
    input: Input,
    ended: List<Container>,
    now: Instant,
  ) {
    if (input is Due) {
      blames.replaceAll { _, failures -> failures.filter { (_, time) -> now < time.plusSeconds(BLAME_SECONDS) } }
    }
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
      if (reason == ExitReason.EXITED) {
        blames.remove(nodeId)
      } else if ((reason == ExitReason.LAUNCH_FAILED || reason == ExitReason.DISK_FAILED) && isNodes) {
        blames.merge(nodeId, listOf(reason to now)) { a, b -> (a + b).takeLast(2) }
      }
    }
  }

  /** Whatever the application says of its deadlines: what is due is dealt with before anything else is heard. */
  private fun checkNothingIsOverdue(
    input: Input,
    now: Instant,
  ) {
    if (input is Due) return
    val overdue = blames.filterValues { failures -> failures.any { (_, time) -> now >= time.plusSeconds(BLAME_SECONDS) } }
    assertTrue(overdue.isEmpty(), "is not forgiven in time: $overdue")
  }

  /** The next deadline is the earliest of what speaks against nodes, and of the end. */
  private fun checkDeadlines(
    application: Application,
    now: Instant,
  ) {
    val end = application.header.endDeadline
    if (end != null) {
      val most = if (application.header.isGivenBack) GIVEN_BACK_SECONDS else STOPPING_SECONDS
      assertTrue(end > now && end <= now.plusSeconds(most), "at $now the end is due at $end")
    }
    val forgiven = blames.values.filter { it.isNotEmpty() }.map { it.first().second.plusSeconds(BLAME_SECONDS) }
    assertEquals((forgiven + listOfNotNull(end)).minOrNull(), application.nextDeadline, "the next deadline")
  }

  private fun checkExcluded(application: Application) =
    assertEquals(blames.filterValues { it.size >= 2 }.keys, application.excludedNodes, "excluded nodes")

  /** None vanishes that is not one attempt of too many, a final one never changes, none skips a state, ranks and attempts have no gaps, one at most is open per place. */
  private fun checkContainers(
    before: Application,
    application: Application,
  ) {
    for (old in before.containers) {
      val now = application.container(old.key)
      if (now == null) {
        val later = application.containersOf(old.key.place.serviceName, old.key.place.rank).takeWhile { it.key.place == old.key.place }
        val tooMany =
          later.count() > application.retention.attemptsPerRank || application.index.followed.size == application.retention.attempts
        assertTrue(tooMany, "${old.key} vanished")
      } else if (old.state.isFinal) {
        assertEquals(old.copy(exit = null), now.copy(exit = null), "a final container changed")
        assertEquals(old.exit?.reason, now.exit?.reason)
        assertEquals(old.exit?.finishTime, now.exit?.finishTime)
      }
    }
    for (name in application.services.keys) {
      val byRank = application.containersOf(name).groupBy { it.key.place.rank }
      assertEquals((0 until ranks.getValue(name)).toList(), byRank.keys.toList(), "ranks of $name")
      for (attempts in byRank.values) {
        val last = attempts.last().key
        val numbers = (last.attemptNumber - attempts.size + 1..last.attemptNumber).toList()
        assertEquals(numbers, attempts.map { it.key.attemptNumber }, "attempts")
        assertTrue(ContainerKey(last.place, last.attemptNumber + 1) !in seen, "${last.place} is filled by an earlier attempt")
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

  private fun checkCounts(application: Application) {
    val requested = application.containers.filter { it.state == ContainerState.REQUESTED }.toList()
    assertEquals(requested.groupingBy { it.resource }.eachCount(), application.wanted(), "wanted")
    val states = seen.values.groupingBy { it.state }.eachCount()
    for (state in ContainerState.values()) assertEquals(states[state] ?: 0, application.count(state), "count of $state")
  }

  /** Each lease is held by an open container, was given back, or YARN reported its end itself. */
  private fun checkLeases(application: Application) {
    val holders = application.containers.filter { it.lease != null }.groupBy { it.lease!!.containerId }
    val forgotten = seen.values.filter { application.container(it.key) == null }.mapNotNullTo(HashSet()) { it.lease?.containerId }
    for ((id, lease) in leases) {
      val holder = holders[id]?.single()
      assertEquals(holder, application.container(id), "the container found by $id")
      assertEquals(holder == null && id !in forgotten, lease.launches == 0, "launch of $id")
      val held = holder != null && !holder.state.isFinal
      assertTrue(held || lease.releases > 0 || lease.isEndTold, "the lease $id is forgotten")
      assertTrue(!held || lease.releases == 0 || application.header.isGivenBack, "the lease $id was given back under $holder")
      assertTrue(!held || !lease.isEndTold, "$holder has ended")
      if (holder?.state == ContainerState.STOPPING) assertTrue(lease.stops > 0, "$holder is not being stopped")
    }
  }

  private fun checkBudgets(application: Application) {
    for ((place, attempts) in seen.values.groupBy { it.key.place }) {
      val service = application.services.getValue(place.serviceName)
      val (taken, failed) = attempts.dropLast(1).partition { it.exit?.reason in byYarn }
      assertTrue(taken.size <= service.maxReplacements, "$place was replaced ${taken.size} times")
      assertTrue(failed.size <= service.maxRestarts, "$place was restarted ${failed.size} times")
      val last = attempts.last()
      if (last.state != ContainerState.FAILED) continue
      val left = if (last.exit?.reason in byYarn) service.maxReplacements - taken.size else service.maxRestarts - failed.size
      assertTrue(left == 0 || application.phase != Phase.RUNNING, "$place had $left tries left")
      if (service.failurePolicy == FailurePolicy.FAIL_APPLICATION) assertTrue(application.phase != Phase.RUNNING, "$place failed for good")
    }
  }

  private fun checkPhase(
    before: Application,
    application: Application,
  ) {
    assertTrue(application.phase >= before.phase, "${before.phase} to ${application.phase}")
    assertEquals(application.phase != Phase.RUNNING, application.outcome != null)
    if (before.outcome != null) assertEquals(before.outcome, application.outcome, "the first outcome stands")
    assertEquals(if (application.isDone) 1 else 0, unregistrations, "times it unregistered")
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

  private companion object {
    const val BLAME_SECONDS = 600L
    const val STOPPING_SECONDS = 60L
    const val GIVEN_BACK_SECONDS = 600L
    val byYarn = setOf(ExitReason.PREEMPTED, ExitReason.NODE_LOST, ExitReason.DISK_FAILED, ExitReason.LAUNCH_FAILED)
  }
}
