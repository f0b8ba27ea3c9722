package knit.am.core

import knit.am.core.ContainerState.FAILED
import knit.am.core.ContainerState.PENDING
import knit.am.core.ContainerState.REQUESTED
import knit.am.core.ContainerState.RUNNING
import knit.am.core.ContainerState.STOPPED
import knit.am.core.ContainerState.STOPPING
import knit.am.core.ContainerState.SUCCEEDED
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

/** What clients start anew, stop by other names, and say of how far things are. */
class AgainTest {
  private val two = registered("worker" to service(instances = 2, failurePolicy = FailurePolicy.FINISH_OTHERS))
  private val running = two.after(granted(1), granted(2), started(1), started(2))
  private val first = Named(places = listOf(PlaceKey("worker", 0)))

  @Test
  fun whatRunsEndsFirstAndIsFollowedThen() {
    val decision = running.decide(RestartContainers(first), NOW)
    assertEquals(listOf<Effect>(StopContainer(lease(1))), decision.effects)
    assertEquals(listOf(STOPPING, PENDING, RUNNING), decision.application.states())
    val next = decision.answer.containers.single()
    assertEquals(key("worker", 0, 2) to 2, next.key to next.ordinal)
    assertEquals(decision.application.sequence, decision.answer.sequence)
    val ended = decision.application.after(completed(1, 143))
    assertEquals(listOf(STOPPED, REQUESTED, RUNNING), ended.states())
    assertEquals(ExitReason.RESTARTED, ended.container(id(1))?.exit?.reason)
    assertEquals(null, ended.slot(PlaceKey("worker", 0))?.place, "no account is charged")
  }

  @Test
  fun whatHasNotBegunIsNotBegunAnew() {
    assertSame(two, two.after(RestartContainers(first)))
    val again = running.after(RestartContainers(first))
    assertSame(again, again.after(RestartContainers(first)), "it waits for the one before")
  }

  @Test
  fun aRankThatIsOverIsFilledAgain() {
    for ((status, state) in listOf(0 to SUCCEEDED, 1 to FAILED)) {
      val over = running.after(completed(1, status))
      assertEquals(listOf(state, REQUESTED, RUNNING), over.after(RestartContainers(first)).states())
    }
    val stopped = running.after(stopping(1), RestartContainers(first))
    assertEquals(listOf(STOPPING, PENDING, RUNNING), stopped.states())
    assertEquals(listOf(STOPPED, REQUESTED, RUNNING), stopped.after(completed(1, 143)).states())
    val neither = running.after(RestartContainers(first), StopContainers(emptyList(), listOf(PlaceKey("worker", 0))), completed(1, 143))
    assertEquals(listOf(STOPPED, STOPPED, RUNNING), neither.states(), "what was to follow was stopped too")
  }

  @Test
  fun aRestCanBeCutShort() {
    val spec = service(maxRestarts = 3, backOff = BackOff())
    val resting = registered("worker" to spec).after(granted(1), completed(1, 1))
    assertEquals(listOf(FAILED, PENDING), resting.states())
    val again = resting.after(RestartContainers(first))
    assertEquals(listOf(FAILED, STOPPED, REQUESTED), again.states())
    assertEquals(0, again.slot(PlaceKey("worker", 0))?.place?.rests)
  }

  @Test
  fun containersAreNamedInFourWays() {
    val ways =
      listOf(
        Named(containerIds = listOf(id(1), id(2))),
        Named(places = listOf(PlaceKey("worker", 0), PlaceKey("worker", 1))),
        Named(containers = listOf(ContainerRef("worker", 0), ContainerRef("worker", 1))),
        Named(serviceNames = listOf("worker")),
        Named(listOf(id(1)), listOf(PlaceKey("worker", 0)), listOf(ContainerRef("worker", 1)), listOf("worker")),
      )
    for (named in ways) {
      val stopped = running.after(StopContainers(named.containerIds, named.places, named.containers, named.serviceNames))
      assertEquals(listOf(STOPPING, STOPPING), stopped.states(), "$named")
      assertEquals(
        2,
        running
          .decide(RestartContainers(named), NOW)
          .answer.containers.size,
        "$named",
      )
    }
  }

  @Test
  fun allOrNoneAreStartedAnew() {
    val wrong =
      listOf(
        Named(),
        first.copy(containers = listOf(ContainerRef("worker", 2))),
        first.copy(containerIds = listOf("nobody")),
        first.copy(serviceNames = listOf("nobody")),
        first.copy(places = List(10_001) { PlaceKey("worker", 0) }),
      )
    for (named in wrong) assertThrows<AmException> { running.after(RestartContainers(named)) }
    val lost = assertThrows<AmException.OutOfRange> { running.after(RestartContainers(first, historyId = "another")) }
    assertEquals(Reason.HISTORY_LOST, lost.reason)
    val ending =
      assertThrows<AmException.FailedPrecondition> { running.after(EndApplication(FinalStatus.KILLED, ""), RestartContainers(first)) }
    assertEquals(Reason.APPLICATION_ENDING, ending.reason)
  }

  @Test
  fun ofMuchThatIsStartedAnewCountsStayRight() {
    var application = running.keeping(Retention(attemptsPerRank = 2))
    for (number in 3..30) {
      application =
        application.after(RestartContainers(first), completed(if (number == 3) 1 else number - 1, 143), granted(number), started(number))
    }
    assertEquals(28, application.count(STOPPED))
    assertEquals(2, application.count(RUNNING))
    assertEquals(0, application.count(FAILED))
    assertEquals(30, application.tally("worker").total)
    assertEquals(Index.of(application), application.index)
    Application.nothing(application.retention).with(application.beginning()).assertLike(application)
  }

  @Test
  fun progressIsWhatAProgramSaysOrWhatHasEnded() {
    assertEquals(0.0, running.progress)
    assertEquals(0.5, running.after(completed(1)).progress)
    val said = running.after(ReportProgress(0.75))
    assertEquals(0.75, said.after(completed(1)).progress)
    assertEquals(0.5, said.after(ReportProgress(null), completed(1)).progress)
    for (wrong in listOf(-0.1, 1.1, Double.NaN, Double.POSITIVE_INFINITY)) {
      assertThrows<AmException.InvalidArgument> {
        running.after(ReportProgress(wrong))
      }
    }
    assertTrue(registered("worker" to service(instances = 0)).progress == 0.0)
  }

  @Test
  fun aRankThatSucceedsInTheEndMakesGoodItsFailure() {
    val failed = running.after(completed(1, 3), RestartContainers(first), granted(3), started(3))
    assertEquals(FinalStatus.SUCCEEDED to 0, failed.after(completed(3), completed(2)).outcome?.let { it.finalStatus to it.exitCode })
    assertEquals(FinalStatus.FAILED to 3, failed.after(completed(3, 5), completed(2)).outcome?.let { it.finalStatus to it.exitCode })
    val other = failed.after(completed(3), completed(2, 4)).outcome
    assertEquals(FinalStatus.FAILED to 4, other?.let { it.finalStatus to it.exitCode })
    assertTrue("worker 1 failed" in other?.diagnostics.orEmpty(), other?.diagnostics)
  }
}
