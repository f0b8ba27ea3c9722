package knit.am.core

/** A client wants a service to become another one, or decides about an update that is under way. */
data class UpdateService(
  val serviceName: String,
  val action: UpdateAction,
  /** The revision the client believes in; 0: whichever there is. */
  val fromRevision: Int = 0,
  val requestId: String = "",
  val historyId: String = "",
  /** Who wants it; it may not give the service more access than that. */
  val caller: Caller = Caller(Role.OWNER),
) : Command<ServicesChanged>

sealed interface UpdateAction {
  /** It passes to [spec]. */
  data class Pass(
    val spec: ServiceSpec,
    /** Whether variables without a value in [spec] keep the one they have. */
    val keepsEnvironment: Boolean = false,
    /** Whether an update under way is given up for this one. */
    val replacesUpdate: Boolean = false,
  ) : UpdateAction

  data object Pause : UpdateAction

  data object GoOn : UpdateAction

  data object RollBack : UpdateAction
}

/** How many specifications of one service may be needed at a time: an update that replaces another leaves containers of both. */
internal const val MAX_SPECS = 8

internal fun Turn.update(request: UpdateService): () -> ServicesChanged {
  application.refuseAnotherHistory(request.historyId)
  application.remembered<ServiceUpdated>(request.requestId)?.let { known -> return { told(listOf(known.name), request.requestId) } }
  val service = application.serviceOrRefuse(request.serviceName)
  application.refuseIfEnding()
  service.refuseIfRemoved()
  if (request.fromRevision != 0 && request.fromRevision != service.revision) {
    throw AmException.FailedPrecondition(
      "Service ${service.name} is of revision ${service.revision}, and the request begins from ${request.fromRevision}. " +
        "List the service, then decide.",
      Reason.REVISION_CHANGED,
      mapOf("service_name" to service.name, "revision" to "${service.revision}"),
    )
  }
  when (val action = request.action) {
    is UpdateAction.Pass -> pass(service, action, request.caller)
    is UpdateAction.Pause -> pause(service)
    is UpdateAction.GoOn -> goOn(service)
    is UpdateAction.RollBack -> rollBackOnRequest(service, request.caller)
  }
  remember(request.requestId, ServiceUpdated(service.name))
  return { told(listOf(service.name), request.requestId) }
}

private fun Turn.pass(
  service: Service,
  action: UpdateAction.Pass,
  caller: Caller,
) {
  // Also where it had that access before: another command would run with it.
  caller.refuseMoreAccess(service.name, action.spec.access)
  val old = application.spec(service.name)
  val spec = if (action.keepsEnvironment) action.spec.keeping(old.environment) else action.spec
  if (spec == old) return
  refuseIfNoUpdate(service.name, old, spec)
  if (service.update != null && !action.replacesUpdate) {
    throw AmException.FailedPrecondition(
      "Service ${service.name} is being updated from revision ${service.update.fromRevision} to ${service.update.toRevision}. " +
        "Wait for its end, roll it back, or say that this update replaces it.",
      Reason.UPDATE_UNDER_WAY,
      mapOf("service_name" to service.name, "to_revision" to "${service.update.toRevision}"),
    )
  }
  forgetSpecs(service.name)
  val kept = application.specs.getValue(service.name)
  if (kept.size >= MAX_SPECS) {
    throw AmException.ResourceExhausted(
      "Containers of ${kept.size} revisions of ${service.name} are there, which is the most. Wait until some are replaced.",
      Reason.TOO_MANY_REVISIONS,
      mapOf("service_name" to service.name, "count" to "${kept.size}", "max_count" to "$MAX_SPECS"),
    )
  }
  begin(service, old, spec)
}

/** Makes [spec] the present one, and sets out for it where it needs other containers. */
private fun Turn.begin(
  service: Service,
  old: ServiceSpec,
  spec: ServiceSpec,
) {
  val revision = service.newestRevision + 1
  put(SpecAdded(service.name, revision, spec))
  val isSame = spec.isSameProgramAs(old)
  val next =
    service.copy(
      revision = revision,
      newestRevision = revision,
      sameSince = if (isSame) service.sameSince else revision,
      // Another limit counts anew from when they were asked for; budgets are numbered, and others have other numbers.
      allocationDeadline = null,
      hasWaitedTooLong = false,
      accounts = if (spec.restartBudgets == old.restartBudgets) service.accounts else emptyMap(),
    )
  if (spec.restartBudgets != old.restartBudgets) forgetAccounts(service.name)
  when {
    !service.hasBegun -> {
      put(ServiceChanged(next))
      swapPending(service.name)
    }

    isSame && service.update == null -> {
      put(ServiceChanged(next))
    }

    else -> {
      // One that replaces another falls back on what was there before both.
      val before = service.update
      val update =
        ServiceUpdate(
          fromRevision = before?.fromRevision ?: service.revision,
          fromSince = before?.fromSince ?: service.sameSince,
          toRevision = revision,
          newSince = next.sameSince,
          surgeRanks = before?.surgeRanks.orEmpty(),
          failedRanks = before?.failedRanks.orEmpty(),
        )
      put(ServiceChanged(next.copy(update = update)))
    }
  }
}

