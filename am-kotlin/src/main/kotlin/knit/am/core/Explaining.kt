package knit.am.core

/** Reasons that are known from what YARN says or does not say; all others are decided here. */
private val causesOfYarn =
  setOf(
    WaitingCause.CAPACITY,
    WaitingCause.TOO_LARGE,
    WaitingCause.REFUSED,
    WaitingCause.RESOURCE_MANAGER,
    WaitingCause.QUEUE_FULL,
    WaitingCause.USER_LIMIT,
    WaitingCause.LABEL,
    WaitingCause.PLACEMENT,
    WaitingCause.TURN,
  )

/** Puts what YARN's side knows beside what is decided here. */
internal fun Turn.explain(report: WaitingExplained) {
  val byService = report.reasons.groupBy { it.serviceName }
  for (service in application.services.values) {
    val waits = service.waits.filterNot { it.cause in causesOfYarn } + byService[service.name].orEmpty()
    if (waits != service.waits) put(ServiceChanged(service.copy(waits = waits)))
  }
}
