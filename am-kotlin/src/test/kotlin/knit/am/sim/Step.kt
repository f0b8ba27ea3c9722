package knit.am.sim

import knit.am.core.FinalStatus

/** One thing that happens in a [World]; numbers choose among what there is, so that every sequence has a meaning. */
internal sealed interface Step

/** Time passes, in which nodes report, programs end and heartbeats are exchanged. */
internal data class Pass(
  val millis: Long,
) : Step

/** A client adds containers, and if the [answerIsLost] does it again, in the same words. */
internal data class Add(
  val service: Int,
  val count: Int,
  val size: Int,
  val answerIsLost: Boolean,
) : Step

internal data class StopContainer(
  val container: Int,
) : Step

internal data class StopRank(
  val rank: Int,
) : Step

/** What clients ask for, each of what there is at that moment. */
internal enum class AskKind {
  ADD,
  SCALE,
  STOP,
  RESTART,
  ADD_SERVICES,
  REMOVE_SERVICES,
  UPDATE,
  STEER_UPDATE,
  WRITE_KEYS,
  LEASE,
  PROGRESS,

  /** What was asked for before, in the same words. */
  AGAIN,
  END,
}

/** A client asks for something that the [seed] chooses, and if the [answerIsLost] does it again, in the same words. */
internal data class Ask(
  val kind: AskKind,
  val seed: Int,
  val answerIsLost: Boolean,
) : Step

/** The Application Master's clock is set so much forward or, below 0, back; time passes as before. */
internal data class SetClock(
  val seconds: Long,
) : Step

internal data class EndAll(
  val finalStatus: FinalStatus,
) : Step

/** The ResourceManager is away for so long, and comes back without what it did not write down. */
internal data class RestartRm(
  val downMillis: Long,
) : Step

internal data class SilenceRm(
  val downMillis: Long,
) : Step

internal data class LoseAnswers(
  val count: Int,
) : Step

internal data class LoseRequests(
  val count: Int,
) : Step

internal data class RefuseTokens(
  val count: Int,
) : Step

internal data object LoseCount : Step

internal data class LoseNode(
  val node: Int,
  val tellsEnds: Boolean,
) : Step

/** All of the largest nodes go. */
internal data object LoseLargest : Step

/** Nodes that are away come back, empty. */
internal data object BringNodes : Step

/** A NodeManager is started anew and finds a process gone that it had. */
internal data class RestartNode(
  val node: Int,
) : Step

/** For so long a NodeManager refuses or, if it [isSilent], does not answer, though what it was told may be done. */
internal data class DisturbNode(
  val node: Int,
  val isSilent: Boolean,
  val millis: Long,
) : Step

internal data class Preempt(
  val container: Int,
) : Step

internal data class EndProgram(
  val container: Int,
  val exitStatus: Int,
) : Step

/** The next leases end before anybody is told of them. */
internal data class EndUntold(
  val count: Int,
) : Step

internal data class GrantUnasked(
  val count: Int,
) : Step

/** The next heartbeat that gives back what a node runs is the last before the ResourceManager is started anew. */
internal data object RestartOnRelease : Step

/** YARN is configured to grant less to one container than some ask for. */
internal data object LowerMaximum : Step

/** For so long all NodeManagers refuse, or do not answer. */
internal data class DisturbAll(
  val isSilent: Boolean,
  val millis: Long,
) : Step

/** For so long the Application Master's own loop does not get to its work. */
internal data class StallLoop(
  val millis: Long,
) : Step

/** A watcher begins, or goes on where it was. */
internal data object Watch : Step

/** The watcher takes nothing for so long. */
internal data class PauseWatch(
  val millis: Long,
) : Step

internal data object StopWatch : Step

/** Nothing is disturbed for a while, after which everything must have found its place. */
internal data object Settle : Step
