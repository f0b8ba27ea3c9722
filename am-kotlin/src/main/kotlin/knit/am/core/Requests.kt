package knit.am.core

/** How many containers one request may add, and one may stop: its answer lists them, and has to fit into a message. */
internal const val MAX_REQUESTED_CONTAINERS = 10_000

internal const val MAX_REQUEST_ID_BYTES = 256

/** The variables of added containers, equal ones counted once: a fifth of the smallest Application Master's memory at most. */
internal const val MAX_ADDED_ENVIRONMENT_BYTES = 32L * 1024 * 1024

/** Adds containers; a request that is repeated is answered with what it added, as it was then. */
internal fun Turn.add(request: AddContainers): () -> List<Container> {
  application.refuseAnotherHistory(request.historyId)
  application.remembered<ContainersAdded>(request.requestId)?.let { return it::containers }
  val service = application.serviceOrRefuse(request.serviceName)
  val spec = application.spec(request.serviceName)
  val resource = request.resource ?: spec.resource
  request.refuseIfMalformed(spec, resource)
  application.refuseIfEnding()
  service.refuseIfRemoved()
  if (request.environment.isNotEmpty()) request.caller.refuseOtherVariables(service.name, spec.access)
  application.refuseIfTooMuch(resource, request.count)

  val variant = variant(resource, request.environment)
  val firstRank = application.slots.getValue(request.serviceName).size
  val ordinal = application.tally(request.serviceName).total
  val added =
    ContainersAdded(request.serviceName, firstRank, request.count, ordinal, service.revision, variant, now, service.hasBegun)
  put(ServiceChanged(service.copy(target = service.target + request.count)))
  added.containers().forEach { put(it) }
  remember(request.requestId, added)
  return added::containers
}

/** Returns the variant of these, which may be new. */
internal fun Turn.variant(
  resource: Resource,
  environment: Map<String, String>,
): Variant {
  val sizes = application.index.environments[environment]
  sizes?.get(resource)?.let { return it }
  if (sizes == null) {
    val bytes = application.index.environmentBytes + environment.bytes
    if (bytes > MAX_ADDED_ENVIRONMENT_BYTES) {
      throw AmException.ResourceExhausted(
        "The variables of all added containers would be $bytes bytes, of at most $MAX_ADDED_ENVIRONMENT_BYTES. Put the data in files.",
        Reason.ENVIRONMENT_TOO_LARGE,
        mapOf("bytes" to "$bytes", "max_bytes" to "$MAX_ADDED_ENVIRONMENT_BYTES"),
      )
    }
  }
  val kept =
    sizes
      ?.values
      ?.first()
      ?.environment ?: environment
  return Variant(application.variants.size, resource, kept).also { put(VariantAdded(it)) }
}

/** Stops all of the named containers, or none if one of them never was; the answer lists so many as a request may name. */
internal fun Turn.stop(request: StopContainers): () -> List<Container> {
  application.refuseAnotherHistory(request.historyId)
  application.remembered<ContainersStopped>(request.requestId)?.let { known -> return { application.containers(known.containers) } }
  val stopped = application.resolve(request.named)
  request.caller.refuseOthers(stopped.map { it.ref }, "stop")
  stopped.forEach { stop(it, ExitReason.STOPPED) }
  val told = Refs.of(stopped.take(MAX_REQUESTED_CONTAINERS))
  remember(request.requestId, ContainersStopped(told))
  return { application.containers(told) }
}

internal fun Application.refuseAnotherHistory(believed: String) {
  if (believed.isEmpty() || believed == historyId) return
  throw AmException.OutOfRange(
    "The Application Master has been replaced: this is history $historyId, and the request belongs to $believed, whose " +
      "Application Master may have carried it out. List the containers, then decide.",
    Reason.HISTORY_LOST,
    mapOf("history_id" to historyId),
  )
}

internal fun Application.serviceOrRefuse(name: String): Service = services[name] ?: throw noSuchService(name)

internal fun Application.noSuchService(name: String): AmException =
  AmException.NotFound(
    "There is no service '$name'. This application has: ${serviceNames.joinToString()}.",
    Reason.NO_SUCH_SERVICE,
    mapOf("service_name" to name),
  )

internal fun noSuchContainer(ref: ContainerRef): AmException =
  AmException.NotFound(
    "This application never had a container $ref, or it ended long ago. List the containers for those it has.",
    Reason.NO_SUCH_CONTAINER,
    mapOf("service_name" to ref.serviceName, "ordinal" to "${ref.ordinal}"),
  )

internal fun noSuchContainer(containerId: String): AmException =
  AmException.NotFound(
    "This application never held a container '$containerId', or it ended long ago. List the containers for those it holds.",
    Reason.NO_SUCH_CONTAINER,
    mapOf("container_id" to containerId),
  )

internal fun Application.noSuchRank(place: PlaceKey): AmException {
  val ranks = slots.getValue(place.serviceName).size
  val has = if (ranks == 0) "no containers yet" else "ranks 0 to ${ranks - 1}"
  return AmException.NotFound(
    "Service ${place.serviceName} has no rank ${place.rank}; it has $has.",
    Reason.NO_SUCH_CONTAINER,
    mapOf("service_name" to place.serviceName, "rank" to "${place.rank}"),
  )
}

private fun AddContainers.refuseIfMalformed(
  service: ServiceSpec,
  resource: Resource,
) {
  val problem =
    when {
      count !in 1..MAX_REQUESTED_CONTAINERS -> "count is $count; it must be 1 to $MAX_REQUESTED_CONTAINERS"
      else -> resource.problem() ?: problemInLaunch(service.command, service.environment + environment)
    }
  if (problem != null) throw AmException.InvalidArgument("No containers can be added: $problem.")
}

internal fun Application.refuseIfEnding() {
  if (phase == Phase.RUNNING) return
  val state = if (phase == Phase.ENDED) "has ended" else "is ending"
  throw AmException.FailedPrecondition(
    "The application $state and takes no more containers. Submit another one.",
    Reason.APPLICATION_ENDING,
  )
}

internal fun Application.refuseIfTooMuch(
  resource: Resource,
  count: Int,
) {
  val limit =
    maxResource
      ?: throw AmException.Unavailable(
        "The Application Master is still registering with YARN. Call again in a second.",
        Reason.APPLICATION_STARTING,
      )
  resource.problemIn(limit)?.let {
    throw AmException.ResourceExhausted(
      "No containers can be added: the request wants $it",
      Reason.RESOURCE_TOO_LARGE,
      mapOf("max_memory_mib" to "${limit.memoryMib}", "max_vcores" to "${limit.vcores}"),
    )
  }
  if (placeCount.toLong() + count > MAX_CONTAINERS) {
    throw AmException.ResourceExhausted(
      "The application has $placeCount ranks, ended ones included, and cannot have $count more: $MAX_CONTAINERS is the most.",
      Reason.TOO_MANY_CONTAINERS,
      mapOf("count" to "$placeCount", "max_count" to "$MAX_CONTAINERS"),
    )
  }
}
