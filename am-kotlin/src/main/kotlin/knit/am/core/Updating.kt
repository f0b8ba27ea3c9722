package knit.am.core

import java.time.Instant

// How a service passes from one revision to another, rank by rank.
//
// A rank never has two containers that run: the one of the new revision begins when the old one has ended, at the same rank, with the
// next attempt number. What makes up for it meanwhile are ranks beyond the service's own, which the update fills for its time and
// retires at its end. Two at one rank would be fewer starts, and would break what ranks are for: programs divide work and name keys
// by them. A program that cannot have a rank beyond its own says `max_surge` 0 and `max_unavailable` 1 or more.
//
// Each turn that touches the service goes one step on, from what there is: nothing is remembered of which rank's turn it is, so that
// failures, lost nodes and scaling in the middle need no case of their own.

/** Goes on with the update of a service that this turn has touched, if there is one. */
internal fun Turn.goOnUpdating(serviceName: String) {
  if (application.phase != Phase.RUNNING) return
  val service = application.services.getValue(serviceName)
  val update = service.update ?: return
  if (update.state == UpdateState.PAUSED) return
  var standing = UpdateStanding.of(application, service)
  if (standing.isDone) return finishUpdate(service, standing)
  if (update.failedRanks.isNotEmpty()) {
    refill(service)
    standing = UpdateStanding.of(application, application.services.getValue(serviceName))
    if (standing.isDone) return finishUpdate(standing.service, standing)
  }
  val policy = application.spec(serviceName).updatePolicy
  val inFlight = standing.inFlight + surge(standing, policy)
  val room = policy.maxSurge + policy.maxUnavailable - inFlight
  standing.next(room, policy).forEach { replace(it) }
  keepTime(serviceName, policy)
}

/** What there is of a service that is updated: of ranks that are not retired, and not in a final state. */
private class UpdateStanding private constructor(
  val service: Service,
  /** The service's own ranks that are open. */
  val open: Int,
  /** Of all ranks, those whose container is ready. */
  val ready: Int,
  /** Of all ranks, those on their way: of the revision that is to be, and not ready yet. */
  val inFlight: Int,
  /** The service's own ranks among [inFlight]. */
  val ownInFlight: Int,
  /** Containers of another revision that may be replaced, by rank. */
  val outdated: List<Container>,
  /** How many there are of another revision at the service's own ranks, those that are about to end included. */
  val ownOutdated: Int,
  val surge: List<Slot>,
) {
  val isDone: Boolean
    get() = ownOutdated == 0 && ownInFlight == 0 && checkNotNull(service.update).run { surgeRanks.containsAll(failedRanks) }

  /**
   * The containers that may end now for those that are to come: those first that are not ready, whose end takes nothing away.
   *
   * Of the others only as many as leave enough that are ready.
   */
  fun next(
    room: Int,
    policy: UpdatePolicy,
  ): List<Container> {
    if (room <= 0) return emptyList()
    val (useful, useless) = outdated.partition { it.isReady }
    val first = useless.take(room)
    val spare = (ready - (open - policy.maxUnavailable)).coerceAtLeast(0)
    return first + useful.take(minOf(room - first.size, spare))
  }

  companion object {
    fun of(
      application: Application,
      service: Service,
    ): UpdateStanding {
      val surgeRanks = checkNotNull(service.update).surgeRanks
      var open = 0
      var ready = 0
      var inFlight = 0
      var ownInFlight = 0
      var ownOutdated = 0
      val outdated = ArrayList<Container>()
      val surge = ArrayList<Slot>()
      for (slot in application.slots.getValue(service.name)) {
        if (slot.isRetired) continue
        val isSurge = slot.rank in surgeRanks
        val latest = slot.latest
        if (isSurge) surge += slot
        // What a program has done well is as good as one that is ready; at the service's own ranks nothing is to be kept then.
        if (isSurge && latest.state == ContainerState.SUCCEEDED) ready++
        if (latest.state.isFinal) continue
        if (!isSurge) open++
        if (slot.isReady) ready++
        if (service.isPresent(latest.revision)) {
          if (!slot.isReady) inFlight++
          if (!slot.isReady && !isSurge) ownInFlight++
        } else {
          if (!isSurge) ownOutdated++
          if (latest.state != ContainerState.STOPPING) outdated += latest
        }
      }
      return UpdateStanding(service, open, ready, inFlight, ownInFlight, outdated, ownOutdated, surge)
    }
  }
}

