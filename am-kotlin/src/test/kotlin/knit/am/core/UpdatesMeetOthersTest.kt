package knit.am.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Updates while something else is under way at the same rank. */
class UpdatesMeetOthersTest {
  private fun running(
    spec: ServiceSpec,
    crashes: (Container) -> Boolean = { false },
  ) = UpdateRig(spec.copy(updatePolicy = UpdatePolicy(maxSurge = 0, maxUnavailable = 1, failures = 9)), crashes).apply {
    serve()
    run { application.tally("worker").readyRanks + application.tally("worker").succeededRanks == spec.instances }
  }

  @Test
  fun whatReplacesOneThatWaitsForItsRankWaitsAsWell() {
    val rig = running(service(1))
    val first = rig.latest.single()
    rig.update(rig.application.spec("worker").copy(command = "second"))
    rig.update(rig.application.spec("worker").copy(command = "third"), replaces = true)

    assertEquals(ContainerState.STOPPING, rig.application.container(first.key)?.state)
    val third = rig.latest.single()
    assertEquals(3 to ContainerState.PENDING, third.revision to third.state)
    assertTrue(rig.application.wantedShapes().isEmpty(), "the first has not ended, and its rank is asked for")

    rig.send(Completed(checkNotNull(first.lease).containerId, 143, ""))
    assertEquals(ContainerState.REQUESTED, rig.application.container(third.key)?.state)
    rig.run()
    assertEquals(third.key, rig.latest.single().key)
  }

  @Test
  fun whatEndedRevisionsAgoIsStartedAnewAsBeforeTheUpdate() {
    val rig = running(service(2, failurePolicy = FailurePolicy.FINISH_OTHERS))
    val done = rig.latest.first()
    rig.send(Completed(checkNotNull(done.lease).containerId, 0, ""))
    rig.update(rig.application.spec("worker").copy(command = "second", resource = LARGE))
    rig.run()
    assertEquals(
      setOf(2),
      rig.application.specs
        .getValue("worker")
        .keys,
    )
    rig.update(rig.application.spec("worker").copy(command = "third"))
    rig.act(UpdateAction.Pause)

    rig.send(RestartContainers(Named(places = listOf(done.key.place))))
    val again = rig.latest.first()
    assertEquals(2 to ContainerState.REQUESTED, again.revision to again.state)
    assertEquals(LARGE, again.resource)
    rig.act(UpdateAction.GoOn)
    rig.run()
    assertEquals(listOf(3, 3), rig.latest.map { it.revision })
  }

  @Test
  fun aRollBackForgetsWhatOtherBudgetsWereSpentOn() {
    val before =
      listOf(
        RestartBudget(RestartBudget.PROGRAM_REASONS, limit = 1),
        RestartBudget(setOf(ExitReason.PREEMPTED), limit = 1, RestartScope.SERVICE),
      )
    val rig = running(service(1, restartBudgets = before))
    rig.update(
      rig.application.spec("worker").copy(command = "second", restartBudgets = listOf(RestartBudget(RestartBudget.CLUSTER_REASONS))),
    )
    rig.act(UpdateAction.Pause)
    rig.send(
      Completed(
        checkNotNull(
          rig.latest.single().lease ?: rig.application.containers
            .first()
            .lease,
        ).containerId,
        143,
        "",
      ),
    )
    rig.serve()
    rig.send(Completed(checkNotNull(rig.latest.single().lease).containerId, -102, ""))
    rig.serve()
    assertEquals(1, spent(rig.application), "the new budget paid")

    rig.act(UpdateAction.RollBack)
    assertEquals(0, spent(rig.application), "and the old one with its number has not")
    assertEquals(emptyMap<Int, Account>(), rig.service.accounts)
  }

  /** What all ranks have spent of their first budget. */
  private fun spent(application: Application): Int =
    application.slots.getValue("worker").sumOf { slot ->
      slot.place
        ?.accounts
        ?.get(0)
        ?.spent ?: 0
    }
}
