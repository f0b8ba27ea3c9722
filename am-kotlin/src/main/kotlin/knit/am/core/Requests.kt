package knit.am.core

import knit.am.AmException

private val environmentName = Regex("[A-Za-z_][A-Za-z0-9_]*")

/** The command and environment of one container, in bytes. */
internal const val MAX_LAUNCH_BYTES = 64 * 1024

/** Adds containers; a request that is repeated is answered with what it added, whatever has happened since. */
internal fun Turn.add(request: AddContainers) {
  val known = application.added[request.requestId]
  if (known != null) {
    subjects = known
    return
  }
  val service = application.serviceOrRefuse(request.serviceName)
  val resource = request.resource ?: service.resource
  request.refuseIfMalformed(service, resource)
  application.refuseIfEnding()
  application.refuseIfTooMuch(resource, request.count)

  val firstRank = application.places.getValue(request.serviceName).size
  subjects = List(request.count) { ContainerKey(Place(request.serviceName, firstRank + it), 1) }
  application = application.requesting(request.serviceName, request.count, resource, request.environment, now)
  if (request.requestId.isNotEmpty()) application = application.copy(added = application.added.put(request.requestId, subjects))
}

/** Stops all of the named containers, or none if one of them never was. */
internal fun Turn.stop(request: StopContainers) {
  if (request.containerIds.isEmpty() && request.places.isEmpty()) {
    throw AmException.InvalidArgument("No container was named. Give container_ids, places, or both.")
  }
  val byId =
    request.containerIds.map { id ->
      application.keys[id]
        ?: throw AmException.NotFound("This application never held a container '$id'. List the containers for those it holds.")
    }
  val byPlace =
    request.places.map { place ->
      application.serviceOrRefuse(place.serviceName)
      val latest = application.latest(place) ?: throw AmException.NotFound(application.noSuchRank(place))
      latest.key
    }
  subjects = (byId + byPlace).distinct()
  subjects.mapNotNull { application.container(it) }.forEach { stop(it, ExitReason.STOPPED) }
}

private fun Application.serviceOrRefuse(name: String): ServiceSpec =
  services[name] ?: throw AmException.NotFound("There is no service '$name'. This application has: ${services.keys.joinToString()}.")

private fun Application.noSuchRank(place: Place): String {
  val ranks = places.getValue(place.serviceName).size
  val has = if (ranks == 0) "no containers yet" else "ranks 0 to ${ranks - 1}"
  return "Service ${place.serviceName} has no rank ${place.rank}; it has $has."
}

private fun AddContainers.refuseIfMalformed(
  service: ServiceSpec,
  resource: Resource,
) {
  val malformedName = environment.keys.firstOrNull { !environmentName.matches(it) }
  val problem =
    when {
      count < 1 -> "count is $count. Ask for at least 1 container."
      !resource.isPositive -> "The size is $resource. Both must be at least 1."
      malformedName != null -> "'$malformedName' cannot name an environment variable. Use letters, digits and _, no digit first."
      environment.values.any { '\u0000' in it } -> "A value of the environment holds a NUL character, which none can."
      launchBytes(service) > MAX_LAUNCH_BYTES -> "Command and environment are more than $MAX_LAUNCH_BYTES bytes. Put the data in a file."
      else -> null
    }
  if (problem != null) throw AmException.InvalidArgument(problem)
}

private fun AddContainers.launchBytes(service: ServiceSpec): Long =
  (service.environment + environment).entries.fold(service.command.utf8Size) { sum, (name, value) -> sum + name.utf8Size + value.utf8Size }

private val String.utf8Size: Long
  get() = toByteArray().size.toLong()

private fun Application.refuseIfEnding() {
  if (phase == Phase.RUNNING) return
  val state = if (phase == Phase.ENDING) "is ending" else "has ended"
  throw AmException.ApplicationEnding("The application $state and takes no more containers. Submit another one.")
}

private fun Application.refuseIfTooMuch(
  resource: Resource,
  count: Int,
) {
  val limit = maxResource ?: throw AmException.Unavailable("The Application Master is still registering with YARN. Call again in a second.")
  if (!resource.fitsIn(limit)) {
    throw AmException.ResourceExhausted("A container of $resource is more than YARN grants to one: $limit. Ask for less.")
  }
  if (size.toLong() + count > MAX_CONTAINERS) {
    throw AmException.ResourceExhausted(
      "The application holds $size containers, ended ones included, and cannot hold $count more: $MAX_CONTAINERS is the most.",
    )
  }
}
