package knit.am.core

import java.time.Instant

/** Why containers of the service wait, as far as that is decided here; [Service.waits] has what YARN's side knows. */
internal fun Application.ownReasons(serviceName: String): List<WaitingReason> {
  val extremes = tally(serviceName).extremes
  return listOfNotNull(dependencyReason(serviceName, extremes.waiting), backOffReason(serviceName, extremes))
}

private fun Application.dependencyReason(
  serviceName: String,
  waiting: Bag<Instant>,
): WaitingReason? {
  val since = waiting.first ?: return null
  val unmet = unmet(serviceName)
  val first = unmet.firstOrNull() ?: return null
  return WaitingReason(
    serviceName,
    waiting.size,
    resource = null,
    WaitingCause.DEPENDENCY,
    "${inWords(waiting.size)} for ${unmet.joinToString(" and ") { it.inWords() }}. ${progressOf(first)}",
    since = since,
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
  extremes: Extremes,
): WaitingReason? {
  val since = extremes.resting.first ?: return null
  val count = extremes.resting.size
  return WaitingReason(
    serviceName,
    count,
    resource = null,
    WaitingCause.BACK_OFF,
    "${inWords(count)} to be started again after a failure. What the last attempt said at its end tells why it failed.",
    since = since,
    until = extremes.restUntil.first,
  )
}

private fun inWords(count: Int) = if (count == 1) "A container waits" else "$count containers wait"
