package knit.am.core

import java.time.Duration

/**
 * How long a lease may wait for the others of its service: YARN takes back what was not used for ten minutes
 * (`yarn.resourcemanager.rm.container-allocation.expiry-interval-ms`), and to give all back and say so takes it a heartbeat or two.
 *
 * Where a cluster has less than that, YARN takes them back one by one, which is as if nodes were lost.
 */
internal val HOLD_LIMIT: Duration = Duration.ofMinutes(9)

/** Whether what is granted to this waits for the others. Those that are added or filled again later start as they come. */
internal fun Application.holdsGrants(serviceName: String): Boolean =
  !services.getValue(serviceName).hasStartedTogether && spec(serviceName).startsTogether

internal fun Turn.hold(
  container: Container,
  lease: Lease,
) = put(container.copy(state = ContainerState.HELD, lease = lease, dueTime = now + HOLD_LIMIT))

/** All of the service start, once none waits for YARN or for anything else. */
internal fun Turn.startTogether(serviceName: String) {
  val tally = application.tally(serviceName)
  if (tally[ContainerState.HELD] == 0 || tally[ContainerState.REQUESTED] + tally[ContainerState.PENDING] > 0) return
  put(ServiceChanged(application.services.getValue(serviceName).copy(hasStartedTogether = true)))
  application.held(serviceName).forEach { launch(it, checkNotNull(it.lease)) }
}

/** One has been held for too long: all are given back, before YARN takes them, and asked for anew. */
internal fun Turn.giveBack(serviceName: String) {
  for (container in application.held(serviceName)) {
    effect(Release(checkNotNull(container.lease).containerId))
    loseHeld(container)
  }
}

/** The lease of one that is held is gone: it has run nothing, so nothing has failed, and it is asked for anew. */
internal fun Turn.loseHeld(container: Container) {
  put(LeasePassed(PastLease(checkNotNull(container.lease).containerId, sequence)))
  put(container.copy(state = ContainerState.REQUESTED, lease = null, dueTime = null))
}

/** Why those that are held wait; null: none is. */
internal fun Application.gangReason(serviceName: String): WaitingReason? {
  val tally = tally(serviceName)
  val held = tally[ContainerState.HELD]
  if (held == 0) return null
  val missing = tally[ContainerState.REQUESTED] + tally[ContainerState.PENDING]
  val first = checkNotNull(tally.extremes.heldUntil.first) { "who is held has a limit" }
  val words =
    "$held containers of $serviceName are granted and wait for $missing others, to start together. Those that are not all there by " +
      "$first are given back to YARN, which takes back what is not used, and asked for anew."
  return WaitingReason(
    serviceName = serviceName,
    count = held,
    resource = null,
    cause = WaitingCause.GANG,
    explanation = words,
    since = first - HOLD_LIMIT,
    until = first,
    facts = mapOf("held" to "$held", "missing" to "$missing"),
  )
}

private fun Application.held(serviceName: String): List<Container> =
  slots
    .getValue(serviceName)
    .map { it.latest }
    .filter { it.state == ContainerState.HELD }
