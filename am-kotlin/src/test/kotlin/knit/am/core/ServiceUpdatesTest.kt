package knit.am.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import java.time.Duration

class ServiceUpdatesTest {
  private val first = service(2).copy(command = "first", environment = mapOf("A" to "1", "B" to "2"))
  private val running = registered("worker" to first).after(granted(1), granted(2), started(1), started(2))

  private fun passing(
    spec: ServiceSpec,
    from: Int = 0,
    keeps: Boolean = false,
    replaces: Boolean = false,
  ) = UpdateService("worker", UpdateAction.Pass(spec, keeps, replaces), from)

  private fun acting(action: UpdateAction) = UpdateService("worker", action)

  private fun Application.worker() = services.getValue("worker")

  @Test
  fun policiesHoldAtOnceAndNeedNoOtherContainers() {
    val table =
      listOf(
        first.copy(failurePolicy = FailurePolicy.IGNORE),
        first.copy(restartBudgets = emptyList()),
        first.copy(stopGrace = Duration.ofSeconds(9)),
        first.copy(updatePolicy = UpdatePolicy(maxSurge = 5)),
        first.copy(scaleDownOrder = ScaleDownOrder.NEWEST_FIRST),
        first.copy(access = Access.OPERATOR),
        first.copy(readiness = Readiness(minReady = Duration.ofSeconds(5))),
      )
    for (spec in table) {
      val decision = running.decide(passing(spec), NOW)
      assertEquals(
        2,
        decision.answer.services
          .single()
          .revision,
      )
      assertNull(
        decision.answer.services
          .single()
          .update,
      )
      assertEquals(emptyList<Effect>(), decision.effects)
      assertEquals(spec, decision.application.spec("worker"))
      assertEquals(running.states(), decision.application.states())
      // Those that run are as good as of this one: another update replaces all of them, and one back of the policies none.
      assertNull(
        decision.application
          .after(passing(first))
          .worker()
          .update,
      )
    }
  }

  @Test
  fun anotherLimitCountsFromWhenTheContainersWereAskedFor() {
    val waiting = registered("worker" to first)
    val later = NOW.plusSeconds(100)
    val limited = waiting.decide(passing(first.copy(allocationLimit = Duration.ofSeconds(300))), later).application
    assertEquals(NOW.plusSeconds(300), limited.worker().allocationDeadline)
  }

  @Test
  fun theSameSpecificationIsNoUpdate() {
    assertSame(running, running.decide(passing(first), NOW).application)
    val read = first.copy(environment = mapOf("A" to "", "B" to ""))
    assertSame(running, running.decide(passing(read, keeps = true), NOW).application)
  }

  @Test
  fun valuesThatAreLeftOutAreKeptOnRequest() {
    val next = first.copy(environment = mapOf("A" to "", "B" to "3", "C" to ""))
    assertEquals(mapOf("A" to "1", "B" to "3", "C" to ""), running.after(passing(next, keeps = true)).spec("worker").environment)
    assertEquals(next.environment, running.after(passing(next)).spec("worker").environment)
  }

  @Test
  fun whatAnUpdateMayNotDoIsRefusedByName() {
    val second = first.copy(command = "second")
    val updating = running.after(passing(second))
    val table =
      listOf(
        Triple(running, passing(first.copy(instances = 3)), Reason.INVALID_ARGUMENT to "scale the service instead"),
        Triple(running, passing(first.copy(depends = listOf(Dependency("chief")))), Reason.INVALID_ARGUMENT to "depends cannot change"),
        Triple(running, passing(first.copy(startsTogether = true)), Reason.INVALID_ARGUMENT to "starts_together cannot change"),
        Triple(running, passing(first.copy(resource = Resource(0, 1))), Reason.INVALID_ARGUMENT to "at least 1"),
        Triple(running, passing(first.copy(resource = Resource(9_000, 1))), Reason.RESOURCE_TOO_LARGE to "8192 MiB"),
        Triple(running, passing(second, from = 7), Reason.REVISION_CHANGED to "is of revision 1"),
        Triple(updating, passing(first.copy(command = "third")), Reason.UPDATE_UNDER_WAY to "from revision 1 to 2"),
        Triple(running, acting(UpdateAction.Pause), Reason.NO_UPDATE to "is not being updated"),
        Triple(running, acting(UpdateAction.GoOn), Reason.NO_UPDATE to "is not being updated"),
        Triple(running, acting(UpdateAction.RollBack), Reason.NO_UPDATE to "is not being updated"),
        Triple(running, passing(second).copy(serviceName = "chief"), Reason.NO_SUCH_SERVICE to "'chief'"),
        Triple(running.after(EndApplication(FinalStatus.KILLED, "")), passing(second), Reason.APPLICATION_ENDING to "is ending"),
        Triple(
          registered("worker" to first, "b" to first).after(RemoveServices(listOf("worker"))),
          passing(second),
          Reason.SERVICE_REMOVED to "removed",
        ),
      )
    for ((application, request, refusal) in table) {
      val refused = assertThrows<AmException>("$request") { application.decide(request, NOW) }
      assertEquals(refusal.first, refused.reason, refused.message)
      assertTrue(refusal.second in refused.message.orEmpty(), "'${refusal.second}' in '${refused.message}'")
    }
  }

