"""What has come of a stream of events, and from where it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knit._values.references import Position
from knit.exceptions import ApplicationError

if TYPE_CHECKING:
    from knit.v1 import event_service_pb2

LARGEST_EVENT_BYTES = 256 * 1024 * 1024
"""
In all its parts. A transaction that rewrites a full store of 64 MiB tells values old and new.
"""


class EventCursor:
    """
    Where a watch is: it resumes from here when its connection breaks.

    It waits for nothing and sends nothing, so it serves a stream that blocks and one that does
    not alike. Not for several threads at once.

    Args:
        request: What is wanted.
        what: What is tried, as the beginning of a sentence.
        after: Only what came after it. None: from when the watch begins.
    """

    def __init__(
        self,
        request: event_service_pb2.WatchEventsRequest,
        *,
        what: str,
        after: Position | None = None,
    ) -> None:
        self._request = request
        self._what = what
        self._part: event_service_pb2.Event | None = None
        self._size = 0
        self.position = after
        """The last that is done with; None until that is known."""

    def next_request(self) -> event_service_pb2.WatchEventsRequest:
        """What is still wanted. What had come of an event that is not whole comes once more."""
        from knit.v1 import event_service_pb2

        self._part = None
        request = event_service_pb2.WatchEventsRequest()
        request.CopyFrom(self._request)
        if self.position is not None:
            request.after_sequence = self.position.sequence
            request.history_id = self.position.history_id
        return request

    def accept(
        self, response: event_service_pb2.WatchEventsResponse
    ) -> event_service_pb2.Event | None:
        """
        Takes note of a response, and returns the event that is whole with it.

        Raises:
            ApplicationError: The parts of an event do not belong together.
        """
        kind = response.WhichOneof("item")
        if kind == "position":
            found = Position._from_proto(response.position)
            known = self.position
            if (
                known is None
                or known.history_id != found.history_id
                or known.sequence < found.sequence
            ):
                self.position = found
            return None
        if kind == "event":
            return self._accept_event(response.event)
        return None  # newer than this SDK

    def _accept_event(self, event: event_service_pb2.Event) -> event_service_pb2.Event | None:
        if self.position is not None and event.sequence <= self.position.sequence:
            return None  # it came before the connection broke
        part, self._part = self._part, None
        if part is None:
            part, self._size = event, event.ByteSize()
        elif part.sequence == event.sequence:
            self._size += event.ByteSize()
            if self._size > LARGEST_EVENT_BYTES:
                raise ApplicationError(
                    f"{self._what}: the event {event.sequence} has more than "
                    f"{LARGEST_EVENT_BYTES:,} bytes, and is none that an Application Master sends."
                )
            part.changes.extend(event.changes)
        else:
            raise ApplicationError(
                f"{self._what}: the event {part.sequence} broke off, and {event.sequence} came "
                "instead. Watch again from the position before it."
            )
        if event.is_continued:
            self._part = part
            return None
        history_id = self.position.history_id if self.position is not None else ""
        self.position = Position(event.sequence, history_id)
        part.is_continued = False
        return part
