package knit.am.core

/** Where the program is that runs beside the Application Master, and whose end is the application's. */
enum class DriverState {
  /** It begins once the Application Master is registered. */
  WAITING,
  RUNNING,

  /** It was asked to end. */
  STOPPING,

  /** Final. */
  ENDED,
}

/** Whether there is a driver whose end is still to come. */
internal val DriverState?.isToCome: Boolean
  get() = this != null && this != DriverState.ENDED

internal fun Turn.startDriver() {
  if (application.header.driver != DriverState.WAITING || application.phase != Phase.RUNNING) return
  put(application.header.copy(driver = DriverState.RUNNING))
  effect(StartDriver)
}

internal fun Turn.stopDriver() {
  when (application.header.driver) {
    DriverState.WAITING -> {
      put(application.header.copy(driver = DriverState.ENDED))
    }

    DriverState.RUNNING -> {
      put(application.header.copy(driver = DriverState.STOPPING))
      effect(StopDriver)
    }

    else -> {}
  }
}

/** Its end is the application's, unless that has been decided already. */
internal fun Turn.driverEnded(report: DriverEnded) {
  if (application.header.driver != DriverState.RUNNING && application.header.driver != DriverState.STOPPING) return
  put(application.header.copy(driver = DriverState.ENDED))
  end(application.outcomeOf(report))
}

private fun Application.outcomeOf(report: DriverEnded): Outcome {
  if (report.exitCode == 0) {
    return standingFailure?.let { failureOutcome(it) } ?: Outcome(FinalStatus.SUCCEEDED, "The driver has ended with exit code 0.", 0)
  }
  val last = lastWords(report.diagnostics)?.let { " $it" }.orEmpty()
  val first = standingFailure?.let { " First to fail: ${it.sentence}" }.orEmpty()
  return Outcome(FinalStatus.FAILED, "The driver failed: ${report.inWords()}.$last$first", report.exitCode ?: 1)
}

private fun DriverEnded.inWords(): String {
  if (exitCode == null) return "it has no exit code"
  val more =
    when (signalOf(exitCode)) {
      SIGKILL -> ": it has what the Application Master leaves of its container"
      SIGTERM -> ", as a node does with a container that is to end"
      else -> ""
    }
  return exitInWords(exitCode) + more
}

private const val SIGTERM = 15
