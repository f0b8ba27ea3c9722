package knit.am.sim

import io.kotest.property.Arb
import io.kotest.property.arbitrary.bind
import io.kotest.property.arbitrary.boolean
import io.kotest.property.arbitrary.choose
import io.kotest.property.arbitrary.int
import io.kotest.property.arbitrary.list
import io.kotest.property.arbitrary.map
import io.kotest.property.arbitrary.of
import knit.am.core.ServiceSpec
import knit.am.forAll
import org.junit.jupiter.api.Test
import kotlin.random.Random

/**
 * Clients scale, update, stop, add and remove services of all kinds, and write keys, while the cluster fails under them:
 * nothing of it is wrong after any turn, whoever waits can say why, and every world comes to an end.
 */
class ControlPlaneTest {
  @Test
  fun whateverClientsAskForAndTheClusterDoesEveryRuleHolds() =
    forAll(
      SAMPLES,
      scenarios,
      edgeCases = 0.0,
      seed = SimulationTest.SEED,
    ) { scenario ->
      val world = World(scenario.setup)
      scenario.steps.forEach(world::take)
      world.finish(SimulationTest.LIMIT_SECONDS)
    }

  internal companion object {
    val SAMPLES = Integer.getInteger("knit.sim.samples", 20)

    private fun services(seed: Int): Map<String, ServiceSpec> {
      val random = Random(seed)
      val services = LinkedHashMap<String, ServiceSpec>()
      repeat(1 + random.nextInt(3)) { services["service-$it"] = random.serviceSpec(services.keys.toList()) }
      return services
    }

    private val setups: Arb<Setup> =
      Arb.bind(
        Arb.int(0..1_000_000).map(::services),
        Arb.list(Arb.of(NodeKind.SMALL, NodeKind.LARGE), 1..4).map { listOf(NodeKind.LARGE) + it },
        Arb.boolean(),
        Arb.list(Arb.bind(Arb.of(0, 0, 0, 1, 137, -101, -104), Arb.int(1..60), ::Program), 4..4),
        Arb.of(null, null, null, null, Program(0, 1_000_000), Program(3, 200)),
      ) { services, nodes, countsVcores, programs, driver ->
        Setup(services, nodes, countsVcores, programs, driver, isEndedByClients = true)
      }

    val scenarios: Arb<SimulationTest.Scenario> get() = Arb.bind(setups, Arb.list(steps, 5..60), SimulationTest::Scenario)

    private fun asks(
      weight: Int,
      kind: AskKind,
    ) = weight to Arb.bind(Arb.int(0..1_000_000), Arb.of(true, false, false)) { seed, isLost -> Ask(kind, seed, isLost) }

    private val steps: Arb<Step> get() {
      val any = Arb.int(0..30)
      val node = Arb.int(0..4)
      val few = Arb.int(1..3)
      val flag = Arb.boolean()
      val millis = Arb.of(50, 300, 1_000, 2_500, 6_000, 20_000, 70_000).map { it.toLong() }
      return Arb.choose(
        24 to millis.map(::Pass),
        1 to Arb.of(Pass(600_000), Pass(1_200_000)),
        asks(3, AskKind.ADD),
        asks(6, AskKind.SCALE),
        asks(4, AskKind.STOP),
        asks(4, AskKind.RESTART),
        asks(3, AskKind.ADD_SERVICES),
        asks(1, AskKind.REMOVE_SERVICES),
        asks(7, AskKind.UPDATE),
        asks(4, AskKind.STEER_UPDATE),
        asks(5, AskKind.WRITE_KEYS),
        asks(2, AskKind.LEASE),
        asks(1, AskKind.PROGRESS),
        asks(3, AskKind.AGAIN),
        1 to Arb.of(Pass(1_000), Pass(1_000), Pass(1_000), EndAll(knit.am.core.FinalStatus.SUCCEEDED)),
        1 to Arb.of(-90, -2, 30, 400).map { SetClock(it.toLong()) },
        1 to millis.map(::RestartRm),
        1 to millis.map(::SilenceRm),
        2 to few.map(::LoseAnswers),
        1 to few.map(::LoseRequests),
        1 to Arb.of(RefuseTokens(1), LoseCount, LoseLargest),
        2 to Arb.bind(node, flag, ::LoseNode),
        3 to Arb.of(BringNodes),
        1 to node.map(::RestartNode),
        2 to Arb.bind(node, flag, millis, ::DisturbNode),
        3 to any.map(::Preempt),
        3 to Arb.bind(any, Arb.of(0, 1, 143, -103), ::EndProgram),
        1 to few.map(::EndUntold),
        1 to few.map(::GrantUnasked),
        1 to Arb.of(RestartOnRelease),
        1 to Arb.bind(flag, millis, ::DisturbAll),
        2 to millis.map(::StallLoop),
        2 to Arb.of(Watch),
        1 to millis.map(::PauseWatch),
        1 to Arb.of(Settle),
      )
    }
  }
}
