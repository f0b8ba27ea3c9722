"""Containers, as the Application Master sees them."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

import attrs

from knit._values.containers import ContainerExit, ContainerState, ExitReason, to_datetime
from knit._values.identifiers import attempt_of
from knit._values.references import ContainerRef
from knit._values.resources import Resources
from knit._wire.calls.containers import Chosen
from knit.exceptions import ApplicationNotRunningError

if TYPE_CHECKING:
    from knit._cluster.logs.records import ContainerRecord
    from knit._handles.log_stream import LogStream
    from knit.v1 import container_pb2


class Owner(Protocol):
    """Whom a container's methods ask and tell: its application."""

    def stop_containers(
        self, containers: Container, *, timeout: timedelta | None = None
    ) -> list[Container]:
        """Stops it, and returns it as it is now."""

    def restart_containers(
        self, containers: Container, *, timeout: timedelta | None = None
    ) -> list[Container]:
        """Starts its rank anew, and returns the next attempt."""

    def logs(
        self,
        *,
        follow: bool,
        containers: Iterable[str],
        files: Iterable[str],
        tail_lines: int | None,
        timeout: timedelta | None,
    ) -> LogStream:
        """Reads its log files."""


@attrs.frozen(kw_only=True)
class Container:
    """
    One place of a service, and the container that fills it or filled it, as it was when asked.

    The methods ask and tell the Application Master; the fields stay as they are. A pickled copy
    has the fields only.
    """

    service: str
    """The service this container belongs to."""
    rank: int
    """The place in the service, counted from 0. A replacement keeps it."""
    attempt_number: int
    """Which container at this rank this is, counted from 1."""
    container_id: str | None = None
    """YARN's identifier, `container_…`. None until YARN has granted the container."""
    state: ContainerState
    """Where the container is in its life."""
    node_id: str | None = None
    """The node it was granted on, `host:port`. None until granted."""
    node_http_address: str | None = None
    """The node's web address, `host:port`. None until granted."""
    resources: Resources
    """
    What was asked for until the container is granted, what YARN granted after that. 1 MiB and one
    core where it is not known any more, after the end of an application of knit 1.0.
    """
    request_time: datetime | None = None
    """When the Application Master first asked for it."""
    start_time: datetime | None = None
    """When its NodeManager accepted the launch. None before that."""
    exit: ContainerExit | None = None
    """How it ended. None before that."""
    application_attempt: int | None = None
    """
    Which start of the Application Master it belongs to, counted from 1. None until YARN has
    granted it.
    """
    ordinal: int | None = None
    """
    Which container of its service it is, in the order they were wanted, from 0; never given again.
    None where it is not known any more, after the end of an application of knit 1.0.
    """
    revision: int | None = None
    """Which specification of its service it runs, from 1. None likewise."""
    is_ready: bool = False
    """Whether it is ready now. False also where it was, and is not alive any more."""
    ready_time: datetime | None = None
    """When it became ready. None before that."""
    restart_time: datetime | None = None
    """While PENDING after a failure: when it will be asked for."""
    kill_time: datetime | None = None
    """While STOPPING: when its process is killed, where its service has a grace to stop in."""
    _application: Owner | None = attrs.field(
        default=None, repr=False, eq=False, alias="application"
    )

    def __reduce__(self) -> tuple[object, ...]:
        # Without the handle, whose connection stays in its process: the copy is the snapshot only.
        facts = {f.name: getattr(self, f.name) for f in attrs.fields(Container) if f.eq}
        return functools.partial(Container, **facts), ()

    @property
    def run_time(self) -> timedelta | None:
        """From its start to its end, or to now. None if it has not started."""
        if self.start_time is None:
            return None
        end = self.exit.finish_time if self.exit is not None else None
        return (end or datetime.now(timezone.utc)) - self.start_time

    @property
    def ref(self) -> ContainerRef:
        """
        How it is named, also before YARN has granted it: by service and ordinal.

        Raises:
            ApplicationNotRunningError: Its ordinal is not known any more.
        """
        if self.ordinal is None:
            raise ApplicationNotRunningError(
                f"The ordinal of {self.service}.{self.rank} was not written down: its application "
                "has ended, and was one of an earlier knit."
            )
        return ContainerRef(self.service, self.ordinal)

    def stop(self, *, timeout: timedelta | None = None) -> Container:
        """
        Stops this container, as `Application.stop_containers` does.

        Returns:
            It as it is now, STOPPING or in a final state.
        """
        stopped = self._owner().stop_containers(self, timeout=timeout)
        return stopped[0] if stopped else self

    def restart(self, *, timeout: timedelta | None = None) -> Container:
        """
        Stops this container and starts its rank anew, as `Application.restart_containers` does.

        Returns:
            The next attempt.
        """
        return self._owner().restart_containers(self, timeout=timeout)[0]

    def logs(
        self,
        *,
        follow: bool = False,
        files: Iterable[str] = ("stdout", "stderr"),
        tail_lines: int | None = None,
        timeout: timedelta | None = None,
    ) -> LogStream:
        """
        Reads this container's log files, as `Application.logs` does.

        Raises:
            ApplicationNotRunningError: YARN has not granted it yet, so it has none.
        """
        if self.container_id is None:
            raise ApplicationNotRunningError(
                f"The logs of {self.service}.{self.rank} cannot be read: YARN has not granted "
                "the container yet. List the containers again, or follow the application's logs."
            )
        return self._owner().logs(
            follow=follow,
            containers=[self.container_id],
            files=files,
            tail_lines=tail_lines,
            timeout=timeout,
        )

    def _owner(self) -> Owner:
        if self._application is None:
            raise ApplicationNotRunningError(
                f"The container {self.service}.{self.rank} was not read from an application, so "
                "nobody can be told about it."
            )
        return self._application

    @classmethod
    def _from_proto(
        cls, message: container_pb2.Container, application: Owner | None = None
    ) -> Container:
        return cls(
            service=message.service_name,
            rank=message.rank,
            attempt_number=message.attempt_number,
            container_id=message.container_id or None,
            state=ContainerState(message.state),
            node_id=message.node_id or None,
            node_http_address=message.node_http_address or None,
            resources=Resources._from_proto(message.resource),
            request_time=to_datetime(message, "request_time"),
            start_time=to_datetime(message, "start_time"),
            exit=ContainerExit._from_proto(message.exit) if message.HasField("exit") else None,
            application_attempt=attempt_of(message.container_id),
            ordinal=message.ordinal,
            revision=message.revision or None,
            is_ready=message.is_ready,
            ready_time=to_datetime(message, "ready_time"),
            restart_time=to_datetime(message, "restart_time"),
            kill_time=to_datetime(message, "kill_time"),
            application=application,
        )

    @classmethod
    def _from_record(
        cls, record: ContainerRecord, attempt_number: int | None, application: Owner | None
    ) -> Container:
        """As an Application Master wrote it down; its attempt, if that is known."""
        end = None
        if record.state is not None:
            end = ContainerExit(
                reason=ExitReason._named(record.reason),
                exit_code=record.exit_code,
                signal=record.signal,
                finish_time=record.finish_time,
                diagnostics=record.diagnostics,
            )
        return cls(
            service=record.service,
            rank=record.rank,
            attempt_number=record.attempt_number,
            container_id=record.container_id,
            state=ContainerState._named(record.state),
            node_id=record.node_id,
            resources=Resources(max(1, record.memory_mib), max(1, record.vcores)),
            request_time=record.request_time,
            start_time=record.start_time,
            exit=end,
            application_attempt=attempt_of(record.container_id) or attempt_number,
            ordinal=record.ordinal,
            revision=record.revision,
            ready_time=record.ready_time,
            application=application,
        )


