package knit.am.core

import knit.am.core.ContainerState.FAILED
import knit.am.core.ContainerState.RUNNING
import knit.am.core.ContainerState.STOPPED
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.time.Duration

/** How a service passes from one revision to the next; what clients may say about it is [ServiceUpdatesTest]'s. */
class UpdatingTest {
  private fun spec(
    instances: Int,
    surge: Int = 1,
    unavailable: Int = 0,
    failures: Int = 1,
    policy: UpdateFailurePolicy = UpdateFailurePolicy.ROLL_BACK,
  ) = service(instances, maxReplacements = 3)
    .copy(updatePolicy = UpdatePolicy(maxSurge = surge, maxUnavailable = unavailable, failures = failures, failurePolicy = policy))

  private fun ServiceSpec.next() = copy(command = "next")

  private fun running(
    spec: ServiceSpec,
    crashes: (Container) -> Boolean = { false },
  ) = UpdateRig(spec, crashes).apply { run { application.tally("worker").readyRanks == spec.instances } }

  @Test
  fun everyRankPassesWithinTheBounds() {
    val table =
      listOf(
        Triple(1, 1, 0),
        Triple(3, 1, 0),
        Triple(5, 2, 0),
        Triple(5, 9, 0),
        Triple(5, 0, 1),
        Triple(5, 0, 2),
        Triple(6, 2, 3),
        Triple(3, 0, 9),
      )
    for ((instances, surge, unavailable) in table) {
      val first = spec(instances, surge, unavailable)
      val rig = running(first)
      rig.watch()
      rig.update(first.next())
      rig.run()
      val case = "$instances instances, surge $surge, unavailable $unavailable"
      assertTrue(rig.mostLive <= instances + surge, "$case: ${rig.mostLive} at a time")
      assertTrue(rig.fewestReady >= instances - unavailable, "$case: ${rig.fewestReady} ready")
      rig.serve()
      assertEquals(List(instances) { it to 2 }, rig.latest.map { it.key.place.rank to it.revision }, case)
      assertTrue(rig.latest.all { it.state == RUNNING && it.isReady }, case)
      assertEquals(instances, rig.application.tally("worker").ranks, case)
      assertEquals(
        setOf(2),
        rig.application.specs
          .getValue("worker")
          .keys,
        "$case: what nothing needs is forgotten",
      )
      val ordinals =
        rig.application
          .containersOf("worker")
          .map { it.ordinal }
          .toList()
      assertEquals(ordinals.distinct(), ordinals, case)
      assertEquals(listOf("Revision 2 has taken the place of 1."), rig.notices.map { it.text }, case)
      assertEquals(
        FinalStatus.KILLED,
        rig
          .send(EndApplication(FinalStatus.KILLED, ""))
          .application.outcome
          ?.finalStatus,
      )
    }
  }

  @Test
  fun theReplacedEndReplacedAndKeepTheirRank() {
    val rig = running(spec(2, surge = 0, unavailable = 1))
    rig.update(rig.application.spec("worker").next())
    rig.run()
    val attempts = rig.application.containersOf("worker").toList()
    assertEquals(listOf(key("worker", 0), key("worker", 0, 2), key("worker", 1), key("worker", 1, 2)), attempts.map { it.key })
    assertEquals(listOf(ExitReason.REPLACED, null, ExitReason.REPLACED, null), attempts.map { it.exit?.reason })
    assertEquals(STOPPED, attempts.first().state)
  }

  @Test
  fun anotherSizeIsAskedForAndOnesOwnIsKept() {
    val rig = running(spec(2, surge = 0, unavailable = 3))
    rig.send(adding("worker", 1, LARGE, mapOf("A" to "b")))
    rig.run { rig.application.tally("worker").readyRanks == 3 }
    val middle = Resource(512, 1)
    rig.update(rig.application.spec("worker").copy(resource = middle))
    rig.run()
    assertEquals(listOf(middle, middle, LARGE), rig.latest.map { it.resource })
    assertEquals(listOf(emptyMap(), emptyMap(), mapOf("A" to "b")), rig.latest.map { it.environment })
  }

