"""Events of an application: what changed, in its own order."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

import attrs

from knit._handles.container import Container, Owner
from knit._values.applications import ApplicationDescription, ApplicationStatus
from knit._values.containers import to_datetime
from knit._values.events import EventKind, NodeStanding, Notice
from knit._values.kv import KeyChange
from knit._values.references import ContainerRef, Position
from knit._values.service_status import ServiceStatus

if TYPE_CHECKING:
    from knit.v1 import event_service_pb2

Change: TypeAlias = (
    ApplicationStatus | ServiceStatus | Container | NodeStanding | KeyChange | Notice
)
"""The whole new value of what changed."""

KEPT_ATTEMPTS = 10
"""Of each rank, as an Application Master lists them."""

_KINDS: dict[type, EventKind] = {
    ApplicationStatus: EventKind.APPLICATION,
    ServiceStatus: EventKind.SERVICE,
    Container: EventKind.CONTAINER,
    NodeStanding: EventKind.NODE,
    KeyChange: EventKind.KEY,
    Notice: EventKind.NOTICE,
}


def kind_of(change: Change) -> EventKind:
    """What a change is about."""
    return _KINDS[type(change)]


@attrs.frozen(kw_only=True)
class Event:
    """
    What changed in one turn of the Application Master: all of it, or of what was asked for.

    `match` tells the changes apart, for each is what it is of:

        for event in application.events():
            for change in event.changes:
                match change:
                    case knit.Container(state=knit.ContainerState.FAILED):
                        ...
    """

    sequence: int
    """Its number. Numbers grow; not every number is given."""
    time: datetime | None
    """When it was decided."""
    changes: tuple[Change, ...]
    """The whole new value of each thing that changed, in order."""
    history_id: str = ""
    """Which Application Master counts so; see `HistoryLostError`."""

    @property
    def position(self) -> Position:
        """From which `Application.events` goes on after it."""
        return Position(self.sequence, self.history_id)

    @property
    def containers(self) -> tuple[Container, ...]:
        """Those of the changes that are containers."""
        return tuple(change for change in self.changes if isinstance(change, Container))

    @property
    def services(self) -> tuple[ServiceStatus, ...]:
        """Those of the changes that are services."""
        return tuple(change for change in self.changes if isinstance(change, ServiceStatus))

    @property
    def notices(self) -> tuple[Notice, ...]:
        """Those of the changes that are notices."""
        return tuple(change for change in self.changes if isinstance(change, Notice))

    @classmethod
    def _from_proto(
        cls, message: event_service_pb2.Event, position: Position, owner: Owner | None = None
    ) -> Event:
        return cls(
            sequence=message.sequence,
            time=to_datetime(message, "time"),
            changes=tuple(_changes(message, owner)),
            history_id=position.history_id,
        )


def reading_events(
    owner: Owner | None,
) -> functools.partial[Iterator[Event]]:
    """What makes events of messages, with containers of this owner's."""
    return functools.partial(_one, owner)


def _one(
    owner: Owner | None, message: event_service_pb2.Event, position: Position
) -> Iterator[Event]:
    yield Event._from_proto(message, position, owner)


def _changes(message: event_service_pb2.Event, owner: Owner | None) -> Iterator[Change]:
    for change in message.changes:
        match change.WhichOneof("record"):
            case "application":
                yield ApplicationStatus._from_proto(change.application)
            case "service":
                yield ServiceStatus._from_proto(change.service)
            case "container":
                yield Container._from_proto(change.container, owner)
            case "node":
                yield NodeStanding._from_proto(change.node)
            case "key":
                yield KeyChange._from_proto(change.key, message.sequence)
            case "notice":
                yield Notice._from_proto(change.notice)
            case _:
                pass  # newer than this SDK


class Snapshot:
    """
    An application with its services and containers, as they were at a moment.

    `position` is that moment; with the events after it, `apply` brings it up to date:

        seen = application.snapshot()
        for event in application.events(after=seen.position):
            seen.apply(event)
    """

    def __init__(
        self,
        description: ApplicationDescription,
        services: Iterable[ServiceStatus],
        containers: Iterable[Container],
    ) -> None:
        self.application = ApplicationStatus(
            application_id=description.application_id,
            attempt_number=description.attempt_number,
            state=description.state,
            outcome=description.outcome,
            start_time=description.start_time,
            progress=description.progress,
            is_progress_reported=description.is_progress_reported,
        )
        """The application."""
        self.services: dict[str, ServiceStatus] = {status.name: status for status in services}
        """Its services, by name."""
        self.containers: dict[ContainerRef, Container] = {}
        """
        Its containers; those that have ended included, of each rank the last `KEPT_ATTEMPTS` that
        were followed by another.
        """
        self._attempts: dict[tuple[str, int], deque[ContainerRef]] = {}
        for container in containers:
            self._note(container)
        self.position = description.position
        """The moment at which it is so."""

    def __repr__(self) -> str:
        return (
            f"Snapshot({self.application.application_id!r}, {len(self.services)} services, "
            f"{len(self.containers)} containers, sequence {self.position.sequence})"
        )

    def apply(self, event: Event) -> None:
        """Takes note of an event. One that is older than it, or came before, changes nothing."""
        if event.sequence <= self.position.sequence:
            return
        for change in event.changes:
            match change:
                case ApplicationStatus():
                    self.application = change
                case ServiceStatus():
                    self.services[change.name] = change
                case Container():
                    self._note(change)
                case _:
                    pass  # not of these
        self.position = event.position

    def _note(self, container: Container) -> None:
        if container.ref not in self.containers:
            attempts = self._attempts.setdefault((container.service, container.rank), deque())
            attempts.append(container.ref)
            if len(attempts) > KEPT_ATTEMPTS + 1:
                del self.containers[attempts.popleft()]
        self.containers[container.ref] = container