/** Fills ranks beyond the service's own, no more than there are to be replaced; returns how many. */
private fun Turn.surge(
  standing: UpdateStanding,
  policy: UpdatePolicy,
): Int {
  val service = standing.service
  val present = standing.surge.count { !it.latest.state.isFinal || it.latest.state == ContainerState.SUCCEEDED }
  val count = minOf(policy.maxSurge, standing.ownOutdated) - present
  if (count <= 0 || application.placeCount + count > MAX_CONTAINERS) return 0
  val added = fill(service, count)
  val update = checkNotNull(service.update)
  put(ServiceChanged(service.copy(update = update.copy(surgeRanks = update.surgeRanks + added.map { it.key.place.rank }))))
  return added.size
}

/** Ends [container] for one of the present revision at its rank. */
private fun Turn.replace(container: Container) {
  val next = nextOfPresentRevision(container)
  stop(container, ExitReason.REPLACED)
  // It may itself have waited for the one before it to end.
  val isFree = checkNotNull(application.slot(container.key.place)).open.isEmpty()
  put(if (isFree) next else next.copy(state = ContainerState.PENDING))
}

/** What is to follow [container] at its place when its service has another specification: what it was added with stays its own. */
internal fun Turn.nextOfPresentRevision(container: Container): Container {
  val name = container.key.place.serviceName
  val service = application.services.getValue(name)
  val next = next(container, service.revision, application.tally(name).total)
  val then = application.specs.getValue(name)[container.revision]
  val hasOwnSize = then != null && container.resource != then.resource
  val variant = if (hasOwnSize) container.variant else variant(application.spec(name).resource, container.environment)
  val state = if (service.hasBegun) ContainerState.REQUESTED else ContainerState.PENDING
  return next.copy(state = state, variant = variant)
}

/** Fills the ranks again whose container of the new revision has failed, with what is the present revision by now. */
private fun Turn.refill(service: Service) {
  val update = checkNotNull(service.update)
  put(ServiceChanged(service.copy(update = update.copy(failedRanks = emptySet()))))
  for (rank in update.failedRanks.sorted()) {
    val slot = application.slot(PlaceKey(service.name, rank)) ?: continue
    if (!slot.isRetired && slot.latest.state == ContainerState.FAILED) put(nextOfPresentRevision(slot.latest))
  }
}

/** All is as it was to be: the ranks beyond the service's own have done their work, and the revisions before theirs. */
private fun Turn.finishUpdate(
  service: Service,
  standing: UpdateStanding,
) {
  standing.surge.forEach { retire(it) }
  val update = checkNotNull(service.update)
  put(ServiceChanged(service.copy(update = null)))
  forgetSpecs(service.name)
  val text =
    if (update.state == UpdateState.ROLLING_BACK) {
      "Revision ${update.fromRevision} is back. ${update.explanation}"
    } else {
      "Revision ${update.toRevision} has taken the place of ${update.fromRevision}."
    }
  notice(if (update.state == UpdateState.ROLLING_BACK) NoticeSeverity.WARNING else NoticeSeverity.INFO, service.name, text)
}

/** Forgets the specifications that nothing needs: neither an open container nor an update. */
internal fun Turn.forgetSpecs(serviceName: String) {
  val service = application.services.getValue(serviceName)
  val needed =
    application.slots
      .getValue(serviceName)
      .flatMap { it.open }
      .mapTo(HashSet()) { it.revision }
  needed += service.revision
  service.update?.let { needed += it.fromRevision }
  (application.specs.getValue(serviceName).keys - needed).sorted().forEach { put(SpecForgotten(serviceName, it)) }
}

/**
 * Notes the failure of a container that an update has brought, and that speaks against the new revision: it is charged to the
 * update and to no budget, and neither its rank nor the application is given up for it.
 *
 * Returns whether it was such a one.
 */
internal fun Turn.failedInUpdate(
  failed: Container,
  fault: LaunchFault,
): Boolean {
  val service = application.services.getValue(failed.key.place.serviceName)
  val update = service.update ?: return false
  val speaksAgainst = fault == LaunchFault.SPECIFICATION || checkNotNull(failed.exit).reason in againstRevision
  if (!speaksAgainst || failed.revision < update.newSince || failed.revision > update.toRevision) return false
  val ranks = update.failedRanks + failed.key.place.rank
  put(ServiceChanged(service.copy(update = update.copy(failures = update.failures + 1, failedRanks = ranks))))
  if (update.state == UpdateState.UPDATING) countFailure(service.name) { failed.failure().sentence }
  return true
}

/** What the program or its specification brings about. */
private val againstRevision = RestartBudget.PROGRAM_REASONS + ExitReason.UNHEALTHY

