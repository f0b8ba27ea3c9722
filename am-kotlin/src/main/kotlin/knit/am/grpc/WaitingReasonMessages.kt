package knit.am.grpc

import knit.am.yarn.WaitingCause
import knit.am.yarn.WaitingReason
import knit.v1.WaitingCause as WaitingCauseMessage
import knit.v1.WaitingReason as WaitingReasonMessage

internal fun WaitingReason.toMessage(): WaitingReasonMessage =
  WaitingReasonMessage
    .newBuilder()
    .setServiceName(serviceName)
    .setCount(count)
    .setResource(resource.toMessage())
    .setCause(cause.toMessage())
    .setExplanation(explanation)
    .setSinceTime(since.toMessage())
    .build()

private fun WaitingCause.toMessage(): WaitingCauseMessage =
  when (this) {
    WaitingCause.CAPACITY -> WaitingCauseMessage.WAITING_CAUSE_CAPACITY
    WaitingCause.TOO_LARGE -> WaitingCauseMessage.WAITING_CAUSE_TOO_LARGE
    WaitingCause.REFUSED -> WaitingCauseMessage.WAITING_CAUSE_REFUSED
    WaitingCause.RESOURCE_MANAGER -> WaitingCauseMessage.WAITING_CAUSE_RESOURCE_MANAGER
  }
