package knit.am.core

import knit.am.core.ContainerState.PENDING
import knit.am.core.ContainerState.REQUESTED
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class DependenciesTest {
  private fun dependent(
    condition: DependencyCondition,
    instances: Int = 1,
  ) = service(instances, LARGE, failurePolicy = FailurePolicy.FINISH_OTHERS, depends = listOf(Dependency("db", condition)))

  private fun withDb(
    condition: DependencyCondition,
    db: ServiceSpec = service(instances = 2, maxRestarts = 2, failurePolicy = FailurePolicy.FINISH_OTHERS),
  ) = registered("db" to db, "web" to dependent(condition))

  private fun Application.at(
    seconds: Long,
    vararg inputs: Input,
  ): Application = inputs.fold(this) { soFar, input -> soFar.decide(input, NOW.plusSeconds(seconds)).application }

  @Test
  fun whatWaitsIsPendingAndSaysForWhat() {
    val waiting = withDb(DependencyCondition.READY)
    assertEquals(listOf(PENDING), waiting.states("web"))
    assertEquals(mapOf(SMALL to 2), waiting.wanted())
    assertEquals(ServiceCondition.PENDING, waiting.services.getValue("web").condition)
    val reason = waiting.ownReasons("web").single()
    assertEquals(WaitingCause.DEPENDENCY, reason.cause)
    assertEquals(mapOf("dependency" to "db", "condition" to "READY"), reason.facts)
    assertEquals("A container waits for service db to be ready. Of db, 0 of 2 are ready.", reason.explanation)
    assertEquals(emptyList<WaitingReason>(), waiting.ownReasons("db"))
  }

  @Test
  fun startedIsOnceEachRankItBeganWithRan() {
    val one = withDb(DependencyCondition.STARTED).after(granted(1), started(1), completed(1, 1))
    assertEquals(listOf(PENDING), one.states("web"))
    assertEquals(
      listOf(REQUESTED),
      one.after(granted(2), granted(3), started(3)).states("web"),
      "the other started later, after the first had failed",
    )
    val quick = withDb(DependencyCondition.STARTED).after(granted(1), completed(1, 0), granted(2), completed(2, 0))
    assertEquals(listOf(REQUESTED), quick.states("web"), "an end that came before the start")
  }

  @Test
  fun readyIsOnceAllAreAtTheSameTime() {
    val running = withDb(DependencyCondition.READY).after(granted(1), granted(2), started(1), started(2))
    assertEquals(listOf(PENDING), running.states("web"))
    val begun = running.at(1, Due)
    assertEquals(listOf(REQUESTED), begun.states("web"))
    assertEquals(NOW.plusSeconds(1), begun.containersOf("web").single().requestTime)
    val apart =
      withDb(
        DependencyCondition.READY,
      ).after(granted(1), granted(2), started(1)).at(1, Due, completed(1, 1), started(2)).at(2, Due)
    assertEquals(listOf(PENDING), apart.states("web"))
    val done = withDb(DependencyCondition.READY).after(granted(1), completed(1, 0), granted(2), completed(2, 0))
    assertEquals(listOf(REQUESTED), done.states("web"), "what has succeeded was quicker than that")
  }

  @Test
  fun finishedIsOnceAllHaveSucceeded() {
    val one = withDb(DependencyCondition.FINISHED).after(granted(1), completed(1, 0), granted(2), completed(2, 1))
    assertEquals(listOf(PENDING), one.states("web"))
    assertEquals(listOf(REQUESTED), one.after(granted(3), completed(3, 0)).states("web"))
  }

  @Test
  fun itHoldsOnceAndForAll() {
    val begun = withDb(DependencyCondition.READY).after(granted(1), granted(2), started(1), started(2)).at(1, Due)
    val later = begun.at(2, completed(1, 1), Granted(lease(9, resource = LARGE), Shape(LARGE)), completed(9, 1))
    assertTrue(later.services.getValue("web").hasBegun)
    assertFalse(later.states("web").contains(PENDING))
  }

  @Test
  fun aServiceWithoutRanksIsWaitedForByNobody() {
    for (condition in DependencyCondition.values()) {
      assertEquals(listOf(REQUESTED), withDb(condition, service(instances = 0)).states("web"), "$condition")
    }
  }

  @Test
  fun addedContainersWaitTooAndAreRememberedSo() {
    val request = adding("web", 2, requestId = "one")
    val decision = withDb(DependencyCondition.READY).decide(request, NOW)
    assertEquals(listOf(PENDING, PENDING), decision.answer.map { it.state })
    assertEquals(decision.answer, decision.application.decide(request, NOW).answer)
  }

  @Test
  fun aChainBeginsOneAfterTheOther() {
    val last = service(depends = listOf(Dependency("web", DependencyCondition.STARTED)))
    val chain = registered("db" to service(), "web" to dependent(DependencyCondition.STARTED), "last" to last)
    val db = chain.after(granted(1), started(1))
    assertEquals(listOf(REQUESTED), db.states("web"))
    assertEquals(listOf(PENDING), db.states("last"))
    assertEquals(listOf(REQUESTED), db.after(granted(2, resource = LARGE), started(2)).states("last"))
  }

  @Test
  fun whoWaitsForWhatWillNeverComeEndsTheApplication() {
    val db = service(failurePolicy = FailurePolicy.IGNORE)
    val ended = withDb(DependencyCondition.FINISHED, db).after(granted(1), completed(1, 1))
    assertEquals(Phase.REPORTING, ended.phase)
    assertEquals(
      "Service web can never begin: it waits for service db to have succeeded, and nothing else is left to run.",
      ended.outcome?.diagnostics,
    )
    val stopped = withDb(DependencyCondition.READY).after(StopContainers(emptyList(), emptyList(), serviceNames = listOf("db")))
    assertEquals(FinalStatus.FAILED, stopped.outcome?.finalStatus)
  }

  @Test
  fun circlesAndUnknownNamesAreRefusedByName() {
    fun on(vararg names: String) = service(depends = names.map { Dependency(it) })
    val table =
      mapOf(
        mapOf("a" to on("a")) to "Service a depends on itself. Leave that out.",
        mapOf("a" to on("db"), "b" to service()) to "Service a depends on 'db', which is none of the services: a, b.",
        mapOf("a" to on("b", "b"), "b" to service()) to "Service a depends on b more than once. Say it once.",
        mapOf("a" to on("b"), "b" to on("c"), "c" to on("b")) to
          "Services depend on one another in a circle: b on c on b. Break it somewhere.",
        mapOf("a" to on("b", "c"), "b" to on("c"), "c" to service()) to null,
      )
    for ((services, problem) in table) assertEquals(problem, problemIn(services), "${services.keys}")
    assertNull(problemIn(List(MAX_SERVICES) { "s$it" to if (it == 0) service() else on("s${it - 1}") }.toMap()), "a long chain")
    assertEquals(
      "The specification names 1001 services, of at most 1000. Put like ones into one.",
      problemIn(List(MAX_SERVICES + 1) { "s$it" to service() }.toMap()),
    )
  }

  @Test
  fun namesOfServicesMayHoldDotsUnderscoresAndCapitals() {
    for (name in listOf("dask.worker", "skein_launcher", "A", "a-b", "x".repeat(63))) assertNull(problemIn(mapOf(name to service())), name)
    for (name in listOf("", ".a", "a.", "a b", "a/b", "ä", "x".repeat(64))) assertTrue(problemIn(mapOf(name to service())) != null, name)
  }
}
