package knit.am.sim

import io.kotest.property.Arb
import io.kotest.property.arbitrary.bind
import io.kotest.property.arbitrary.boolean
import io.kotest.property.arbitrary.choose
import io.kotest.property.arbitrary.int
import io.kotest.property.arbitrary.list
import io.kotest.property.arbitrary.map
import io.kotest.property.arbitrary.of
import io.kotest.property.arbitrary.orNull
import knit.am.core.FailurePolicy
import knit.am.core.FinalStatus
import knit.am.core.LARGE
import knit.am.core.SMALL
import knit.am.core.ServiceSpec
import knit.am.core.service
import knit.am.forAll
import org.junit.jupiter.api.Test

/** Whatever happens in a [World], nothing of it is wrong, and it comes to an end. */
class SimulationTest {
  internal data class Scenario(
    val setup: Setup,
    val steps: List<Step>,
  )

  @Test
  fun nothingIsLostAndNobodyWaitsInSilence() =
    forAll(SAMPLES, scenarios, edgeCases = 0.0, seed = SEED) { scenario ->
      val world = World(scenario.setup)
      scenario.steps.forEach(world::take)
      world.finish(LIMIT_SECONDS)
    }

  internal companion object {
    /** Where all fail for their disks on the only node that is large enough, every second one waits until that is forgiven, ten minutes later. */
    const val LIMIT_SECONDS = 12 * 3_600L

    /** The same worlds each time, so that a build is not red by chance; other ones, and more, are looked for with -Dknit.sim.seed, -Dknit.sim.samples and [LongRunTest]. */
    val SEED: Long = java.lang.Long.getLong("knit.sim.seed", 1_455_814_357_768_589_369)

    val SAMPLES = Integer.getInteger("knit.sim.samples", 20)

    val scenarios: Arb<Scenario> get() = Arb.bind(setups, Arb.list(steps, 0..40), ::Scenario)

    private val setups: Arb<Setup> get() =
      Arb.bind(
        services,
        nodes,
        Arb.boolean(),
        Arb.list(programs, 4..4),
      ) { services, nodes, countsVcores, programs -> Setup(services, nodes, countsVcores, programs) }

    /** Where only one is in reach, it is soon to be avoided, and must not be. */
    private val nodes: Arb<List<NodeKind>> get() =
      Arb.choose(
        3 to Arb.list(Arb.of(NodeKind.SMALL, NodeKind.SMALL, NodeKind.LARGE, NodeKind.LABELLED), 1..5).map { it + NodeKind.LARGE },
        1 to Arb.of(listOf(listOf(NodeKind.LABELLED, NodeKind.LARGE))),
      )

    private val programs: Arb<Program> get() =
      Arb.bind(Arb.of(0, 0, 0, 0, 1, 137, -1, -101, -104, -1_000), Arb.int(1..90), ::Program)

    private val services: Arb<Map<String, ServiceSpec>> get() =
      Arb.bind(serviceSpecs, serviceSpecs.orNull(0.5)) { worker, chief ->
        listOfNotNull("worker" to worker, chief?.let { "chief" to it }).toMap()
      }

    private val serviceSpecs: Arb<ServiceSpec> get() =
      Arb.bind(
        Arb.int(0..8),
        Arb.of(SMALL, SMALL, LARGE),
        Arb.int(0..3),
        Arb.int(0..6),
        Arb.of(FailurePolicy.FINISH_OTHERS, FailurePolicy.FINISH_OTHERS, FailurePolicy.FAIL_APPLICATION),
      ) { instances, size, restarts, replacements, policy ->
        service(instances, size, restarts, replacements, policy)
      }

    private val steps: Arb<Step> get() {
      val any = Arb.int(0..30)
      val node = Arb.int(0..5)
      val few = Arb.int(1..3)
      val flag = Arb.boolean()
      val millis = Arb.of(50, 300, 1_000, 2_500, 6_000, 20_000, 70_000).map { it.toLong() }
      return Arb.choose(
        16 to millis.map(::Pass),
        4 to Arb.bind(Arb.int(0..1), Arb.int(1..6), any, flag, ::Add),
        2 to any.map(::StopContainer),
        2 to any.map(::StopRank),
        1 to Arb.of(FinalStatus.entries).map(::EndAll),
        2 to millis.map(::RestartRm),
        1 to millis.map(::SilenceRm),
        2 to few.map(::LoseAnswers),
        1 to few.map(::LoseRequests),
        1 to Arb.of(RefuseTokens(1), RefuseTokens(2), LoseCount, LoseLargest),
        2 to Arb.bind(node, flag, ::LoseNode),
        2 to Arb.of(BringNodes),
        1 to node.map(::RestartNode),
        3 to Arb.bind(node, flag, millis, ::DisturbNode),
        2 to any.map(::Preempt),
        2 to Arb.bind(any, Arb.of(0, 1, 143, -103), ::EndProgram),
        2 to few.map(::EndUntold),
        2 to few.map(::GrantUnasked),
        3 to Arb.of(RestartOnRelease),
        1 to Arb.of(LowerMaximum),
        2 to Arb.bind(flag, millis, ::DisturbAll),
        2 to millis.map(::StallLoop),
        3 to Arb.of(Watch),
        2 to millis.map(::PauseWatch),
        2 to Arb.of(StopWatch),
        2 to Arb.of(Settle),
      )
    }
  }
}
