package knit.am.core

import knit.am.core.ContainerState.FAILED
import knit.am.core.ContainerState.PENDING
import knit.am.core.ContainerState.REQUESTED
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.time.Duration
import java.time.Instant

class BackOffTest {
  private val place = PlaceKey("worker", 0)

  private fun Application.at(
    time: Instant,
    vararg inputs: Input,
  ): Application = inputs.fold(this) { soFar, input -> soFar.decide(input, time).application }

  /** Whether a rest is [seconds] long, a tenth more or less. */
  private fun assertAbout(
    seconds: Double,
    rest: Duration,
    what: String,
  ) = assertTrue(rest.toMillis() / 1_000.0 in seconds * 0.9 - 0.001..seconds * 1.1 + 0.001, "$what: $rest, not about $seconds s")

  @Test
  fun restsGrowUpToTheMost() {
    val default = BackOff()
    val own = BackOff(Duration.ofSeconds(10), factor = 3.0, most = Duration.ofSeconds(60))
    val table =
      listOf(
        Triple(default, ExitReason.EXITED, listOf(1.0, 2.0, 4.0, 8.0)),
        Triple(default, ExitReason.UNHEALTHY, listOf(1.0)),
        Triple(default, ExitReason.PREEMPTED, listOf(0.0, 0.0)),
        Triple(default, ExitReason.NODE_LOST, listOf(0.0)),
        Triple(own, ExitReason.EXITED, listOf(10.0, 30.0, 60.0, 60.0)),
        Triple(own, ExitReason.PREEMPTED, listOf(10.0)),
        Triple(BackOff(Duration.ZERO), ExitReason.EXITED, listOf(0.0)),
        Triple(BackOff(Duration.ofSeconds(1), factor = 1.0), ExitReason.EXITED, listOf(1.0, 1.0, 1.0)),
      )
    for ((backOff, reason, seconds) in table) {
      seconds.forEachIndexed {
        rests,
        expected,
        ->
        assertAbout(expected, backOff.restAfter(reason, rests, key("worker", 0, rests + 2)), "$backOff, $reason")
      }
    }
    assertAbout(300.0, default.restAfter(ExitReason.EXITED, Int.MAX_VALUE, key("worker", 0)), "after ever so many")
    assertAbout(300.0, BackOff(factor = Double.MAX_VALUE).restAfter(ExitReason.EXITED, 9, key("worker", 0)), "a factor without end")
  }

  @Test
  fun thoseThatFailTogetherDoNotBeginTogether() {
    val rests = (0 until 100).map { BackOff(Duration.ofSeconds(100)).restAfter(ExitReason.EXITED, 0, key("worker", it, 2)).toMillis() }
    assertTrue(rests.distinct().size > 90, "$rests")
    assertTrue(rests.min() < 93_000 && rests.max() > 107_000, "they are spread: ${rests.min()} to ${rests.max()}")
    assertEquals(
      rests,
      (0 until 100).map { BackOff(Duration.ofSeconds(100)).restAfter(ExitReason.EXITED, 0, key("worker", it, 2)).toMillis() },
    )
  }

  @Test
  fun theNextAttemptIsThereAtOnceAndIsAskedForInTime() {
    val failed = registered("worker" to service(maxRestarts = 3, backOff = BackOff())).after(granted(1), started(1), completed(1, 1))
    assertEquals(listOf(FAILED, PENDING), failed.states())
    val next = checkNotNull(failed.latest(place))
    assertEquals(1, next.ordinal)
    assertEquals(next, failed.container(ContainerRef("worker", 1)))
    assertEquals(emptyMap<Resource, Int>(), failed.wanted())
    val time = checkNotNull(next.restartTime)
    assertEquals(time, failed.nextDeadline)
    val reason = failed.ownReasons("worker").single()
    assertEquals(WaitingCause.BACK_OFF to time, reason.cause to reason.until)
    assertEquals(listOf(FAILED, PENDING), failed.at(time.minusMillis(1), Due).states())
    val asked = failed.at(time, Due)
    assertEquals(listOf(FAILED, REQUESTED), asked.states())
    assertEquals(mapOf(SMALL to 1), asked.wanted())
    assertEquals(time, asked.latest(place)?.requestTime)
    assertNull(asked.nextDeadline)
    val launched = asked.decide(granted(2), time).effects.single() as Launch
    assertEquals(key("worker", 0, 2) to 1, launched.key to launched.ordinal)
  }

  @Test
  fun whoHasRunForLongRestsAsAfterTheFirstFailure() {
    var application = registered("worker" to service(maxRestarts = 9, backOff = BackOff()))
    var now = NOW
    val rests =
      listOf(1L, 1L, 1L, 601L, 1L).mapIndexed { number, seconds ->
        application = application.at(now, granted(number + 1), started(number + 1))
        now = now.plusSeconds(seconds)
        application = application.at(now, Due, completed(number + 1, 1))
        val rest = Duration.between(now, application.latest(place)?.restartTime)
        now += rest
        application = application.at(now, Due)
        rest
      }
    for ((rest, seconds) in rests.zip(listOf(1.0, 2.0, 4.0, 1.0, 2.0))) assertAbout(seconds, rest, "$rests")
  }

