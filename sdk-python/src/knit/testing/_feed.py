"""The last changes of a fake's application, in order, as its watchers read them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone

from knit.testing._refusals import Refusal
from knit.v1 import event_service_pb2 as pb
from knit.v1 import key_value_pb2

_KINDS = {
    "application": pb.EVENT_KIND_APPLICATION,
    "service": pb.EVENT_KIND_SERVICE,
    "container": pb.EVENT_KIND_CONTAINER,
    "node": pb.EVENT_KIND_NODE,
    "key": pb.EVENT_KIND_KEY,
    "notice": pb.EVENT_KIND_NOTICE,
}
_LARGEST_PART_BYTES = 4 * 1024 * 1024


class Feed:
    """
    A ring of events. Not for several threads at once: its state's lock guards it.

    Args:
        kept: How many are kept.
    """

    def __init__(self, kept: int) -> None:
        self.sequence = 0
        """The number of the last event."""
        self._events: deque[pb.Event] = deque(maxlen=kept)

    def add(self, changes: Iterable[pb.Change]) -> int:
        """One turn's changes; returns its number."""
        self.sequence += 1
        event = pb.Event(sequence=self.sequence, changes=changes)
        event.time.FromDatetime(datetime.now(timezone.utc))
        self._events.append(event)
        return self.sequence

    def written(self) -> bytes:
        """What of them lies beside the Application Master's logs: a line of JSON each."""
        from google.protobuf import json_format

        wanted = pb.WatchEventsRequest()
        parts = (matching(event, wanted) for event in self._events)
        lines = (
            json_format.MessageToJson(part, preserving_proto_field_name=True, indent=None)
            for part in parts
            if part is not None
        )
        return "".join(f"{line}\n" for line in lines).encode()

    def after(self, sequence: int) -> list[pb.Event]:
        """
        What came after this number.

        Raises:
            Refusal: Some of that is kept no more.
        """
        first = self._events[0].sequence if self._events else self.sequence + 1
        if sequence + 1 < first:
            raise Refusal(
                "OUT_OF_RANGE",
                "EVENTS_FORGOTTEN",
                f"What follows {sequence} is kept no more: the oldest event kept is {first}.",
                {"after_sequence": sequence, "sequence": self.sequence},
            )
        # Numbers grow by one, so the place is known.
        return [self._events[n] for n in range(sequence + 1 - first, len(self._events))]


def matching(event: pb.Event, request: pb.WatchEventsRequest) -> pb.Event | None:
    """The part of an event that was asked for; None where that is nothing."""
    kept = [change for change in event.changes if _matches(change, request)]
    if not kept:
        return None
    part = pb.Event(sequence=event.sequence, time=event.time, changes=kept)
    for change in part.changes if not request.with_values else ():
        if change.key.HasField("current"):
            change.key.current.ClearField("value")
        if change.key.HasField("previous"):
            change.key.previous.ClearField("value")
    return part


def parts(event: pb.Event) -> Iterator[pb.Event]:
    """An event in messages that every client takes."""
    part = pb.Event(sequence=event.sequence, time=event.time)
    size = 0
    for change in event.changes:
        if size and size + change.ByteSize() > _LARGEST_PART_BYTES:
            part.is_continued = True
            yield part
            part, size = pb.Event(sequence=event.sequence, time=event.time), 0
        part.changes.append(change)
        size += change.ByteSize()
    yield part


def _matches(change: pb.Change, request: pb.WatchEventsRequest) -> bool:
    record = change.WhichOneof("record") or ""
    kind = _KINDS[record]
    if request.kinds and kind not in request.kinds:
        return False
    if kind == pb.EVENT_KIND_KEY:
        if not request.kinds:
            return False
        ranges = request.key_ranges
        return not ranges or any(in_range(change.key.key, each) for each in ranges)
    names = request.service_names
    if record == "service":
        return not names or change.service.name in names
    if record == "container":
        return not names or change.container.service_name in names
    return True


def in_range(key: bytes, keys: key_value_pb2.KeyRange) -> bool:
    """Whether a key lies within a range."""
    if keys.HasField("prefix"):
        return key.startswith(keys.prefix)
    return keys.start <= key and (not keys.end or key < keys.end)
