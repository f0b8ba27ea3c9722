package knit.am.grpc

import knit.am.core.Access
import knit.am.core.AllocationPolicy
import knit.am.core.BackOff
import knit.am.core.Dependency
import knit.am.core.DependencyCondition
import knit.am.core.ExitReason
import knit.am.core.Readiness
import knit.am.core.RestartBudget
import knit.am.core.RestartScope
import knit.am.core.ScaleDownOrder
import knit.am.core.UpdateFailurePolicy
import knit.am.core.UpdatePolicy
import knit.v1.Access as AccessMessage
import knit.v1.AllocationPolicy as AllocationPolicyMessage
import knit.v1.BackOff as BackOffMessage
import knit.v1.Dependency as DependencyMessage
import knit.v1.DependencyCondition as DependencyConditionMessage
import knit.v1.Readiness as ReadinessMessage
import knit.v1.RestartBudget as RestartBudgetMessage
import knit.v1.RestartScope as RestartScopeMessage
import knit.v1.ScaleDownOrder as ScaleDownOrderMessage
import knit.v1.UpdateFailurePolicy as UpdateFailurePolicyMessage
import knit.v1.UpdatePolicy as UpdatePolicyMessage

// What a specification says of when its containers begin, are ready, begin anew and change.

internal fun DependencyMessage.toDomain() =
  Dependency(
    serviceName,
    when (condition) {
      DependencyConditionMessage.DEPENDENCY_CONDITION_STARTED -> DependencyCondition.STARTED
      DependencyConditionMessage.DEPENDENCY_CONDITION_FINISHED -> DependencyCondition.FINISHED
      else -> DependencyCondition.READY
    },
  )

internal fun Dependency.toMessage(): DependencyMessage =
  DependencyMessage
    .newBuilder()
    .setServiceName(serviceName)
    .setCondition(
      when (condition) {
        DependencyCondition.STARTED -> DependencyConditionMessage.DEPENDENCY_CONDITION_STARTED
        DependencyCondition.READY -> DependencyConditionMessage.DEPENDENCY_CONDITION_READY
        DependencyCondition.FINISHED -> DependencyConditionMessage.DEPENDENCY_CONDITION_FINISHED
      },
    ).build()

private val exitReasons = ExitReason.values().associateBy { it.toMessage() }

internal fun RestartBudgetMessage.toDomain() =
  RestartBudget(
    reasons = reasonsList.mapTo(LinkedHashSet()) { exitReasons.getValue(it) },
    limit = if (hasLimit()) limit else null,
    scope = if (scope == RestartScopeMessage.RESTART_SCOPE_SERVICE) RestartScope.SERVICE else RestartScope.RANK,
    window = if (hasWindow()) window.toDomain() else null,
  )

internal fun RestartBudget.toMessage(): RestartBudgetMessage {
  val message =
    RestartBudgetMessage
      .newBuilder()
      .addAllReasons(reasons.map { it.toMessage() })
      .setScope(
        when (scope) {
          RestartScope.RANK -> RestartScopeMessage.RESTART_SCOPE_RANK
          RestartScope.SERVICE -> RestartScopeMessage.RESTART_SCOPE_SERVICE
        },
      )
  limit?.let { message.setLimit(it) }
  window?.let { message.setWindow(it.toMessage()) }
  return message.build()
}

internal fun BackOffMessage.toDomain(): BackOff {
  val default = BackOff()
  return BackOff(
    first = if (hasFirst()) first.toDomain() else null,
    factor = if (factor == 0.0) default.factor else factor,
    most = if (hasMost()) most.toDomain() else default.most,
    resetAfter = if (hasResetAfter()) resetAfter.toDomain() else default.resetAfter,
  )
}

internal fun BackOff.toMessage(): BackOffMessage {
  val message =
    BackOffMessage
      .newBuilder()
      .setFactor(factor)
      .setMost(most.toMessage())
      .setResetAfter(resetAfter.toMessage())
  first?.let { message.setFirst(it.toMessage()) }
  return message.build()
}

internal fun ReadinessMessage.toDomain() =
  Readiness(
    isReported = hasIsReported() && isReported,
    minReady = if (hasMinReady()) minReady.toDomain() else null,
    limit = if (hasLimit()) limit.toDomain() else null,
  )