ContainerLike: TypeAlias = str | Container
"""A container, or its ID."""
ContainerChoice: TypeAlias = str | Container | ContainerRef
"""A container, its ID, or its service and ordinal."""
_C = TypeVar("_C", bound="str | Container | ContainerRef")


def to_containers(value: _C | Iterable[_C]) -> list[_C]:
    if isinstance(value, (str, Container, ContainerRef)):
        return [value]
    return list(value)


def choose(containers: Iterable[ContainerChoice], services: Iterable[str] = ()) -> Chosen:
    """Which containers are meant, as a call says it."""
    ids: list[str] = []
    refs: list[ContainerRef] = []
    places: list[tuple[str, int]] = []
    for container in containers:
        if isinstance(container, str):
            ids.append(container)
        elif isinstance(container, ContainerRef):
            refs.append(container)
        elif container.container_id is not None:
            ids.append(container.container_id)
        elif container.ordinal is not None:
            refs.append(container.ref)
        else:
            places.append((container.service, container.rank))
    return Chosen(ids=tuple(ids), refs=tuple(refs), places=tuple(places), services=tuple(services))


def id_of(container: ContainerLike) -> str:
    if isinstance(container, str):
        return container
    if container.container_id is None:
        raise ApplicationNotRunningError(
            f"{container.service}.{container.rank} has no logs yet: YARN has not granted the "
            "container."
        )
    return container.container_id
