package knit.am.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertTrue
import java.time.Instant

// What whoever plays an application holds it to: counted from what was sent and received, without the core's bookkeeping.

/** A lease, and what was wanted of it. */
internal class SeenLease(
  val lease: Lease,
) {
  var launches = 0
  var stops = 0
  var releases = 0
  var isEndTold = false
}

/** All leases that were granted, and what was done about them. */
internal class SeenLeases {
  private val all = LinkedHashMap<String, SeenLease>()
  private val launched = HashSet<ContainerKey>()
  private var driverStarts = 0
  var unregistrations = 0
    private set

  fun granted(lease: Lease): SeenLease = all.getOrPut(lease.containerId) { SeenLease(lease) }

  operator fun get(containerId: String): SeenLease? = all[containerId]

  fun take(
    effect: Effect,
    application: Application,
  ) {
    when (effect) {
      is Launch -> {
        val lease = all.getValue(effect.lease.containerId)
        assertEquals(1, ++lease.launches, "launches on ${effect.lease.containerId}")
        assertTrue(launched.add(effect.key), "${effect.key} is launched twice")
        assertEquals(0, lease.releases, "${effect.lease.containerId} was given back before")
      }

      is StopContainer -> {
        all.getValue(effect.lease.containerId).stops++
      }

      is Release -> {
        val releases = ++all.getValue(effect.containerId).releases
        assertTrue(releases == 1 || application.header.isGivenBack, "$releases releases of ${effect.containerId}")
      }

      is StartDriver -> {
        assertEquals(1, ++driverStarts, "starts of the driver")
      }

      is StopDriver -> {
        assertEquals(1, driverStarts, "a driver that is to stop was started")
      }

      is Unregister -> {
        assertTrue(application.header.driver == null || application.header.driver == DriverState.ENDED, "the driver is still there")
        unregistrations++
      }
    }
  }

  /** Each lease is held by an open container, was given back, or YARN reported its end itself. */
  fun check(
    application: Application,
    seen: Collection<Container>,
  ) {
    val holders = application.containers.filter { it.lease != null }.groupBy { it.lease!!.containerId }
    val forgotten =
      seen.filter { application.container(it.key) == null && !it.neverRan }.mapNotNullTo(HashSet()) { it.lease?.containerId }
    for ((id, lease) in all) {
      val holder = holders[id]?.single()
      assertEquals(holder, application.container(id), "the container found by $id")
      if (holder?.neverRan != true) assertEquals(holder == null && id !in forgotten, lease.launches == 0, "launch of $id")
      val held = holder != null && !holder.state.isFinal
      assertTrue(held || lease.releases > 0 || lease.isEndTold, "the lease $id is forgotten")
      assertTrue(!held || lease.releases == 0 || application.header.isGivenBack, "the lease $id was given back under $holder")
      assertTrue(!held || !lease.isEndTold, "$holder has ended")
      if (holder?.state == ContainerState.STOPPING) assertTrue(lease.stops > 0, "$holder is not being stopped")
    }
  }
}

/** Whether it is held for its gang, or was when it was stopped. */
private val Container.neverRan: Boolean
  get() = state == ContainerState.HELD || (state == ContainerState.STOPPED && exit?.diagnostics == "It was not started yet.")

/** What speaks against nodes, and since when. */
internal class SeenFailures {
  private val byNode = HashMap<String, List<Pair<ExitReason, Instant>>>()

  /** Nodes that no more should be asked for on. */
  val excluded: Set<String> get() = byNode.filterValues { it.size >= 2 }.keys

  /** When the first of them is to be forgiven. */
  val forgiveTime: Instant? get() = byNode.values.filter { it.isNotEmpty() }.minOfOrNull { it.first().second.plusSeconds(SECONDS) }

  fun overdue(now: Instant): Map<String, List<Pair<ExitReason, Instant>>> =
    byNode.filterValues { failures -> failures.any { (_, time) -> now >= time.plusSeconds(SECONDS) } }

  fun forgive(now: Instant) = byNode.replaceAll { _, failures -> failures.filter { (_, time) -> now < time.plusSeconds(SECONDS) } }

