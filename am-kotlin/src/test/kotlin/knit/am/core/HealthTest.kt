package knit.am.core

import knit.am.core.ContainerState.FAILED
import knit.am.core.ContainerState.PENDING
import knit.am.core.ContainerState.RUNNING
import knit.am.core.ContainerState.STOPPING
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import java.time.Duration

class HealthTest {
  private val worker = ContainerRef("worker", 0)

  private fun running(
    readiness: Readiness,
    maxRestarts: Int = 0,
  ) = registered("worker" to service(maxRestarts = maxRestarts, readiness = readiness)).after(granted(1), started(1))

  private fun Application.at(
    seconds: Long,
    vararg inputs: Input,
  ): Application = inputs.fold(this) { soFar, input -> soFar.decide(input, NOW.plusSeconds(seconds)).application }

  private val Application.worker: Container get() = checkNotNull(container(this@HealthTest.worker))

  @Test
  fun itIsReadyOnceItHasRunForAWhile() {
    val table = mapOf(null to 1L, Duration.ZERO to 0L, Duration.ofSeconds(30) to 30L)
    for ((minReady, seconds) in table) {
      val running = running(Readiness(minReady = minReady))
      if (seconds > 0) {
        assertEquals(NOW.plusSeconds(seconds), running.nextDeadline)
        assertFalse(running.at(seconds - 1, Due).worker.isReady, "$minReady")
        assertEquals(ServiceCondition.STARTING, running.services.getValue("worker").condition)
      }
      val ready = running.at(seconds, Due)
      assertTrue(ready.worker.isReady, "$minReady")
      assertEquals(NOW.plusSeconds(seconds), ready.worker.readyTime)
      assertEquals(ServiceCondition.READY, ready.services.getValue("worker").condition)
      assertEquals(1, ready.tally("worker").readyRanks)
      assertNull(ready.nextDeadline)
    }
  }

  @Test
  fun aProgramThatSaysSoIsReadyOnceItHasSaidItForAWhile() {
    val running = running(Readiness(isReported = true))
    assertNull(running.nextDeadline)
    val reported = running.at(5, ReportReady(worker, true))
    assertFalse(reported.worker.isReady)
    assertSame(reported, reported.at(5, ReportReady(worker, true)), "saying it twice changes nothing")
    val ready = reported.at(6, Due)
    assertTrue(ready.worker.isReady)
    val not = ready.at(7, ReportReady(worker, false))
    assertFalse(not.worker.isReady)
    assertEquals(NOW.plusSeconds(6), not.worker.readyTime)
    assertEquals(ServiceCondition.DEGRADED, not.services.getValue("worker").condition)
    assertTrue(
      not
        .at(8, ReportReady(worker, true))
        .at(9, Due)
        .worker.isReady,
    )
  }

  @Test
  fun whatItSaysBeforeItsStartIsConfirmedCounts() {
    val early = registered("worker" to service(readiness = Readiness(isReported = true))).after(granted(1), ReportReady(worker, true))
    assertTrue(early.at(3, started(1)).worker.isReady)
    assertEquals(NOW.plusSeconds(3), early.at(3, started(1)).worker.readyTime)
  }

  @Test
  fun whatIsNotReadyInTimeHasFailed() {
    val running = running(Readiness(isReported = true, limit = Duration.ofSeconds(20)), maxRestarts = 1)
    val decision = running.decide(Due, NOW.plusSeconds(20))
    assertEquals(listOf<Effect>(StopContainer(lease(1))), decision.effects)
    assertEquals(listOf(STOPPING), decision.application.states())
    val failed = decision.application.at(21, completed(1, 143))
    assertEquals(listOf(FAILED, ContainerState.REQUESTED), failed.states())
    assertEquals(ExitReason.UNHEALTHY, failed.container(id(1))?.exit?.reason)
    val again = failed.at(22, granted(2), started(2)).at(42, Due).at(43, completed(2, 143))
    assertEquals(Phase.REPORTING, again.phase)
    assertEquals(
      "worker 0 (attempt 2) failed: was not ready in time, and was stopped on node1:8041.",
      again.outcome?.diagnostics,
    )
  }

  @Test
  fun whatWasReadyOnceIsNotLate() {
    val readiness = Readiness(isReported = true, limit = Duration.ofSeconds(20))
    val ready = running(readiness).at(1, ReportReady(worker, true)).at(2, Due)
    assertEquals(listOf(RUNNING), ready.at(3, ReportReady(worker, false)).at(60, Due).states())
    val late = running(readiness).at(19, ReportReady(worker, true))
    assertEquals(NOW.plusSeconds(20), late.nextDeadline)
    assertTrue(late.at(20, Due).worker.isReady, "the moment counts for it")
  }

  @Test
  fun whoMayNotSayItIsTold() {
    val notAsked = assertThrows<AmException.FailedPrecondition> { running(Readiness()).after(ReportReady(worker, true)) }
    assertEquals(Reason.READINESS_NOT_REPORTED, notAsked.reason)
    val reported = Readiness(isReported = true)
    val ended = assertThrows<AmException.FailedPrecondition> { running(reported).after(completed(1), ReportReady(worker, true)) }
    assertEquals(Reason.CONTAINER_ENDED, ended.reason)
    val nobody = assertThrows<AmException.NotFound> { running(reported).after(ReportReady(ContainerRef("worker", 9), true)) }
    assertEquals(Reason.NO_SUCH_CONTAINER, nobody.reason)
  }

  @Test
  fun conditionsAreThoseOfTheRanks() {
    val two = registered("worker" to service(instances = 2, failurePolicy = FailurePolicy.IGNORE), "other" to service())
    val ready = two.after(granted(1), granted(2), granted(3), started(2), started(3)).at(1, Due)
    val table =
      mapOf(
        two to ServiceCondition.STARTING,
        ready to ServiceCondition.READY,
        ready.at(2, completed(2, 0)) to ServiceCondition.READY,
        ready.at(2, completed(2, 1)) to ServiceCondition.DEGRADED,
        ready.at(2, completed(2, 1), completed(3, 0)) to ServiceCondition.FAILED,
        ready.at(2, completed(2, 0), completed(3, 0)) to ServiceCondition.SUCCEEDED,
        ready.at(2, stopping(2), completed(2, 143)) to ServiceCondition.READY,
      )
    for ((application, condition) in table) {
      assertEquals(
        condition,
        application.services.getValue("worker").condition,
        "${application.tally("worker")}",
      )
    }
    assertFalse(ready.states().contains(PENDING))
  }
}
