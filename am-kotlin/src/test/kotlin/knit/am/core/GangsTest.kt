package knit.am.core

import knit.am.core.ContainerState.HELD
import knit.am.core.ContainerState.LAUNCHING
import knit.am.core.ContainerState.REQUESTED
import knit.am.core.ContainerState.RUNNING
import knit.am.core.ContainerState.STOPPED
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.time.Duration

class GangsTest {
  private val gang = registered("worker" to service(instances = 3, maxReplacements = 3).copy(startsTogether = true))
  private val late = NOW.plus(Duration.ofMinutes(9))

  @Test
  fun allStartInTheTurnOfTheLastGrant() {
    val held = gang.after(granted(1), granted(2))
    assertEquals(listOf(HELD, HELD, REQUESTED), held.states())
    val decision = held.decide(granted(3), NOW)
    assertEquals(List(3) { LAUNCHING }, decision.application.states())
    assertEquals(setOf(id(1), id(2), id(3)), decision.effects.map { (it as Launch).lease.containerId }.toSet())
    assertNull(decision.application.nextDeadline)
  }

  @Test
  fun afterNineMinutesAllAreGivenBackAndAskedForAnew() {
    val held = gang.after(granted(1)).decide(granted(2), NOW.plusSeconds(60)).application
    assertEquals(late, held.nextDeadline)
    assertEquals(emptyList<Effect>(), held.decide(Due, late.minusSeconds(1)).effects)
    val decision = held.decide(Due, late)
    assertEquals(listOf<Effect>(Release(id(1)), Release(id(2))), decision.effects)
    assertEquals(List(3) { REQUESTED }, decision.application.states())
    assertEquals(mapOf(SMALL to 3), decision.application.wanted())
    assertNull(decision.application.nextDeadline)
    assertTrue(decision.application.knows(id(1)), "granted again, it is no news")
    val again = decision.application.after(granted(4), granted(5), granted(6))
    assertEquals(List(3) { LAUNCHING }, again.states())
    assertEquals(listOf(0, 1, 2), again.containersOf("worker").map { it.ordinal }.toList(), "the same containers as before")
  }

  @Test
  fun aLeaseThatIsLostWhileHeldIsAskedForAnewAndChargedToNobody() {
    val held = gang.after(granted(1), granted(2, node = 2))
    val table =
      listOf(
        completed(1, ExitStatus.ABORTED, "Container expired since it was unused"),
        completed(1, ExitStatus.PREEMPTED),
        NodeLost("node1:8041"),
      )
    for (report in table) {
      val after = held.after(report)
      assertEquals(listOf(REQUESTED, HELD, REQUESTED), after.states(), "$report")
      assertNull(after.slot(PlaceKey("worker", 0))?.place, "no account is charged")
      assertEquals(emptySet<String>(), after.excludedNodes)
      assertEquals(after, after.after(report), "told twice")
      assertEquals(List(3) { LAUNCHING }, after.after(granted(7), granted(8)).states())
    }
  }

  @Test
  fun whoIsHeldAndToStopHasNothingToStop() {
    val decision = gang.after(granted(1), granted(2)).decide(stopping(1), NOW)
    assertEquals(listOf(STOPPED, HELD, REQUESTED), decision.application.states())
    assertEquals(listOf<Effect>(Release(id(1))), decision.effects)
    val ended = gang.after(granted(1)).decide(EndApplication(FinalStatus.KILLED, ""), NOW)
    assertEquals(Release(id(1)), ended.effects.first())
    assertEquals(Phase.REPORTING, ended.application.phase)
  }

  @Test
  fun fewerThanAllStartWhereFewerAreWanted() {
    val decision = gang.after(granted(1), granted(2)).decide(ScaleService("worker", Amount.Count(2)), NOW)
    assertEquals(listOf(LAUNCHING, LAUNCHING, STOPPED), decision.application.states())
  }

  @Test
  fun whatComesAfterTheFirstStartStartsAsItComes() {
    val running = gang.after(granted(1), granted(2), granted(3), started(1), started(2), started(3))
    val lost = running.after(completed(1, ExitStatus.PREEMPTED), completed(2, ExitStatus.PREEMPTED), granted(4))
    assertEquals(LAUNCHING, lost.latest(PlaceKey("worker", 0))?.state)
    assertEquals(REQUESTED, lost.latest(PlaceKey("worker", 1))?.state)
    val more = running.after(ScaleService("worker", Amount.Delta(2)), granted(5))
    assertEquals(listOf(RUNNING, RUNNING, RUNNING, LAUNCHING, REQUESTED), more.states())
  }

  @Test
  fun theReasonNamesThoseThatAreMissing() {
    val reason = checkNotNull(gang.after(granted(1)).gangReason("worker"))
    assertEquals(WaitingCause.GANG, reason.cause)
    assertEquals(late, reason.until)
    assertEquals(mapOf("held" to "1", "missing" to "2"), reason.facts)
    assertNull(gang.gangReason("worker"))
  }
}
