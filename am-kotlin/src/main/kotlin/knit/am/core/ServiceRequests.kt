package knit.am.core

/** What a request has made of services. */
class ServicesChanged(
  /** By name, as they are when it is told. */
  val services: List<Service>,
  /** Of the turn that has done it, also where it is told again. */
  val sequence: Long,
)

/** A client wants further services; all or none. The answer is these as they begin, by name. */
data class AddServices(
  val services: Map<String, ServiceSpec>,
  val requestId: String = "",
  val historyId: String = "",
  /** Who wants them; none of them may have more access than that. */
  val caller: Caller = Caller(Role.OWNER),
) : Command<ServicesChanged> {
  /** Without what is in the specifications, which may be secret. */
  override fun toString(): String = "AddServices(${services.keys}, '$requestId')"
}

/** A client wants services to go. The answer is these as they are then, by name. */
data class RemoveServices(
  val serviceNames: List<String>,
  val requestId: String = "",
  val historyId: String = "",
) : Command<ServicesChanged>

internal fun Turn.addServices(request: AddServices): () -> ServicesChanged {
  application.refuseAnotherHistory(request.historyId)
  application.remembered<ServicesAdded>(request.requestId)?.let { known -> return { told(known.names, request.requestId) } }
  application.refuseIfEnding()
  if (request.services.isEmpty()) throw AmException.InvalidArgument("No service was named. Give at least one.")
  for (name in request.services.keys.sorted()) {
    if (name !in application.services) continue
    throw AmException.AlreadyExists(
      "There is a service '$name', or was: names are not given again. Call it otherwise, or update it.",
      Reason.SERVICE_EXISTS,
      mapOf("service_name" to name),
    )
  }
  request.services.toSortedMap().forEach { (name, spec) -> request.caller.refuseMoreAccess(name, spec.access) }
  application.refuseTooManyServices(request.services.size)
  val present = application.serviceNames.associateWith { application.spec(it) }
  problemIn(present + request.services, application.header.driver != null)?.let { throw AmException.InvalidArgument(it) }
  application.refuseTooMuch(request.services)
  val names = request.services.keys.sorted()
  for (name in names) beginService(name, request.services.getValue(name))
  remember(request.requestId, ServicesAdded(names))
  return { told(names, request.requestId) }
}

/** The services as they are now, with the turn that carried out [requestId]: this one where that is empty, or new. */
internal fun Turn.told(
  names: Collection<String>,
  requestId: String,
) = ServicesChanged(application.services(names), if (requestId.isEmpty()) application.sequence else application.sequenceOf(requestId))

private fun Application.services(names: Collection<String>): List<Service> = names.map { services.getValue(it) }

private fun Application.refuseTooManyServices(added: Int) {
  val count = services.size + added
  if (count <= MAX_SERVICES) return
  throw AmException.ResourceExhausted(
    "The application would have $count services, removed ones included: $MAX_SERVICES is the most.",
    Reason.TOO_MANY_SERVICES,
    mapOf("count" to "$count", "max_count" to "$MAX_SERVICES"),
  )
}

private fun Application.refuseTooMuch(added: Map<String, ServiceSpec>) {
  val instances = added.values.sumOf { it.instances.toLong() }
  added.values.forEach { refuseIfTooMuch(it.resource, 0) }
  refuseIfTooMuch(added.values.first().resource, instances.coerceAtMost(Int.MAX_VALUE.toLong()).toInt())
}

/** Removes services with all that is in them. To remove one twice is safe. */
internal fun Turn.removeServices(request: RemoveServices): () -> ServicesChanged {
  application.refuseAnotherHistory(request.historyId)
  application.remembered<ServicesRemoved>(request.requestId)?.let { known -> return { told(known.names, request.requestId) } }
  if (request.serviceNames.isEmpty()) throw AmException.InvalidArgument("No service was named. Give at least one.")
  val names = request.serviceNames.toSortedSet()
  names.forEach { application.serviceOrRefuse(it) }
  names.forEach { application.refuseIfNeeded(it, names) }
  names.forEach { removeService(it) }
  // Those it has already, rather than the request's.
  remember(request.requestId, ServicesRemoved(application.services(names).map { it.name }))
  return { told(names, request.requestId) }
}

private fun Application.refuseIfNeeded(
  name: String,
  going: Set<String>,
) {
  val waiting =
    serviceNames.firstOrNull { other ->
      val service = services.getValue(other)
      other !in going && !service.isRemoved && !service.hasBegun && spec(other).depends.any { it.serviceName == name }
    } ?: return
  throw AmException.FailedPrecondition(
    "Service $waiting waits for $name. Remove both, or wait until $waiting has begun.",
    Reason.SERVICE_NEEDED,
    mapOf("service_name" to name, "needed_by" to waiting),
  )
}

/** Asks for what a service begins with. */
private fun Turn.beginService(
  name: String,
  spec: ServiceSpec,
) {
  put(SpecAdded(name, 1, spec))
  val hasBegun = spec.depends.isEmpty()
  put(ServiceChanged(Service(name, 1, spec.instances, hasBegun = hasBegun)))
  requested(name, 0, spec.instances, 0, 1, variant(spec.resource, emptyMap()), now, hasBegun).forEach { put(it) }
}

private fun Turn.removeService(name: String) {
  val service = application.services.getValue(name)
  if (service.isRemoved) return
  put(ServiceChanged(service.copy(target = 0, isRemoved = true, update = null, allocationDeadline = null, hasWaitedTooLong = false)))
  for (slot in application.slots.getValue(name).filter { !it.isRetired }) {
    put(PlaceChanged((slot.place ?: Place(slot.latest.key.place)).copy(isRetired = true)))
    slot.open.forEach { stop(it, ExitReason.STOPPED) }
  }
}
