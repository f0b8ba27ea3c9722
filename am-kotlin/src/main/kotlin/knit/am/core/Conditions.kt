package knit.am.core

/** How the service does, as far as its ranks tell. */
internal fun Application.conditionOf(service: Service): ServiceCondition {
  val tally = tally(service.name)
  val final = tally.succeededRanks + tally.failedRanks + tally.stoppedRanks
  return when {
    service.isRemoved -> ServiceCondition.REMOVED
    !service.hasBegun -> ServiceCondition.PENDING
    tally.ranks == 0 -> ServiceCondition.READY
    final == tally.ranks -> if (tally.failedRanks > 0) ServiceCondition.FAILED else ServiceCondition.SUCCEEDED
    tally.neverReadyRanks > 0 -> ServiceCondition.STARTING
    tally.readyRanks + tally.succeededRanks + tally.stoppedRanks == tally.ranks -> ServiceCondition.READY
    else -> ServiceCondition.DEGRADED
  }
}

/** Says of each of [touched] how it does now. */
internal fun Turn.judge(touched: Set<String>) {
  for (name in touched) {
    val service = application.services[name] ?: continue
    val condition = application.conditionOf(service)
    if (condition != service.condition) put(ServiceChanged(service.copy(condition = condition)))
  }
}
