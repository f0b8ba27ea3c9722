package knit.am.core

import java.time.Duration

/** What a rank that failed for good means for the rest of the application. */
enum class FailurePolicy {
  FAIL_APPLICATION,
  FINISH_OTHERS,

  /** The others go on, and the application may succeed. */
  IGNORE,
}

/** What a service waits for before it begins. */
data class Dependency(
  val serviceName: String,
  val condition: DependencyCondition = DependencyCondition.READY,
)

enum class DependencyCondition {
  /** Each rank it began with was [ContainerState.RUNNING] once. */
  STARTED,

  /** Each of its ranks is ready, or has succeeded. */
  READY,

  /** Each of its ranks has succeeded. */
  FINISHED,
}

/** How many failures for some reasons are made good. */
data class RestartBudget(
  val reasons: Set<ExitReason>,
  /** Null: without end. */
  val limit: Int? = null,
  val scope: RestartScope = RestartScope.RANK,
  /** How long a failure counts; null: for ever. */
  val window: Duration? = null,
) {
  companion object {
    /** What the program brings about itself, or its specification. */
    val PROGRAM_REASONS =
      setOf(
        ExitReason.EXITED,
        ExitReason.OUT_OF_MEMORY,
        ExitReason.LOCALIZATION_FAILED,
        ExitReason.KILLED_BY_YARN,
        ExitReason.UNHEALTHY,
      )

    /** What YARN and its nodes do to it. */
    val CLUSTER_REASONS = setOf(ExitReason.PREEMPTED, ExitReason.NODE_LOST, ExitReason.DISK_FAILED, ExitReason.LAUNCH_FAILED)

    /** Of a service that names none. */
    val DEFAULTS = listOf(RestartBudget(PROGRAM_REASONS, limit = 0), RestartBudget(CLUSTER_REASONS, limit = 3))
  }
}

/** Who shares a budget. */
enum class RestartScope { RANK, SERVICE }

/** How long a rank rests between a failure and its next attempt. */
data class BackOff(
  /** Null: a second after a failure of the program, nothing after the cluster's. */
  val first: Duration? = null,
  /** How many times as long after each further failure. */
  val factor: Double = 2.0,
  val most: Duration = Duration.ofMinutes(5),
  /** After a container has run for so long, it begins anew. */
  val resetAfter: Duration = Duration.ofMinutes(10),
)

/** When a container counts as ready. */
data class Readiness(
  /** Whether the program says so itself; else it is so once it runs. */
  val isReported: Boolean = false,
  /** How long it has to be so; null: the default. */
  val minReady: Duration? = null,
  /** A container that was not ready for so long has failed; null: it may take for ever. */
  val limit: Duration? = null,
) {
  companion object {
    val DEFAULT_MIN_READY: Duration = Duration.ofSeconds(1)

    /** While the service is updated: what ends soon after its start should not take the place of what works. */
    val MIN_READY_IN_UPDATES: Duration = Duration.ofSeconds(10)
  }
}

/** What happens when containers have waited for YARN too long. */
enum class AllocationPolicy { FAIL, GO_ON, KEEP_WAITING }

/** How a service passes from one revision to the next. */
data class UpdatePolicy(
  val maxSurge: Int = 1,
  val maxUnavailable: Int = 0,
  /** How many containers of the new revision may fail before [failurePolicy] has its say. */
  val failures: Int = 1,
  val readyLimit: Duration = Duration.ofMinutes(10),
  val failurePolicy: UpdateFailurePolicy = UpdateFailurePolicy.ROLL_BACK,
)

enum class UpdateFailurePolicy { ROLL_BACK, PAUSE }

/** Which containers end first when there are to be fewer. */
enum class ScaleDownOrder { HIGHEST_RANK_FIRST, NEWEST_FIRST, OLDEST_FIRST }

/** What a service's containers may ask of the Application Master; each level includes the one before. */
enum class Access { CONTAINER, OPERATOR, OWNER }
