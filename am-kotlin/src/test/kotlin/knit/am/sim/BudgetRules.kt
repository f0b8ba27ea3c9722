package knit.am.sim

import knit.am.core.Application
import knit.am.core.BackOff
import knit.am.core.Container
import knit.am.core.ContainerChanged
import knit.am.core.ContainerKey
import knit.am.core.ContainerState
import knit.am.core.Decision
import knit.am.core.ExitReason
import knit.am.core.FailurePolicy
import knit.am.core.Input
import knit.am.core.LaunchFailed
import knit.am.core.LaunchFault
import knit.am.core.Phase
import knit.am.core.PlaceChanged
import knit.am.core.PlaceKey
import knit.am.core.RestartBudget
import knit.am.core.RestartContainers
import knit.am.core.RestartScope
import knit.am.core.ServiceSpec
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import java.time.Duration
import java.time.Instant

/**
 * What failures lead to: each is paid by the first budget that names its reason, and followed by another attempt after its
 * rest, or it is final. With accounts of its own, so that it is known here whether a budget lasts.
 */
internal class BudgetRules {
  private val ofRanks = HashMap<Pair<PlaceKey, Int>, MutableList<Instant>>()
  private val ofServices = HashMap<Pair<String, Int>, MutableList<Instant>>()

  /** After how many failures in a row each rank has rested. */
  private val rests = HashMap<PlaceKey, Int>()

  fun turn(
    before: Application,
    input: Input,
    decision: Decision<*>,
    now: Instant,
  ) {
    val after = decision.application
    // In the order of what has happened: what is paid before other budgets hold is paid by the old ones.
    if (before.phase == Phase.RUNNING && after.phase == Phase.RUNNING) {
      decision.ended.filter { it.state == ContainerState.FAILED }.forEach { follow(it, before, input, decision, now) }
    }
    checkRests(before, input, decision, now)
    forgetAccounts(before, input, decision)
  }

  private fun follow(
    failed: Container,
    before: Application,
    input: Input,
    decision: Decision<*>,
    now: Instant,
  ) {
    val after = decision.application
    val place = failed.key.place
    if (before.latest(place)?.key != failed.key || before.slot(place)?.isRetired == true) return
    val spec = before.spec(place.serviceName)
    val isSpecifications = input is LaunchFailed && input.fault == LaunchFault.SPECIFICATION
    if (isUpdates(failed, before, isSpecifications)) return
    val isPaid = !isSpecifications && isPaid(failed, spec, now)
    val next = firstOf(ContainerKey(place, failed.key.attemptNumber + 1), decision)
    assertEquals(isPaid, next != null, "$failed of ${spec.restartBudgets} at $now: whether it is followed, and by: $next")
    if (next != null) return checkRest(failed, next, spec.backOff, now)
    // All others go on, where it says so.
    if (spec.failurePolicy == FailurePolicy.FAIL_APPLICATION) throw AssertionError("$failed, for good, and the application goes on")
    if (spec.failurePolicy ==
      FailurePolicy.IGNORE
    ) {
      assertEquals(before.header.firstFailure, after.header.firstFailure, "$failed is ignored")
    }
  }

  /** What speaks against a revision that is new is charged to its update. */
  private fun isUpdates(
    failed: Container,
    before: Application,
    isSpecifications: Boolean,
  ): Boolean {
    val update = before.services.getValue(failed.ref.serviceName).update ?: return false
    val speaksAgainst = isSpecifications || checkNotNull(failed.exit).reason in RestartBudget.PROGRAM_REASONS
    return speaksAgainst && failed.revision in update.newSince..update.toRevision
  }

  private fun isPaid(
    failed: Container,
    spec: ServiceSpec,
    now: Instant,
  ): Boolean {
    val reason = checkNotNull(failed.exit).reason
    val number = spec.restartBudgets.indexOfFirst { reason in it.reasons }
    val budget = spec.restartBudgets.getOrNull(number) ?: return false
    val place = failed.key.place
    val account =
      when (budget.scope) {
        RestartScope.RANK -> ofRanks.getOrPut(place to number) { ArrayList() }
        RestartScope.SERVICE -> ofServices.getOrPut(place.serviceName to number) { ArrayList() }
      }
    val window = budget.window
    if (window != null) account.removeAll { now >= it + window }
    val limit = budget.limit
    if (limit != null && account.size >= limit) return false
    account += now
    return true
  }

  /** The first that is heard of it in this turn; null: nothing is. */
  private fun firstOf(
    key: ContainerKey,
    decision: Decision<*>,
  ): Container? =
    decision.changes
      ?.changes
      .orEmpty()
      .firstNotNullOfOrNull { change -> (change as? ContainerChanged)?.container?.takeIf { it.key == key } }

  private fun checkRest(
    failed: Container,
    next: Container,
    backOff: BackOff,
    now: Instant,
  ) {
    val place = failed.key.place
    val exit = checkNotNull(failed.exit)
    val ran = failed.startTime?.let { Duration.between(it, exit.finishTime) }
    val before = if (ran != null && ran >= backOff.resetAfter) 0 else rests[place] ?: 0
    val isClusters = exit.reason in RestartBudget.CLUSTER_REASONS || exit.reason == ExitReason.MASTER_LOST
    val first = backOff.first ?: if (isClusters) Duration.ZERO else Duration.ofSeconds(1)
    if (first.isZero) {
      assertEquals(ContainerState.REQUESTED, next.state, "$next needs no rest")
      rests[place] = before
      return
    }
    var rest = first.toMillis().toDouble()
    repeat(before) { rest = minOf(rest * backOff.factor, backOff.most.toMillis().toDouble()) }
    val restTime = checkNotNull(next.restartTime) { "$next does not rest, and should $rest ms" }
    val millis = Duration.between(now, restTime).toMillis().toDouble()
    assertTrue(millis >= rest * 0.9 - 1 && millis <= rest * 1.1 + 1, "$next rests $millis ms, and should about $rest")
    rests[place] = before + 1
  }

  /** None is asked for before its rest is over, unless a client wants it. */
  private fun checkRests(
    before: Application,
    input: Input,
    decision: Decision<*>,
    now: Instant,
  ) {
    if (input is RestartContainers) return
    for (change in decision.changes?.changes.orEmpty()) {
      val container = (change as? ContainerChanged)?.container ?: continue
      if (container.state != ContainerState.REQUESTED) continue
      val restTime = before.container(container.key)?.restartTime ?: continue
      assertTrue(now >= restTime, "$container is asked for at $now, and is to rest until $restTime")
    }
  }

  private fun forgetAccounts(
    before: Application,
    input: Input,
    decision: Decision<*>,
  ) {
    val after = decision.application
    for ((name, _) in before.services) {
      if (after.services[name] === before.services[name]) continue
      if (after.spec(name).restartBudgets == before.spec(name).restartBudgets) continue
      // Budgets are numbered, and others have other numbers.
      ofServices.keys.removeAll { it.first == name }
      ofRanks.keys.removeAll { it.first.serviceName == name }
    }
    for (change in decision.changes?.changes.orEmpty()) {
      val place = (change as? PlaceChanged)?.place ?: continue
      if (place.isRetired || before.slot(place.key)?.isRetired != true) continue
      ofRanks.keys.removeAll { it.first == place.key }
      rests -= place.key
    }
    if (input !is RestartContainers) return
    for (change in decision.changes?.changes.orEmpty()) {
      val key = (change as? ContainerChanged)?.container?.key ?: continue
      if (before.container(key) == null) rests -= key.place
    }
  }
}
