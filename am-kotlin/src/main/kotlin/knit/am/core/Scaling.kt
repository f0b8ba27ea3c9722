package knit.am.core

/** How many ranks a service is to have. */
sealed interface Amount {
  /** So many in all. */
  data class Count(
    val ranks: Int,
  ) : Amount

  /** So many more or, below 0, fewer; not fewer than none. */
  data class Delta(
    val ranks: Int,
  ) : Amount
}

/** A client wants a service to have more or fewer ranks. */
data class ScaleService(
  val serviceName: String,
  val amount: Amount,
  /** Null: as the service says. */
  val order: ScaleDownOrder? = null,
  /** Those that go before any other. */
  val victims: List<ContainerRef> = emptyList(),
  val requestId: String = "",
  val historyId: String = "",
) : Command<Scaled>

/** What a [ScaleService] has led to; the service and the containers as they are now, as far as these are remembered. */
class Scaled(
  val service: Service,
  /** The first [MAX_REQUESTED_CONTAINERS] of them. */
  val added: List<Container>,
  val stopped: List<Container>,
  /** Of the turn that has done it, also where it is told again. */
  val sequence: Long,
)

/** Retires ranks, or fills free ones; a request that is repeated does neither. */
internal fun Turn.scale(request: ScaleService): () -> Scaled {
  application.refuseAnotherHistory(request.historyId)
  application.remembered<ServiceScaled>(request.requestId)?.let { known ->
    return { told(known, application.sequenceOf(request.requestId)) }
  }
  val service = application.serviceOrRefuse(request.serviceName)
  application.refuseIfEnding()
  service.refuseIfRemoved()
  val target = request.targetFrom(service.target)
  val fewer = service.target - target
  request.refuseVictimsBeyond(fewer)
  val victims = if (fewer > 0) application.victims(request, fewer) else emptyList()
  if (fewer != 0L) put(ServiceChanged(service.copy(target = target.toInt())))
  val stopped = victims.flatMap { retire(it) }
  val added =
    if (fewer <
      0
    ) {
      adopt(service.name, -fewer).let { it + fill(application.services.getValue(service.name), (-fewer).toInt() - it.size) }
    } else {
      emptyList()
    }
  val scaled = ServiceScaled(service.name, told(added), told(stopped))
  remember(request.requestId, scaled)
  return { told(scaled, application.sequence) }
}

private fun told(containers: List<Container>): Refs = Refs.of(containers.take(MAX_REQUESTED_CONTAINERS))

private fun Turn.told(
  scaled: ServiceScaled,
  sequence: Long,
) = Scaled(
  application.services.getValue(scaled.serviceName),
  application.containers(scaled.added),
  application.containers(scaled.stopped),
  sequence,
)

private fun ScaleService.targetFrom(present: Int): Long {
  val wanted =
    when (amount) {
      is Amount.Count -> amount.ranks.toLong()
      is Amount.Delta -> (present + amount.ranks.toLong()).coerceAtLeast(0)
    }
  if (wanted < 0) throw AmException.InvalidArgument("count is $wanted; it must be 0 or more.")
  return wanted
}

private fun ScaleService.refuseVictimsBeyond(fewer: Long) {
  if (victims.size > MAX_REQUESTED_CONTAINERS) {
    throw AmException.InvalidArgument(
      "${victims.size} victims are named, of at most $MAX_REQUESTED_CONTAINERS. Scale down in several calls.",
      facts = mapOf("count" to "${victims.size}", "max_count" to "$MAX_REQUESTED_CONTAINERS"),
    )
  }
  val going = fewer.coerceAtLeast(0)
  if (victims.distinct().size <= going) return
  throw AmException.InvalidArgument(
    "${victims.distinct().size} victims are named, and $going ranks of $serviceName are to go. Name fewer, or say a smaller count or delta.",
    facts = mapOf("service_name" to serviceName, "count" to "$going"),
  )
}

/** The ranks that go: those named, then as the order says. Ranks that an update has for a while are none of the service's. */
private fun Application.victims(
  request: ScaleService,
  count: Long,
): List<Slot> {
  val named = request.victims.distinct().map { victim(request.serviceName, it) }
  val ranks = named.mapTo(HashSet()) { it.rank }
  val order = (request.order ?: spec(request.serviceName).scaleDownOrder).comparator
  val others = regularSlots(request.serviceName).filter { it.rank !in ranks }.sortedWith(order)
  return named + others.take(count.toInt() - named.size)
}

