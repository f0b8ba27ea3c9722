package knit.am.grpc

import com.google.protobuf.ByteString
import io.grpc.Context
import knit.am.ChangeFeed
import knit.am.core.AmException
import knit.am.core.Annotate
import knit.am.core.Caller
import knit.am.core.EndApplication
import knit.am.core.FinalStatus
import knit.am.core.HISTORY
import knit.am.core.Happenings
import knit.am.core.Input
import knit.am.core.LaunchFailed
import knit.am.core.Reason
import knit.am.core.Role
import knit.am.core.Unregistered
import knit.am.core.adding
import knit.am.core.granted
import knit.am.core.id
import knit.am.core.kv.Bytes
import knit.am.core.kv.Operation
import knit.am.core.kv.committing
import knit.am.core.kv.delete
import knit.am.core.kv.ownedBy
import knit.am.core.kv.put
import knit.am.core.registered
import knit.am.core.service
import knit.am.core.started
import knit.am.core.stopping
import knit.am.security.CALLER
import knit.v1.Change
import knit.v1.Event
import knit.v1.EventKind
import knit.v1.KeyRange
import knit.v1.WatchEventsRequest
import knit.v1.WatchEventsResponse
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.launch
import kotlinx.coroutines.test.TestScope
import kotlinx.coroutines.test.advanceTimeBy
import kotlinx.coroutines.test.currentTime
import kotlinx.coroutines.test.runCurrent
import kotlinx.coroutines.test.runTest
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import java.util.concurrent.Callable

@OptIn(ExperimentalCoroutinesApi::class)
class EventWatchTest {
  private val application = registered("worker" to service(instances = 2), "chief" to service())
  private val happenings = Happenings(application)
  private val first = application.sequence

  private fun TestScope.service(budget: WatchBudget = WatchBudget()) =
    EventGrpcService(happenings.snapshots, happenings.changes, budget) { currentTime }

  private fun EventGrpcService.watching(
    role: Role = Role.OWNER,
    request: WatchEventsRequest.Builder.() -> Unit = {},
  ): Flow<WatchEventsResponse> =
    Context.current().withValue(CALLER, Caller(role)).call(
      Callable { watchEvents(WatchEventsRequest.newBuilder().apply(request).build()) },
    )

  /** What is told of a watch, item by item, and how it ends. */
  private class Told {
    val items = ArrayList<WatchEventsResponse>()
    var end: Result<Unit>? = null
    val events: List<Event> get() = items.filter { it.hasEvent() }.map { it.event }
    val changes: List<Change> get() = events.flatMap { it.changesList }
    val positions: List<Long> get() = items.filter { it.hasPosition() }.map { it.position.sequence }
  }

  private fun TestScope.told(
    flow: Flow<WatchEventsResponse>,
    take: suspend (WatchEventsResponse) -> Unit = {},
  ): Told {
    val told = Told()
    backgroundScope.launch {
      told.end =
        runCatching {
          flow.collect {
            told.items += it
            take(it)
          }
        }
    }
    runCurrent()
    return told
  }

  private fun TestScope.happens(vararg inputs: Input) {
    happenings.take(*inputs)
    runCurrent()
  }

  @Test
  fun aPositionComesFirstAndThenEachTurnAsItComes() =
    runTest {
      val told = told(service().watching())
      assertEquals(listOf(first), told.positions)
      assertEquals(
        HISTORY,
        told.items
          .single()
          .position.historyId,
      )
      happens(granted(1), started(1))
      assertEquals(listOf(first + 1, first + 2), told.events.map { it.sequence })
      assertEquals(listOf("CONTAINER_STATE_LAUNCHING", "CONTAINER_STATE_RUNNING"), told.changes.map { "${it.container.state}" })
      assertEquals(application.startTime?.epochSecond, told.events[0].time.seconds)
      assertEquals(null, told.end)
    }

