package knit.am.core

/**
 * Why containers of the service wait, as far as that is decided here; [Service.waits] has what YARN's side knows. Looks at all of
 * them where any is PENDING.
 */
internal fun Application.ownReasons(serviceName: String): List<WaitingReason> {
  if (tally(serviceName)[ContainerState.PENDING] == 0) return emptyList()
  val (resting, waiting) =
    slots.getValue(serviceName).map { it.latest }.filter { it.state == ContainerState.PENDING }.partition {
      it.dueTime !=
        null
    }
  return listOfNotNull(dependencyReason(serviceName, waiting), backOffReason(serviceName, resting))
}

private fun Application.dependencyReason(
  serviceName: String,
  waiting: List<Container>,
): WaitingReason? {
  val unmet = unmet(serviceName)
  val first = unmet.firstOrNull() ?: return null
  if (waiting.isEmpty()) return null
  return WaitingReason(
    serviceName,
    waiting.size,
    resource = null,
    WaitingCause.DEPENDENCY,
    "${inWords(waiting.size)} for ${unmet.joinToString(" and ") { it.inWords() }}. ${progressOf(first)}",
    since = waiting.minOf { it.requestTime },
    facts = mapOf("dependency" to first.serviceName, "condition" to first.condition.name),
  )
}

/** How far it is; for example: `1 of 3 ranks of db is ready`. */
private fun Application.progressOf(dependency: Dependency): String {
  val tally = tally(dependency.serviceName)
  val (number, words) =
    when (dependency.condition) {
      DependencyCondition.STARTED -> tally.ranks - tally.neverStartedRanks to "started"
      DependencyCondition.READY -> tally.readyRanks + tally.succeededRanks to "ready"
      DependencyCondition.FINISHED -> tally.succeededRanks to "succeeded"
    }
  return "Of ${dependency.serviceName}, $number of ${tally.ranks} are $words."
}

private fun backOffReason(
  serviceName: String,
  resting: List<Container>,
): WaitingReason? {
  if (resting.isEmpty()) return null
  return WaitingReason(
    serviceName,
    resting.size,
    resource = null,
    WaitingCause.BACK_OFF,
    "${inWords(resting.size)} to be started again after a failure. What the last attempt said at its end tells why it failed.",
    since = resting.minOf { it.requestTime },
    until = resting.mapNotNull { it.dueTime }.minOrNull(),
  )
}

private fun inWords(count: Int) = if (count == 1) "A container waits" else "$count containers wait"