  @Test
  fun theRevisionThatIsBelievedInIsThePresentOne() {
    val second = running.after(passing(first.copy(command = "second"), from = 1))
    assertEquals(2, second.worker().revision)
    assertEquals(
      Reason.REVISION_CHANGED,
      assertThrows<AmException> { second.decide(passing(first, from = 1, replaces = true), NOW) }.reason,
    )
  }

  @Test
  fun anUpdateThatReplacesAnotherFallsBackOnWhatWasThereBeforeBoth() {
    val third = running.after(passing(first.copy(command = "second")), passing(first.copy(command = "third"), replaces = true))
    val update = checkNotNull(third.worker().update)
    assertEquals(1 to 3, update.fromRevision to update.toRevision)
    val back = third.after(acting(UpdateAction.RollBack))
    assertEquals("first", back.spec("worker").command)
  }

  @Test
  fun soManyRevisionsAreKeptAtATime() {
    val rig = UpdateRig(service(20).copy(updatePolicy = UpdatePolicy(maxSurge = 0, maxUnavailable = 1)))
    rig.run { rig.application.tally("worker").readyRanks == 20 }
    val refused =
      assertThrows<AmException.ResourceExhausted> {
        for (number in 2..20) {
          rig.update(rig.application.spec("worker").copy(command = "$number"), replaces = true)
          // Ranks pass from the lowest on: each time fewer do, so that something of each revision is left.
          rig.run { rig.latest.count { it.revision == number && it.isReady } == 20 - number }
        }
      }
    assertEquals(Reason.TOO_MANY_REVISIONS, refused.reason)
    assertEquals(
      MAX_SPECS,
      rig.application.specs
        .getValue("worker")
        .size,
    )
  }

  @Test
  fun aServiceThatWaitsForOthersHasNothingToReplace() {
    val waiting = registered("worker" to first.copy(depends = listOf(Dependency("chief"))), "chief" to service())
    val next = waiting.after(passing(first.copy(command = "next", resource = LARGE, depends = listOf(Dependency("chief")))))
    assertNull(next.worker().update)
    assertEquals(listOf(2, 2), next.containersOf("worker").map { it.revision }.toList())
    assertEquals(listOf(LARGE, LARGE), next.containersOf("worker").map { it.resource }.toList())
    assertEquals(setOf(2), next.specs.getValue("worker").keys)
  }

  @Test
  fun pausingAndGoingOnTwiceIsSafe() {
    val paused = running.after(passing(first.copy(command = "second")), acting(UpdateAction.Pause))
    assertEquals(UpdateState.PAUSED, paused.worker().update?.state)
    assertSame(paused, paused.decide(acting(UpdateAction.Pause), NOW).application)
    val back = paused.after(acting(UpdateAction.GoOn))
    assertEquals(UpdateState.UPDATING, back.worker().update?.state)
    assertSame(back, back.decide(acting(UpdateAction.GoOn), NOW).application)
  }

  @Test
  fun nobodyGivesMoreAccessThanTheyHave() {
    val operator = Caller(Role.OPERATOR)
    val owners = first.copy(access = Access.OWNER)
    assertThrows<AmException.PermissionDenied> { running.decide(passing(owners).copy(caller = operator), NOW) }
    val given = running.after(passing(owners))
    // Its access would be the same, and the program another one.
    val other = passing(owners.copy(command = "other"))
    assertThrows<AmException.PermissionDenied> { given.decide(other.copy(caller = operator), NOW) }
    val taken = given.after(passing(first.copy(command = "other")).copy(caller = operator))
    assertEquals(Access.CONTAINER, taken.spec("worker").access)
    val back = acting(UpdateAction.RollBack)
    assertThrows<AmException.PermissionDenied> { taken.decide(back.copy(caller = operator), NOW) }
    assertEquals(Access.OWNER, taken.after(back).spec("worker").access)
    given.after(other).decide(back.copy(caller = operator), NOW)
  }
}
