package knit.am.core

import java.time.Duration

/**
 * How long an ending application waits for YARN to report another end, before it gives back to YARN what has not ended.
 *
 * A node sends SIGKILL within a second and reports with its next heartbeat, which is seconds; how many there are does not
 * matter, for each end begins the wait anew. An RM that fails over takes less than this too.
 */
internal val STOP_PROGRESS_LIMIT: Duration = Duration.ofMinutes(1)

/** How long it waits after that. YARN reports at once what is given back, so it must have been silent: it forgets us after the same time. */
internal val GIVE_BACK_PROGRESS_LIMIT: Duration = Duration.ofMinutes(10)

internal fun Turn.end(command: EndApplication): () -> Application {
  end(application.requestedOutcome(command))
  return { application }
}

/** Decides the outcome and stops what is left, node by node; the first outcome stands. */
internal fun Turn.end(outcome: Outcome) {
  if (application.phase != Phase.RUNNING) return
  put(application.header.copy(phase = Phase.ENDING, outcome = outcome))
  val open = application.containers.filterNot { it.state.isFinal }.sortedBy { it.lease?.nodeId.orEmpty() }
  open.forEach { stop(it, ExitReason.APPLICATION_ENDED) }
  stopDriver()
  if (application.leasedCount > 0) put(application.header.copy(endDeadline = now + STOP_PROGRESS_LIMIT))
}

/** [Header.endDeadline] has passed. */
internal fun Turn.ended() = if (application.header.isGivenBack) giveUpWaiting() else giveBack()

/** Nodes have taken the stops and report nothing: the RM, which answers for them in the end, is asked to. */
private fun Turn.giveBack() {
  application.leasedContainers().forEach { container -> container.lease?.let { effect(Release(it.containerId)) } }
  put(application.header.copy(isGivenBack = true, endDeadline = now + GIVE_BACK_PROGRESS_LIMIT))
}

private fun Turn.giveUpWaiting() {
  val silent = "YARN has not reported its end: it has said nothing for ${GIVE_BACK_PROGRESS_LIMIT.toMinutes()} minutes."
  val exit = ContainerExit(ExitReason.APPLICATION_ENDED, null, now, silent)
  put(application.header.copy(endDeadline = null))
  for (container in application.leasedContainers()) put(container.endedWith(exit))
}

/** Each end begins the wait for the next one anew. */
internal fun Turn.waitOn() {
  val header = application.header
  if (header.endDeadline == null || changes.none { it is ContainerChanged && it.container.state.isFinal }) return
  put(header.copy(endDeadline = now + if (header.isGivenBack) GIVE_BACK_PROGRESS_LIMIT else STOP_PROGRESS_LIMIT))
}

internal fun Turn.endIfDone() {
  if (application.isDone || application.header.driver.isToCome) return
  if (application.phase == Phase.RUNNING && application.waitsForClients) return
  if (application.phase == Phase.RUNNING && application.waitsInVain) end(application.vainOutcome())
  if (application.openCount > 0) return
  val outcome = application.outcome ?: application.naturalOutcome()
  put(application.header.copy(phase = Phase.REPORTING, outcome = outcome, endDeadline = null))
  effect(Unregister(outcome))
}

/** Whether somebody has to say first what is to be: there are no ranks, of services that could have some, or an update is paused. */
private val Application.waitsForClients: Boolean
  get() =
    services.values.any { it.update?.failedRanks?.isNotEmpty() == true } ||
      (services.values.any { !it.isRemoved } && services.keys.all { tally(it).ranks == 0 })

internal fun Turn.unregistered() {
  if (application.phase == Phase.REPORTING) put(application.header.copy(phase = Phase.ENDED))
}

private fun Application.leasedContainers(): List<Container> =
  index.byNode.values
    .flatten()
    .sorted()
    .mapNotNull { container(it) }
