package knit.am.core

import java.time.Duration

// What is wrong with a service's policies, each as the end of a sentence; null where nothing is.

internal const val MAX_BUDGETS = 16

/** A year: beyond that, times overflow sooner or later, and nobody means it. */
internal val LONGEST_DURATION: Duration = Duration.ofDays(366)

internal fun ServiceSpec.problemInPolicies(): String? =
  problemInBudgets()
    ?: problemInBackOff()
    ?: problemInTime("readiness.min_ready", readiness.minReady)
    ?: problemInTime("readiness.limit", readiness.limit, isPositive = true)
    ?: problemInTime("stop_grace", stopGrace)
    ?: problemInTime("allocation_limit", allocationLimit, isPositive = true)
    ?: problemInUpdates()

private fun ServiceSpec.problemInBudgets(): String? {
  if (restartBudgets.size > MAX_BUDGETS) return "it has ${restartBudgets.size} restart_budgets, of at most $MAX_BUDGETS"
  return restartBudgets.withIndex().firstNotNullOfOrNull { (number, budget) ->
    val name = "restart_budgets[$number]"
    val limit = budget.limit
    val most = if (budget.window == null) Int.MAX_VALUE else MAX_WINDOW_LIMIT
    when {
      budget.reasons.isEmpty() -> "$name names no reasons"
      limit != null && limit < 0 -> "the limit of $name is $limit; it must be 0 or more"
      limit != null && limit > most -> "the limit of $name is $limit; with a window it may be $most"
      else -> problemInTime("the window of $name", budget.window, isPositive = true)
    }
  }
}

private fun ServiceSpec.problemInBackOff(): String? =
  problemInTime("back_off.first", backOff.first)
    ?: problemInTime("back_off.most", backOff.most)
    ?: problemInTime("back_off.reset_after", backOff.resetAfter)
    ?: if (backOff.factor >= 1 && backOff.factor.isFinite()) null else "back_off.factor is ${backOff.factor}; it must be 1 or more"

private fun ServiceSpec.problemInUpdates(): String? =
  with(updatePolicy) {
    when {
      maxSurge < 0 -> "update_policy.max_surge is $maxSurge; it must be 0 or more"
      maxUnavailable < 0 -> "update_policy.max_unavailable is $maxUnavailable; it must be 0 or more"
      maxSurge == 0 && maxUnavailable == 0 -> "update_policy allows neither one more container nor one less: then nothing can be updated"
      failures < 0 -> "update_policy.failures is $failures; it must be 0 or more"
      else -> problemInTime("update_policy.ready_limit", readyLimit, isPositive = true)
    }
  }

private fun problemInTime(
  name: String,
  time: Duration?,
  isPositive: Boolean = false,
): String? =
  when {
    time == null -> null
    time.isNegative -> "$name is negative"
    isPositive && time.isZero -> "$name is 0; it must be more"
    time > LONGEST_DURATION -> "$name is ${time.toDays()} days; at most ${LONGEST_DURATION.toDays()} are kept"
    else -> null
  }
