package knit.am.core

import io.kotest.property.Arb
import io.kotest.property.arbitrary.bind
import io.kotest.property.arbitrary.boolean
import io.kotest.property.arbitrary.choose
import io.kotest.property.arbitrary.int
import io.kotest.property.arbitrary.list
import io.kotest.property.arbitrary.map
import io.kotest.property.arbitrary.of
import io.kotest.property.arbitrary.orNull
import knit.am.forAll
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.time.Duration

/** Whatever happens, in whatever order, [SimulatedCluster] finds nothing wrong. */
class SimulationTest {
  data class Scenario(
    val services: Map<String, ServiceSpec>,
    val steps: List<Step>,
    val exitStatuses: List<Int>,
  )

  @Test
  fun nothingIsForgottenAndItAlwaysEnds() =
    forAll(3_000, scenarios, edgeCases = 0.0) { scenario ->
      val cluster = SimulatedCluster(scenario.services)
      scenario.steps.forEach(cluster::take)
      cluster.drain(scenario.exitStatuses)
      assertEquals(Phase.ENDED, cluster.application.phase)
      scenario.steps.forEach(cluster::take)
    }

  @Test
  fun theSameEventsGiveTheSameContainers() =
    forAll(300, scenarios, edgeCases = 0.0) { scenario ->
      val runs = List(2) { SimulatedCluster(scenario.services).apply { scenario.steps.forEach(::take) }.application }
      assertEquals(runs[0].containers.toList(), runs[1].containers.toList())
      assertEquals(runs[0].outcome, runs[1].outcome)
    }

  @Test
  fun aRankThatFailsSeldomGoesOnUntilItSucceeds() {
    val budget = RestartBudget(RestartBudget.PROGRAM_REASONS, 1, RestartScope.RANK, Duration.ofMinutes(1))
    val service = service(1, restartBudgets = listOf(budget), backOff = BackOff(first = Duration.ofMinutes(2)))
    val cluster = SimulatedCluster(mapOf("worker" to service))
    cluster.drain(listOf(1))
    assertEquals(FinalStatus.SUCCEEDED, cluster.application.outcome?.finalStatus)
    assertTrue(cluster.application.containers.maxOf { it.key.attemptNumber } > MOST_FAILING_ROUNDS / 2)
  }

  private val scenarios: Arb<Scenario> get() = Arb.bind(services, Arb.list(steps, 0..60), Arb.list(exitStatuses, 5..5), ::Scenario)

  private val services: Arb<Map<String, ServiceSpec>> get() =
    Arb.bind(serviceSpecs, serviceSpecs.orNull(0.5), dependencies) { worker, chief, dependency ->
      val depends = if (chief == null) null else dependency
      listOfNotNull("worker" to worker.copy(depends = listOfNotNull(depends)), chief?.let { "chief" to it }).toMap()
    }

  private val dependencies: Arb<Dependency?> get() = Arb.of(DependencyCondition.entries).map { Dependency("chief", it) }.orNull(0.5)

  private val backOffs: Arb<BackOff> get() = Arb.of(BackOff(first = Duration.ZERO), BackOff(), BackOff(first = Duration.ofSeconds(3)))

  private val readinesses: Arb<Readiness> get() =
    Arb.of(Readiness(), Readiness(isReported = true), Readiness(isReported = true, limit = Duration.ofSeconds(20)))

  private val budgets: Arb<List<RestartBudget>> get() =
    Arb.bind(
      Arb.int(0..3),
      Arb.int(0..3),
      Arb.of(RestartScope.entries),
      Arb.of(null, Duration.ofMinutes(1)),
    ) { program, cluster, scope, window ->
      listOf(
        RestartBudget(RestartBudget.PROGRAM_REASONS, program, scope, window),
        RestartBudget(RestartBudget.CLUSTER_REASONS, cluster),
      )
    }

  private val serviceSpecs: Arb<ServiceSpec> get() =
    Arb.bind(
      Arb.int(0..4),
      Arb.of(SMALL, LARGE),
      budgets,
      backOffs,
      readinesses,
      Arb.of(FailurePolicy.entries),
    ) { instances, size, budgets, backOff, readiness, policy ->
      service(instances, size, failurePolicy = policy, restartBudgets = budgets, backOff = backOff, readiness = readiness)
    }

  private val exitStatuses: Arb<Int> get() = Arb.of(0, 0, 0, 1, 2, 137, 143, -1, -100, -101, -102, -104, -105, -107, -1_000)

  private val steps: Arb<Step> get() {
    val lease = Arb.int(0..30)
    val node = Arb.int(0..2)
    val count = Arb.int(1..4)
    val flag = Arb.boolean()
    return Arb.choose(
      8 to Arb.bind(count, node, flag, ::GrantSome),
      2 to lease.map(::GrantAgain),
      6 to lease.map(::Start),
      2 to Arb.bind(lease, Arb.of(LaunchFault.entries), ::FailLaunch),
      6 to Arb.bind(Arb.list(lease, 1..3), exitStatuses, ::CompleteSome),
      1 to node.map(::LoseNode),
      2 to lease.map(::StopLease),
      2 to lease.map(::StopPlace),
      2 to Arb.bind(count, flag, Arb.int(0..3), ::Add),
      1 to Arb.of(FinalStatus.entries).map(::End),
      3 to Arb.of(TimeOut),
      1 to Arb.of(RegisterAgain),
      2 to Arb.bind(lease, flag, ::SayReady),
      2 to lease.map(::RestartPlace),
    )
  }
}
