"""What the fake Application Master of `knit.testing` knows."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from knit.v1 import application_pb2, container_pb2, service_pb2, waiting_pb2

if TYPE_CHECKING:
    from knit._values.spec import ApplicationSpec
    from knit.testing._faults import Fault

_FINAL = (
    container_pb2.CONTAINER_STATE_SUCCEEDED,
    container_pb2.CONTAINER_STATE_FAILED,
    container_pb2.CONTAINER_STATE_STOPPED,
)


class FakeState:
    """The application and its logs. Everything is guarded by `changed`, which also announces."""

    def __init__(self, application_id: str, spec: ApplicationSpec, *, running: bool) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.application_id = application_id
        self.start_time = datetime.now(timezone.utc)
        self.faults: deque[Fault] = deque()
        self.calls: list[str] = []
        self.open_streams = 0
        self.sent_bytes = 0
        self.was_released = False
        self.attempt_number = 1
        self.history_id = uuid.uuid4().hex
        self.waiting: list[waiting_pb2.WaitingReason] = []
        self.interruptions = 0
        self.lost_logs: dict[str, str] = {}
        self._logs: dict[str, dict[str, bytearray]] = {}
        self._containers: list[container_pb2.Container] = []
        self._by_request: dict[str, list[container_pb2.Container]] = {}
        self._outcome: application_pb2.ApplicationOutcome | None = None
        self._granted = 1  # the Application Master's own
        self._former: list[container_pb2.Container] = []
        self._cuts: dict[tuple[str, str], int] = {}
        self.spec = _message(spec)
        self._begin(running=running)

    def _begin(self, *, running: bool) -> None:
        for name, service in self.spec.services.items():
            for message in self.add(name, service.instances) if service.instances else ():
                if running:
                    self.grant(name, message.rank)

    def begin_anew(self) -> None:
        """The next attempt, which knows nothing of the one before."""
        with self.changed:
            for container in self._containers:
                if container.state not in _FINAL:
                    self._close(
                        container,
                        container_pb2.CONTAINER_STATE_STOPPED,
                        container_pb2.EXIT_REASON_APPLICATION_ENDED,
                        None,
                    )
            self._former += self._containers
            self._containers, self._by_request, self._granted = [], {}, 1
            self.attempt_number += 1
            self.history_id = uuid.uuid4().hex
            self._begin(running=True)

    def all_containers(self) -> list[container_pb2.Container]:
        """Copies, those of earlier attempts included."""
        with self.changed:
            return [_copy(container) for container in self._former] + self.containers()

    def containers(self) -> list[container_pb2.Container]:
        """Copies, in the contract's order."""
        with self.changed:
            ordered = sorted(
                self._containers, key=lambda c: (c.service_name, c.rank, c.attempt_number)
            )
            return [_copy(container) for container in ordered]

    def add(
        self,
        service: str,
        count: int,
        resource: container_pb2.Container | None = None,
        request_id: str = "",
    ) -> list[container_pb2.Container]:
        """New containers, REQUESTED; those of the first call if the request was made before."""
        with self.changed:
            if request_id in self._by_request:
                return [_copy(container) for container in self._by_request[request_id]]
            taken = [c.rank for c in self._containers if c.service_name == service]
            first = max(taken, default=-1) + 1
            added = []
            for rank in range(first, first + count):
                container = container_pb2.Container(
                    service_name=service,
                    rank=rank,
                    attempt_number=1,
                    state=container_pb2.CONTAINER_STATE_REQUESTED,
                )
                container.resource.CopyFrom(
                    resource.resource
                    if resource is not None
                    else self.spec.services[service].resource
                )
                container.request_time.FromDatetime(datetime.now(timezone.utc))
                added.append(container)
            self._containers += added
            if request_id:
                self._by_request[request_id] = added
            self.changed.notify_all()
            return [_copy(container) for container in added]

    def grant(self, service: str, rank: int) -> container_pb2.Container:
        """The last container of a place runs."""
        with self.changed:
            container = self._at(service, rank)
            self._granted += 1
            number = self.application_id.removeprefix("application_")
            container.container_id = (
                f"container_{number}_{self.attempt_number:02d}_{self._granted:06d}"
            )
            container.node_id = f"node-{self._granted % 3 + 1}:45454"
            container.node_http_address = f"node-{self._granted % 3 + 1}:8042"
            container.state = container_pb2.CONTAINER_STATE_RUNNING
            container.start_time.FromDatetime(datetime.now(timezone.utc))
            self._logs[container.container_id] = {"stdout": bytearray(), "stderr": bytearray()}
            self.changed.notify_all()
            return _copy(container)

    def write(self, container_id: str, file: str, data: bytes) -> None:
        """Appends to a log file."""
        with self.changed:
            self._logs[container_id].setdefault(file, bytearray()).extend(data)
            self.changed.notify_all()

    def cut(self, container_id: str, file: str) -> None:
        """Empties a log file."""
        with self.changed:
            self._logs[container_id].setdefault(file, bytearray()).clear()
            self._cuts[container_id, file] = self.cuts(container_id, file) + 1
            self.changed.notify_all()

    def cuts(self, container_id: str, file: str) -> int:
        """How many times a log file was emptied."""
        return self._cuts.get((container_id, file), 0)

    def log(self, container_id: str, file: str) -> bytes:
        """What a log file holds; nothing if there is none."""
        with self.changed:
            return bytes(self._logs.get(container_id, {}).get(file, b""))

    def log_part(self, container_id: str, file: str, offset: int, length: int) -> tuple[bytes, int]:
        """Some bytes of a log file, and its length."""
        with self.changed:
            log = self._logs.get(container_id, {}).get(file, bytearray())
            return bytes(log[offset : offset + length]), len(log)

    def log_sizes(self, container_id: str) -> dict[str, int]:
        """The log files of a container, by name."""
        with self.changed:
            return {name: len(log) for name, log in sorted(self._logs[container_id].items())}

    def finish(
        self, container_id: str, exit_code: int | None, reason: int, diagnostics: str = ""
    ) -> None:
        """A container ends by itself."""
        with self.changed:
            container = self.find(container_id)
            if container is None:
                raise KeyError(container_id)
            state = container_pb2.CONTAINER_STATE_FAILED
            if exit_code == 0 and reason == container_pb2.EXIT_REASON_EXITED:
                state = container_pb2.CONTAINER_STATE_SUCCEEDED
            self._close(container, state, reason, exit_code, diagnostics)

    def stop(self, containers: Iterable[container_pb2.Container]) -> list[container_pb2.Container]:
        """Ends containers at a client's wish; returns them as such a client sees them first."""
        with self.changed:
            seen = []
            for container in containers:
                if container.state not in _FINAL:
                    granted = bool(container.container_id)
                    container.state = container_pb2.CONTAINER_STATE_STOPPING
                    answer = _copy(container)
                    self._close(
                        container,
                        container_pb2.CONTAINER_STATE_STOPPED,
                        container_pb2.EXIT_REASON_STOPPED,
                        None,
                    )
                    seen.append(answer if granted else _copy(container))
                else:
                    seen.append(_copy(container))
            return seen

    def find(self, container_id: str) -> container_pb2.Container | None:
        """The container itself, not a copy."""
        return next((c for c in self._containers if c.container_id == container_id), None)

    def find_place(self, service: str, rank: int) -> container_pb2.Container | None:
        """The last container of a place, itself."""
        found = [c for c in self._containers if (c.service_name, c.rank) == (service, rank)]
        return found[-1] if found else None

    def lose_logs(self, container_id: str, reason: str) -> None:
        """Log files end here and now."""
        with self.changed:
            self.lost_logs[container_id] = reason
            self.changed.notify_all()

    def is_over(self, container_id: str) -> bool:
        """Whether a container has ended, and with it what it writes."""
        with self.changed:
            container = self.find(container_id)
            ended = container is None or container.state in _FINAL
            return ended or container_id in self.lost_logs

    def outcome(self) -> application_pb2.ApplicationOutcome | None:
        """How the application ended. None while it runs."""
        with self.changed:
            return self._outcome

    def end(self, final_status: str, diagnostics: str, exit_code: int) -> None:
        """The application ends; the first outcome stands."""
        with self.changed:
            if self._outcome is not None:
                return
            self._outcome = application_pb2.ApplicationOutcome(
                final_status=application_pb2.FinalStatus.Value(final_status),
                diagnostics=diagnostics,
                exit_code=exit_code,
            )
            for container in self._containers:
                if container.state not in _FINAL:
                    self._close(
                        container,
                        container_pb2.CONTAINER_STATE_STOPPED,
                        container_pb2.EXIT_REASON_APPLICATION_ENDED,
                        None,
                    )
            self.changed.notify_all()

    def interrupt(self) -> None:
        """Streams that wait are to see that the server has left."""
        with self.changed:
            self.interruptions += 1
            self.changed.notify_all()

    def take_fault(self, call: str) -> Fault | None:
        """The fault of the call that begins now."""
        with self.changed:
            if not self.faults or self.faults[0].call not in (None, call):
                return None
            fault = self.faults[0]
            fault.count -= 1
            if fault.count <= 0:
                self.faults.popleft()
            return fault

    def _at(self, service: str, rank: int) -> container_pb2.Container:
        container = self.find_place(service, rank)
        if container is None:
            raise KeyError(f"{service}.{rank}")
        return container

    def _close(
        self,
        container: container_pb2.Container,
        state: container_pb2.ContainerState.ValueType,
        reason: int,
        exit_code: int | None,
        diagnostics: str = "",
    ) -> None:
        container.state = state
        container.exit.reason = container_pb2.ExitReason.ValueType(reason)
        container.exit.diagnostics = diagnostics
        if exit_code is not None:
            container.exit.exit_code = exit_code
            if 129 <= exit_code <= 159:
                container.exit.signal = exit_code - 128
        container.exit.finish_time.FromDatetime(datetime.now(timezone.utc))
        self.changed.notify_all()


def _message(spec: ApplicationSpec) -> application_pb2.ApplicationSpec:
    """The specification as an Application Master gives it back: values left out."""
    kinds = service_pb2.LocalResourceType
    resources = {
        name: {
            file.name: service_pb2.LocalResource(
                url=f"hdfs://fake/{file.name}{'.tar.gz' if file.archive else ''}",
                type=kinds.Value(f"LOCAL_RESOURCE_TYPE_{'ARCHIVE' if file.archive else 'FILE'}"),
            )
            for file in service.files.values()
        }
        for name, service in spec.services.items()
    }
    message = spec._to_proto(resources)
    for service in message.services.values():
        for name in service.environment:
            service.environment[name] = ""
    return message


def _copy(container: container_pb2.Container) -> container_pb2.Container:
    copy = container_pb2.Container()
    copy.CopyFrom(container)
    return copy
