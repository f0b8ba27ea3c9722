package knit.am.core

import knit.am.core.ContainerState.FAILED
import knit.am.core.ContainerState.REQUESTED
import knit.am.core.ContainerState.RUNNING
import knit.am.core.ContainerState.STOPPED
import knit.am.core.ContainerState.STOPPING
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class RestartsTest {
  @Test
  fun everyReasonIsChargedToItsBudget() {
    val named = RestartBudget.DEFAULTS.associateWith { it.reasons }
    assertEquals(RestartBudget.PROGRAM_REASONS, named[RestartBudget(RestartBudget.PROGRAM_REASONS, limit = 0)])
    assertEquals(RestartBudget.CLUSTER_REASONS, named[RestartBudget(RestartBudget.CLUSTER_REASONS, limit = 3)])
    val others =
      ExitReason.values().toSet() - RestartBudget.PROGRAM_REASONS - RestartBudget.CLUSTER_REASONS
    val final =
      setOf(
        ExitReason.STOPPED,
        ExitReason.APPLICATION_ENDED,
        ExitReason.SCALED_DOWN,
        ExitReason.REPLACED,
        ExitReason.RESTARTED,
        ExitReason.MASTER_LOST,
      )
    assertEquals(final, others)
  }

  @Test
  fun aFailedProgramIsStartedAgainWhileItsBudgetLasts() {
    val once = registered("worker" to service(maxRestarts = 1)).after(granted(1), completed(1, 2))
    assertEquals(listOf(FAILED, REQUESTED), once.states())
    assertEquals(mapOf(SMALL to 1), once.wanted())
    assertEquals(key("worker", 0, attemptNumber = 2), once.latest(PlaceKey("worker", 0))?.key)

    val twice = once.after(granted(2), completed(2, 3))
    assertEquals(listOf(FAILED, FAILED), twice.states())
    assertEquals(Phase.REPORTING, twice.phase)
  }

  @Test
  fun theBudgetsAreSpentApart() {
    val application = registered("worker" to service(maxRestarts = 1, maxReplacements = 1))
    val spent = application.after(granted(1), completed(1, -102), granted(2), completed(2, 1), granted(3), completed(3, -102))
    assertEquals(listOf(FAILED, FAILED, FAILED), spent.states())
    assertEquals(Phase.REPORTING, spent.phase)
  }

  @Test
  fun eachRankHasBudgetsOfItsOwn() {
    val application = registered("worker" to service(instances = 2, maxRestarts = 1))
    val both = application.after(granted(1), granted(2), completed(1, 1), completed(2, 1))
    assertEquals(listOf(FAILED, REQUESTED, FAILED, REQUESTED), both.states())
  }

  @Test
  fun aReplacementInheritsSizeAndEnvironment() {
    val added = registered("worker" to service(instances = 0, maxReplacements = 1)).after(adding("worker", 1, LARGE, mapOf("A" to "b")))
    val decision = added.after(granted(1, resource = LARGE), completed(1, -102)).decide(granted(2, resource = LARGE), NOW)
    val launch = decision.effects.single() as Launch
    assertEquals(key("worker", 0, attemptNumber = 2), launch.key)
    assertEquals(mapOf("A" to "b"), launch.environment)
  }

  @Test
  fun aStoppedContainerIsNotFollowed() {
    val application = registered("worker" to service(instances = 2, maxRestarts = 5, maxReplacements = 5))
    val stopped = application.after(granted(1), started(1), stopping(1), completed(1, 1))
    assertEquals(listOf(STOPPED, REQUESTED), stopped.states())
    assertEquals(ExitReason.STOPPED, stopped.container(id(1))?.exit?.reason)
    assertEquals(1, stopped.container(id(1))?.exit?.exitCode)
  }

  @Test
  fun aFailureForGoodEndsTheApplicationUnlessTheOthersMayFinish() {
    val strict = registered("worker" to service(instances = 2)).after(granted(1), granted(2), started(2), completed(1, 3))
    assertEquals(Phase.ENDING, strict.phase)
    assertEquals(listOf(FAILED, STOPPING), strict.states())

    val lenient = service(instances = 2, failurePolicy = FailurePolicy.FINISH_OTHERS)
    val running = registered("worker" to lenient).after(granted(1), granted(2), started(2), completed(1, 3))
    assertEquals(Phase.RUNNING, running.phase)
    assertEquals(listOf(FAILED, RUNNING), running.states())
    assertNull(running.outcome)
    val ended = running.after(completed(2, 0))
    assertEquals(FinalStatus.FAILED, ended.outcome?.finalStatus)
    assertEquals(3, ended.outcome?.exitCode)
  }

  @Test
  fun aServiceThatCrashesForEverTakesLittleRoom() {
    val crashes = 100_000
    var application = registered("worker" to service(maxRestarts = Int.MAX_VALUE))
    val diagnostics = "Traceback\n" + "x".repeat(10_000)
    for (number in 1..crashes) application = application.after(granted(number), started(number), completed(number, 1, diagnostics))
    assertEquals(crashes, application.count(FAILED))
    assertEquals(crashes + 1, application.latest(PlaceKey("worker", 0))?.key?.attemptNumber)
    assertEquals((crashes - 9..crashes + 1).toList(), application.containers.map { it.key.attemptNumber }.toList())
    assertTrue(application.containers.all { (it.exit?.diagnostics?.length ?: 0) <= MAX_DIAGNOSTICS_LENGTH })
    assertEquals(10, application.index.byContainerId.size)
    val heap = heapMib { application }
    assertTrue(heap < 100, "$heap MiB, of which the names of past leases are some 20")
    assertNull(application.container(id(1)))
    val last = application.container(id(crashes))
    assertEquals("…" + "x".repeat(MAX_DIAGNOSTICS_LENGTH - 1), last?.exit?.diagnostics)
  }

  /** An Application Master has 352 MiB for everything. */
  @Test
  fun theLargestApplicationLeavesRoomInTheSmallestHeap() {
    val ranks = MAX_CONTAINERS
    var application = registered("worker" to service(instances = ranks, maxRestarts = 1, failurePolicy = FailurePolicy.FINISH_OTHERS))
    for (number in 1..ranks) application = application.after(granted(number, node = number % 500), started(number))
    for (number in 1..ranks) application = application.after(completed(number, 1, "No such table: ".repeat(600)))
    for (number in 1..ranks) application = application.after(granted(ranks + number, node = number % 500))
    for (number in 1..ranks) application = application.after(completed(ranks + number, 1, "No such table: ".repeat(600)))
    assertEquals(ranks + 20_000, application.containers.count())
    val heap = heapMib { application }
    assertTrue(heap < 250, "$heap MiB")
  }

  /** All that is in use while [held] is, which is an upper bound of what it takes itself. */
  private fun heapMib(held: () -> Any): Long {
    repeat(3) { System.gc() }
    val bytes = Runtime.getRuntime().run { totalMemory() - freeMemory() }
    checkNotNull(held())
    return bytes / (1024 * 1024)
  }

  @Test
  fun manyRanksThatCrashKeepTheirLatestAndOfTheRestTheNewest() {
    val ranks = 3_000
    var application = registered("worker" to service(instances = ranks, maxRestarts = 20))
    var number = 0
    repeat(12) {
      val first = number + 1
      repeat(ranks) { application = application.after(granted(++number)) }
      for (lease in first..number) application = application.after(completed(lease, 1, "word ".repeat(2_000)))
    }
    assertEquals(12 * ranks, application.count(FAILED))
    assertEquals(20_000 + ranks, application.containers.count())
    assertEquals(1_000, application.containers.count { (it.exit?.diagnostics?.length ?: 0) > LAST_WORDS_MAX_LENGTH + 1 })
    assertTrue(
      application
        .containersOf("worker")
        .groupBy { it.key.place }
        .values
        .all { it.last().state == REQUESTED },
    )
  }

  @Test
  fun aLaunchThatFailsEverywhereIsTriedOnceAndBlamesNobody() {
    val application = registered("worker" to service(instances = 3, maxReplacements = 5))
    val failed = application.after(granted(1), LaunchFailed(id(1), "too long", LaunchFault.SPECIFICATION))
    assertEquals("worker 0 failed: could not be launched on node1:8041. too long", failed.outcome?.diagnostics)
    val queued =
      application.after(
        granted(1),
        granted(2),
        LaunchFailed(id(1), "", LaunchFault.NOBODY),
        LaunchFailed(id(2), "", LaunchFault.NOBODY),
      )
    assertEquals(emptySet<String>(), queued.excludedNodes)
    assertEquals(listOf(FAILED, REQUESTED, FAILED, REQUESTED, REQUESTED), queued.states())
  }

  @Test
  fun aNodeIsForgivenInTimeAndBySuccess() {
    val application = registered("worker" to service(instances = 9, maxReplacements = 5, failurePolicy = FailurePolicy.FINISH_OTHERS))

    fun refused(number: Int) = arrayOf(granted(number), LaunchFailed(id(number), "refused"))
    val excluded = application.after(*refused(1), *refused(2))
    assertEquals(setOf("node1:8041"), excluded.excludedNodes)
    assertEquals(setOf("node1:8041"), excluded.decide(Due, NOW.plusSeconds(599)).application.excludedNodes)
    assertEquals(emptySet<String>(), excluded.decide(Due, NOW.plusSeconds(600)).application.excludedNodes)

    val other = application.after(granted(1), *refused(2), *refused(3))
    assertEquals(emptySet<String>(), other.after(started(1)).excludedNodes, "a launch was accepted")
    val full = application.after(granted(1), granted(2), completed(2, -101), granted(3), completed(3, -101))
    assertEquals(setOf("node1:8041"), full.after(started(1)).excludedNodes, "its disks are full all the same")
    assertEquals(emptySet<String>(), full.after(started(1), completed(1, 1)).excludedNodes, "a program ran to its end")
    assertEquals(setOf("node1:8041"), full.after(started(1), completed(1, -102)).excludedNodes)
  }

  @Test
  fun aNodeIsExcludedAfterTwoFailuresThatSpeakAgainstIt() {
    val application = registered("worker" to service(instances = 4, maxReplacements = 5, maxRestarts = 5))
    val once = application.after(granted(1), LaunchFailed(id(1), "refused"), granted(2), completed(2, -104), granted(3), completed(3, -102))
    assertEquals(emptySet<String>(), once.excludedNodes)
    assertEquals(setOf("node1:8041"), once.after(granted(4), completed(4, -101)).excludedNodes)
    assertEquals(emptySet<String>(), once.after(granted(4, node = 2), completed(4, -101)).excludedNodes)
  }
}
