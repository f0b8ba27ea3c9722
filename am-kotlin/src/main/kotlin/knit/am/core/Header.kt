package knit.am.core

import java.time.Instant

/** Where an application is in its life. */
enum class Phase {
  /** Containers are wanted or running, or none was asked for yet. */
  RUNNING,

  /** The outcome is decided; what still runs is being stopped. */
  ENDING,

  /** Every container is in a final state; YARN is being told the outcome. */
  REPORTING,

  /** Final: YARN has taken note of the outcome. */
  ENDED,
}

/** What there is once in an application. */
data class Header(
  val id: String,
  /** Which start of the Application Master this is, from 1. */
  val attemptNumber: Int,
  /** Names everything that is remembered here: another one for each attempt, for none recovers what the one before knew. */
  val historyId: String,
  val phase: Phase = Phase.RUNNING,
  /** Set once the phase is no longer [Phase.RUNNING]. */
  val outcome: Outcome? = null,
  /** When the Application Master registered with the RM. */
  val startTime: Instant? = null,
  /** The most YARN grants to one container now; null until registered. */
  val maxResource: Resource? = null,
  /** Of the first container that failed with its place's budgets spent, also where that was made good; see [standingFailure]. */
  val firstFailure: Failure? = null,
  /** While it is ending: when YARN has said nothing for too long. */
  val endDeadline: Instant? = null,
  /** Whether what had not ended by the first [endDeadline] has been given back to YARN. */
  val isGivenBack: Boolean = false,
  /** How far it is, 0 to 1, where a program says so. */
  val progress: Double? = null,
  /** Why the specification cannot be run at all; it ends the application once there is an RM to tell. */
  val problem: String? = null,
  /** The partition (node label) of containers whose service names none; null: the queue's default. */
  val nodeLabel: String? = null,
  /** YARN's identifier of the Application Master's own container; empty where nobody has said. */
  val masterContainerId: String = "",
  /** Of the program that runs beside the Application Master; null: there is none. */
  val driver: DriverState? = null,
)

/** What is said of a container's failure in the end, when the container itself may be forgotten. */
data class Failure(
  val key: ContainerKey,
  /** For people. */
  val sentence: String,
  /** The program's, or 1 where there is none. */
  val exitCode: Int,
)
