package knit.am.sim

import io.kotest.property.Arb
import io.kotest.property.arbitrary.bind
import io.kotest.property.arbitrary.boolean
import io.kotest.property.arbitrary.choose
import io.kotest.property.arbitrary.int
import io.kotest.property.arbitrary.list
import io.kotest.property.arbitrary.map
import io.kotest.property.arbitrary.of
import knit.am.core.FailurePolicy
import knit.am.core.Placement
import knit.am.core.Resource
import knit.am.core.ServiceSpec
import knit.am.core.Spread
import knit.am.core.service
import knit.am.forAll
import org.junit.jupiter.api.Test

/** Containers that may not be anywhere are nowhere else, whatever happens, and wait no longer than they must. */
class PlacementTest {
  @Test
  fun nothingIsWhereItMustNotBeAndNobodyWaitsWhileANodeWouldDo() =
    forAll(
      SAMPLES,
      Arb.bind(setups, Arb.list(steps, 0..25), SimulationTest::Scenario),
      edgeCases = 0.0,
      seed = SimulationTest.SEED,
    ) { scenario ->
      val world = World(scenario.setup)
      scenario.steps.forEach(world::take)
      world.finish(SimulationTest.LIMIT_SECONDS)
    }

  private companion object {
    val SAMPLES = Integer.getInteger("knit.sim.samples", 10)

    /** Each placement with a size of its own, by which the world tells them apart. */
    val services: Arb<Map<String, ServiceSpec>> =
      Arb.bind(Arb.int(0..3), Arb.int(0..6), Arb.int(0..3), Arb.int(0..3), Arb.int(0..2)) { labelled, apart, strict, racked, anywhere ->
        mapOf(
          "labelled" to placed(labelled, 320, Placement(label = "gpu")),
          "apart" to placed(apart, 330, Placement(spread = Spread.ANTI_AFFINITY)),
          "strict" to placed(strict, 340, Placement(nodes = setOf("n0", "nowhere"), isStrict = true)),
          "racked" to placed(racked, 350, Placement(racks = setOf("/rack1"), isStrict = true)),
          "anywhere" to placed(anywhere, 360, Placement.ANYWHERE),
        )
      }

    fun placed(
      instances: Int,
      memoryMib: Long,
      placement: Placement,
    ) = service(instances, Resource(memoryMib, 1), 3, 6, FailurePolicy.FINISH_OTHERS).copy(placement = placement)

    val setups: Arb<Setup> =
      Arb.bind(
        services,
        Arb.list(Arb.of(NodeKind.SMALL, NodeKind.LARGE, NodeKind.LABELLED), 1..5).map { listOf(NodeKind.LARGE) + it },
        Arb.boolean(),
        Arb.list(Arb.bind(Arb.of(0, 0, 0, 1, -101), Arb.int(1..90), ::Program), 4..4),
      ) { services, nodes, countsVcores, programs -> Setup(services, nodes, countsVcores, programs) }

    val steps: Arb<Step> get() {
      val node = Arb.int(0..5)
      val few = Arb.int(1..3)
      val flag = Arb.boolean()
      val millis = Arb.of(50, 300, 1_000, 2_500, 6_000, 20_000).map { it.toLong() }
      return Arb.choose(
        12 to millis.map(::Pass),
        1 to millis.map(::RestartRm),
        2 to few.map(::LoseAnswers),
        1 to few.map(::LoseRequests),
        2 to Arb.bind(node, flag, ::LoseNode),
        2 to Arb.of(BringNodes),
        2 to Arb.int(0..30).map(::Preempt),
        2 to Arb.bind(Arb.int(0..30), Arb.of(0, 1), ::EndProgram),
        3 to few.map(::GrantUnasked),
        1 to millis.map(::StallLoop),
        1 to Arb.of(Settle),
      )
    }
  }
}