  fun take(
    input: Input,
    before: Application,
    ended: List<Container>,
    now: Instant,
  ) {
    if (input is Started) {
      val started = before.container(input.containerId)
      if (started?.state == ContainerState.LAUNCHING) {
        byNode.computeIfPresent(started.lease!!.nodeId) { _, failures -> failures.filter { it.first != ExitReason.LAUNCH_FAILED } }
      }
    }
    for (container in ended) {
      val nodeId = container.lease?.nodeId ?: continue
      val reason = container.exit!!.reason
      val isNodes = input !is LaunchFailed || input.fault == LaunchFault.NODE
      if (reason == ExitReason.EXITED) {
        byNode.remove(nodeId)
      } else if ((reason == ExitReason.LAUNCH_FAILED || reason == ExitReason.DISK_FAILED) && isNodes) {
        byNode.merge(nodeId, listOf(reason to now)) { a, b -> (a + b).takeLast(2) }
      }
    }
  }

  private companion object {
    const val SECONDS = 600L
  }
}

/** All turns there were, by their changes alone. */
internal class SeenTurns(
  initial: Application,
) {
  private var folded = Application.nothing(initial.retention).with(initial.beginning())

  /** A turn that changes something has the next number. */
  fun take(
    before: Application,
    decision: Decision<*>,
  ) {
    val turn = decision.changes
    if (turn == null) {
      if (decision.untold.isEmpty()) assertSame(before, decision.application, "nothing has changed")
      assertEquals(before.sequence, decision.application.sequence)
      folded = folded.applying(decision.untold, 0, folded.sequence)
      return
    }
    assertEquals(emptyList<Change>(), decision.untold)
    assertEquals(before.sequence + 1, turn.sequence)
    assertEquals(turn.sequence, decision.application.sequence)
    folded = folded.with(turn)
  }

  /** The changes are all that there is to know: an application is their fold, whether all of them or the last of each record. */
  fun check(application: Application) {
    folded.assertLike(application)
    val last = ChangeSet(application.sequence, NOW, application.asChanges().toList())
    Application.nothing(application.retention).with(last).assertLike(application)
    assertEquals(Index.of(application), application.index, "what follows from the records")
  }
}

/** When something of a container, a service or a lease of keys is due, from the records alone. */
internal fun dueTimes(application: Application): List<Instant> =
  application.containers.mapNotNull { it.dueTime }.toList() +
    application.services.values.flatMap { listOfNotNull(it.allocationDeadline, it.update?.readyDeadline) } +
    application.keyLeases.values.map { it.expiryTime }

/**
 * Nobody waits in silence: each rank that is not at its goal is asked for, is on its way, or says what it waits for; what is due
 * at a time is due later.
 */
internal fun checkWaits(
  application: Application,
  now: Instant,
  /** The latest time there ever was: clocks are set back. */
  latestTime: Instant = now,
) {
  if (application.phase != Phase.RUNNING) return
  for (name in application.serviceNames) {
    val service = application.services.getValue(name)
    val reasons = application.ownReasons(name)
    val latest = application.slots.getValue(name).map { it.latest }
    val resting = latest.filter { it.state == ContainerState.PENDING && it.restartTime != null }
    assertTrue(resting.all { now < it.restartTime }, "$name rests for too long: $resting at $now")
    assertEquals(resting.size, reasons.filter { it.cause == WaitingCause.BACK_OFF }.sumOf { it.count }, "$name rests, and says: $reasons")
    val waiting = latest.filter { it.state == ContainerState.PENDING && it.restartTime == null }
    val (behind, first) = waiting.partition { container -> application.slot(container.key.place)!!.earlier.any { !it.state.isFinal } }
    if (service.hasBegun) {
      assertEquals(emptyList<Container>(), first, "$name has begun, and nothing is in the way of these")
    } else if (!service.isRemoved) {
      assertTrue(application.unmet(name).isNotEmpty(), "$name waits for nothing")
      assertEquals(
        waiting.size,
        reasons.filter { it.cause == WaitingCause.DEPENDENCY }.sumOf { it.count },
        "$name waits, and says: $reasons",
      )
      assertTrue(latest.all { it.state == ContainerState.PENDING || it.state == ContainerState.STOPPED }, "$name has not begun: $latest")
    }
    assertTrue(behind.all { it.requestTime <= latestTime })
    assertEquals(application.conditionOf(service), service.condition, "the condition of $name")
    checkExtremes(application, service, latest)
  }
}

