package knit.am.grpc

import knit.am.ChangeFeed
import knit.am.FellBehindException
import knit.am.core.AmException
import knit.am.core.Application
import knit.am.core.ChangeSet
import knit.am.core.Phase
import knit.am.core.Reason
import knit.am.core.Role
import knit.am.security.callerOf
import knit.v1.EventServiceGrpcKt
import knit.v1.WatchEventsRequest
import knit.v1.WatchEventsResponse
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.FlowCollector
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.withTimeoutOrNull
import java.util.concurrent.TimeUnit

/** Tells what changes. A watch costs a position in the feed that all share, and what its client has not taken of the last message. */
internal class EventGrpcService(
  private val snapshots: StateFlow<Application>,
  private val feed: ChangeFeed,
  private val budget: WatchBudget = WatchBudget(),
  private val nowMillis: () -> Long = { TimeUnit.NANOSECONDS.toMillis(System.nanoTime()) },
) : EventServiceGrpcKt.EventServiceCoroutineImplBase() {
  override fun watchEvents(request: WatchEventsRequest): Flow<WatchEventsResponse> {
    val application = snapshots.value
    val filter = EventFilter.of(request, seesValues = callerOf().role != Role.VIEWER)
    val after = application.positionOf(request)
    return flow { budget.watch { Watch(filter, application.historyId, after, this).run() } }
  }

  private inner class Watch(
    filter: EventFilter,
    private val historyId: String,
    /** The last turn that is done with. */
    private var last: Long,
    private val collector: FlowCollector<WatchEventsResponse>,
  ) {
    private var sentMillis = 0L

    /** The last position that was told. */
    private var told = -1L
    private var hasCaughtUp = false
    private val teller = EventTeller(filter) { snapshots.value }

    suspend fun run() {
      tellPosition()
      while (true) {
        currentCoroutineContext().ensureActive()
        val turn = next()
        when {
          turn != null -> {
            tell(turn)
            last = turn.sequence
          }

          snapshots.value.let { it.phase == Phase.ENDED && it.sequence <= last } -> {
            return
          }

          !hasCaughtUp -> {
            // For who wants to know what there is, and does not follow.
            hasCaughtUp = true
            if (told != last) tellPosition()
          }

          else -> {
            val wait = sentMillis + POSITION_MILLIS - nowMillis()
            if (wait > 0) withTimeoutOrNull(wait) { feed.await(last) }
          }
        }
        if (nowMillis() - sentMillis >= POSITION_MILLIS) tellPosition()
      }
    }

    private fun next(): ChangeSet? =
      try {
        feed.next(last)
      } catch (_: FellBehindException) {
        throw forgotten(last)
      }

    private suspend fun tell(turn: ChangeSet) {
      for (event in teller.eventsOf(turn, MAX_ANSWER_BYTES.toLong())) {
        val message = WatchEventsResponse.newBuilder().setEvent(event).build()
        val bytes = message.serializedSize.toLong()
        if (bytes <= SMALL_BYTES) send(message) else budget.holding(bytes) { sendUntilTaken(message) }
      }
    }

    /** The next message goes out once this one is taken. Who does not take it holds up others who watch. */
    private suspend fun sendUntilTaken(message: WatchEventsResponse) {
      val isTaken =
        withTimeoutOrNull(TAKE_MILLIS) {
          send(message)
          tellPosition()
        }
      if (isTaken == null) throw forgotten(last)
    }

    private suspend fun tellPosition() {
      told = last
      send(positionOf(last, historyId))
    }

    private suspend fun send(message: WatchEventsResponse) {
      collector.emit(message)
      sentMillis = nowMillis()
    }
  }

  private fun forgotten(after: Long) =
    AmException.OutOfRange(
      "What came after sequence $after is kept no more, or was not read in time. List again, and watch from the sequence that the list names.",
      Reason.EVENTS_FORGOTTEN,
      mapOf("after_sequence" to "$after", "sequence" to "${snapshots.value.sequence}"),
    )

  internal companion object {
    const val POSITION_MILLIS = 30_000L

    /** As long as a client may take for one message of up to 16 MiB. */
    const val TAKE_MILLIS = 60_000L

    /** Of those up to this size each watch may have one on its way, whatever others have. */
    const val SMALL_BYTES = 32L * 1024
  }
}

/** Where the watch begins: after that turn. */
private fun Application.positionOf(request: WatchEventsRequest): Long {
  if (request.afterSequence < 0) throw AmException.InvalidArgument("after_sequence is ${request.afterSequence}; it must be 0 or more.")
  val isAnothers = request.historyId.isNotEmpty() && request.historyId != historyId
  if (isAnothers || request.afterSequence > sequence) {
    throw AmException.OutOfRange(
      "The Application Master has been replaced: this is history $historyId, at sequence $sequence. List again, and watch from there.",
      Reason.HISTORY_LOST,
      mapOf("history_id" to historyId, "sequence" to "$sequence"),
    )
  }
  return if (request.historyId.isEmpty() && request.afterSequence == 0L) sequence else request.afterSequence
}