  @Test
  fun annotationsAreInNoEventAndTakeTheirNumberAllTheSame() =
    runTest {
      val told =
        told(
          service().watching {
            addAllKinds(EventKind.values().toList() - EventKind.EVENT_KIND_UNSPECIFIED - EventKind.UNRECOGNIZED)
          },
        )
      happens(Annotate(mapOf("ticket" to Bytes.of("42")), emptySet()))
      assertEquals(emptyList<Event>(), told.events)
      happens(granted(1))
      assertEquals(listOf(first + 2), told.events.map { it.sequence })
    }

  @Test
  fun oneThatIsResumedMissesNothingAndIsToldNothingTwice() =
    runTest {
      happens(granted(1), started(1), granted(2), committing(put("a")), started(2))
      val all =
        told(
          service().watching {
            afterSequence = first
            historyId = HISTORY
          },
        )
      assertEquals(listOf(first + 1, first + 2, first + 3, first + 5), all.events.map { it.sequence }, "keys are told if asked for")
      for (after in first..first + 5) {
        val resumed = told(service().watching { afterSequence = after })
        assertEquals(listOf(after, first + 5).distinct(), resumed.positions)
        assertEquals(all.events.filter { it.sequence > after }, resumed.events)
      }
    }

  @Test
  fun whatIsCountedOfAServiceIsAsItWasThen() =
    runTest {
      happens(adding("worker", 1), adding("worker", 1))
      val told = told(service().watching { afterSequence = first }).changes.mapNotNull { it.service.takeIf { _ -> it.hasService() } }
      assertEquals(listOf(3 to 3, 4 to 4), told.map { it.target to it.countsList.single().count })
    }

  @Test
  fun filtersTellWhatIsAskedFor() =
    runTest {
      val containers =
        told(
          service().watching {
            addKinds(EventKind.EVENT_KIND_CONTAINER)
            addServiceNames("chief")
          },
        )
      val keys =
        told(
          service().watching {
            addKinds(EventKind.EVENT_KIND_KEY)
            addServiceNames("nobody")
            addKeyRanges(KeyRange.newBuilder().setPrefix("a/".utf8()))
            addKeyRanges(KeyRange.newBuilder().setStart("x".utf8()))
          },
        )
      val nodes = told(service().watching { addKinds(EventKind.EVENT_KIND_NODE) })
      val ends = told(service().watching { addKinds(EventKind.EVENT_KIND_APPLICATION) })
      happens(granted(1), granted(2), granted(3), started(3))
      happens(committing(put("a/1", "secret"), put("b", "secret"), put("y", "secret")))
      happens(LaunchFailed(id(3), "refused"), LaunchFailed(id(1), "refused"), EndApplication(FinalStatus.FAILED, "enough"))
      assertEquals(setOf("chief"), containers.changes.map { it.container.serviceName }.toSet())
      assertEquals(listOf("a/1", "y"), keys.changes.map { it.key.key.toStringUtf8() })
      assertEquals(1, keys.events.size, "a transaction is one event")
      assertTrue(keys.changes.all { it.key.current.value.isEmpty && it.key.current.valueBytes == 6L })
      assertEquals(listOf("node1:8041"), nodes.changes.map { it.node.nodeId }.distinct())
      assertEquals(
        1,
        nodes.changes
          .first()
          .node.failures,
      )
      assertTrue(
        nodes.changes
          .first()
          .node
          .hasForgiveTime(),
      )
      assertEquals(
        listOf("APPLICATION_STATE_RUNNING", "APPLICATION_STATE_ENDING"),
        ends.changes.map { "${it.application.state}" }.distinct(),
      )
    }

  @Test
  fun valuesComeNowAndBeforeWhereTheyAreAskedFor() =
    runTest {
      val told =
        told(
          service().watching {
            addKinds(EventKind.EVENT_KIND_KEY)
            withValues = true
          },
        )
      happens(granted(1), committing(put("a", "1", ownedBy("chief", 0))), committing(put("a", "2")))
      happens(stopping(1))
      val (created, changed, gone) = told.changes.map { it.key }
      assertEquals("1" to false, created.current.value.toStringUtf8() to created.hasPrevious())
      assertEquals("chief" to 0, created.current.owner.let { it.serviceName to it.ordinal })
      assertEquals("2" to "1", changed.current.value.toStringUtf8() to changed.previous.value.toStringUtf8())
      assertEquals(2, changed.current.version)
      assertEquals(false to "2", gone.hasCurrent() to gone.previous.value.toStringUtf8())
    }