  @Test
  fun aBadRevisionIsRolledBackAndEndsNothing() {
    for ((surge, unavailable) in listOf(1 to 0, 2 to 0, 0 to 1, 2 to 2)) {
      val first = spec(4, surge, unavailable)
      val rig = running(first) { it.revision == 2 }
      rig.watch()
      rig.update(first.next())
      rig.run()
      rig.run { rig.application.tally("worker").readyRanks == 4 }
      val case = "surge $surge, unavailable $unavailable"
      assertEquals(Phase.RUNNING, rig.application.phase, case)
      assertNull(rig.application.header.firstFailure, case)
      assertEquals(1, rig.service.revision, case)
      assertEquals(first, rig.application.spec("worker"), case)
      assertEquals(List(4) { it to 1 }, rig.latest.map { it.key.place.rank to it.revision }, case)
      assertTrue(rig.fewestReady >= 4 - unavailable, "$case: ${rig.fewestReady} ready")
      assertTrue(rig.notices.any { "of revision 2 failed" in it.text && "No module" in it.text }, "$case: ${rig.notices}")
      rig.update(first.copy(command = "third"))
      assertEquals(3, rig.service.revision, "numbers are not given again")
    }
  }

  @Test
  fun aRevisionThatWorksAtFirstIsRolledBackAllTheSame() {
    val first = spec(4, surge = 1)
    var isBad = false
    val rig = running(first) { isBad && it.revision == 2 }
    rig.update(first.next())
    rig.run { rig.latest.count { it.revision == 2 && it.isReady } == 2 }
    isBad = true
    rig.run()
    rig.run { rig.application.tally("worker").readyRanks == 4 }
    assertEquals(List(4) { 1 }, rig.latest.map { it.revision })
  }

  @Test
  fun whatIsNewHasToRunForTenSecondsUnlessTheServiceSaysAnotherTime() {
    for ((minReady, millis) in mapOf(null to 10_000L, Duration.ofSeconds(3) to 3_000L)) {
      val first = spec(1, surge = 0, unavailable = 1).copy(readiness = Readiness(minReady = minReady))
      val rig = running(first)
      rig.update(first.next())
      rig.serve()
      rig.pass(Duration.ofMillis(millis - 1))
      assertEquals(UpdateState.UPDATING, rig.service.update?.state, "$minReady")
      rig.pass(Duration.ofMillis(1))
      assertNull(rig.service.update, "$minReady")
      assertEquals(2, rig.service.revision)
    }
  }

  @Test
  fun soManyFailuresAreMadeGood() {
    val first = spec(2, failures = 3)
    var left = 2
    val rig = running(first) { it.revision == 2 && left-- > 0 }
    rig.update(first.next())
    rig.run()
    assertEquals(2, rig.service.revision)
    assertEquals(List(2) { 2 }, rig.latest.map { it.revision })
  }

  @Test
  fun pauseLeavesBothRevisionsUntilSomebodyDecides() {
    fun paused(): UpdateRig {
      val first = spec(3, surge = 0, unavailable = 1, policy = UpdateFailurePolicy.PAUSE)
      var left = 1
      return running(first) { it.revision == 2 && it.key.place.rank == 1 && left-- > 0 }.apply {
        update(first.next())
        run { service.update?.state == UpdateState.PAUSED }
        serve()
      }
    }
    val rig = paused()
    assertEquals(listOf(2, 2, 1), rig.latest.map { it.revision })
    assertEquals(listOf(RUNNING, FAILED, RUNNING), rig.latest.map { it.state })
    assertTrue("worker 1" in checkNotNull(rig.service.update).explanation)
    rig.pass(Duration.ofHours(5))
    assertEquals(UpdateState.PAUSED, rig.service.update?.state)

    rig.act(UpdateAction.GoOn)
    rig.run()
    assertEquals(listOf(2, 2, 2), rig.latest.map { it.revision })

    val back = paused()
    back.act(UpdateAction.RollBack)
    back.run()
    assertEquals(listOf(1, 1, 1), back.latest.map { it.revision })
  }

  @Test
  fun aPausedFailureKeepsTheApplication() {
    val first = spec(1, surge = 0, unavailable = 1, policy = UpdateFailurePolicy.PAUSE)
    val rig = running(first) { it.revision == 2 }
    rig.update(first.next())
    rig.run { rig.service.update?.state == UpdateState.PAUSED }
    assertEquals(0, rig.application.openCount)
    assertEquals(Phase.RUNNING, rig.application.phase)
    rig.act(UpdateAction.RollBack)
    rig.run { rig.application.tally("worker").readyRanks == 1 }
  }