/** What is told of a service without looking at its ranks is what they say, looked at one by one. */
private fun checkExtremes(
  application: Application,
  service: Service,
  latest: List<Container>,
) {
  val (resting, waiting) = latest.filter { it.state == ContainerState.PENDING }.partition { it.dueTime != null }
  val reasons = application.ownReasons(service.name).associateBy { it.cause }
  assertEquals(resting.minOfOrNull { it.requestTime }, reasons[WaitingCause.BACK_OFF]?.since, "since when ${service.name} rests")
  assertEquals(resting.minOfOrNull { it.dueTime!! }, reasons[WaitingCause.BACK_OFF]?.until, "until when ${service.name} rests")
  if (!service.hasBegun) assertEquals(waiting.minOfOrNull { it.requestTime }, reasons[WaitingCause.DEPENDENCY]?.since, service.name)
  val held = latest.filter { it.state == ContainerState.HELD }
  assertEquals(held.minOfOrNull { it.dueTime!! }, application.gangReason(service.name)?.until, "until when ${service.name} is held")
  val places =
    application.slots
      .getValue(service.name)
      .mapNotNull { it.place }
      .filter { !it.isRetired }
  for (number in application.spec(service.name).restartBudgets.indices) {
    val accounts = places.mapNotNull { it.accounts[number] }
    val most = accounts.maxOfOrNull { it.spent }
    val spent =
      application
        .tally(service.name)
        .extremes.spent[number]
        ?.first
    assertEquals(most, spent?.count, "what ranks of ${service.name} have spent")
    // Of those that have spent most, the one that remembers it longest.
    val first = accounts.filter { it.spent == most }.mapNotNull { it.times.firstOrNull() }.maxOrNull()
    assertEquals(first, spent?.firstTime, "since when ranks of ${service.name} have")
  }
  val update = service.update ?: return
  val isNew = { container: Container -> container.isReady && container.revision in update.newSince..update.toRevision }
  assertEquals(application.regularSlots(service.name).count { isNew(it.latest) }, application.updatedCount(service, update), service.name)
}

/** Who is followed has failed or was started anew, and may still be on its way out. */
internal fun checkFollowed(attempts: List<Container>) {
  val followed = attempts.dropLast(1)
  val isEach = followed.all { it.state == ContainerState.FAILED || it.state == ContainerState.SUCCEEDED || it.stopCause != null }
  assertTrue(isEach, "who runs is not followed: $attempts")
  val stopping = followed.count { it.state == ContainerState.STOPPING }
  assertTrue(stopping <= 1, "several stop at one place: $attempts")
  val isBehind = attempts.last().state == ContainerState.PENDING || attempts.last().state == ContainerState.STOPPED
  assertTrue(stopping == 0 || isBehind, "the next does not wait: $attempts")
}

/** Every container has a number of its own in its service, and all numbers were given. */
internal fun checkOrdinals(
  application: Application,
  seen: Collection<Container>,
) {
  for ((name, containers) in seen.groupBy { it.key.place.serviceName }) {
    assertEquals((0 until containers.size).toList(), containers.map { it.ordinal }.sorted(), "ordinals of $name")
    assertEquals(containers.size, application.tally(name).total)
  }
  for (container in application.containers) assertEquals(container.key, application.container(container.ref)?.key, "found by its ordinal")
}

/** What a container passes to that YARN reports to have ended with [exitStatus]. */
internal fun Container.stateAfter(exitStatus: Int): ContainerState =
  when {
    state == ContainerState.STOPPING && stopCause == ExitReason.UNHEALTHY -> ContainerState.FAILED
    state == ContainerState.STOPPING -> ContainerState.STOPPED
    exitStatus == 0 -> ContainerState.SUCCEEDED
    else -> ContainerState.FAILED
  }

/** Who is final has an exit, and only who was to stop has a cause for that. */
internal fun checkExits(application: Application) {
  for (container in application.containers) {
    assertEquals(container.state.isFinal, container.exit != null, "exit of $container")
    if (container.stopCause != null) {
      assertTrue(container.state == ContainerState.STOPPING || container.state.isFinal, "was to stop: $container")
    }
  }
}

