package knit.am.core

import java.time.Instant

/** Why a container ended; the process itself is only one of the possible causes. */
enum class ExitReason {
  EXITED,
  STOPPED,
  APPLICATION_ENDED,
  PREEMPTED,
  OUT_OF_MEMORY,
  NODE_LOST,
  DISK_FAILED,
  LOCALIZATION_FAILED,
  LAUNCH_FAILED,
  KILLED_BY_YARN,

  /** It was not ready in time. */
  UNHEALTHY,
  SCALED_DOWN,

  /** One of another revision takes its place. */
  REPLACED,

  /** A client asked for its rank to be started anew. */
  RESTARTED,

  /** The Application Master was started anew and YARN did not name it. */
  MASTER_LOST,
}

/**
 * YARN's exit statuses, as in its `ContainerExitStatus`; a test compares them with Hadoop's own.
 *
 * What is not here and above 0 is the exit code of the launch script, which is the program's.
 */
internal object ExitStatus {
  const val INVALID = -1000
  const val ABORTED = -100
  const val DISKS_FAILED = -101
  const val PREEMPTED = -102
  const val KILLED_EXCEEDED_VMEM = -103
  const val KILLED_EXCEEDED_PMEM = -104
  const val KILLED_BY_APPMASTER = -105
  const val KILLED_BY_RESOURCEMANAGER = -106
  const val KILLED_AFTER_APP_COMPLETION = -107
  const val KILLED_BY_CONTAINER_SCHEDULER = -108
  const val KILLED_FOR_EXCESS_LOGS = -109

  /** Not one of YARN's constants: what a NodeManager reports when it could not start the launch script at all. */
  const val NOT_LAUNCHED = -1

  /**
   * Not one of YARN's constants: what a NodeManager that recovers its containers reports of one whose process has gone
   * meanwhile, as after a reboot (`ContainerExecutor.ExitCode.LOST`). As a shell's code it would be SIGVTALRM, which
   * ends no program that does not ask for it.
   */
  const val LOST = 154
}

private val exitCodes = 0..255

/** The end of a container that nobody asked for, from what YARN reports of it. */
internal fun exitOf(
  exitStatus: Int,
  diagnostics: String,
  now: Instant,
) = ContainerExit(reasonOf(exitStatus, diagnostics), exitCodeOf(exitStatus), now, bounded(diagnostics + hintAt(exitStatus)))

/** What YARN's own words leave out: few people know that this limit exists, and more memory is seldom what is wanted. */
private fun hintAt(exitStatus: Int): String =
  if (exitStatus != ExitStatus.KILLED_EXCEEDED_VMEM) {
    ""
  } else {
    "\nThis was virtual memory, which a program reserves and may never use. The nodes' settings yarn.nodemanager.vmem-check-enabled " +
      "and yarn.nodemanager.vmem-pmem-ratio decide about it; the limit grows with the memory that is asked for."
  }

/** The process's exit code, where [exitStatus] is one and not a cause of YARN's. */
internal fun exitCodeOf(exitStatus: Int): Int? = exitStatus.takeIf { it in exitCodes && it != ExitStatus.LOST }

/** What is kept of a container's diagnostics: their end, which as a rule is what the program wrote last. YARN's have up to 10,000 characters. */
internal const val MAX_DIAGNOSTICS_LENGTH = 2_048

internal fun bounded(diagnostics: String): String {
  if (diagnostics.length <= MAX_DIAGNOSTICS_LENGTH) return diagnostics
  val end = diagnostics.takeLast(MAX_DIAGNOSTICS_LENGTH - 1)
  return "…" + if (end.first().isLowSurrogate()) end.drop(1) else end
}

/**
 * [diagnostics] are read only where YARN itself ended the container: after an exit code they hold what the program
 * wrote, which may say anything.
 */
internal fun reasonOf(
  exitStatus: Int,
  diagnostics: String,
): ExitReason =
  when (exitStatus) {
    ExitStatus.INVALID -> {
      ExitReason.LOCALIZATION_FAILED
    }

    ExitStatus.ABORTED -> {
      when {
        diagnostics.contains("lost", ignoreCase = true) && diagnostics.contains("node", ignoreCase = true) -> ExitReason.NODE_LOST

        // The lease ran out before the NodeManager reported a start.
        diagnostics.contains("expired", ignoreCase = true) -> ExitReason.LAUNCH_FAILED

        else -> ExitReason.KILLED_BY_YARN
      }
    }

    ExitStatus.DISKS_FAILED -> {
      ExitReason.DISK_FAILED
    }

    // The scheduler of a node sheds containers for others just as the RM's does.
    ExitStatus.PREEMPTED, ExitStatus.KILLED_BY_CONTAINER_SCHEDULER -> {
      ExitReason.PREEMPTED
    }

    ExitStatus.KILLED_EXCEEDED_VMEM, ExitStatus.KILLED_EXCEEDED_PMEM -> {
      ExitReason.OUT_OF_MEMORY
    }

    // While the application lives, only a NodeManager that is shutting down believes it over.
    ExitStatus.KILLED_AFTER_APP_COMPLETION, ExitStatus.LOST -> {
      ExitReason.NODE_LOST
    }

    ExitStatus.KILLED_BY_APPMASTER, ExitStatus.KILLED_BY_RESOURCEMANAGER, ExitStatus.KILLED_FOR_EXCESS_LOGS -> {
      ExitReason.KILLED_BY_YARN
    }

    else -> {
      when {
        exitStatus >= 0 -> ExitReason.EXITED
        diagnostics.contains("localiz", ignoreCase = true) -> ExitReason.LOCALIZATION_FAILED
        exitStatus == ExitStatus.NOT_LAUNCHED -> ExitReason.LAUNCH_FAILED
        else -> ExitReason.KILLED_BY_YARN
      }
    }
  }
