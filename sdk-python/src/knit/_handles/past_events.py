"""Events of an application that has ended, as its Application Masters wrote them down."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

import attrs

from knit._handles.container import Owner
from knit._handles.events import Change, Event, kind_of
from knit._values.events import EventKind
from knit._values.references import Position
from knit.exceptions import (
    ApplicationNotRunningError,
    EventsForgottenError,
    HistoryLostError,
    KnitError,
    LogsNotFoundError,
)

if TYPE_CHECKING:
    from knit._cluster.logs import AggregatedLogs, ContainerLogs

# What is too much moves from the one to the other, so the older comes first.
EVENT_FILES = ("events.1.jsonl", "events.jsonl")
KEY_FILES = ("keys.1.jsonl", "keys.jsonl")
LONGEST_LINE_BYTES = 16 * 1024 * 1024
"""An event has no more by the contract; what is longer is no line of ours."""

_log = logging.getLogger("knit")


@attrs.define
class _Written:
    """What one Application Master wrote down."""

    history_id: str = ""
    """Empty where it did not come to that."""
    events: list[Event] = attrs.field(factory=list)
    dropped_until: int = 0
    """Up to this number nothing is left."""


def past_events(
    logs: AggregatedLogs,
    *,
    owner: Owner | None,
    after: Position | int,
    kinds: Collection[EventKind],
    services: Collection[str],
    gone: KnitError,
) -> Iterator[Event]:
    """
    What was written down, attempt after attempt, each with numbers of its own.

    Args:
        logs: What YARN has collected.
        owner: Whose its containers are.
        after: Only what came after this number. A position: only of the attempt that it is of.
        kinds: Only changes of these. Empty: of all but keys.
        services: Of services and containers, only of these. Empty: of all.
        gone: Why the Application Master cannot be asked; raised if nothing was written down.

    Raises:
        HistoryLostError: The position is of another attempt than all there are, or, after the
            events of its own, of one that another has followed.
        EventsForgottenError: What follows the position was too much to be kept.
    """
    files = EVENT_FILES + (KEY_FILES if EventKind.KEY in kinds else ())
    masters = [each for each in logs.containers.values() if each.is_application_master]
    begin = after.sequence if isinstance(after, Position) else after
    history_id = after.history_id if isinstance(after, Position) else ""
    lost = HistoryLostError(
        f"{gone.message} It had another Application Master after the one whose events were "
        "watched. Read the events of all of them with after=0."
    )
    found = is_past_it = False
    for master in masters:
        # One at a time: what each may have written down is what is in memory.
        attempt = _read(master, files, owner)
        if attempt is None:
            continue
        found = True
        if history_id and attempt.history_id != history_id:
            if is_past_it:
                raise lost
            continue
        is_past_it = True
        if history_id and begin < attempt.dropped_until:
            raise EventsForgottenError(
                f"{gone.message} What follows the position {begin} was too much to be kept: "
                f"nothing is left up to {attempt.dropped_until}. Read what there is with after=0."
            )
        # Keys are in a file of their own.
        for event in sorted(attempt.events, key=lambda event: event.sequence):
            kept = tuple(c for c in event.changes if _is_wanted(c, kinds, services))
            if kept and event.sequence > begin:
                yield attrs.evolve(event, changes=kept)
    if not found:
        why = logs.incomplete_reason or "Its Application Master wrote none down."
        raise type(gone)(f"{gone.message} Its events are not known any more: {why}")
    if not is_past_it:
        raise lost


def _is_wanted(change: Change, kinds: Collection[EventKind], services: Collection[str]) -> bool:
    kind = kind_of(change)
    if kind not in kinds if kinds else kind is EventKind.KEY:
        return False
    if not services or kind not in (EventKind.SERVICE, EventKind.CONTAINER):
        return True
    name = getattr(change, "name", None) or getattr(change, "service", None)
    return name in services


def _read(master: ContainerLogs, files: Collection[str], owner: Owner | None) -> _Written | None:
    """What is in the files of one Application Master; None where it has none of them."""
    present = {file.name for file in master.files}.intersection(files)
    if not present:
        return None
    written = _Written()
    for name in files:
        if name in present:
            _read_file(master, name, owner, written)
    return written


def _read_file(master: ContainerLogs, file: str, owner: Owner | None, written: _Written) -> None:
    rest = b""
    try:
        for chunk in master.open(file):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                _read_line(line, file, owner, written)
            if len(rest) > LONGEST_LINE_BYTES:
                rest = b""
    except LogsNotFoundError as error:
        raise ApplicationNotRunningError(error.message) from error


def _read_line(line: bytes, file: str, owner: Owner | None, written: _Written) -> None:
    from google.protobuf import json_format

    from knit.v1 import event_service_pb2

    try:
        message = json_format.Parse(line, event_service_pb2.Event(), ignore_unknown_fields=True)
    except (json_format.ParseError, UnicodeDecodeError):
        return
    if message.sequence:
        position = Position(0, written.history_id)
        written.events.append(Event._from_proto(message, position, owner))
        return
    said = json.loads(line)
    if not isinstance(said, dict):
        return
    if "history_id" in said:
        written.history_id = str(said["history_id"])
        return
    # A file of keys says so for itself.
    if file in EVENT_FILES and isinstance(until := said.get("dropped_until"), int):
        written.dropped_until = max(written.dropped_until, until)
    _log.warning("%s says that events are missing: %r", file, line[:100])