internal fun Readiness.toMessage(): ReadinessMessage {
  val message = ReadinessMessage.newBuilder()
  if (isReported) message.setIsReported(true)
  minReady?.let { message.setMinReady(it.toMessage()) }
  limit?.let { message.setLimit(it.toMessage()) }
  return message.build()
}

internal fun AllocationPolicyMessage.toDomain(): AllocationPolicy =
  when (this) {
    AllocationPolicyMessage.ALLOCATION_POLICY_GO_ON -> AllocationPolicy.GO_ON
    AllocationPolicyMessage.ALLOCATION_POLICY_KEEP_WAITING -> AllocationPolicy.KEEP_WAITING
    else -> AllocationPolicy.FAIL
  }

internal fun AllocationPolicy.toMessage(): AllocationPolicyMessage =
  when (this) {
    AllocationPolicy.FAIL -> AllocationPolicyMessage.ALLOCATION_POLICY_FAIL
    AllocationPolicy.GO_ON -> AllocationPolicyMessage.ALLOCATION_POLICY_GO_ON
    AllocationPolicy.KEEP_WAITING -> AllocationPolicyMessage.ALLOCATION_POLICY_KEEP_WAITING
  }

internal fun UpdatePolicyMessage.toDomain(): UpdatePolicy {
  val default = UpdatePolicy()
  val unavailable = if (hasMaxUnavailable()) maxUnavailable else default.maxUnavailable
  return UpdatePolicy(
    maxSurge =
      when {
        hasMaxSurge() -> maxSurge
        unavailable == 0 -> default.maxSurge
        else -> 0
      },
    maxUnavailable = unavailable,
    failures = if (failures == 0) default.failures else failures,
    readyLimit = if (hasReadyLimit()) readyLimit.toDomain() else default.readyLimit,
    failurePolicy =
      if (failurePolicy == UpdateFailurePolicyMessage.UPDATE_FAILURE_POLICY_PAUSE) {
        UpdateFailurePolicy.PAUSE
      } else {
        UpdateFailurePolicy.ROLL_BACK
      },
  )
}

internal fun UpdatePolicy.toMessage(): UpdatePolicyMessage =
  UpdatePolicyMessage
    .newBuilder()
    .setMaxSurge(maxSurge)
    .setMaxUnavailable(maxUnavailable)
    .setFailures(failures)
    .setReadyLimit(readyLimit.toMessage())
    .setFailurePolicy(
      when (failurePolicy) {
        UpdateFailurePolicy.ROLL_BACK -> UpdateFailurePolicyMessage.UPDATE_FAILURE_POLICY_ROLL_BACK
        UpdateFailurePolicy.PAUSE -> UpdateFailurePolicyMessage.UPDATE_FAILURE_POLICY_PAUSE
      },
    ).build()

internal fun AccessMessage.toDomain(): Access =
  when (this) {
    AccessMessage.ACCESS_OPERATOR -> Access.OPERATOR
    AccessMessage.ACCESS_OWNER -> Access.OWNER
    else -> Access.CONTAINER
  }

internal fun Access.toMessage(): AccessMessage =
  when (this) {
    Access.CONTAINER -> AccessMessage.ACCESS_CONTAINER
    Access.OPERATOR -> AccessMessage.ACCESS_OPERATOR
    Access.OWNER -> AccessMessage.ACCESS_OWNER
  }

internal fun ScaleDownOrderMessage.toDomain(): ScaleDownOrder =
  when (this) {
    ScaleDownOrderMessage.SCALE_DOWN_ORDER_NEWEST_FIRST -> ScaleDownOrder.NEWEST_FIRST
    ScaleDownOrderMessage.SCALE_DOWN_ORDER_OLDEST_FIRST -> ScaleDownOrder.OLDEST_FIRST
    else -> ScaleDownOrder.HIGHEST_RANK_FIRST
  }

internal fun ScaleDownOrder.toMessage(): ScaleDownOrderMessage =
  when (this) {
    ScaleDownOrder.HIGHEST_RANK_FIRST -> ScaleDownOrderMessage.SCALE_DOWN_ORDER_HIGHEST_RANK_FIRST
    ScaleDownOrder.NEWEST_FIRST -> ScaleDownOrderMessage.SCALE_DOWN_ORDER_NEWEST_FIRST
    ScaleDownOrder.OLDEST_FIRST -> ScaleDownOrderMessage.SCALE_DOWN_ORDER_OLDEST_FIRST
  }
