package knit.am.sim

import knit.am.core.FailurePolicy
import knit.am.core.LARGE
import knit.am.core.Resource
import knit.am.core.SMALL
import knit.am.core.service
import kotlin.random.Random

/**
 * Lets a [World] go on for long: `LongRun SEED HOURS CONTAINERS`, in virtual time.
 *
 * So many containers are asked for in all, in the first of so many hours of faults; the same seed is the same run.
 */
fun main(arguments: Array<String>) {
  val (seed, hours, containers) = arguments.map { it.toInt() }
  println(LongRun(seed, hours, containers).run())
}

internal class LongRun(
  seed: Int,
  private val hours: Int,
  private val containers: Int,
) {
  private val random = Random(seed)
  private val services =
    mapOf(
      "small" to service(0, SMALL, maxRestarts = 2, maxReplacements = 20, failurePolicy = FailurePolicy.FINISH_OTHERS),
      "large" to service(0, LARGE, maxRestarts = 2, maxReplacements = 20, failurePolicy = FailurePolicy.FINISH_OTHERS),
      "whole" to service(1, Resource(128, 1), maxRestarts = 1_000, maxReplacements = 1_000, failurePolicy = FailurePolicy.FINISH_OTHERS),
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
  private val world = World(Setup(services, nodes, random.nextBoolean(), programs, endless = "whole"), checkInterval = CHECK_INTERVAL)
  private var added = 0

  fun run(): String {
    while (world.seconds < hours * 3_600L) {
      world.take(Pass(1L + random.nextInt(MAX_PAUSE_MILLIS)))
      world.take(step())
      if (random.nextInt(SETTLE_EVERY) == 0) world.take(Settle)
    }
    world.finish(limitSeconds = FINISH_SECONDS)
    val states =
      world.application.containers
        .groupingBy { it.state }
        .eachCount()
    return "$added containers added, ${world.seconds} s, ${world.turns} turns, ${world.yarn.heartbeats} heartbeats, " +
      "${world.yarn.leases.size} leases, ${world.yarn.refusals} refusals: $states"
  }

  /** More is added than the hours so far account for; otherwise something breaks. */
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
    return when (random.nextInt(24)) {
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
      10 -> BringNodes
      11 -> RestartNode(any)
      12 -> DisturbNode(any, random.nextBoolean(), millis)
      13 -> Preempt(any)
      14 -> EndProgram(any, 0)
      15 -> EndUntold(few)
      16 -> GrantUnasked(few)
      17 -> RestartOnRelease
      18 -> DisturbAll(random.nextBoolean(), millis / 4)
      19 -> StallLoop(millis / 12)
      20 -> Watch
      21 -> PauseWatch(millis)
      22 -> if (random.nextBoolean()) StopWatch else LowerMaximum
      else -> Preempt(any)
    }
  }

  private companion object {
    const val NODES = 40
    const val MAX_ADDED = 100
    const val MAX_PROGRAM_SECONDS = 240
    const val MAX_PAUSE_MILLIS = 20_000
    const val SETTLE_EVERY = 200
    const val CHECK_INTERVAL = 5_000
    const val FINISH_SECONDS = 7_200L
  }
}
