package knit.am.grpc

import knit.am.core.AmException
import knit.am.core.Application
import knit.am.core.Change
import knit.am.core.ChangeSet
import knit.am.core.ContainerChanged
import knit.am.core.HeaderChanged
import knit.am.core.KeyChanged
import knit.am.core.Node
import knit.am.core.NodeChanged
import knit.am.core.NodeForgiven
import knit.am.core.NoticeSeverity
import knit.am.core.Noticed
import knit.am.core.Reason
import knit.am.core.ServiceChanged
import knit.am.core.kv.KeyRange
import knit.am.core.kv.KeyValue
import knit.v1.Event
import knit.v1.EventKind
import knit.v1.EventPosition
import knit.v1.KeyChange
import knit.v1.NodeStanding
import knit.v1.Notice
import knit.v1.WatchEventsRequest
import knit.v1.WatchEventsResponse
import knit.v1.Application as ApplicationMessage
import knit.v1.Change as ChangeMessage
import knit.v1.NoticeSeverity as NoticeSeverityMessage

// What EventService says and is told.

/** What one watch is told, turn by turn. */
internal class EventTeller(
  private val filter: EventFilter,
  /** As it is now, for what a record alone does not tell. */
  private val application: () -> Application,
) {
  /** As it was told last: much that is noted of the application is nothing that clients know of. */
  private var told: ApplicationMessage? = null

  fun messagesOf(turn: ChangeSet): Sequence<ChangeMessage> {
    val now = application()
    return turn.changes
      .asSequence()
      .mapNotNull { filter.messageOf(it, turn, now) }
      .filter { isNews(it) }
  }

  private fun isNews(message: ChangeMessage): Boolean {
    if (!message.hasApplication()) return true
    return (message.application != told).also { told = message.application }
  }
}

/** Events of at most so many bytes, as lines of JSON: whoever reads them has a whole one in memory. */
private const val MAX_LINE_BYTES = 64L * 1024

/** [turn] as lines of JSON, each an event of the contract; none where nothing of it is told. */
internal fun EventTeller.linesOf(turn: ChangeSet): Sequence<String> = eventsOf(turn, MAX_LINE_BYTES).map { it.toJson() }

/** [turn] as events of at most [maxBytes], or with one change that is larger alone; none where nothing of it is told. */
internal fun EventTeller.eventsOf(
  turn: ChangeSet,
  maxBytes: Long,
): Sequence<Event> =
  sequence {
    var event = eventOf(turn)
    var bytes = 0L
    for (message in messagesOf(turn)) {
      val size = message.serializedSize + FIELD_BYTES
      if (bytes > 0 && bytes + size > maxBytes) {
        yield(event.setIsContinued(true).build())
        event = eventOf(turn)
        bytes = 0
      }
      event.addChanges(message)
      bytes += size
    }
    if (bytes > 0) yield(event.build())
  }

private fun eventOf(turn: ChangeSet) = Event.newBuilder().setSequence(turn.sequence).setTime(turn.time.toMessage())

