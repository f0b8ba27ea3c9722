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

/** After a failure: another attempt while the budgets last, else what the service's policy says. */
internal fun Turn.restartOrGiveUp(
  failed: Container,
  fault: LaunchFault,
) {
  val key = failed.key
  val service = application.services.getValue(key.place.serviceName)
  val place = application.slot(key.place)?.place ?: Place(key.place)
  val charged = place.charged(checkNotNull(failed.exit).reason, service)
  if (charged != null && fault != LaunchFault.SPECIFICATION) {
    put(PlaceChanged(charged))
    put(Container(key.copy(attemptNumber = key.attemptNumber + 1), ContainerState.REQUESTED, failed.variant, requestTime = now))
    return
  }
  if (application.header.firstFailure == null) put(application.header.copy(firstFailure = failed.failure()))
  if (service.failurePolicy == FailurePolicy.FAIL_APPLICATION) end(application.failureOutcome(failed.failure()))
}

/** This with a failure for [reason] charged to its budgets; null where they are spent. */
private fun Place.charged(
  reason: ExitReason,
  service: ServiceSpec,
): Place? =
  when (reason.budget) {
    Budget.RESTARTS -> if (restarts < service.maxRestarts) copy(restarts = restarts + 1) else null
    Budget.REPLACEMENTS -> if (replacements < service.maxReplacements) copy(replacements = replacements + 1) else null
    null -> null
  }
