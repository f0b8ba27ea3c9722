package knit.am.grpc

import knit.am.core.Application
import knit.am.core.EndApplication
import knit.am.core.FinalStatus
import knit.am.core.Header
import knit.am.core.Outcome
import knit.am.core.Phase
import knit.v1.ApplicationOutcome
import knit.v1.ApplicationState
import knit.v1.ShutdownRequest
import knit.v1.Application as ApplicationMessage
import knit.v1.FinalStatus as FinalStatusMessage

// What ApplicationService says and is told.

internal fun Phase.toMessage(): ApplicationState =
  when (this) {
    Phase.RUNNING -> ApplicationState.APPLICATION_STATE_RUNNING
    Phase.ENDING, Phase.REPORTING -> ApplicationState.APPLICATION_STATE_ENDING
    Phase.ENDED -> ApplicationState.APPLICATION_STATE_ENDED
  }

internal fun Application.toMessage(): ApplicationMessage = header.toMessage()

internal fun Header.toMessage(): ApplicationMessage {
  val message =
    ApplicationMessage
      .newBuilder()
      .setApplicationId(id)
      .setAttemptNumber(attemptNumber)
      .setState(phase.toMessage())
  startTime?.let { message.setStartTime(it.toMessage()) }
  outcome?.let { message.setOutcome(it.toMessage()) }
  return message.build()
}

internal fun Outcome.toMessage(): ApplicationOutcome =
  ApplicationOutcome
    .newBuilder()
    .setFinalStatus(
      when (finalStatus) {
        FinalStatus.SUCCEEDED -> FinalStatusMessage.FINAL_STATUS_SUCCEEDED
        FinalStatus.FAILED -> FinalStatusMessage.FINAL_STATUS_FAILED
        FinalStatus.KILLED -> FinalStatusMessage.FINAL_STATUS_KILLED
      },
    ).setDiagnostics(diagnostics)
    .setExitCode(exitCode)
    .build()

internal fun ShutdownRequest.toDomain(): EndApplication {
  refuseIfUnknown()
  val status =
    when (finalStatus) {
      FinalStatusMessage.FINAL_STATUS_SUCCEEDED -> FinalStatus.SUCCEEDED
      FinalStatusMessage.FINAL_STATUS_FAILED -> FinalStatus.FAILED
      else -> FinalStatus.KILLED
    }
  return EndApplication(status, diagnostics)
}
