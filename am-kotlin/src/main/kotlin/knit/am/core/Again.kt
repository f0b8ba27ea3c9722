package knit.am.core

/** Names containers in as many ways as clients have; whoever is named twice is meant once. */
data class Named(
  val containerIds: List<String> = emptyList(),
  /** Whatever fills them. */
  val places: List<PlaceKey> = emptyList(),
  val containers: List<ContainerRef> = emptyList(),
  /** All of these services. */
  val serviceNames: List<String> = emptyList(),
)

/** Those that are meant; of places and services, what fills each rank or was the last to. */
internal fun Application.resolve(named: Named): List<Container> {
  val number = named.containerIds.size + named.places.size + named.containers.size + named.serviceNames.size
  if (number == 0) {
    throw AmException.InvalidArgument("No container was named. Give container_ids, places, containers, service_names, or several of them.")
  }
  if (number > MAX_REQUESTED_CONTAINERS) {
    throw AmException.InvalidArgument("$number containers are named, of at most $MAX_REQUESTED_CONTAINERS. Name them in several calls.")
  }
  val byId = named.containerIds.map { container(it) ?: throw noSuchContainer(it) }
  val byRef = named.containers.map { container(it) ?: throw noSuchContainer(it) }
  val byPlace =
    named.places.map { place ->
      serviceOrRefuse(place.serviceName)
      latest(place) ?: throw noSuchRank(place)
    }
  val byService =
    named.serviceNames.flatMap { name ->
      slots.getValue(serviceOrRefuse(name).name).filterNot { it.isRetired }.map { it.latest }
    }
  return (byId + byRef + byPlace + byService).distinctBy { it.key }
}

/** A client wants containers to be started anew. The answer is what comes in their place. */
data class RestartContainers(
  val named: Named,
  val requestId: String = "",
  val historyId: String = "",
) : Command<Restarted>

/** What [RestartContainers] has led to. */
class Restarted(
  /** The new attempts, as they are now; the first [MAX_REQUESTED_CONTAINERS] of them. */
  val containers: List<Container>,
  /** Of the turn that has done it, also where it is told again. */
  val sequence: Long,
)

internal fun Turn.restart(request: RestartContainers): () -> Restarted {
  application.refuseAnotherHistory(request.historyId)
  application.remembered<ContainersRestarted>(request.requestId)?.let { known ->
    return { Restarted(application.containers(known.containers), application.sequenceOf(request.requestId)) }
  }
  application.refuseIfEnding()
  val places = application.resolve(request.named).map { it.key.place }.distinct()
  places.forEach { application.refuseIfOver(it) }
  val keys = places.map { startAnew(it) }
  val told = Refs.of(keys.take(MAX_REQUESTED_CONTAINERS).mapNotNull { application.container(it) })
  remember(request.requestId, ContainersRestarted(told))
  return { Restarted(application.containers(told), application.sequence) }
}

private fun Application.refuseIfOver(place: PlaceKey) {
  if (services.getValue(place.serviceName).isRemoved) {
    throw AmException.FailedPrecondition(
      "Service ${place.serviceName} was removed, and nothing of it is started any more. Add a service of another name.",
      Reason.SERVICE_REMOVED,
      mapOf("service_name" to place.serviceName),
    )
  }
  if (slot(place)?.isRetired == true) {
    throw AmException.FailedPrecondition(
      "$place was taken away as the service was scaled down. Scale it up to have it filled again.",
      Reason.CONTAINER_ENDED,
      mapOf("service_name" to place.serviceName, "rank" to "${place.rank}"),
    )
  }
}

/** Ends what fills the place and fills it again, once that has ended. */
private fun Turn.startAnew(place: PlaceKey): ContainerKey {
  val before = checkNotNull(application.latest(place))
  // It has not begun yet, and will begin as soon as it can.
  if (before.waitsForPlace || before.state == ContainerState.REQUESTED) return before.key
  stop(before, ExitReason.RESTARTED)
  val slot = checkNotNull(application.slot(place))
  val next = nextAttempt(slot.latest)
  val isFree = slot.open.isEmpty() && application.services.getValue(place.serviceName).hasBegun
  put(if (isFree) next else next.copy(state = ContainerState.PENDING))
  val record = slot.place
  if (record != null && record.rests > 0) put(PlaceChanged(record.copy(rests = 0)))
  return next.key
}
