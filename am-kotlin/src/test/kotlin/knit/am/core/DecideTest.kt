package knit.am.core

import knit.am.core.ContainerState.LAUNCHING
import knit.am.core.ContainerState.REQUESTED
import knit.am.core.ContainerState.STOPPED
import knit.am.core.ContainerState.STOPPING
import knit.am.core.ContainerState.SUCCEEDED
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertTimeout
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.time.Duration

class DecideTest {
  @Test
  fun itBeginsWithEveryInstanceAskedFor() {
    val application = start("worker" to service(instances = 2), "chief" to service(resource = LARGE))
    assertEquals(listOf(key("chief", 0), key("worker", 0), key("worker", 1)), application.containers.map { it.key }.toList())
    assertEquals(mapOf(SMALL to 2, LARGE to 1), application.wanted())
    assertTrue(application.containers.all { it.state == REQUESTED && it.requestTime == NOW })
  }

  @Test
  fun aGrantGoesToTheLowestThatWaitsForItsSize() {
    val application = registered("a" to service(resource = LARGE), "b" to service(instances = 2), "c" to service())
    val decision = application.decide(granted(1), NOW)
    assertEquals(listOf<Effect>(Launch(key("b", 0), 0, 1, lease(1), service(instances = 2))), decision.effects)
    val replaced = decision.application.after(granted(2), granted(3), completed(2, 1))
    assertEquals(Phase.ENDING, replaced.phase)
  }

  @Test
  fun theReplacementOfALowRankIsServedBeforeHigherRanks() {
    val application = registered("worker" to service(instances = 3, maxRestarts = 1)).after(granted(1), completed(1, 1))
    assertEquals(key("worker", 0, attemptNumber = 2), application.after(granted(2)).container(id(2))?.key)
  }

  @Test
  fun aGrantNobodyWaitsForIsGivenBackAndNeverUsed() {
    val application = registered("worker" to service(maxRestarts = 1)).after(granted(1))
    val decision = application.decide(granted(2), NOW)
    assertEquals(listOf<Effect>(Release(id(2))), decision.effects)
    val again = decision.application.after(completed(1, 1)).decide(granted(2), NOW)
    assertEquals(emptyList<Effect>(), again.effects)
    assertEquals(mapOf(SMALL to 1), again.application.wanted())
  }

  @Test
  fun aStartIsKeptWithItsTime() {
    val running = registered("worker" to service()).after(granted(1)).decide(started(1), NOW.plusSeconds(1)).application
    assertEquals(NOW.plusSeconds(1), running.after(started(1)).container(id(1))?.startTime)
  }

  @Test
  fun anEndBeforeTheStartNeedsNoStart() {
    val ended = registered("worker" to service()).after(granted(1), completed(1), started(1))
    assertEquals(SUCCEEDED, ended.stateOf(1))
    assertNull(ended.container(id(1))?.startTime)
  }

  @Test
  fun aFailedLaunchAfterAConfirmedStartIsIgnoredAlsoWhileStopping() {
    val running = registered("worker" to service()).after(granted(1), started(1), stopping(1))
    val decision = running.decide(LaunchFailed(id(1), "already started"), NOW)
    assertEquals(STOPPING, decision.application.stateOf(1))
    assertEquals(emptyList<Effect>(), decision.effects)
  }

  @Test
  fun allContainersOfALostNodeEndAndTheirLeasesGoBack() {
    val application = registered("worker" to service(instances = 3)).after(granted(1), granted(2, node = 2), granted(3))
    val decision = application.decide(NodeLost("node1:8041"), NOW)
    assertEquals(Release(id(1)), decision.effects[0])
    assertEquals(Release(id(3)), decision.effects[1])
    assertEquals(
      ExitReason.NODE_LOST,
      decision.application
        .container(id(3))
        ?.exit
        ?.reason,
    )
    assertEquals(listOf(StopContainer(lease(2, node = 2))), decision.effects.drop(2))
    assertEquals(
      ExitReason.NODE_LOST,
      decision.application
        .after(completed(3, -100))
        .container(id(3))
        ?.exit
        ?.reason,
    )
  }