  @Test
  fun aWatchThatSeesNothingIsToldWhereItStands() =
    runTest {
      val told = told(service().watching { addKinds(EventKind.EVENT_KIND_NOTICE) })
      advanceTimeBy(30_001)
      assertEquals(listOf(first, first), told.positions)
      happens(granted(1), started(1))
      assertEquals(2, told.items.size)
      repeat(20) {
        advanceTimeBy(5_000)
        happens(committing(put("a")))
      }
      assertEquals(2 + 100_000 / 30_000, told.items.size)
      assertTrue(told.positions.last() > first + 10, "${told.positions}")
    }

  @Test
  fun itEndsWithTheApplication() =
    runTest {
      val told = told(service().watching())
      happens(EndApplication(FinalStatus.SUCCEEDED, "done"))
      assertEquals(null, told.end)
      happens(Unregistered)
      assertEquals(Result.success(Unit), told.end)
      assertEquals("APPLICATION_STATE_ENDED", "${told.changes.last().application.state}")
      val late = told(service().watching { afterSequence = first })
      assertEquals(told.events, late.events)
      assertEquals(Result.success(Unit), late.end)
      assertEquals(Result.success(Unit), told(service().watching()).end)
    }

  @Test
  fun whatCannotBeToldIsRefused() =
    runTest {
      val service = service()

      fun refused(
        reason: Reason,
        role: Role = Role.OWNER,
        request: WatchEventsRequest.Builder.() -> Unit,
      ) = assertEquals(reason, assertThrows<AmException> { service.watching(role, request) }.reason)
      refused(Reason.HISTORY_LOST) { historyId = "another" }
      refused(Reason.HISTORY_LOST) { afterSequence = first + 1 }
      refused(Reason.INVALID_ARGUMENT) { afterSequence = -1 }
      refused(Reason.UNKNOWN_FIELD) { addKindsValue(99) }
      refused(Reason.UNKNOWN_FIELD) { addKinds(EventKind.EVENT_KIND_UNSPECIFIED) }
      refused(Reason.INVALID_ARGUMENT) { repeat(1_025) { addKeyRanges(KeyRange.getDefaultInstance()) } }
      refused(Reason.INVALID_ARGUMENT) { repeat(10_001) { addServiceNames("a") } }
      refused(Reason.INVALID_ARGUMENT) { addKeyRanges(KeyRange.newBuilder().setPrefix("a".utf8()).setEnd("b".utf8())) }
      refused(Reason.PERMISSION_DENIED, Role.VIEWER) { withValues = true }
      service.watching(Role.VIEWER) { addKinds(EventKind.EVENT_KIND_KEY) }
    }

  @Test
  fun whatIsKeptNoMoreIsForgotten() =
    runTest {
      val happenings = Happenings(application, ChangeFeed(first, maxTurns = 2))
      val service = EventGrpcService(happenings.snapshots, happenings.changes) { currentTime }
      happenings.take(granted(1), started(1), granted(2))
      val gone = told(service.watching { afterSequence = first }).end?.exceptionOrNull() as AmException.OutOfRange
      assertEquals(Reason.EVENTS_FORGOTTEN, gone.reason)
      assertEquals("${first + 3}", gone.facts["sequence"])

      val gate = CompletableDeferred<Unit>()
      val slow = told(service.watching { afterSequence = first + 1 }) { if (it.hasEvent()) gate.await() }
      happenings.take(started(2), granted(3), started(3))
      gate.complete(Unit)
      runCurrent()
      assertEquals(listOf(first + 2), slow.events.map { it.sequence })
      assertEquals(Reason.EVENTS_FORGOTTEN, (slow.end?.exceptionOrNull() as AmException).reason)
    }

  private fun large(
    key: String,
    mebibytes: Double,
  ) = Operation.Put(Bytes.of(key), Bytes(ByteArray((mebibytes * 1024 * 1024).toInt())))

