package knit.am.core

import java.time.Duration
import java.time.Instant

// How a rank that failed is filled again: in the turn of the failure its account is charged and the next attempt is there, which
// is asked for at once or, after a rest, in the turn of its own deadline. YARN's grant then finds it as any other.

/** How many failures with their times one account keeps, and so the most a budget with a window may have. */
internal const val MAX_WINDOW_LIMIT = 1_000

/** After a failure: another attempt while the budgets last, else what the service's policy says. */
internal fun Turn.restartOrGiveUp(
  failed: Container,
  fault: LaunchFault,
) {
  val name = failed.key.place.serviceName
  val spec = application.spec(name)
  if (failedInUpdate(failed, fault)) return
  if (fault != LaunchFault.SPECIFICATION && charge(failed, spec)) {
    rest(failed, spec.backOff)
    return
  }
  if (spec.failurePolicy == FailurePolicy.IGNORE) return
  if (application.header.firstFailure == null) put(application.header.copy(firstFailure = failed.failure()))
  if (spec.failurePolicy == FailurePolicy.FAIL_APPLICATION) end(application.failureOutcome(failed.failure()))
}

/** Charges the first budget that names the reason; returns whether that could pay. */
private fun Turn.charge(
  failed: Container,
  spec: ServiceSpec,
): Boolean {
  val reason = checkNotNull(failed.exit).reason
  val number = spec.restartBudgets.indexOfFirst { reason in it.reasons }
  val budget = spec.restartBudgets.getOrNull(number) ?: return false
  when (budget.scope) {
    RestartScope.RANK -> {
      val place = application.place(failed.key.place)
      val account = (place.accounts[number] ?: Account()).charged(budget, now) ?: return false
      put(PlaceChanged(place.copy(accounts = place.accounts + (number to account))))
    }

    RestartScope.SERVICE -> {
      val service = application.services.getValue(failed.key.place.serviceName)
      val account = (service.accounts[number] ?: Account()).charged(budget, now) ?: return false
      put(ServiceChanged(service.copy(accounts = service.accounts + (number to account))))
    }
  }
  return true
}

/** This with a failure at [now]; null where [budget] is spent. */
internal fun Account.charged(
  budget: RestartBudget,
  now: Instant,
): Account? {
  val current = at(now, budget.window)
  return when {
    budget.limit != null && current.spent >= budget.limit -> null
    budget.window == null -> Account(current.spent + 1)
    else -> (current.times + now).takeLast(MAX_WINDOW_LIMIT).let { Account(it.size, it) }
  }
}

/** What of this counts at [now]. */
internal fun Account.at(
  now: Instant,
  window: Duration?,
): Account {
  if (window == null) return this
  val counting = times.filter { now < it + window }
  return if (counting.size == times.size) this else Account(counting.size, counting)
}

/** Fills the place of [failed] again, after the rest that it needs. */
private fun Turn.rest(
  failed: Container,
  backOff: BackOff,
) {
  val place = application.place(failed.key.place)
  val ran = failed.startTime?.let { Duration.between(it, checkNotNull(failed.exit).finishTime) }
  val rests = if (ran != null && ran >= backOff.resetAfter) 0 else place.rests
  val next = nextAttempt(failed)
  val rest = backOff.restAfter(checkNotNull(failed.exit).reason, rests, next.key)
  if (rest.isZero) {
    put(next)
    if (rests != place.rests) put(PlaceChanged(place.copy(rests = rests)))
  } else {
    put(next.copy(state = ContainerState.PENDING, dueTime = now + rest))
    put(PlaceChanged(place.copy(rests = rests + 1)))
  }
}

/**
 * What is to follow [failed] at its place, asked for at once: of its own revision while another one is to take its place, for that
 * has to show first that it works, and of the present one else.
 */
internal fun Turn.nextAttempt(failed: Container): Container {
  val service = application.services.getValue(failed.key.place.serviceName)
  val isOnItsWay = service.update != null && service.update.state != UpdateState.ROLLING_BACK
  if (!service.isPresent(failed.revision) && !isOnItsWay) return nextOfPresentRevision(failed)
  val ordinal = application.tally(service.name).total
  val specs = application.specs.getValue(service.name)
  return when {
    service.isPresent(failed.revision) -> {
      next(failed, service.revision, ordinal)
    }

    failed.revision in specs -> {
      next(failed, failed.revision, ordinal)
    }

    // It had ended before the revision came that the update begins from: of what it ran nothing is known any more.
    else -> {
      val before = checkNotNull(service.update).fromRevision
      next(failed, before, ordinal).copy(variant = variant(specs.getValue(before).resource, failed.environment))
    }
  }
}

/** What comes after [container] at its place, asked for at once. */
internal fun Turn.next(
  container: Container,
  revision: Int,
  ordinal: Int,
) = Container(
  key = container.key.copy(attemptNumber = container.key.attemptNumber + 1),
  state = ContainerState.REQUESTED,
  ordinal = ordinal,
  revision = revision,
  variant = container.variant,
  requestTime = now,
  hadStarted = container.hadStarted || container.startTime != null,
  hadBeenReady = container.hadBeenReady || container.readyTime != null,
)

/** [container] waits for nothing more before YARN is asked for it. */
internal fun Turn.request(container: Container) = put(container.copy(state = ContainerState.REQUESTED, requestTime = now, dueTime = null))

private fun Application.place(key: PlaceKey): Place = slot(key)?.place ?: Place(key)

/**
 * How long a rank rests after a failure that comes after [rests] others it has rested for. A tenth more or less, so that many
 * do not begin in the same moment: by the name of the attempt, for the same inputs must lead to the same.
 */
internal fun BackOff.restAfter(
  reason: ExitReason,
  rests: Int,
  next: ContainerKey,
): Duration {
  val base = first ?: if (reason in RestartBudget.CLUSTER_REASONS || reason == ExitReason.MASTER_LOST) Duration.ZERO else DEFAULT_FIRST
  if (base.isZero) return Duration.ZERO
  // Beyond that any factor is as good as infinite, and 1 to whatever power is 1.
  val grown = base.toMillis().toDouble() * Math.pow(factor, rests.coerceAtMost(MAX_EXPONENT).toDouble())
  val millis = minOf(grown, most.toMillis().toDouble())
  val share = Math.floorMod(spread(next), JITTER_STEPS) / (JITTER_STEPS - 1.0) * 2 - 1
  return Duration.ofMillis((millis * (1 + share * JITTER)).toLong().coerceAtLeast(1))
}

/** A number that is about as likely to be any; `hashCode` of neighbours are neighbours. */
private fun spread(key: ContainerKey): Int {
  var hash = (key.place.serviceName.hashCode() * 31 + key.place.rank) * 31 + key.attemptNumber
  hash = (hash xor (hash ushr 16)) * 0x45d9f3b
  hash = (hash xor (hash ushr 16)) * 0x45d9f3b
  return hash xor (hash ushr 16)
}

private val DEFAULT_FIRST: Duration = Duration.ofSeconds(1)
private const val JITTER = 0.1
private const val JITTER_STEPS = 2_001
private const val MAX_EXPONENT = 1_000