/** Of all containers there ever were, [seen]: what waits and what is counted. */
internal fun checkCounts(
  application: Application,
  seen: Collection<Container>,
) {
  val requested = application.containers.filter { it.state == ContainerState.REQUESTED }.toList()
  assertEquals(requested.groupingBy { it.resource }.eachCount(), application.wanted(), "wanted")
  val states = seen.groupingBy { it.state }.eachCount()
  for (state in ContainerState.values()) assertEquals(states[state] ?: 0, application.count(state), "count of $state")
}

/**
 * No rank is tried more often than its budgets allow, nor given up before.
 *
 * @param restarted how often clients have asked for a rank to be started anew
 * @param isUnlaunchable whether it fails for good however often it is tried
 */
internal fun checkBudgets(
  application: Application,
  seen: Collection<Container>,
  restarted: Map<PlaceKey, Int> = emptyMap(),
  isUnlaunchable: (Container) -> Boolean = { false },
) {
  for ((place, attempts) in seen.groupBy { it.key.place }) {
    val spec = application.spec(place.serviceName)
    val failed = attempts.filter { it.state == ContainerState.FAILED }
    for (budget in spec.restartBudgets) {
      val limit = budget.limit ?: continue
      if (budget.scope != RestartScope.RANK || budget.window != null) continue
      val paid = attempts.dropLast(1).count { it.state == ContainerState.FAILED && spec.budgetFor(it) == budget }
      assertTrue(paid <= limit + (restarted[place] ?: 0), "$place was filled again $paid times after ${budget.reasons}")
      val last = attempts.last()
      if (last.state != ContainerState.FAILED || isUnlaunchable(last) || spec.budgetFor(last) != budget) continue
      assertTrue(paid >= limit || application.phase != Phase.RUNNING, "$place had ${limit - paid} tries left")
    }
    val isLost = failed.isNotEmpty() && attempts.last().state == ContainerState.FAILED
    if (isLost && spec.failurePolicy == FailurePolicy.FAIL_APPLICATION) {
      assertTrue(application.phase != Phase.RUNNING, "$place failed for good")
    }
  }
}

private fun ServiceSpec.budgetFor(failed: Container): RestartBudget? = restartBudgets.firstOrNull { failed.exit?.reason in it.reasons }

internal fun checkPhase(
  before: Application,
  application: Application,
  unregistrations: Int,
) {
  assertTrue(application.phase >= before.phase, "${before.phase} to ${application.phase}")
  assertEquals(application.phase != Phase.RUNNING, application.outcome != null)
  if (before.outcome != null) assertEquals(before.outcome, application.outcome, "the first outcome stands")
  assertEquals(if (application.isDone) 1 else 0, unregistrations, "times it unregistered")
  val open = application.containers.filterNot { it.state.isFinal }.toList()
  // A driver ends in its own time, as its container's node sees to.
  val hasDriver = application.header.driver.isToCome
  val isTimed = application.phase == Phase.ENDING && (open.isNotEmpty() || !hasDriver)
  if (isTimed || !hasDriver) {
    assertEquals(application.phase == Phase.ENDING, application.header.endDeadline != null, "it waits without a limit, or for nothing")
  }
  when (application.phase) {
    Phase.RUNNING -> assertTrue(open.isNotEmpty() || application.waitsForSomebody, "everything has ended, except the application")
    Phase.ENDING -> assertTrue((open.isNotEmpty() || hasDriver) && open.all { it.state == ContainerState.STOPPING }, "still open: $open")
    Phase.REPORTING, Phase.ENDED -> assertEquals(emptyList<Container>(), open)
  }
  val outcome = application.outcome ?: return
  assertTrue(outcome.diagnostics.isNotBlank())
  assertEquals(outcome.finalStatus == FinalStatus.SUCCEEDED, outcome.exitCode == 0, "$outcome")
}

/** Whether somebody has to say what is to be, or the driver to end: nothing was asked for that could have ended, or all was taken away. */
private val Application.waitsForSomebody: Boolean
  get() =
    size == 0 || header.driver.isToCome || services.values.any { !it.update?.failedRanks.isNullOrEmpty() } ||
      slots.values.all { ranks -> ranks.all { it.isRetired } }