  @Test
  fun aTurnThatIsTooLargeForOneMessageIsContinued() =
    runTest {
      val told =
        told(
          service().watching {
            addKinds(EventKind.EVENT_KIND_KEY)
            withValues = true
          },
        )
      happens(committing(large("a", 1.5), large("b", 1.5), large("c", 1.5), large("d", 8.0), put("e")))
      assertEquals(
        listOf("a b", "c", "d", "e"),
        told.events.map { event ->
          event.changesList.joinToString(" ") { it.key.key.toStringUtf8() }
        },
      )
      assertEquals(listOf(true, true, true, false), told.events.map { it.isContinued })
      assertEquals(
        1,
        told.events
          .map { it.sequence }
          .distinct()
          .size,
      )
      assertTrue(told.items.all { it.serializedSize < 4 * 1024 * 1024 || it.event.changesCount == 1 })
      assertTrue(told.positions.dropLast(1).all { it == first }, "in the midst of a turn it is not done with: ${told.positions}")
      happens(committing(put("f")))
      assertEquals(
        "f",
        told.changes
          .last()
          .key.key
          .toStringUtf8(),
      )
    }

  @Test
  fun ofTwoValuesThatAreTooLargeForOneMessageTheEarlierIsLeftOut() =
    runTest {
      val told =
        told(
          service().watching {
            addKinds(EventKind.EVENT_KIND_KEY)
            withValues = true
          },
        )
      happens(committing(large("a", 8.0)), committing(large("a", 8.0)), committing(large("a", 1.0)), committing(delete("a")))
      val sizes =
        told.changes.map {
          it.key.current.value
            .size() / 1024 / 1024 to it.key.previous.value
            .size() / 1024 / 1024
        }
      assertEquals(listOf(8 to 0, 8 to 0, 1 to 8, 0 to 1), sizes)
      assertEquals(
        8L * 1024 * 1024,
        told.changes[1]
          .key.previous.valueBytes,
      )
      assertTrue(told.items.all { it.serializedSize < AmServer.MAX_MESSAGE_BYTES })
    }

  @Test
  fun watchesHaveAMost() =
    runTest {
      val service = service(WatchBudget(maxWatches = 2))
      val open = List(2) { told(service.watching()) }
      val refused = told(service.watching()).end?.exceptionOrNull() as AmException.ResourceExhausted
      assertEquals(Reason.TOO_MANY_STREAMS, refused.reason)
      happens(EndApplication(FinalStatus.SUCCEEDED, "done"), Unregistered)
      assertTrue(open.all { it.end == Result.success(Unit) })
      assertEquals(Result.success(Unit), told(service.watching()).end, "those that have ended make room")
    }

  @Test
  fun whoDoesNotTakeALargeMessageIsEndedAndOthersGoOn() =
    runTest {
      val service = service(WatchBudget(maxBytes = 10L * 1024 * 1024))
      val stuck = CompletableDeferred<Unit>()
      val request: WatchEventsRequest.Builder.() -> Unit = {
        addKinds(EventKind.EVENT_KIND_KEY)
        withValues = true
      }
      val unread = told(service.watching(request = request)) { if (it.hasEvent()) stuck.await() }
      happens(committing(large("a", 8.0)))
      val other =
        told(
          service.watching {
            request()
            afterSequence = first
            historyId = HISTORY
          },
        )
      val small = told(service.watching { afterSequence = first })
      happens(granted(1))
      assertEquals(1, unread.events.size)
      assertEquals(0, other.events.size, "there is no room for a second one meanwhile")
      assertEquals(1, small.events.size, "what is small goes on")
      advanceTimeBy(EventGrpcService.TAKE_MILLIS + 1)
      assertEquals(Reason.EVENTS_FORGOTTEN, (unread.end?.exceptionOrNull() as AmException).reason)
      assertEquals(1, other.events.size)
      assertFalse(other.end?.isFailure ?: false)
    }

  private fun String.utf8() = ByteString.copyFromUtf8(this)
}
