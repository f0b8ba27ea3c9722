package knit.am.grpc

import knit.am.core.Annotate
import knit.am.core.Application
import knit.am.core.EndApplication
import knit.am.core.FinalStatus
import knit.am.core.Header
import knit.am.core.Outcome
import knit.am.core.Phase
import knit.am.core.ReportProgress
import knit.am.security.TokenDescription
import knit.v1.ApplicationOutcome
import knit.v1.ApplicationState
import knit.v1.DelegationToken
import knit.v1.ReportProgressRequest
import knit.v1.ShutdownRequest
import knit.v1.UpdateApplicationRequest
import knit.v1.Application as ApplicationMessage
import knit.v1.FinalStatus as FinalStatusMessage

// What ApplicationService says and is told.

internal fun Phase.toMessage(): ApplicationState =
  when (this) {
    Phase.RUNNING -> ApplicationState.APPLICATION_STATE_RUNNING
    Phase.ENDING, Phase.REPORTING -> ApplicationState.APPLICATION_STATE_ENDING
    Phase.ENDED -> ApplicationState.APPLICATION_STATE_ENDED
  }

internal fun Application.toMessage(): ApplicationMessage = toMessage(header)

/** As [header] was noted; how many ranks have ended is as it is now. */
internal fun Application.toMessage(header: Header): ApplicationMessage {
  val message =
    ApplicationMessage
      .newBuilder()
      .setApplicationId(header.id)
      .setAttemptNumber(header.attemptNumber)
      .setState(header.phase.toMessage())
      .setMasterContainerId(header.masterContainerId)
      .setProgress(header.progress ?: endedPart)
      .setIsProgressReported(header.progress != null)
  header.startTime?.let { message.setStartTime(it.toMessage()) }
  header.outcome?.let { message.setOutcome(it.toMessage()) }
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

internal fun ReportProgressRequest.toDomain(): ReportProgress {
  refuseIfUnknown()
  return ReportProgress(if (hasProgress()) progress else null)
}

internal fun UpdateApplicationRequest.toDomain(): Annotate {
  refuseIfUnknown()
  return Annotate(setAnnotationsMap.mapValues { it.value.toDomain() }, removeAnnotationsList.toSet(), requestId, historyId)
}

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

internal fun TokenDescription.toMessage(): DelegationToken {
  val message =
    DelegationToken
      .newBuilder()
      .setKind(kind)
      .setService(service)
      .setRenewer(renewer)
      .setIsReplaced(isReplaced)
  issueTime?.let { message.setIssueTime(it.toMessage()) }
  maxTime?.let { message.setMaxTime(it.toMessage()) }
  expireTime?.let { message.setExpireTime(it.toMessage()) }
  return message.build()
}
