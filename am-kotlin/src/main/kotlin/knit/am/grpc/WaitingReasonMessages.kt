package knit.am.grpc

import knit.am.core.Application
import knit.am.core.ReasonSource
import knit.am.core.Service
import knit.am.core.WaitingCause
import knit.am.core.WaitingReason
import knit.am.core.gangReason
import knit.am.core.ownReasons
import knit.v1.ReasonSource as ReasonSourceMessage
import knit.v1.WaitingCause as WaitingCauseMessage
import knit.v1.WaitingReason as WaitingReasonMessage

/** As many as an answer tells, of a service and of the application. */
internal const val MAX_REASONS = 64

/** Why containers of the service wait: first what is decided here, which does not pass by itself, then what YARN's side knows. */
internal fun Application.reasonsOf(service: Service): List<WaitingReason> =
  (ownReasons(service.name) + listOfNotNull(gangReason(service.name)) + service.waits).take(MAX_REASONS)

/** Why containers wait, of whichever service: first what is decided here, then what YARN's side knows, [further]. */
internal fun Application.reasons(further: List<WaitingReason>): List<WaitingReason> {
  val own = serviceNames.asSequence().flatMap { name -> (ownReasons(name) + listOfNotNull(gangReason(name))).asSequence() }
  return (own + further).take(MAX_REASONS).toList()
}

internal fun WaitingReason.toMessage(): WaitingReasonMessage {
  val message =
    WaitingReasonMessage
      .newBuilder()
      .setServiceName(serviceName)
      .setCount(count)
      .setCause(cause.toMessage())
      .setExplanation(explanation)
      .setSinceTime(since.toMessage())
      .setSource(source.toMessage())
      .setIsCertain(isCertain)
      .putAllFacts(facts)
  resource?.let { message.setResource(it.toMessage()) }
  until?.let { message.setUntilTime(it.toMessage()) }
  return message.build()
}

private fun WaitingCause.toMessage(): WaitingCauseMessage =
  when (this) {
    WaitingCause.CAPACITY -> WaitingCauseMessage.WAITING_CAUSE_CAPACITY
    WaitingCause.TOO_LARGE -> WaitingCauseMessage.WAITING_CAUSE_TOO_LARGE
    WaitingCause.REFUSED -> WaitingCauseMessage.WAITING_CAUSE_REFUSED
    WaitingCause.RESOURCE_MANAGER -> WaitingCauseMessage.WAITING_CAUSE_RESOURCE_MANAGER
    WaitingCause.QUEUE_FULL -> WaitingCauseMessage.WAITING_CAUSE_QUEUE_FULL
    WaitingCause.USER_LIMIT -> WaitingCauseMessage.WAITING_CAUSE_USER_LIMIT
    WaitingCause.LABEL -> WaitingCauseMessage.WAITING_CAUSE_LABEL
    WaitingCause.PLACEMENT -> WaitingCauseMessage.WAITING_CAUSE_PLACEMENT
    WaitingCause.BACK_OFF -> WaitingCauseMessage.WAITING_CAUSE_BACK_OFF
    WaitingCause.DEPENDENCY -> WaitingCauseMessage.WAITING_CAUSE_DEPENDENCY
    WaitingCause.GANG -> WaitingCauseMessage.WAITING_CAUSE_GANG
    WaitingCause.TURN -> WaitingCauseMessage.WAITING_CAUSE_TURN
  }

private fun ReasonSource.toMessage(): ReasonSourceMessage =
  when (this) {
    ReasonSource.APPLICATION_MASTER -> ReasonSourceMessage.REASON_SOURCE_APPLICATION_MASTER
    ReasonSource.HEARTBEAT -> ReasonSourceMessage.REASON_SOURCE_HEARTBEAT
    ReasonSource.NODE_REPORT -> ReasonSourceMessage.REASON_SOURCE_NODE_REPORT
    ReasonSource.QUEUE_REPORT -> ReasonSourceMessage.REASON_SOURCE_QUEUE_REPORT
    ReasonSource.REFUSAL -> ReasonSourceMessage.REASON_SOURCE_REFUSAL
  }
