"""Events of an application that has ended, as its Application Masters wrote them down."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from knit._handles.container import Owner
from knit._handles.events import Change, Event, kind_of
from knit._values.events import EventKind
from knit._values.references import Position
from knit.exceptions import ApplicationNotRunningError, KnitError, LogsNotFoundError

if TYPE_CHECKING:
    from knit._cluster.logs import AggregatedLogs, ContainerLogs

# What is too much moves from the one to the other, so the older comes first.
EVENT_FILES = ("events.1.jsonl", "events.jsonl")
KEY_FILES = ("keys.1.jsonl", "keys.jsonl")
LONGEST_LINE_BYTES = 16 * 1024 * 1024
"""An event has no more by the contract; what is longer is no line of ours."""

_log = logging.getLogger("knit")


def past_events(
    logs: AggregatedLogs,
    *,
    owner: Owner,
    after: int,
    kinds: Collection[EventKind],
    services: Collection[str],
    gone: KnitError,
) -> Iterator[Event]:
    """
    What was written down, attempt after attempt, each with numbers of its own.

    Args:
        logs: What YARN has collected.
        owner: Whose its containers are.
        after: Only what came after this number.
        kinds: Only changes of these. Empty: of all but keys.
        services: Of services and containers, only of these. Empty: of all.
        gone: Why the Application Master cannot be asked; raised if nothing was written down.
    """
    files = EVENT_FILES + (KEY_FILES if EventKind.KEY in kinds else ())
    masters = [each for each in logs.containers.values() if each.is_application_master]
    found = False
    for master in masters:
        names = {file.name for file in master.files}
        events: list[Event] = []
        for name in files:
            if name in names:
                found = True
                events += _read(master, name, owner)
        # Keys are in a file of their own.
        for event in sorted(events, key=lambda event: event.sequence):
            kept = tuple(c for c in event.changes if _is_wanted(c, kinds, services))
            if kept and event.sequence > after:
                yield Event(sequence=event.sequence, time=event.time, changes=kept)
    if not found:
        why = logs.incomplete_reason or "Its Application Master wrote none down."
        raise type(gone)(f"{gone.message} Its events are not known any more: {why}")


def _is_wanted(change: Change, kinds: Collection[EventKind], services: Collection[str]) -> bool:
    kind = kind_of(change)
    if kind not in kinds if kinds else kind is EventKind.KEY:
        return False
    if not services or kind not in (EventKind.SERVICE, EventKind.CONTAINER):
        return True
    name = getattr(change, "name", None) or getattr(change, "service", None)
    return name in services


def _read(master: ContainerLogs, file: str, owner: Owner) -> Iterator[Event]:
    from google.protobuf import json_format

    from knit.v1 import event_service_pb2

    none = Position(0)
    rest = b""
    try:
        for chunk in master.open(file):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                try:
                    message = json_format.Parse(
                        line, event_service_pb2.Event(), ignore_unknown_fields=True
                    )
                except (json_format.ParseError, UnicodeDecodeError):
                    continue
                if message.sequence:
                    yield Event._from_proto(message, none, owner)
                else:
                    _log.warning("%s says that events are missing: %r", file, line[:100])
            if len(rest) > LONGEST_LINE_BYTES:
                rest = b""
    except LogsNotFoundError as error:
        raise ApplicationNotRunningError(error.message) from error
