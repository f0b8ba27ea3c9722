package knit.am.sim

import knit.am.core.FailurePolicy
import knit.am.core.LARGE
import knit.am.core.Resource
import knit.am.core.SMALL
import knit.am.core.ServiceSpec
import knit.am.core.UpdatePolicy
import knit.am.core.service
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.condition.EnabledIfSystemProperty
import java.lang.management.ManagementFactory
import kotlin.random.Random

/**
 * A [World] that goes on for long, by hand: `-Dtest=LongRunTest -Dknit.sim.hours=24 -Dknit.sim.containers=50000`, in virtual
 * time; another `-Dknit.sim.seed` is another run, and the same seed the same one.
 */
@EnabledIfSystemProperty(named = "knit.sim.hours", matches = "\\d+")
class LongRunTest {
  @Test
  fun everyRuleHoldsForHoursOfFaultsAndCommands() {
    val hours = Integer.getInteger("knit.sim.hours")
    val containers = Integer.getInteger("knit.sim.containers", 2_000 * hours)
    val run = LongRun(SimulationTest.SEED, hours, containers)
    println(run.run())
    assertTrue(run.world.application.size >= containers, "${run.world.application}")
  }
}

/** So many containers are asked for in all, in the course of so many hours of faults; beside them clients do all that they can. */
internal class LongRun(
  seed: Long,
  private val hours: Int,
  private val containers: Int,
) {
  private val random = Random(seed)
  private val services =
    mapOf(
      "small" to bulk(SMALL),
      "large" to bulk(LARGE),
      "whole" to served(1).copy(resource = Resource(128, 1)),
      "front" to served(30),
      "back" to served(10).copy(startsTogether = true, failurePolicy = FailurePolicy.IGNORE),
    )
  private val nodes =
    List(NODES) {
      if (it % 5 == 4) {
        NodeKind.LABELLED
      } else if (it % 5 == 3) {
        NodeKind.SMALL
      } else {
        NodeKind.LARGE
      }
    }
  private val programs = List(997) { Program(if (it % 10 == 0) 1 else 0, 1 + random.nextInt(MAX_PROGRAM_SECONDS)) }
  private val setup =
    Setup(
      services,
      nodes,
      random.nextBoolean(),
      programs,
      isEndedByClients = true,
      maxServices = MAX_SERVICES,
      untouched = setOf("small", "large", "whole"),
      mayFail = false,
    )
  val world = World(setup, checkInterval = CHECK_INTERVAL)
  private var added = 0
  private val times = ArrayList<Long>()
  private var peakBytes = 0L

  private fun bulk(size: Resource) = service(0, size, maxRestarts = 2, maxReplacements = 20, failurePolicy = FailurePolicy.FINISH_OTHERS)

  private fun served(instances: Int): ServiceSpec =
    service(instances, SMALL, maxRestarts = 1_000, maxReplacements = 1_000, failurePolicy = FailurePolicy.FINISH_OTHERS)
      .copy(command = Commands.SERVE, updatePolicy = UpdatePolicy(maxSurge = 3, maxUnavailable = 2))

  fun run(): String {
    val began = System.nanoTime()
    val beganCpu = ManagementFactory.getThreadMXBean().currentThreadCpuTime
    world.onTurn = { times += it }
    var hour = 0L
    while (world.seconds < hours * 3_600L) {
      world.take(Pass(1L + random.nextInt(MAX_PAUSE_MILLIS)))
      world.take(step())
      if (random.nextInt(SETTLE_EVERY) == 0) world.take(Settle)
      if (world.seconds / 3_600 == hour) continue
      hour = world.seconds / 3_600
      measureHeap()
    }
    world.finish(limitSeconds = FINISH_SECONDS)
    return report((System.nanoTime() - began) / NANOS, (ManagementFactory.getThreadMXBean().currentThreadCpuTime - beganCpu) / NANOS)
  }

  private fun measureHeap() {
    System.gc()
    val runtime = Runtime.getRuntime()
    peakBytes = maxOf(peakBytes, runtime.totalMemory() - runtime.freeMemory())
  }

  private fun report(
    seconds: Double,
    cpuSeconds: Double,
  ): String {
    val sorted = times.sorted()
    val states =
      world.application.containers
        .groupingBy { it.state }
        .eachCount()
    return """
      |$added containers added, ${world.application.size} containers in all, ${world.application.services.size} services, ${world.seconds} s
      |${"%.0f".format(
      seconds,
    )} s of wall time, ${"%.0f".format(
      cpuSeconds,
    )} s of CPU, rules and all that is played included; ${"%.0f".format(world.turns / cpuSeconds)} turns/s of CPU
      |${world.turns} turns, ${"%.1f".format(times.sum() / NANOS)} s of CPU for them
      |CPU of a turn: p50 ${at(sorted, 0.5)} us, p99 ${at(sorted, 0.99)} us, the longest ${at(sorted, 1.0)} us
      |heap after a collection, the most of all hours: ${peakBytes / MIB} MiB
      |feed: ${world.feed.turns} turns, ${world.feed.changed} changes, ${world.feed.bytes / MIB} MiB
      |${world.yarn.heartbeats} heartbeats, ${world.yarn.leases.size} leases, ${world.yarn.refusals} refusals
      |$states
      """.trimMargin()
  }

  private fun at(
    sorted: List<Long>,
    part: Double,
  ) = "%.1f".format(sorted[((sorted.size - 1) * part).toInt()] / NANOS_PER_MICRO)

  /** More is added than the hours so far account for; otherwise something breaks, or somebody asks for something. */
  private fun step(): Step {
    val due = containers.toLong() * world.seconds / (hours * 3_600L) + 1
    if (added < containers && added < due) {
      val count = 1 + random.nextInt(minOf(MAX_ADDED, containers - added))
      added += count
      return Add(random.nextInt(2), count, random.nextInt(3), answerIsLost = random.nextInt(4) == 0)
    }
    val any = random.nextInt(10_000)
    val few = 1 + random.nextInt(3)
    val millis = random.nextLong(60_000)
    return when (random.nextInt(60)) {
      0 -> StopContainer(any)
      1 -> StopRank(any)
      2 -> RestartRm(millis / 4)
      3 -> SilenceRm(millis / 4)
      4 -> LoseAnswers(few)
      5 -> LoseRequests(few)
      6 -> RefuseTokens(1)
      7 -> LoseCount
      8 -> LoseNode(any, random.nextBoolean())
      9 -> if (random.nextInt(10) == 0) LoseLargest else BringNodes
      10, 11 -> BringNodes
      12 -> RestartNode(any)
      13 -> DisturbNode(any, random.nextBoolean(), millis)
      14 -> EndProgram(any, 0)
      15 -> EndUntold(few)
      16 -> GrantUnasked(few)
      17 -> RestartOnRelease
      18 -> DisturbAll(random.nextBoolean(), millis / 4)
      19 -> StallLoop(millis / 12)
      20 -> Watch
      21 -> PauseWatch(millis)
      22 -> if (random.nextBoolean()) StopWatch else LowerMaximum
      23, 24 -> Preempt(any)
      25 -> SetClock(random.nextLong(-5, 6))
      else -> Ask(random.pick(*kinds), random.nextInt(), answerIsLost = random.nextInt(4) == 0)
    }
  }

  private companion object {
    const val NODES = 40
    const val MAX_SERVICES = 100
    const val MAX_ADDED = 100
    const val MAX_PROGRAM_SECONDS = 240
    const val MAX_PAUSE_MILLIS = 20_000
    const val SETTLE_EVERY = 200
    const val CHECK_INTERVAL = 5_000
    const val FINISH_SECONDS = 7_200L
    const val NANOS = 1e9
    const val NANOS_PER_MICRO = 1e3
    const val MIB = 1024 * 1024
    val kinds = (AskKind.values().toList() - AskKind.END).toTypedArray()
  }
}