/** Gives the update up once it has had too many failures. */
private fun Turn.countFailure(
  serviceName: String,
  sentence: () -> String,
) {
  val service = application.services.getValue(serviceName)
  val update = checkNotNull(service.update)
  val policy = application.spec(serviceName).updatePolicy
  if (update.failures < policy.failures) return
  val times = if (update.failures == 1) "A container" else "${update.failures} containers"
  val explanation = "$times of revision ${update.toRevision} failed or took too long to become ready. The last: ${sentence()}"
  when (policy.failurePolicy) {
    UpdateFailurePolicy.PAUSE -> pauseUpdate(service, explanation)
    UpdateFailurePolicy.ROLL_BACK -> rollBack(service, explanation)
  }
  notice(NoticeSeverity.WARNING, serviceName, explanation)
}

internal fun Turn.pauseUpdate(
  service: Service,
  explanation: String,
) {
  val update = checkNotNull(service.update)
  put(ServiceChanged(service.copy(update = update.copy(state = UpdateState.PAUSED, explanation = explanation, readyDeadline = null))))
}

/** The revision before is the present one again, and ranks pass to it. */
internal fun Turn.rollBack(
  service: Service,
  explanation: String,
) {
  val update = checkNotNull(service.update)
  val back = update.copy(state = UpdateState.ROLLING_BACK, explanation = explanation, readyDeadline = null)
  // Budgets are numbered, and others have other numbers.
  val hasSameBudgets =
    application.spec(service.name).restartBudgets == application.spec(service.name, update.fromRevision).restartBudgets
  val accounts = if (hasSameBudgets) service.accounts else emptyMap()
  put(ServiceChanged(service.copy(revision = update.fromRevision, sameSince = update.fromSince, accounts = accounts, update = back)))
  if (!hasSameBudgets) forgetAccounts(service.name)
}

// How long one of the new revision may take. As for [Service.allocationDeadline] one time stands on the record, of the first.

private fun Turn.keepTime(
  serviceName: String,
  policy: UpdatePolicy,
) {
  val service = application.services.getValue(serviceName)
  val update = service.update ?: return
  if (update.state != UpdateState.UPDATING || update.readyDeadline != null) return
  val deadline = application.unready(service).minOfOrNull { it.requestTime }?.plus(policy.readyLimit) ?: return
  put(ServiceChanged(service.copy(update = update.copy(readyDeadline = deadline))))
}

/** [ServiceUpdate.readyDeadline] has passed, of one that may be ready by now. */
internal fun Turn.tookTooLong(serviceName: String) {
  val service = application.services.getValue(serviceName)
  val update = checkNotNull(service.update)
  val policy = application.spec(serviceName).updatePolicy
  put(ServiceChanged(service.copy(update = update.copy(readyDeadline = null))))
  val late = application.unready(service).filter { it.requestTime + policy.readyLimit <= now }
  if (late.isEmpty()) return
  val current = application.services.getValue(serviceName)
  put(ServiceChanged(current.copy(update = checkNotNull(current.update).copy(failures = update.failures + late.size))))
  val last = late.last()
  countFailure(serviceName) { "${last.key.place} was not ready after ${policy.readyLimit.seconds} s: it is ${last.state}." }
  // Those that may try again do so from the beginning; where the update was given up, what is to be done about them is decided there.
  if (application.services
      .getValue(serviceName)
      .update
      ?.state == UpdateState.UPDATING
  ) {
    late.forEach { replace(it) }
  }
}

/** Those of the revision that is to be which are on their way; what is about to end is not. */
private fun Application.unready(service: Service): List<Container> =
  slots
    .getValue(service.name)
    .filter { !it.isRetired }
    .map { it.latest }
    .filter { !it.state.isFinal && it.state != ContainerState.STOPPING && !it.isReady && service.isPresent(it.revision) }

internal fun Application.isSurge(place: PlaceKey): Boolean =
  services
    .getValue(place.serviceName)
    .update
    ?.surgeRanks
    .orEmpty()
    .contains(place.rank)

internal val ContainerState.isAlive: Boolean
  get() = this == ContainerState.LAUNCHING || this == ContainerState.RUNNING || this == ContainerState.STOPPING

/** How many of the service's own ranks have a container of the revision to come that is ready. */
internal fun Application.updatedCount(
  service: Service,
  update: ServiceUpdate,
): Int {
  val revisions = update.newSince..update.toRevision
  val ready = tally(service.name).extremes.readyByRevision
  val surge = update.surgeRanks.mapNotNull { slot(PlaceKey(service.name, it)) }.filter { !it.isRetired && it.latest.isReady }
  return ready.entries.sumOf { (revision, count) -> if (revision in revisions) count else 0 } -
    surge.count { it.latest.revision in revisions }
}