  @Test
  fun aBudgetOfTheServiceIsSharedByItsRanks() {
    val budget = RestartBudget(RestartBudget.PROGRAM_REASONS, limit = 2, scope = RestartScope.SERVICE)
    val spec = service(instances = 3, failurePolicy = FailurePolicy.FINISH_OTHERS, restartBudgets = listOf(budget))
    val all = registered("worker" to spec).after(granted(1), granted(2), granted(3), completed(1, 1), completed(2, 1), completed(3, 1))
    assertEquals(listOf(FAILED, REQUESTED, FAILED, REQUESTED, FAILED), all.states())
    assertEquals(Account(2), all.services.getValue("worker").accounts[0])
  }

  @Test
  fun failuresCountAsLongAsTheWindowIs() {
    val budget = RestartBudget(setOf(ExitReason.EXITED), limit = 1, window = Duration.ofSeconds(60))
    val spec = service(failurePolicy = FailurePolicy.FINISH_OTHERS, restartBudgets = listOf(budget))
    val once = registered("worker" to spec).after(granted(1), completed(1, 1))
    assertEquals(listOf(FAILED, FAILED), once.at(NOW.plusSeconds(59), granted(2), completed(2, 1)).states())
    val later = once.at(NOW.plusSeconds(60), granted(2), completed(2, 1))
    assertEquals(listOf(FAILED, FAILED, REQUESTED), later.states())
    assertEquals(
      Account(1, listOf(NOW.plusSeconds(60))),
      later
        .slot(place)
        ?.place
        ?.accounts
        ?.get(0),
    )
  }

  @Test
  fun theFirstBudgetThatNamesTheReasonPaysAndNoneMeansNone() {
    val budgets = listOf(RestartBudget(setOf(ExitReason.EXITED), limit = 0), RestartBudget(setOf(ExitReason.EXITED, ExitReason.PREEMPTED)))
    val spec = service(failurePolicy = FailurePolicy.FINISH_OTHERS, restartBudgets = budgets)
    assertEquals(listOf(FAILED), registered("worker" to spec).after(granted(1), completed(1, 1)).states())
    var without = registered("worker" to spec)
    for (number in 1..20) without = without.after(granted(number), completed(number, -102))
    assertEquals(21, without.latest(place)?.key?.attemptNumber, "without end")
    assertEquals(listOf(FAILED), registered("worker" to spec).after(granted(1), completed(1, -104)).states(), "nobody pays for that")
  }

  @Test
  fun anAccountKeepsNoMoreTimesThanItNeeds() {
    val budget = RestartBudget(setOf(ExitReason.EXITED), limit = null, window = Duration.ofDays(300))
    var account = Account()
    for (number in 1L..1_500L) account = checkNotNull(account.charged(budget, NOW.plusSeconds(number)))
    assertEquals(MAX_WINDOW_LIMIT, account.times.size)
    assertEquals(NOW.plusSeconds(1_500), account.times.last())
  }

  @Test
  fun whatIsWrongWithPoliciesIsSaid() {
    val budget = RestartBudget(setOf(ExitReason.EXITED), limit = 1)
    val table =
      mapOf(
        service(restartBudgets = List(17) { budget }) to "it has 17 restart_budgets, of at most 16",
        service(restartBudgets = listOf(budget.copy(reasons = emptySet()))) to "restart_budgets[0] names no reasons",
        service(restartBudgets = listOf(budget.copy(limit = -1))) to "the limit of restart_budgets[0] is -1; it must be 0 or more",
        service(restartBudgets = listOf(budget.copy(limit = 1_001, window = Duration.ofDays(1)))) to
          "the limit of restart_budgets[0] is 1001; with a window it may be 1000",
        service(restartBudgets = listOf(budget.copy(window = Duration.ZERO))) to "the window of restart_budgets[0] is 0; it must be more",
        service(backOff = BackOff(factor = 0.5)) to "back_off.factor is 0.5; it must be 1 or more",
        service(backOff = BackOff(factor = Double.NaN)) to "back_off.factor is NaN; it must be 1 or more",
        service(backOff = BackOff(first = Duration.ofSeconds(-1))) to "back_off.first is negative",
        service(backOff = BackOff(most = Duration.ofDays(400))) to "back_off.most is 400 days; at most 366 are kept",
        service(readiness = Readiness(limit = Duration.ZERO)) to "readiness.limit is 0; it must be more",
      )
    for ((spec, problem) in table) assertEquals("Service worker cannot be run: $problem.", problemIn(mapOf("worker" to spec)))
  }
}
