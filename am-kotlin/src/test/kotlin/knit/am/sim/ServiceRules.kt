package knit.am.sim

import knit.am.core.AddContainers
import knit.am.core.AddServices
import knit.am.core.AllocationPolicy
import knit.am.core.Amount
import knit.am.core.Application
import knit.am.core.Container
import knit.am.core.ContainerChanged
import knit.am.core.ContainerState
import knit.am.core.Decision
import knit.am.core.Dependency
import knit.am.core.DependencyCondition
import knit.am.core.Due
import knit.am.core.ExitReason
import knit.am.core.Input
import knit.am.core.Launch
import knit.am.core.Phase
import knit.am.core.PlaceKey
import knit.am.core.RemoveServices
import knit.am.core.ScaleService
import knit.am.core.Service
import knit.am.core.ServiceChanged
import knit.am.core.Slot
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import java.time.Duration
import java.time.Instant

/** What must hold of services: how many ranks there are, when they begin, and what an update may take away. */
internal class ServiceRules(
  initial: Application,
) {
  /** How many ranks each service is to have: as many as were submitted, and as clients have said since. */
  private val targets = initial.services.keys.associateWithTo(HashMap()) { initial.spec(it).instances }

  /** The most ranks beyond those that an update under way may have filled. */
  private val surges = HashMap<String, Int>()

  /** When what is held was granted, by YARN's identifier. */
  private val held = HashMap<String, Instant>()

  fun turn(
    before: Application,
    input: Input,
    decision: Decision<*>,
    now: Instant,
  ) {
    // What is repeated changes nothing.
    if (decision.changes == null) return
    val after = decision.application
    hear(input)
    for (change in decision.changes?.changes.orEmpty()) {
      if (change is ServiceChanged) changed(before, change.service, input, decision, now)
      if (change is ContainerChanged) changed(before, change.container, after, now)
    }
    decision.effects.filterIsInstance<Launch>().forEach { checkLaunch(it, before, after) }
  }

  private fun hear(input: Input) {
    when (input) {
      is AddContainers -> {
        targets.merge(input.serviceName, input.count, Int::plus)
      }

      is ScaleService -> {
        val amount = input.amount
        val wanted = if (amount is Amount.Count) amount.ranks else targets.getValue(input.serviceName) + (amount as Amount.Delta).ranks
        targets[input.serviceName] = wanted.coerceAtLeast(0)
      }

      is AddServices -> {
        input.services.forEach { (name, spec) -> targets[name] = spec.instances }
      }

      is RemoveServices -> {
        input.serviceNames.forEach { targets[it] = 0 }
      }

      else -> {}
    }
  }

  private fun changed(
    before: Application,
    service: Service,
    input: Input,
    decision: Decision<*>,
    now: Instant,
  ) {
    val after = decision.application
    val name = service.name
    val old = before.services[name]
    if (service.update == null) {
      surges -= name
    } else {
      surges.merge(
        name,
        after.specs
          .getValue(name)[service.revision]
          ?.updatePolicy
          ?.maxSurge ?: 0,
        ::maxOf,
      )
    }
    if (old != null && !old.hasBegun && service.hasBegun) {
      for (dependency in before.spec(name).depends) {
        assertTrue(isMet(dependency, before, after), "$name begins, and waits for $dependency")
      }
    }
    val target = targets.getValue(name)
    if (service.target < target && input is Due) {
      checkGoneOn(before, name, target - service.target, decision, now)
      targets[name] = service.target
    }
  }

  /** What has waited too long is waited for no more, where its service goes on with fewer. */
  private fun checkGoneOn(
    before: Application,
    name: String,
    fewer: Int,
    decision: Decision<*>,
    now: Instant,
  ) {
    val spec = before.spec(name)
    val limit = spec.allocationLimit
    assertTrue(limit != null && spec.allocationPolicy == AllocationPolicy.GO_ON, "$name has $fewer ranks less, and nobody wanted that")
    val gone = before.slots.getValue(name).filter { !it.isRetired && decision.application.slot(it.latest.key.place)?.isRetired == true }
    assertEquals(fewer, gone.size, "ranks that are waited for no more")
    assertTrue(gone.all { it.latest.state == ContainerState.REQUESTED && it.latest.requestTime + limit!! <= now }, "gone too early: $gone")
  }

  /** Whether each rank of it was as it should be, before this turn or now. */
  private fun isMet(
    dependency: Dependency,
    before: Application,
    after: Application,
  ): Boolean =
    after.slots.getValue(dependency.serviceName).filterNot { it.isRetired }.all { slot ->
      val then = before.slot(slot.latest.key.place)
      when (dependency.condition) {
        DependencyCondition.STARTED -> slot.key.rank >= after.spec(dependency.serviceName).instances || slot.attempts.any { it.hasRun }
        DependencyCondition.READY -> slot.isDone || slot.isReady || then?.isReady == true
        DependencyCondition.FINISHED -> slot.isDone
      }
    }

  private val Slot.key: PlaceKey get() = latest.key.place

  private val Slot.isDone: Boolean get() = latest.state == ContainerState.SUCCEEDED

  private val Container.hasRun: Boolean get() = startTime != null || hadStarted || state == ContainerState.SUCCEEDED

  private fun changed(
    before: Application,
    container: Container,
    after: Application,
    now: Instant,
  ) {
    val slot = checkNotNull(after.slot(container.key.place))
    assertTrue(slot.attempts.count { it.state.isLeased } <= 1, "several of one rank: ${slot.attempts}")
    val lease = container.lease?.containerId
    if (container.state == ContainerState.HELD) {
      held.putIfAbsent(checkNotNull(lease), now)
    } else if (lease != null) {
      held -= lease
    }
    val old = before.container(container.key)
    if (old?.isReady == true && container.stopCause == ExitReason.REPLACED) checkAvailable(container, after)
  }

  /** What is ready makes room only where enough others are. */
  private fun checkAvailable(
    replaced: Container,
    after: Application,
  ) {
    val name = replaced.key.place.serviceName
    val service = after.services.getValue(name)
    // Who has failed, or failed to begin, is made good for elsewhere: an update is about those that are there.
    val surge = service.update?.surgeRanks.orEmpty()
    val slots = after.slots.getValue(name).filterNot { it.isRetired }
    val open = slots.count { it.key.rank !in surge && !it.latest.state.isFinal }
    val ready = slots.count { it.isReady || (it.key.rank in surge && it.isDone) }
    val least = open - after.spec(name).updatePolicy.maxUnavailable
    assertTrue(ready >= least, "$replaced makes room, and $ready of $open are ready, of at least $least")
  }

  private fun checkLaunch(
    launch: Launch,
    before: Application,
    after: Application,
  ) {
    val name = launch.key.place.serviceName
    assertTrue(after.services.getValue(name).hasBegun, "$launch, and its service has not begun")
    val old = before.services[name] ?: return
    if (old.hasStartedTogether || !before.spec(name).startsTogether) return
    val waiting =
      after.slots
        .getValue(name)
        .map { it.latest }
        .filter { it.state == ContainerState.HELD || it.state == ContainerState.REQUESTED || it.state == ContainerState.PENDING }
    assertEquals(emptyList<Container>(), waiting, "$launch does not wait for these")
  }

  fun check(
    application: Application,
    now: Instant,
  ) {
    for ((lease, time) in held) {
      if (application.container(lease)?.state == ContainerState.HELD) assertTrue(now < time + HELD_AT_MOST, "$lease is held since $time")
    }
    if (application.phase != Phase.RUNNING) return
    assertEquals(targets.keys, application.services.keys, "services")
    for ((name, target) in targets) {
      val service = application.services.getValue(name)
      val surge = service.update?.surgeRanks.orEmpty()
      val (beyond, own) =
        application.slots
          .getValue(name)
          .filterNot { it.isRetired }
          .partition { it.key.rank in surge }
      assertEquals(target, service.target, "how many ranks $name is to have")
      assertEquals(target, own.size, "how many ranks $name has")
      val more = beyond.filterNot { it.latest.state.isFinal }
      assertTrue(more.size <= (surges[name] ?: 0), "for its update $name has, of at most ${surges[name]}: $more")
      val astray = application.slots.getValue(name).filter { it.isRetired && it.open.any { one -> one.state != ContainerState.STOPPING } }
      assertTrue(astray.isEmpty(), "retired, and not about to end: $astray")
    }
  }

  private companion object {
    /** YARN takes back after ten. */
    val HELD_AT_MOST: Duration = Duration.ofMinutes(9) + Duration.ofSeconds(1)
  }
}
