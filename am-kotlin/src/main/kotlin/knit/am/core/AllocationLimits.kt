package knit.am.core

import java.time.Duration
import java.time.Instant

// How long the containers of a service may wait for YARN. One time stands on the service's record, that of the first that was asked
// for; whether that one is still waiting is looked at when it comes, so that a grant costs nothing.

/** Sets or clears the deadline of a service that this turn has touched. */
internal fun Turn.limitWaiting(serviceName: String) {
  val service = application.services.getValue(serviceName)
  val limit = application.spec(serviceName).allocationLimit
  // An update has a limit of its own for what is new, which brings back what was there before.
  val waits = limit != null && service.update == null && application.tally(serviceName)[ContainerState.REQUESTED] > 0
  val next =
    when {
      !waits -> service.copy(allocationDeadline = null, hasWaitedTooLong = false)
      service.hasWaitedTooLong || service.allocationDeadline != null -> service
      else -> service.copy(allocationDeadline = deadlineOf(serviceName, checkNotNull(limit)))
    }
  if (next != service) put(ServiceChanged(next))
}

/** [Service.allocationDeadline] has passed, of one that may have been granted meanwhile. */
internal fun Turn.waitedTooLong(serviceName: String) {
  val service = application.services.getValue(serviceName)
  val spec = application.spec(serviceName)
  val limit = spec.allocationLimit
  val waiting = if (limit == null) emptyList() else application.requestedOf(serviceName).filter { it.latest.requestTime + limit <= now }
  if (limit == null || waiting.isEmpty()) {
    put(ServiceChanged(service.copy(allocationDeadline = limit?.let { deadlineOf(serviceName, it) })))
    return
  }
  val words = application.tooLong(service, waiting.size, limit)
  put(ServiceChanged(service.copy(allocationDeadline = null, hasWaitedTooLong = true)))
  when {
    spec.allocationPolicy == AllocationPolicy.KEEP_WAITING -> notice(NoticeSeverity.WARNING, serviceName, "$words They go on waiting.")
    spec.allocationPolicy == AllocationPolicy.GO_ON && application.hasOthers(serviceName, waiting) -> goOnWithout(waiting, words)
    else -> end(Outcome(FinalStatus.FAILED, words, 1))
  }
}

/** Null: none waits. */
private fun Turn.deadlineOf(
  serviceName: String,
  limit: Duration,
): Instant? = application.requestedOf(serviceName).minOfOrNull { it.latest.requestTime }?.plus(limit)

private fun Application.requestedOf(serviceName: String): List<Slot> =
  slots.getValue(serviceName).filter { it.latest.state == ContainerState.REQUESTED }

/** Whether there is anything to go on with: something that was granted, or that has done its work. */
private fun Application.hasOthers(
  serviceName: String,
  waiting: List<Slot>,
): Boolean {
  val ranks = waiting.mapTo(HashSet()) { it.rank }
  return regularSlots(serviceName).any { slot ->
    slot.rank !in ranks && slot.attempts.any { it.state.isLeased || it.state == ContainerState.SUCCEEDED }
  }
}

private fun Turn.goOnWithout(
  waiting: List<Slot>,
  words: String,
) {
  val name =
    waiting
      .first()
      .latest.key.place.serviceName
  val service = application.services.getValue(name)
  val target = service.target - waiting.size
  put(ServiceChanged(service.copy(target = target, hasWaitedTooLong = false)))
  waiting.forEach { retire(it) }
  notice(NoticeSeverity.WARNING, name, "$words It goes on with $target.")
}

/** For example: `worker has waited 600 s for 3 containers that YARN has not granted. …`, with the reason as far as it is known. */
private fun Application.tooLong(
  service: Service,
  count: Int,
  limit: Duration,
): String {
  val what = if (count == 1) "a container" else "$count containers"
  val reason =
    service.waits
      .firstOrNull { it.cause != WaitingCause.GANG }
      ?.explanation
      ?.let { " $it" }
      .orEmpty()
  return "Service ${service.name} has waited ${limit.seconds} s for $what that YARN has not granted.$reason"
}