private fun Application.victim(
  serviceName: String,
  ref: ContainerRef,
): Slot {
  val container = if (ref.serviceName == serviceName) container(ref) else null
  val slot = container?.let { slot(it.key.place) }
  if (slot != null && slot.latest.ordinal == ref.ordinal && !slot.isRetired && !isSurge(slot)) return slot
  val why =
    when {
      ref.serviceName != serviceName -> "it is of another service"
      container == null -> "it never was, or ended long ago"
      slot?.latest?.ordinal != ref.ordinal -> "another one has taken its place"
      slot.isRetired -> "its rank is retired already"
      else -> "it is there for the update only"
    }
  throw AmException.NotFound(
    "$ref cannot go, for $why. List the containers of $serviceName, then choose.",
    Reason.NO_SUCH_CONTAINER,
    mapOf("service_name" to ref.serviceName, "ordinal" to "${ref.ordinal}"),
  )
}

/** Who goes first. What has ended frees nothing, and is kept for last unless ranks are to stay without gaps. */
private val ScaleDownOrder.comparator: Comparator<Slot>
  get() =
    when (this) {
      ScaleDownOrder.HIGHEST_RANK_FIRST -> compareByDescending { it.rank }
      ScaleDownOrder.NEWEST_FIRST -> compareBy<Slot> { it.latest.isOver }.thenByDescending { it.latest.ordinal }
      ScaleDownOrder.OLDEST_FIRST -> compareBy<Slot> { it.latest.progress }.thenBy { it.latest.ordinal }
    }

private val Container.isOver: Boolean
  get() = state.isFinal || state == ContainerState.STOPPING

/** The less there is of it, the less is lost. */
private val Container.progress: Int
  get() =
    when (state) {
      ContainerState.PENDING -> 0
      ContainerState.REQUESTED, ContainerState.HELD -> 1
      ContainerState.LAUNCHING, ContainerState.RUNNING -> 2
      else -> 3
    }

/** The rank is to be filled no more; returns those of its containers that end for that. */
internal fun Turn.retire(slot: Slot): List<Container> {
  val place = slot.place ?: Place(slot.latest.key.place)
  put(PlaceChanged(place.copy(isRetired = true)))
  val ending = slot.open.filter { it.state != ContainerState.STOPPING }
  ending.forEach { stop(it, ExitReason.SCALED_DOWN) }
  return ending
}

/**
 * Fills so many ranks: the lowest that are retired, with their next attempt, then those after the highest. What a retired rank's
 * budgets were spent on is forgotten: that it is filled again is a new wish.
 */
internal fun Turn.fill(
  service: Service,
  count: Int,
): List<Container> {
  val spec = application.spec(service.name)
  val slots = application.slots.getValue(service.name)
  val free =
    slots
      .asSequence()
      .filter { it.isRetired }
      .take(count)
      .toList()
  application.refuseIfTooMuch(spec.resource, count - free.size)
  val variant = variant(spec.resource, emptyMap())
  var ordinal = application.tally(service.name).total
  val refilled =
    free.map { slot ->
      val state =
        if (service.hasBegun && slot.latest.state.isFinal &&
          slot.open.isEmpty()
        ) {
          ContainerState.REQUESTED
        } else {
          ContainerState.PENDING
        }
      next(slot.latest, service.revision, ordinal++).copy(state = state, variant = variant)
    }
  for (slot in free) {
    val place = checkNotNull(slot.place)
    put(PlaceChanged(Place(place.key, forgottenSucceeded = place.forgottenSucceeded, forgottenStopped = place.forgottenStopped)))
  }
  val new =
    requested(service.name, slots.size, count - free.size, ordinal, service.revision, variant, now, service.hasBegun)
  return (refilled + new).onEach { put(it) }
}

/** The ranks of a service that are not retired, but for those that an update has for a while. */
internal fun Application.regularSlots(serviceName: String): Sequence<Slot> =
  slots.getValue(serviceName).asSequence().filter { !it.isRetired && !isSurge(it) }

internal fun Application.isSurge(slot: Slot): Boolean = isSurge(slot.latest.key.place)

/** Ranks that an update has filled for its time become the service's own, rather than that they leave a gap behind. */
private fun Turn.adopt(
  serviceName: String,
  count: Long,
): List<Container> {
  val service = application.services.getValue(serviceName)
  val update = service.update ?: return emptyList()
  val latest = update.surgeRanks.sorted().mapNotNull { application.latest(PlaceKey(serviceName, it)) }
  val adopted = latest.filter { !it.state.isFinal && service.isPresent(it.revision) }.take(count.coerceAtMost(latest.size.toLong()).toInt())
  if (adopted.isEmpty()) return adopted
  val ranks = update.surgeRanks - adopted.map { it.key.place.rank }.toSet()
  put(ServiceChanged(service.copy(update = update.copy(surgeRanks = ranks))))
  return adopted
}

internal val Slot.rank: Int
  get() = latest.key.place.rank
