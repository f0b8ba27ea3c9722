"""Events, as the fake Application Master of `knit.testing` sends them."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import grpc

from knit.testing._calls import abort, fail, refusing
from knit.testing._faults import Fault
from knit.testing._feed import matching, parts
from knit.testing._refusals import history_lost, invalid
from knit.testing._roles import caller_of, refuse_to_viewers, refuse_unless_allowed
from knit.testing._state import FakeState
from knit.v1 import event_service_pb2 as pb
from knit.v1 import event_service_pb2_grpc


@attrs.frozen
class EventService(event_service_pb2_grpc.EventServiceServicer):
    _state: FakeState

    @refusing
    def WatchEvents(  # noqa: N802
        self, request: pb.WatchEventsRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchEventsResponse]:
        state = self._state
        with state.changed:
            state.calls.append("WatchEvents")
            state.open_watches += 1
        context.add_callback(state.interrupt)  # a waiting watch sees that its client has left
        try:
            caller = caller_of(state, context)
            refuse_unless_allowed(caller, "WatchEvents")
            if request.with_values:
                refuse_to_viewers(caller)
            fault = state.take_fault("WatchEvents") or Fault()
            left = fault.after_events if fault.status is not None else None
            for response in self._responses(request, context):
                if response.HasField("event") and left is not None:
                    if left == 0:
                        fail(context, fault)
                    left -= 1
                yield response
            fail(context, fault)
        finally:
            with state.changed:
                state.open_watches -= 1

    def _responses(
        self, request: pb.WatchEventsRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchEventsResponse]:
        state, interruptions = self._state, self._state.interruptions
        if any(kind not in pb.EventKind.values() or not kind for kind in request.kinds):
            raise invalid("A kind is not known.")
        with state.changed:
            is_anothers = request.history_id not in ("", state.history_id)
            if is_anothers or request.after_sequence > state.feed.sequence:
                raise history_lost()
            history_id = state.history_id
            from_now = not request.after_sequence and not request.history_id
            done = state.feed.sequence if from_now else request.after_sequence
            state.feed.after(done)
        yield self._position(done, history_id)
        told = done
        while context.is_active() and interruptions == state.interruptions:
            state.expire()
            with state.changed:
                if history_id != state.history_id:
                    raise history_lost()
                events = state.feed.after(done)
                is_over = state.outcome() is not None
            for event in events:
                done = event.sequence
                part = matching(event, request)
                if part is not None:
                    told = done
                    yield from (pb.WatchEventsResponse(event=each) for each in parts(part))
            if told < done:  # what did not match is done with, too
                told = done
                yield self._position(done, history_id)
            if events:
                continue
            if is_over:
                return
            with state.changed:
                if state.feed.sequence == done:
                    # Leases end without a word, so it looks again.
                    state.changed.wait(timeout=0.05)
        if context.is_active():
            abort(context, grpc.StatusCode.UNAVAILABLE, "The Application Master is leaving.")

    @staticmethod
    def _position(sequence: int, history_id: str) -> pb.WatchEventsResponse:
        position = pb.EventPosition(sequence=sequence, history_id=history_id)
        return pb.WatchEventsResponse(position=position)
