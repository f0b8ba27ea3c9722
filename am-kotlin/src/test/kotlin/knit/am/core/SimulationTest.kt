package knit.am.core

import net.jqwik.api.Arbitraries
import net.jqwik.api.Arbitrary
import net.jqwik.api.Combinators
import net.jqwik.api.EdgeCasesMode
import net.jqwik.api.ForAll
import net.jqwik.api.Property
import net.jqwik.api.Provide
import net.jqwik.api.Tuple
import org.junit.jupiter.api.Assertions.assertEquals

/** Whatever happens, in whatever order, [SimulatedCluster] finds nothing wrong. */
class SimulationTest {
  data class Scenario(
    val services: Map<String, ServiceSpec>,
    val steps: List<Step>,
    val exitStatuses: List<Int>,
  )

  @Property(tries = 3_000, edgeCases = EdgeCasesMode.NONE)
  fun nothingIsForgottenAndItAlwaysEnds(
    @ForAll("scenarios") scenario: Scenario,
  ) {
    val cluster = SimulatedCluster(scenario.services)
    scenario.steps.forEach(cluster::take)
    cluster.drain(scenario.exitStatuses)
    assertEquals(Phase.ENDED, cluster.application.phase)
    scenario.steps.forEach(cluster::take)
  }

  @Property(tries = 300, edgeCases = EdgeCasesMode.NONE)
  fun theSameEventsGiveTheSameContainers(
    @ForAll("scenarios") scenario: Scenario,
  ) {
    val runs = List(2) { SimulatedCluster(scenario.services).apply { scenario.steps.forEach(::take) }.application }
    assertEquals(runs[0].containers.toList(), runs[1].containers.toList())
    assertEquals(runs[0].outcome, runs[1].outcome)
  }

  @Provide
  fun scenarios(): Arbitrary<Scenario> =
    Combinators.combine(services(), steps(), exitStatuses().list().ofSize(5)).`as` { services, steps, statuses ->
      Scenario(services, steps, statuses)
    }

  private fun services(): Arbitrary<Map<String, ServiceSpec>> =
    Combinators.combine(serviceSpecs(), serviceSpecs().optional()).`as` { worker, other ->
      val services = mutableMapOf("worker" to worker)
      other.ifPresent { services["chief"] = it }
      services
    }

  private fun serviceSpecs(): Arbitrary<ServiceSpec> {
    val number = Arbitraries.integers()
    return Combinators
      .combine(
        number.between(0, 4),
        Arbitraries.of(SMALL, LARGE),
        number.between(0, 3),
        number.between(0, 3),
        Arbitraries.of(FailurePolicy::class.java),
      ).`as` { instances, size, restarts, replacements, policy -> service(instances, size, restarts, replacements, policy) }
  }

  private fun exitStatuses(): Arbitrary<Int> = Arbitraries.of(0, 0, 0, 1, 2, 137, 143, -1, -100, -101, -102, -104, -105, -107, -1_000)

  private fun steps(): Arbitrary<List<Step>> {
    val lease = Arbitraries.integers().between(0, 30)
    val node = Arbitraries.integers().between(0, 2)
    val count = Arbitraries.integers().between(1, 4)
    val flag = Arbitraries.of(false, true)
    val grants = Combinators.combine(count, node, flag).`as`<Step> { some, at, extra -> GrantSome(some, at, extra) }
    val ends =
      Combinators.combine(lease.list().ofMinSize(1).ofMaxSize(3), exitStatuses()).`as`<Step> {
        some,
        status,
        ->
        CompleteSome(some, status)
      }
    val adds = Combinators.combine(count, flag, Arbitraries.integers().between(0, 3)).`as`<Step> { some, large, id -> Add(some, large, id) }
    return Arbitraries
      .frequencyOf(
        Tuple.of(8, grants),
        Tuple.of(2, lease.map<Step> { GrantAgain(it) }),
        Tuple.of(6, lease.map<Step> { Start(it) }),
        Tuple.of(2, lease.map<Step> { FailLaunch(it) }),
        Tuple.of(6, ends),
        Tuple.of(1, node.map<Step> { LoseNode(it) }),
        Tuple.of(2, lease.map<Step> { StopLease(it) }),
        Tuple.of(2, lease.map<Step> { StopPlace(it) }),
        Tuple.of(2, adds),
        Tuple.of(1, Arbitraries.of(FinalStatus::class.java).map<Step> { End(it) }),
        Tuple.of(1, Arbitraries.of(TimeOut, RegisterAgain)),
      ).list()
      .ofMaxSize(60)
  }
}