  @Test
  fun endingStopsEverythingAndUnregistersOnceAllHasEnded() {
    val application = registered("worker" to service(instances = 3)).after(granted(1), granted(2), started(2))
    val ending = application.decide(EndApplication(FinalStatus.KILLED, "enough"), NOW)
    assertEquals(listOf(STOPPING, STOPPING, STOPPED), ending.application.states())
    assertEquals(listOf(StopContainer(lease(1)), StopContainer(lease(2))), ending.effects)
    assertEquals(emptyMap<Resource, Int>(), ending.application.wanted())

    val almost = ending.application.after(completed(1, 143))
    assertEquals(Phase.ENDING, almost.phase)
    val ended = almost.decide(completed(2, 0), NOW)
    assertEquals(listOf<Effect>(Unregister(Outcome(FinalStatus.KILLED, "enough", 1, isFinal = true))), ended.effects)
    assertEquals(Phase.REPORTING, ended.application.phase)
    assertEquals(
      ExitReason.APPLICATION_ENDED,
      ended.application
        .container(id(2))
        ?.exit
        ?.reason,
    )
  }

  @Test
  fun theFirstOutcomeStands() {
    val ending = registered("worker" to service()).after(granted(1), EndApplication(FinalStatus.KILLED, "first"))
    val again = ending.decide(EndApplication(FinalStatus.SUCCEEDED, "second"), NOW)
    assertEquals("first", again.application.outcome?.diagnostics)
    assertEquals(emptyList<Effect>(), again.effects)
  }

  @Test
  fun itHasEndedOnceYarnHasTakenNote() {
    val running = registered("worker" to service()).after(granted(1), Unregistered)
    assertEquals(Phase.RUNNING, running.phase)
    val reporting = running.after(completed(1))
    assertEquals(Phase.REPORTING, reporting.phase)
    assertTrue(reporting.isDone)
    val ended = reporting.after(Unregistered)
    assertEquals(Phase.ENDED, ended.phase)
    assertSame(ended, ended.after(Unregistered))
  }

  @Test
  fun nodesAreStoppedOneAfterTheOther() {
    val application = registered("worker" to service(instances = 4))
    val running = application.after(granted(1, node = 2), granted(2, node = 1), granted(3, node = 2), granted(4, node = 1))
    val stops = running.decide(EndApplication(FinalStatus.KILLED, ""), NOW).effects.map { (it as StopContainer).lease }
    assertEquals(listOf("node1:8041", "node1:8041", "node2:8041", "node2:8041"), stops.map { it.nodeId })
  }

  @Test
  fun anEndingWaitsAsLongAsYarnReportsEnds() {
    val number = 1_000
    var application = registered("worker" to service(instances = number))
    for (i in 1..number) application = application.after(granted(i, node = i % 3))
    application = application.after(EndApplication(FinalStatus.KILLED, ""))
    var now = NOW
    for (i in 1..number) {
      now = now.plusSeconds(59)
      application =
        application
          .decide(Due, now)
          .application
          .decide(completed(i, 137), now)
          .application
    }
    assertEquals(Phase.REPORTING, application.phase)
    assertTrue(application.containers.all { it.exit?.exitCode == 137 })
    assertNull(application.nextDeadline)
  }

  @Test
  fun whatDoesNotStopIsGivenBackAndYarnsReportOfThatIsAwaited() {
    val ending = registered("worker" to service(instances = 2)).after(granted(1), granted(2), EndApplication(FinalStatus.SUCCEEDED, "done"))
    assertEquals(emptyList<Effect>(), ending.decide(Due, NOW.plusSeconds(59)).effects)
    val late = NOW.plusSeconds(60)
    val given = ending.decide(Due, late)
    assertEquals(listOf<Effect>(Release(id(1)), Release(id(2))), given.effects)
    assertEquals(listOf(STOPPING, STOPPING), given.application.states())

    val reported = given.application.decide(completed(1, -100, "Container released by application"), late).application
    assertEquals("Container released by application", reported.container(id(1))?.exit?.diagnostics)
    assertEquals(emptyList<Effect>(), reported.decide(Due, late.plusSeconds(599)).effects)
    val silent = reported.decide(Due, late.plusSeconds(600))
    assertEquals(listOf<Effect>(Unregister(Outcome(FinalStatus.SUCCEEDED, "done", 0, isFinal = true))), silent.effects)
    assertTrue(
      "has said nothing for 10 minutes" in
        silent.application
          .container(id(2))
          ?.exit
          ?.diagnostics
          .orEmpty(),
    )
    assertEquals(emptyList<Effect>(), silent.application.decide(Due, late.plusSeconds(1_200)).effects)
  }

  @Test
  fun aGrantThatComesAfterTheEndIsGivenBack() {
    val ended = registered("worker" to service()).after(EndApplication(FinalStatus.KILLED, ""))
    assertEquals(Phase.REPORTING, ended.phase)
    assertEquals(listOf<Effect>(Release(id(1))), ended.decide(granted(1), NOW).effects)
  }