/** What a watch is told of. */
internal class EventFilter(
  private val kinds: Set<EventKind>,
  private val serviceNames: Set<String>,
  private val keyRanges: List<KeyRange>,
  private val withValues: Boolean,
) {
  /**
   * [change] as it is told; null: it does not match, or is nothing that clients know of.
   *
   * @param turn the one that it is of
   * @param application as it is now, for what a record alone does not tell
   */
  fun messageOf(
    change: Change,
    turn: ChangeSet,
    application: Application,
  ): ChangeMessage? =
    when (change) {
      is HeaderChanged -> {
        message(EventKind.EVENT_KIND_APPLICATION) { it.setApplication(application.toMessage(change.header)) }
      }

      is ServiceChanged -> {
        val name = change.service.name
        val tally = turn.tallies[name] ?: application.tally(name)
        ofService(EventKind.EVENT_KIND_SERVICE, name) { it.setService(application.toMessage(change.service, tally)) }
      }

      is ContainerChanged -> {
        ofService(EventKind.EVENT_KIND_CONTAINER, change.container.key.place.serviceName) { it.setContainer(change.container.toMessage()) }
      }

      is NodeChanged -> {
        message(EventKind.EVENT_KIND_NODE) { it.setNode(change.node.toMessage()) }
      }

      is NodeForgiven -> {
        message(EventKind.EVENT_KIND_NODE) { it.setNode(NodeStanding.newBuilder().setNodeId(change.nodeId)) }
      }

      is KeyChanged -> {
        if (isWatched(change)) message(EventKind.EVENT_KIND_KEY) { it.setKey(change.toMessage(withValues)) } else null
      }

      is Noticed -> {
        val isOurs = serviceNames.isEmpty() || change.serviceName == null || change.serviceName in serviceNames
        if (isOurs) message(EventKind.EVENT_KIND_NOTICE) { it.setNotice(change.toMessage()) } else null
      }

      // What the Application Master notes for itself, or forgets.
      else -> {
        null
      }
    }

  private fun isWatched(change: KeyChanged) = keyRanges.isEmpty() || keyRanges.any { change.key in it }

  private inline fun ofService(
    kind: EventKind,
    name: String,
    fill: (ChangeMessage.Builder) -> Unit,
  ): ChangeMessage? = if (serviceNames.isEmpty() || name in serviceNames) message(kind, fill) else null

  private inline fun message(
    kind: EventKind,
    fill: (ChangeMessage.Builder) -> Unit,
  ): ChangeMessage? = if (kind in kinds) ChangeMessage.newBuilder().also(fill).build() else null

  companion object {
    /** As many as a client watches for side by side; more are one range, or several watches. */
    const val MAX_RANGES = 1_024

    /** As many services as there are, with room for those to come. */
    const val MAX_SERVICE_NAMES = 10_000

    private val known = EventKind.values().toSet() - EventKind.EVENT_KIND_UNSPECIFIED - EventKind.UNRECOGNIZED

    /** Of keys, without their values. */
    fun ofKeys() = EventFilter(setOf(EventKind.EVENT_KIND_KEY), emptySet(), emptyList(), withValues = false)

    fun ofAllButKeys() = EventFilter(known - EventKind.EVENT_KIND_KEY, emptySet(), emptyList(), withValues = false)

    fun of(
      request: WatchEventsRequest,
      seesValues: Boolean,
    ): EventFilter {
      for (position in 0 until request.kindsCount) {
        if (request.getKinds(position) in known) continue
        val number = request.getKindsValue(position)
        throw AmException.InvalidArgument("kinds has $number, which this Application Master does not know.", Reason.UNKNOWN_FIELD)
      }
      if (request.keyRangesCount > MAX_RANGES) {
        throw AmException.InvalidArgument("key_ranges are ${request.keyRangesCount}, of at most $MAX_RANGES. Watch a larger range.")
      }
      if (request.serviceNamesCount > MAX_SERVICE_NAMES) {
        throw AmException.InvalidArgument("service_names are ${request.serviceNamesCount}, of at most $MAX_SERVICE_NAMES.")
      }
      if (request.withValues && !seesValues) {
        throw AmException.PermissionDenied("A viewer sees keys without their values. Watch without values, or ask for another role.")
      }
      return EventFilter(
        kinds = request.kindsList.toSet().ifEmpty { known - EventKind.EVENT_KIND_KEY },
        serviceNames = request.serviceNamesList.toSet(),
        keyRanges = request.keyRangesList.map { it.toDomain() },
        withValues = request.withValues,
      )
    }
  }
}

private fun Node.toMessage(): NodeStanding =
  NodeStanding
    .newBuilder()
    .setNodeId(nodeId)
    .setFailures(failures.size)
    .setIsAvoided(isExcluded)
    .setForgiveTime(forgiveTime.toMessage())
    .build()

private fun Noticed.toMessage(): Notice =
  Notice
    .newBuilder()
    .setSeverity(
      when (severity) {
        NoticeSeverity.INFO -> NoticeSeverityMessage.NOTICE_SEVERITY_INFO
        NoticeSeverity.WARNING -> NoticeSeverityMessage.NOTICE_SEVERITY_WARNING
      },
    ).setServiceName(serviceName.orEmpty())
    .setText(text)
    .build()

/** Of two values that are too large for one message it is the earlier that is left out. */
internal fun KeyChanged.toMessage(withValues: Boolean): KeyChange {
  val bytes = (current.valueSize + previous.valueSize)
  val message = KeyChange.newBuilder().setKey(key.toMessage())
  current?.let { message.setCurrent(it.toMessage(withValues)) }
  previous?.let { message.setPrevious(it.toMessage(withValues && bytes <= MAX_VALUES_BYTES)) }
  return message.build()
}

private val KeyValue?.valueSize: Long
  get() = this?.value?.size?.toLong() ?: 0

/** Of a message of at most 16 MiB: the rest is for keys and for what stands around them. */
private const val MAX_VALUES_BYTES = AmServer.MAX_MESSAGE_BYTES - 16L * 1024

internal fun positionOf(
  sequence: Long,
  historyId: String,
): WatchEventsResponse =
  WatchEventsResponse
    .newBuilder()
    .setPosition(EventPosition.newBuilder().setSequence(sequence).setHistoryId(historyId))
    .build()
