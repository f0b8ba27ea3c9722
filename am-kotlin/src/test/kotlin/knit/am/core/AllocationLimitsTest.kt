package knit.am.core

import knit.am.core.ContainerState.LAUNCHING
import knit.am.core.ContainerState.REQUESTED
import knit.am.core.ContainerState.STOPPED
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.time.Duration

class AllocationLimitsTest {
  private val limit = Duration.ofMinutes(10)
  private val late = NOW.plus(limit)

  private fun waiting(
    policy: AllocationPolicy,
    instances: Int = 3,
  ) = registered("worker" to service(instances, maxReplacements = 3).copy(allocationLimit = limit, allocationPolicy = policy))

  private fun Application.deadline() = services.getValue("worker").allocationDeadline

  @Test
  fun itCountsFromWhenTheFirstThatStillWaitsWasAskedFor() {
    val application = waiting(AllocationPolicy.FAIL)
    assertEquals(late, application.deadline())
    val granted = application.after(granted(1), granted(2), granted(3))
    assertNull(granted.deadline(), "nobody waits")
    val later = NOW.plusSeconds(300)
    val replaced = granted.decide(completed(1, ExitStatus.PREEMPTED), later).application
    assertEquals(later.plus(limit), replaced.deadline())
    // The first of those that waited is granted; the one that waits since later is not overdue yet.
    val mixed = waiting(AllocationPolicy.FAIL, 1).decide(adding("worker", 1, LARGE), later).application.after(granted(1))
    assertEquals(late, mixed.deadline())
    val looked = mixed.decide(Due, late).application
    assertEquals(Phase.RUNNING, looked.phase)
    assertEquals(later.plus(limit), looked.deadline())
    assertEquals(Phase.ENDING, looked.decide(Due, later.plus(limit)).application.phase)
  }

  @Test
  fun failEndsTheApplicationWithWhatItWaitedFor() {
    val ended = waiting(AllocationPolicy.FAIL).after(granted(1)).decide(Due, late).application
    assertEquals(Phase.ENDING, ended.phase)
    assertEquals(FinalStatus.FAILED, ended.outcome?.finalStatus)
    assertEquals("Service worker has waited 600 s for 2 containers that YARN has not granted.", ended.outcome?.diagnostics)
    assertEquals(1, ended.outcome?.exitCode)
  }

  @Test
  fun goOnRetiresThoseThatWait() {
    val decision = waiting(AllocationPolicy.GO_ON).after(granted(1)).decide(Due, late)
    assertEquals(Phase.RUNNING, decision.application.phase)
    assertEquals(listOf(LAUNCHING, STOPPED, STOPPED), decision.application.states())
    assertEquals(
      1,
      decision.application.services
        .getValue("worker")
        .target,
    )
    assertEquals(
      ExitReason.SCALED_DOWN,
      decision.application
        .latest(PlaceKey("worker", 2))
        ?.exit
        ?.reason,
    )
    assertTrue(decision.changes!!.changes.any { it is Noticed && "goes on with 1" in it.text })
    assertNull(decision.application.deadline())
    assertEquals(Phase.REPORTING, decision.application.after(completed(1)).phase)
  }

  @Test
  fun goOnWithNoneIsToFail() {
    assertEquals(
      FinalStatus.FAILED,
      waiting(AllocationPolicy.GO_ON)
        .decide(Due, late)
        .application.outcome
        ?.finalStatus,
    )
  }

  @Test
  fun aGangGoesOnWithThoseThatAreHeld() {
    val spec =
      service(
        instances = 3,
      ).copy(allocationLimit = Duration.ofMinutes(5), allocationPolicy = AllocationPolicy.GO_ON, startsTogether = true)
    val decision = registered("worker" to spec).after(granted(1), granted(2)).decide(Due, NOW.plusSeconds(300))
    assertEquals(listOf(LAUNCHING, LAUNCHING, STOPPED), decision.application.states())
  }

  @Test
  fun keepWaitingSaysSoOnceForAsLongAsSomethingWaits() {
    val decision = waiting(AllocationPolicy.KEEP_WAITING).decide(Due, late)
    val notice =
      decision.changes!!
        .changes
        .filterIsInstance<Noticed>()
        .single()
    assertEquals(NoticeSeverity.WARNING, notice.severity)
    assertEquals("worker", notice.serviceName)
    assertEquals(List(3) { REQUESTED }, decision.application.states())
    assertNull(decision.application.deadline())
    val partly = decision.application.after(granted(1))
    assertNull(partly.deadline())
    assertEquals(
      late,
      partly.after(granted(2), granted(3), completed(1, ExitStatus.PREEMPTED)).deadline(),
      "a new wait has a limit of its own",
    )
  }

  @Test
  fun whatNobodyLimitsHasNoDeadline() {
    assertNull(registered("worker" to service()).deadline())
  }
}