  @Test
  fun whatIsNotReadyInTimeCountsAsFailed() {
    val first =
      spec(2).run {
        copy(readiness = Readiness(isReported = true), updatePolicy = updatePolicy.copy(readyLimit = Duration.ofMinutes(3)))
      }
    val rig = UpdateRig(first)
    rig.serve()
    rig.latest.forEach { rig.send(ReportReady(it.ref, isReady = true)) }
    rig.run { rig.application.tally("worker").readyRanks == 2 }
    rig.update(first.next())
    rig.serve()
    rig.pass(Duration.ofSeconds(179))
    assertEquals(UpdateState.UPDATING, rig.service.update?.state)
    rig.pass(Duration.ofSeconds(1))
    assertNull(rig.service.update, "only a rank beyond the service's own had passed")
    assertEquals(1, rig.service.revision)
    assertTrue(rig.notices.any { "was not ready after 180 s" in it.text })
  }

  @Test
  fun aContainerThatFailsMeanwhileIsFollowedByOneOfItsOwnRevision() {
    val first = service(3, maxRestarts = 9).copy(updatePolicy = UpdatePolicy(maxSurge = 1))
    val rig = running(first)
    rig.update(first.next())
    rig.serve()
    val old = rig.latest[1]
    rig.send(Completed(checkNotNull(old.lease).containerId, 1, ""))
    assertEquals(1, rig.latest[1].revision)
    val spec = (rig.send(granted(99, resource = SMALL)).effects.single() as Launch).spec
    assertEquals("true", spec.command)
    rig.run()
    assertEquals(List(3) { 2 }, rig.latest.map { it.revision })
  }

  @Test
  fun whatTheClusterDoesToANewOneIsNotHeldAgainstTheRevision() {
    val first = spec(2)
    val rig = running(first)
    rig.update(first.next())
    rig.serve()
    val surge = rig.application.containersOf("worker", 2).single()
    rig.send(Completed(checkNotNull(surge.lease).containerId, ExitStatus.PREEMPTED, ""))
    assertEquals(0, rig.service.update?.failures)
    rig.run()
    assertEquals(2, rig.service.revision)
  }

  @Test
  fun scalingInTheMiddleEndsWithTheRanksThatAreWanted() {
    for (count in listOf(1, 2, 4, 6)) {
      val first = spec(3, surge = 1)
      val rig = running(first)
      rig.update(first.next())
      rig.run { rig.latest.count { it.revision == 2 && it.isReady } == 1 }
      rig.send(ScaleService("worker", Amount.Count(count)))
      rig.run()
      rig.run { rig.application.tally("worker").readyRanks == count }
      assertEquals(List(count) { it to 2 }, rig.latest.map { it.key.place.rank to it.revision }, "to $count")
    }
  }

  @Test
  fun ranksThatHaveEndedStayAsTheyAre() {
    val rig = running(spec(3))
    rig.send(Completed(checkNotNull(rig.latest[0].lease).containerId, 0, ""))
    rig.update(rig.application.spec("worker").next())
    rig.run()
    assertEquals(listOf(1, 2, 2), rig.latest.map { it.revision })
    assertEquals(ContainerState.SUCCEEDED, rig.latest[0].state)
  }

  @Test
  fun aServiceThatHasAllEndedIsOfTheNewRevisionAtOnce() {
    val rig = UpdateRig(spec(0))
    rig.update(rig.application.spec("worker").next())
    assertNull(rig.service.update)
    rig.send(ScaleService("worker", Amount.Count(1)))
    assertEquals(2, rig.latest.single().revision)
  }

  @Test
  fun thousandsOfRanksPass() {
    val first = spec(4_000, surge = 200, unavailable = 200)
    val rig = UpdateRig(first, looks = false).apply { run { application.tally("worker").readyRanks == first.instances } }
    rig.update(first.next())
    rig.run(Duration.ofHours(10))
    assertTrue(rig.latest.all { it.revision == 2 && it.isReady })
  }
}
