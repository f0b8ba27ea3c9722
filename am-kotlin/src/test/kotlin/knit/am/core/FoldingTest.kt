package knit.am.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

/** That the fold of all turns is the application is what the simulation checks after each of them. */
class FoldingTest {
  private val application = registered("worker" to service(instances = 3, maxRestarts = 1, failurePolicy = FailurePolicy.FINISH_OTHERS))

  @Test
  fun theBeginningIsTurnOneAndEachThatChangesSomethingTheNext() {
    assertEquals(1, start("worker" to service()).sequence)
    val granted = application.decide(granted(1), NOW.plusSeconds(1))
    assertEquals(application.sequence + 1, granted.changes?.sequence)
    assertEquals(NOW.plusSeconds(1), granted.changes?.time)
    assertEquals(application.sequence + 1, granted.application.sequence)
  }

  @Test
  fun whatChangesNothingTakesNoNumber() {
    val stopping = application.after(granted(1), started(1), stopping(1))
    for (input in listOf(granted(1), started(1), stopping(1), completed(9), Registered(MOST), MaximumChanged(MOST), Due, Unregistered)) {
      val decision = stopping.decide(input, NOW)
      assertNull(decision.changes, "$input")
      assertSame(stopping, decision.application, "$input")
    }
  }

  @Test
  fun allThatOneInputLeadsToIsOneTurn() {
    val running = application.after(granted(1), granted(2), started(1))
    val lost = running.decide(NodeLost("node1:8041"), NOW)
    val changed = lost.changes?.changes.orEmpty()
    assertEquals(2, changed.count { it is ContainerChanged }, "$changed")
    assertEquals(1, changed.count { it is HeaderChanged }, "the first failure: $changed")
    assertEquals(running.sequence + 1, lost.application.sequence)
    val ended = running.decide(EndApplication(FinalStatus.KILLED, ""), NOW)
    assertEquals(3, ended.changes?.changes?.count { it is ContainerChanged })
    assertEquals(running.sequence + 1, ended.application.sequence)
  }

  @Test
  fun aTurnAppliedTwiceOrOutOfOrderIsRefused() {
    val turn = checkNotNull(application.decide(granted(1), NOW).changes)
    val next = application.with(turn)
    assertThrows<IllegalStateException> { next.with(turn) }
  }

  @Test
  fun aRecordAppliedTwiceDoesNoHarm() {
    val turn = checkNotNull(application.decide(granted(1), NOW).changes)
    val once = application.with(turn)
    once.with(ChangeSet(turn.sequence + 1, NOW, turn.changes)).let {
      assertEquals(once.asChanges().toList(), it.asChanges().toList())
      assertEquals(once.index, it.index)
    }
  }

  @Test
  fun aSnapshotIsTheApplicationAlsoWhereAttemptsAndLeasesAreForgotten() {
    var crashing = registered("worker" to service(instances = 2, maxRestarts = 100, maxReplacements = 5))
    for (number in 1..60) crashing = crashing.after(granted(number), started(number), completed(number, 1, "word ".repeat(number * 10)))
    crashing = crashing.after(granted(61), LaunchFailed(id(61), "refused"), adding("worker", 3, LARGE, mapOf("A" to "b"), "one"))
    assertTrue(crashing.pastLeases.size > 30)
    assertEquals(61, crashing.count(ContainerState.FAILED))
    val recovered = Application.nothing().with(crashing.beginning())
    recovered.assertLike(crashing)
    assertEquals(crashing.after(granted(62)).container(id(62)), recovered.after(granted(62)).container(id(62)))
  }

  @Test
  fun pastLeasesHaveAMostAndTheOldestGoFirst() {
    var kept = application.keeping(Retention(leases = 2))
    for (number in 1..3) kept = kept.after(granted(number))
    for (number in 4..7) kept = kept.after(granted(number))
    assertEquals(setOf(id(6), id(7)), kept.pastLeases.keys)
    assertFalse(kept.knows(id(5)))
    assertTrue(kept.knows(id(6)))
    assertEquals(emptyList<Effect>(), kept.decide(granted(6), NOW).effects)
  }

  @Test
  fun theClockMayGoBackAndTheOldestAttemptIsForgottenFirstAllTheSame() {
    var crashing = registered("worker" to service(maxRestarts = 100)).keeping(Retention(attemptsPerRank = 9, attempts = 2))
    for (number in 1..6) {
      val now = NOW.minusSeconds(number.toLong())
      crashing = crashing.decide(granted(number), now).application
      crashing = crashing.decide(completed(number, 1), now).application
    }
    assertEquals(listOf(5, 6, 7), crashing.containers.map { it.key.attemptNumber }.toList())
    assertEquals(Index.of(crashing), crashing.index)
  }

  @Test
  fun deadlinesAreTimesOnRecordsAndTheEarliestIsNext() {
    val excluded = application.after(granted(1), granted(2), LaunchFailed(id(1), ""))
    assertEquals(NOW.plus(BLAME_LASTS), excluded.nextDeadline)
    val ending = excluded.after(EndApplication(FinalStatus.KILLED, ""))
    assertEquals(NOW.plus(STOP_PROGRESS_LIMIT), ending.nextDeadline)
    assertEquals(2, ending.index.deadlines.size)
    val late = ending.decide(Due, NOW.plus(BLAME_LASTS)).application
    assertEquals(NOW.plus(BLAME_LASTS).plus(GIVE_BACK_PROGRESS_LIMIT), late.nextDeadline, "both were done in one turn")
    assertTrue(late.nodes.isEmpty())
  }
}
