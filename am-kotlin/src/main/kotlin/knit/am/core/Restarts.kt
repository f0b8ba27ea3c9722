package knit.am.core

/** What a failure is charged to: each rank has a number of either. */
internal enum class Budget { RESTARTS, REPLACEMENTS }

/** The budget a failure for this reason is charged to: the program's own, or what YARN did to it; null where none failed. */
internal val ExitReason.budget: Budget?
  get() =
    when (this) {
      ExitReason.EXITED, ExitReason.OUT_OF_MEMORY, ExitReason.LOCALIZATION_FAILED, ExitReason.KILLED_BY_YARN -> Budget.RESTARTS
      ExitReason.PREEMPTED, ExitReason.NODE_LOST, ExitReason.DISK_FAILED, ExitReason.LAUNCH_FAILED -> Budget.REPLACEMENTS
      ExitReason.STOPPED, ExitReason.APPLICATION_ENDED -> null
    }

/** Whether the place's next container may be asked for after its latest failed for [reason]; if so, what has then been spent. */
internal fun PlaceHistory.charged(
  reason: ExitReason,
  service: ServiceSpec,
): PlaceHistory? =
  when (reason.budget) {
    Budget.RESTARTS -> if (restarts < service.maxRestarts) copy(restarts = restarts + 1) else null
    Budget.REPLACEMENTS -> if (replacements < service.maxReplacements) copy(replacements = replacements + 1) else null
    null -> null
  }
