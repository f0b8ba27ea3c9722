package knit.am.grpc

import knit.am.core.AddServices
import knit.am.core.AmException
import knit.am.core.Amount
import knit.am.core.Application
import knit.am.core.Caller
import knit.am.core.ContainerState
import knit.am.core.RemoveServices
import knit.am.core.RestartBudget
import knit.am.core.RestartScope
import knit.am.core.ScaleService
import knit.am.core.Service
import knit.am.core.ServiceCondition
import knit.am.core.ServiceUpdate
import knit.am.core.Spent
import knit.am.core.Tally
import knit.am.core.UpdateAction
import knit.am.core.UpdateService
import knit.am.core.UpdateState
import knit.am.core.updatedCount
import knit.v1.AddServicesRequest
import knit.v1.BudgetAccount
import knit.v1.ContainerCount
import knit.v1.RemoveServicesRequest
import knit.v1.ScaleServiceRequest
import knit.v1.UpdateServiceRequest
import knit.v1.ScaleDownOrder as ScaleDownOrderMessage
import knit.v1.Service as ServiceMessage
import knit.v1.ServiceCondition as ServiceConditionMessage
import knit.v1.ServiceUpdate as ServiceUpdateMessage
import knit.v1.UpdateState as UpdateStateMessage

// What is said of services, and what is asked of them.

internal fun ScaleServiceRequest.toDomain(): ScaleService {
  refuseIfUnknown()
  val amount =
    when (amountCase) {
      ScaleServiceRequest.AmountCase.COUNT -> Amount.Count(count)
      ScaleServiceRequest.AmountCase.DELTA -> Amount.Delta(delta)
      else -> throw AmException.InvalidArgument("Neither count nor delta was given. Say how many ranks there are to be.")
    }
  val given = if (order == ScaleDownOrderMessage.SCALE_DOWN_ORDER_UNSPECIFIED) null else order.toDomain()
  return ScaleService(serviceName, amount, given, victimsList.map { it.toDomain() }, requestId, historyId)
}

internal fun AddServicesRequest.toDomain(caller: Caller): AddServices {
  refuseIfUnknown()
  return AddServices(servicesMap.mapValues { it.value.toDomain() }, requestId, historyId, caller)
}

internal fun RemoveServicesRequest.toDomain(): RemoveServices {
  refuseIfUnknown()
  return RemoveServices(serviceNamesList.toList(), requestId, historyId)
}

internal fun UpdateServiceRequest.toDomain(caller: Caller): UpdateService {
  refuseIfUnknown()
  val action =
    when (actionCase) {
      UpdateServiceRequest.ActionCase.SPEC -> UpdateAction.Pass(spec.toDomain(), keepsEnvironment, replacesUpdate)
      UpdateServiceRequest.ActionCase.PAUSE -> UpdateAction.Pause.takeIf { pause }
      UpdateServiceRequest.ActionCase.GO_ON -> UpdateAction.GoOn.takeIf { goOn }
      UpdateServiceRequest.ActionCase.ROLL_BACK -> UpdateAction.RollBack.takeIf { rollBack }
      else -> null
    } ?: throw AmException.InvalidArgument("No action was given. Give a spec, or set pause, go_on or roll_back.")
  return UpdateService(serviceName, action, fromRevision, requestId, historyId, caller)
}

/** The service of this name as clients may see it, without values of variables. */
internal fun Application.serviceMessage(name: String): ServiceMessage = toMessage(services.getValue(name))

/** As [service] was noted, with what was counted of it then in [tally]; what it waits for is as it is now. */
internal fun Application.toMessage(
  service: Service,
  tally: Tally = tally(service.name),
): ServiceMessage {
  // What is long past may be forgotten.
  val spec = specs.getValue(service.name)[service.revision] ?: spec(service.name)
  val message =
    ServiceMessage
      .newBuilder()
      .setName(service.name)
      .setSpec(spec.toMessage())
      .setRevision(service.revision)
      .setTarget(service.target)
      .setCondition(service.condition.toMessage())
      .setReadyCount(tally.readyRanks)
      .addAllWaitingReasons(reasonsOf(service).map { it.toMessage() })
      .addAllAccounts(spec.restartBudgets.mapIndexed { number, budget -> accountOf(service, number, budget) })
  for (state in ContainerState.values()) {
    if (tally[state] > 0) message.addCounts(ContainerCount.newBuilder().setState(state.toMessage()).setCount(tally[state]))
  }
  service.update?.let { message.setUpdate(toMessage(service, it)) }
  service.allocationDeadline?.let { message.setAllocationDeadline(it.toMessage()) }
  return message.build()
}

/** Of a budget that each rank has, the rank that has had most. */
private fun Application.accountOf(
  service: Service,
  number: Int,
  budget: RestartBudget,
): BudgetAccount {
  val (spent, first) =
    when (budget.scope) {
      RestartScope.SERVICE -> service.accounts[number]?.let { Spent(it.spent, it.times.firstOrNull()) }
      RestartScope.RANK -> tally(service.name).extremes.spent[number]?.first
    } ?: Spent(0, null)
  val message = BudgetAccount.newBuilder().setSpent(spent)
  val window = budget.window
  if (first != null && window != null) message.setForgetTime((first + window).toMessage())
  return message.build()
}

private fun Application.toMessage(
  service: Service,
  update: ServiceUpdate,
): ServiceUpdateMessage =
  ServiceUpdateMessage
    .newBuilder()
    .setFromRevision(update.fromRevision)
    .setToRevision(update.toRevision)
    .setState(
      when (update.state) {
        UpdateState.UPDATING -> UpdateStateMessage.UPDATE_STATE_UPDATING
        UpdateState.PAUSED -> UpdateStateMessage.UPDATE_STATE_PAUSED
        UpdateState.ROLLING_BACK -> UpdateStateMessage.UPDATE_STATE_ROLLING_BACK
      },
    ).setUpdatedCount(updatedCount(service, update))
    .setExplanation(update.explanation)
    .build()

private fun ServiceCondition.toMessage(): ServiceConditionMessage =
  when (this) {
    ServiceCondition.PENDING -> ServiceConditionMessage.SERVICE_CONDITION_PENDING
    ServiceCondition.STARTING -> ServiceConditionMessage.SERVICE_CONDITION_STARTING
    ServiceCondition.READY -> ServiceConditionMessage.SERVICE_CONDITION_READY
    ServiceCondition.DEGRADED -> ServiceConditionMessage.SERVICE_CONDITION_DEGRADED
    ServiceCondition.SUCCEEDED -> ServiceConditionMessage.SERVICE_CONDITION_SUCCEEDED
    ServiceCondition.FAILED -> ServiceConditionMessage.SERVICE_CONDITION_FAILED
    ServiceCondition.REMOVED -> ServiceConditionMessage.SERVICE_CONDITION_REMOVED
  }
