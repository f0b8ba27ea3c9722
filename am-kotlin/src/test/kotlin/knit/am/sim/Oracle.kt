package knit.am.sim

import knit.am.core.Application
import knit.am.core.Completed
import knit.am.core.Container
import knit.am.core.ContainerKey
import knit.am.core.ContainerState
import knit.am.core.Decision
import knit.am.core.Due
import knit.am.core.Granted
import knit.am.core.Input
import knit.am.core.NodeLost
import knit.am.core.SeenFailures
import knit.am.core.SeenLeases
import knit.am.core.SeenTurns
import knit.am.core.checkCounts
import knit.am.core.checkExits
import knit.am.core.checkFollowed
import knit.am.core.checkOrdinals
import knit.am.core.checkPhase
import knit.am.core.checkWaits
import knit.am.core.dueTimes
import knit.am.core.stateAfter
import org.junit.jupiter.api.Assertions.assertEquals
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
  private val leases = SeenLeases()
  private var turns = 0

  /** Every container there ever was, as it was last seen. */
  private val seen = sortedMapOf<ContainerKey, Container>()

  private val failures = SeenFailures()
  private var checked = initial

  private val changes = SeenTurns(initial)
  private val services = ServiceRules(initial)
  private val budgets = BudgetRules()
  private val keys = KeyRules()
  private var latest = Instant.MIN

  /** How many turns in a row were for times that had passed when they were set. */
  private var overdue = 0

  /** All of it once more, whenever that was last. */
  fun check(
    application: Application,
    now: Instant,
  ) {
    application.containers.forEach { seen[it.key] = it }
    changes.check(application)
    checkContainers(checked, application)
    checkCounts(application, seen.values)
    checkOrdinals(application, seen.values)
    leases.check(application, seen.values)
    services.check(application, now)
    keys.check(application)
    checkWaits(application, now, latest)
    checkPhase(checked, application, leases.unregistrations)
    checked = application
  }

  fun turn(
    before: Application,
    input: Input,
    decision: Decision<*>,
    now: Instant,
  ) {
    val application = decision.application
    latest = maxOf(latest, now)
    checkNothingIsOverdue(input, now)
    if (input is Granted) leases.granted(input.lease)
    if (input is Completed) leases[input.containerId]?.isEndTold = true
    decision.effects.forEach { leases.take(it, application) }
    decision.ended.forEach { seen[it.key] = it }
    if (input is Due) failures.forgive(now)
    failures.take(input, before, decision.ended, now)
    if (input is Completed) checkEnd(before, application, input)
    if (input is NodeLost) {
      assertTrue(application.containers.none { it.state.isLeased && it.lease?.nodeId == input.nodeId }, "some live on ${input.nodeId}")
    }
    changes.take(before, decision)
    services.turn(before, input, decision, now)
    budgets.turn(before, input, decision, now)
    keys.turn(decision)
    if (turns++ % interval == 0) {
      checkDeadlines(application, now)
      assertEquals(failures.excluded, application.excludedNodes, "excluded nodes")
      check(application, now)
    }
  }

  private fun checkEnd(
    before: Application,
    after: Application,
    input: Completed,
  ) {
    val container = before.container(input.containerId) ?: return
    if (container.state.isFinal) return
    // What has run nothing has not failed, and is asked for again.
    val state = if (container.state == ContainerState.HELD) ContainerState.REQUESTED else container.stateAfter(input.exitStatus)
    val now = if (state.isFinal) seen[container.key] else after.container(container.key)
    assertEquals(state, now?.state, "after its end was reported")
  }

  /** Whatever the application says of its deadlines: what is due is dealt with before anything else is heard. */
  private fun checkNothingIsOverdue(
    input: Input,
    now: Instant,
  ) {
    if (input is Due) return
    val overdue = failures.overdue(now)
    assertTrue(overdue.isEmpty(), "is not forgiven in time: $overdue")
  }

  /** The next deadline is the earliest of all times that stand on records, of what speaks against nodes, and of the end. */
  private fun checkDeadlines(
    application: Application,
    now: Instant,
  ) {
    val end = application.header.endDeadline
    if (end != null) {
      val most = if (application.header.isGivenBack) GIVEN_BACK_SECONDS else STOPPING_SECONDS
      assertTrue(end <= latest.plusSeconds(most), "at $now the end is due at $end")
    }
    val due = dueTimes(application)
    assertEquals((due + listOfNotNull(failures.forgiveTime, end)).minOrNull(), application.nextDeadline, "the next deadline")
    // A limit that is set anew may be over already; the turn for it must be the end of that.
    overdue = if (due.any { it <= now }) overdue + 1 else 0
    assertTrue(overdue <= MAX_OVERDUE, "$overdue turns, and at $now these are due: ${due.filter { it <= now }}")
  }

  /** None vanishes that is not one attempt of too many, a final one never changes, none skips a state, ranks and attempts have no gaps. */
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
    for (name in application.serviceNames) {
      val byRank = application.containersOf(name).groupBy { it.key.place.rank }
      assertEquals((0 until byRank.size).toList(), byRank.keys.toList(), "ranks of $name")
      for (attempts in byRank.values) {
        val last = attempts.last().key
        val numbers = (last.attemptNumber - attempts.size + 1..last.attemptNumber).toList()
        assertEquals(numbers, attempts.map { it.key.attemptNumber }, "attempts")
        assertTrue(ContainerKey(last.place, last.attemptNumber + 1) !in seen, "${last.place} is filled by an earlier attempt")
        val isKept = attempts.first().state.isFinal
        assertTrue(!isKept || attempts.size - 1 <= application.retention.attemptsPerRank, "too many attempts of ${last.place}")
        checkFollowed(attempts)
      }
    }
    checkExits(application)
  }

  private companion object {
    const val STOPPING_SECONDS = 60L
    const val GIVEN_BACK_SECONDS = 600L

    /** As many as may be set at once: by a client and by what follows from it. */
    const val MAX_OVERDUE = 3
  }
}