  @Test
  fun withoutAnyContainerItWaitsForOneOrForAClientsEnd() {
    val empty = registered("worker" to service(instances = 0))
    assertEquals(Phase.RUNNING, empty.after(started(1), NodeLost("node1:8041")).phase)
    assertEquals(Phase.REPORTING, empty.after(adding("worker", 1), granted(1), completed(1)).phase)
    val ended = empty.decide(EndApplication(FinalStatus.SUCCEEDED, "nothing to do"), NOW)
    assertEquals(listOf<Effect>(Unregister(Outcome(FinalStatus.SUCCEEDED, "nothing to do", 0, isFinal = true))), ended.effects)
  }

  @Test
  fun aSizeBeyondTheClustersEndsItWithAClearSentence() {
    val decision = start("a" to service(), "big" to service(resource = Resource(9000, 1))).decide(Registered(MOST), NOW)
    val outcome = checkNotNull(decision.application.outcome)
    assertEquals(FinalStatus.FAILED, outcome.finalStatus)
    assertTrue(outcome.diagnostics.startsWith("Service big wants 9000 MiB and 1 vcores for each container; YARN grants at most 8192 MiB"))
    assertEquals(listOf<Effect>(Unregister(outcome)), decision.effects)
  }

  @Test
  fun aSpecificationThatCannotRunEndsOnceItIsRegistered() {
    val broken =
      listOf(
        start(),
        start("a" to service(instances = -1)),
        start("a" to service(resource = Resource(0, 1))),
        start("a" to service(resource = Resource(1, 0))),
        start("a" to service(maxRestarts = -1)),
        start("a" to service(maxReplacements = -1)),
        start("a" to service(instances = MAX_CONTAINERS), "b" to service()),
      )
    for (application in broken) {
      assertEquals(emptyMap<Resource, Int>(), application.wanted())
      val ended = application.after(Registered(MOST))
      assertEquals(Phase.REPORTING, ended.phase)
      assertEquals(FinalStatus.FAILED, ended.outcome?.finalStatus)
    }
  }

  @Test
  fun registeringAgainKeepsTheFirstTime() {
    val application = start("worker" to service()).decide(Registered(MOST), NOW).application
    val again = application.decide(Registered(LARGE), NOW.plusSeconds(9)).application
    assertEquals(NOW, again.startTime)
    assertEquals(LARGE, again.maxResource)
    assertEquals(Phase.RUNNING, again.phase)
  }

  @Test
  fun unknownContainersChangeNothing() {
    val application = registered("worker" to service()).after(granted(1))
    for (input in listOf(started(9), completed(9), LaunchFailed(id(9), ""), NodeLost("node9:8041"), Due, Unregistered)) {
      val decision = application.decide(input, NOW)
      assertSame(application, decision.application, "$input")
      assertEquals(emptyList<Effect>(), decision.effects)
    }
    assertEquals(LAUNCHING, application.stateOf(1))
  }

  /** A scan of all containers on every input would take minutes here; it takes a second or two. */
  @Test
  fun manyContainersCostLittleEach() {
    val number = 20_000
    assertTimeout(Duration.ofSeconds(60)) {
      var application = registered("worker" to service(instances = number, maxRestarts = 1))
      for (i in 1..number) application = application.after(granted(i, node = i % 100), started(i))
      for (i in 1..number) application = application.after(completed(i, 1))
      for (i in 1..number) application = application.after(granted(number + i), completed(number + i))
      assertEquals(number, application.count(SUCCEEDED))
      assertEquals(FinalStatus.SUCCEEDED, application.outcome?.finalStatus)
    }
  }

  @Test
  fun tenThousandAdditionsCostLittleEach() {
    val number = 10_000
    assertTimeout(Duration.ofSeconds(60)) {
      var application = registered("worker" to service(instances = 0))
      val environment = mapOf("DATA" to "x".repeat(10_000))
      for (i in 1..number) application = application.after(adding("worker", 1, environment = environment.toMap(), requestId = "request-$i"))
      for (i in 1..number) application = application.after(granted(i, node = i % 100), completed(i))
      assertEquals(number, application.count(SUCCEEDED))
      val kept = java.util.Collections.newSetFromMap(java.util.IdentityHashMap<Map<String, String>, Boolean>())
      application.containers.mapTo(kept) { it.environment }
      assertEquals(1, kept.size, "equal variables are kept once")
    }
  }
}
