package knit.am.grpc

import com.google.protobuf.Duration
import knit.am.core.AmException
import knit.am.core.Reason
import knit.v1.Access
import knit.v1.AllocationPolicy
import knit.v1.DependencyCondition
import knit.v1.ExitReason
import knit.v1.Probe
import knit.v1.Readiness
import knit.v1.RestartScope
import knit.v1.ScaleDownOrder
import knit.v1.ServiceSpec
import knit.v1.UpdateFailurePolicy

// What a service's policies may say that this Application Master does not understand, or cannot do; see Unknown.kt.

internal fun ServiceSpec.problemInPolicies(): String? =
  problemInDepends()
    ?: problemInBudgets()
    ?: problemInBackOff()
    ?: readiness.problem()
    ?: (if (hasLiveness()) liveness.problem("liveness") else null)
    ?: problemInUpdates()
    ?: stopGrace.problem("stop_grace")
    ?: allocationLimit.problem("allocation_limit")
    ?: unknownValue("allocation_policy", allocationPolicyValue, allocationPolicy == AllocationPolicy.UNRECOGNIZED)
    ?: unknownValue("access", accessValue, access == Access.UNRECOGNIZED)
    ?: unknownValue("scale_down_order", scaleDownOrderValue, scaleDownOrder == ScaleDownOrder.UNRECOGNIZED)

private fun ServiceSpec.problemInDepends(): String? =
  dependsList.firstNotNullOfOrNull {
    it.unknownField("depends") ?: unknownValue("depends.condition", it.conditionValue, it.condition == DependencyCondition.UNRECOGNIZED)
  }

private fun ServiceSpec.problemInBudgets(): String? =
  restartBudgetsList.withIndex().firstNotNullOfOrNull { (number, budget) ->
    val path = "restart_budgets[$number]"
    // UNSPECIFIED is no reason either: nothing fails without one.
    val unknown = budget.reasonsList.indexOfFirst { it == ExitReason.UNRECOGNIZED || it == ExitReason.EXIT_REASON_UNSPECIFIED }
    budget.unknownField(path)
      ?: unknownValue("$path.scope", budget.scopeValue, budget.scope == RestartScope.UNRECOGNIZED)
      ?: (if (unknown < 0) null else unknownValue("$path.reasons", budget.getReasonsValue(unknown), isUnknown = true))
      ?: budget.window.problem("$path.window")
  }

private fun ServiceSpec.problemInBackOff(): String? =
  backOff.unknownField("back_off")
    ?: backOff.first.problem("back_off.first")
    ?: backOff.most.problem("back_off.most")
    ?: backOff.resetAfter.problem("back_off.reset_after")

private fun Readiness.problem(): String? =
  unknownField("readiness")
    ?: minReady.problem("readiness.min_ready")
    ?: limit.problem("readiness.limit")
    ?: if (hasProbe()) probe.problem("readiness.probe") else null

private fun Probe.problem(path: String): String? = unknownField(path) ?: if (hasHttp()) http.unknownField("$path.http") else null

private fun ServiceSpec.problemInUpdates(): String? =
  with(updatePolicy) {
    unknownField("update_policy")
      ?: readyLimit.problem("update_policy.ready_limit")
      ?: unknownValue("update_policy.failure_policy", failurePolicyValue, failurePolicy == UpdateFailurePolicy.UNRECOGNIZED)
  }

private fun Duration.problem(path: String): String? = unknownField(path) ?: if (isValid()) null else "$path is no length of time"

/**
 * Why the service needs an agent in its containers, as the end of a sentence; null: it does not.
 *
 * YARN runs nothing in a running container, and a question from another machine would see the node, not the program.
 */
internal fun ServiceSpec.agentNeed(): String? =
  when {
    hasLiveness() -> {
      "liveness is asked of the program, which needs an agent beside it, and there is none yet (NEEDS_AGENT). Leave liveness out"
    }

    readiness.hasProbe() -> {
      "readiness.probe is asked of the program, which needs an agent beside it, and there is none yet (NEEDS_AGENT). " +
        "Give readiness.is_reported and have the program say when it is ready, or leave readiness out"
    }

    else -> {
      null
    }
  }

internal fun ServiceSpec.refuseIfAgentNeeded(path: String) {
  val need = agentNeed() ?: return
  throw AmException.InvalidArgument("The request cannot be carried out: $path: $need.", Reason.NEEDS_AGENT)
}