internal fun Turn.forgetAccounts(serviceName: String) {
  for (slot in application.slots.getValue(serviceName)) {
    val place = slot.place ?: continue
    if (place.accounts.isNotEmpty()) put(PlaceChanged(place.copy(accounts = emptyMap())))
  }
}

/** Nothing has been asked for yet: what waits is of the new revision, and no other one is needed. */
private fun Turn.swapPending(serviceName: String) {
  for (slot in application.slots.getValue(serviceName).filter { !it.isRetired && it.latest.state == ContainerState.PENDING }) {
    val next = nextOfPresentRevision(slot.latest)
    put(slot.latest.copy(revision = next.revision, variant = next.variant))
  }
  forgetSpecs(serviceName)
}

/** Whether containers of this run the same as those of [other]: what else there is in a specification holds at once. */
internal fun ServiceSpec.isSameProgramAs(other: ServiceSpec): Boolean =
  this ==
    copy(
      command = other.command,
      resource = other.resource,
      environment = other.environment,
      localResources = other.localResources,
      pythonEnvironment = other.pythonEnvironment,
      resourceManagerToken = other.resourceManagerToken,
    )

/** This with the values of [present] where it has none. */
private fun ServiceSpec.keeping(present: Map<String, String>): ServiceSpec =
  copy(environment = environment.mapValues { (name, value) -> value.ifEmpty { present[name].orEmpty() } })

private fun Turn.refuseIfNoUpdate(
  serviceName: String,
  old: ServiceSpec,
  spec: ServiceSpec,
) {
  val problem =
    when {
      spec.instances != old.instances -> "instances is ${spec.instances} and was ${old.instances}; scale the service instead"
      spec.depends != old.depends -> "depends cannot change, for the service has begun or waits already; add another service"
      spec.startsTogether != old.startsTogether -> "starts_together cannot change; add another service"
      else -> problemIn(spec)
    }
  if (problem != null) throw AmException.InvalidArgument("Service $serviceName cannot be updated: $problem.")
  application.refuseIfTooMuch(spec.resource, 0)
}

private fun Turn.pause(service: Service) {
  val update = service.updateOrRefuse()
  if (update.state != UpdateState.PAUSED) pauseUpdate(service, "A client has paused it.")
}

/** Forward or back, wherever it went before. What has failed by now is forgiven. */
private fun Turn.goOn(service: Service) {
  val update = service.updateOrRefuse()
  if (update.state != UpdateState.PAUSED) return
  val state = if (service.revision == update.toRevision) UpdateState.UPDATING else UpdateState.ROLLING_BACK
  put(ServiceChanged(service.copy(update = update.copy(state = state, failures = 0, explanation = ""))))
}

private fun Turn.rollBackOnRequest(
  service: Service,
  caller: Caller,
) {
  val update = service.updateOrRefuse()
  if (update.state == UpdateState.ROLLING_BACK) return
  val before = application.spec(service.name, update.fromRevision).access
  if (before > application.spec(service.name).access) caller.refuseMoreAccess(service.name, before)
  rollBack(service, "A client has rolled it back.")
}

private fun Service.updateOrRefuse(): ServiceUpdate =
  update ?: throw AmException.FailedPrecondition(
    "Service $name is not being updated: it is of revision $revision. Pass it to another specification, the one before for example.",
    Reason.NO_UPDATE,
    mapOf("service_name" to name, "revision" to "$revision"),
  )

internal fun Service.refuseIfRemoved() {
  if (!isRemoved) return
  throw AmException.FailedPrecondition(
    "Service $name was removed, and nothing is begun in it any more. Add another one.",
    Reason.SERVICE_REMOVED,
    mapOf("service_name" to name),
  )
}
