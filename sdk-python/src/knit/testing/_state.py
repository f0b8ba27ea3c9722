"""What the fake Application Master of `knit.testing` knows."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from google.protobuf.message import Message

from knit.testing import _restarts, _waiting
from knit.testing._clock import FakeClock
from knit.testing._feed import Feed
from knit.testing._logs import FakeLogs
from knit.testing._refusals import Refusal, no_such_container
from knit.testing._service import FINAL, FakeService
from knit.testing._specifications import application_as_if_staged
from knit.testing._store import Store
from knit.v1 import (
    application_pb2,
    container_pb2,
    event_service_pb2,
    key_value_pb2,
    service_pb2,
    waiting_pb2,
)

if TYPE_CHECKING:
    from knit._values.spec import ApplicationSpec
    from knit.testing._faults import Fault

KEPT_EVENTS = 100_000
"""As a real Application Master keeps."""


class FakeState:
    """
    The application with all that is its own. Guarded by `changed`, which also announces.

    What changes within one `turn` has one sequence number, and is one event.
    """

    def __init__(
        self,
        application_id: str,
        spec: ApplicationSpec,
        *,
        running: bool,
        token_key: bytes = b"",
        kept_events: int = KEPT_EVENTS,
    ) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.application_id = application_id
        self.token_key = token_key
        self.clock = FakeClock()
        self.start_time = self.clock.now()
        self.due: dict[tuple[str, int], _waiting.Due] = {}
        """What happens to containers as time is moved on, by service and ordinal."""
        self.faults: deque[Fault] = deque()
        self.calls: list[str] = []
        self.open_streams = 0
        self.open_watches = 0
        self.sent_bytes = 0
        self.was_released = False
        self.attempt_number = 1
        self.history_id = uuid.uuid4().hex
        self.waiting: list[waiting_pb2.WaitingReason] = []
        """What a test says that containers wait for."""
        self.tokens: list[application_pb2.DelegationToken] = []
        """What a test says that the application holds."""
        self.interruptions = 0
        self.logs = FakeLogs()
        self.progress: float | None = None
        self.services: dict[str, FakeService] = {}
        self.feed = Feed(kept_events)
        self.store = Store(self._check_owner, self.clock)
        self.answers: dict[str, Message] = {}
        """What was answered to requests that may be repeated, by their IDs."""
        self._kept_events = kept_events
        self._depth = 0
        self._touched: dict[tuple[str, int], container_pb2.Container] = {}
        self._latest: dict[tuple[str, int], container_pb2.Container] = {}
        self._changes: list[event_service_pb2.Change] = []
        self._statuses: dict[str, service_pb2.Service] = {}
        self._containers: list[container_pb2.Container] = []
        self._outcome: application_pb2.ApplicationOutcome | None = None
        self._granted = 1  # the Application Master's own
        self._former: list[container_pb2.Container] = []
        self.full_spec = application_as_if_staged(spec)
        self.annotations = dict(self.full_spec.annotations)
        self._begin(running=running)

    @property
    def spec(self) -> application_pb2.ApplicationSpec:
        """What it was submitted as, values left out."""
        spec = application_pb2.ApplicationSpec()
        spec.CopyFrom(self.full_spec)
        spec.annotations.clear()
        variables = [service.environment for service in spec.services.values()]
        for found in (*variables, spec.driver.environment, spec.submission.master_environment):
            for name in found:
                found[name] = ""
        return spec

    def _begin(self, *, running: bool) -> None:
        with self.turn():
            for name, service in sorted(self.full_spec.services.items()):
                self.add_service(name, service)
            _waiting.settle(self)
            while running and (requested := self._requested()):
                for container in requested:
                    self.grant(container.service_name, container.rank)
                _waiting.settle(self)
            self.note(application=self.application())

    def _requested(self) -> list[container_pb2.Container]:
        wanted = container_pb2.CONTAINER_STATE_REQUESTED
        return [container for container in self._containers if container.state == wanted]

    # Turns

    @contextmanager
    def turn(self) -> Iterator[None]:
        """What changes within is one event, once the outermost one is left."""
        with self.changed:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if not self._depth:
                    self._settle()

    def note(self, **record: Message) -> None:
        """Something has changed; its whole new value."""
        self._changes.append(event_service_pb2.Change(**record))  # type: ignore[arg-type]

    def touch(self, container: container_pb2.Container) -> None:
        """A container has changed."""
        self._touched[container.service_name, container.ordinal] = container

    def _settle(self) -> None:
        _waiting.settle(self)
        gone = (*FINAL, container_pb2.CONTAINER_STATE_STOPPING)
        for container in self._touched.values():
            if container.state in gone:
                self.store.drop_owned(container.service_name, container.ordinal)
        changes = [event_service_pb2.Change(container=each) for each in self._touched.values()]
        for name, service in sorted(self.services.items()):
            status = self._status(service)
            if status != self._statuses.get(name):
                self._statuses[name] = status
                changes.append(event_service_pb2.Change(service=status))
        changes += self._changes
        changes += [event_service_pb2.Change(key=change) for change in self.store.changes]
        self._touched, self._changes, self.store.changes = {}, [], []
        if changes:
            self.feed.add(changes)
            self.changed.notify_all()

    def statuses(self) -> list[service_pb2.Service]:
        """The services as they are, by name."""
        with self.changed:
            return [self._status(service) for _, service in sorted(self.services.items())]

    def _status(self, service: FakeService) -> service_pb2.Service:
        own = [c for c in self._containers if c.service_name == service.name]
        status = service.status(own, [*self.waiting, *_waiting.reasons(self, service)])
        status.accounts.extend(_restarts.accounts(service, self.clock.now()))
        return status

    def reasons(self) -> list[waiting_pb2.WaitingReason]:
        """What containers wait for, of all services."""
        with self.changed:
            own = [
                each for _, s in sorted(self.services.items()) for each in _waiting.reasons(self, s)
            ]
            return own + self.waiting

    def expire(self) -> None:
        """Ends the leases that were not kept in time."""
        with self.changed:
            for lease_id in list(self.store.overdue()):
                with self.turn():
                    self.store.revoke_lease(lease_id)

    def _check_owner(self, owner: key_value_pb2.ContainerRef) -> None:
        container = self.find_ref(owner.service_name, owner.ordinal)
        if container is None:
            raise no_such_container(f"{owner.service_name}#{owner.ordinal}")
        if container.state in (*FINAL, container_pb2.CONTAINER_STATE_STOPPING):
            raise Refusal(
                "FAILED_PRECONDITION",
                "CONTAINER_ENDED",
                f"{owner.service_name}#{owner.ordinal} has ended and can own nothing.",
            )

    @property
    def master_container_id(self) -> str:
        """The Application Master's own container."""
        number = self.application_id.removeprefix("application_")
        return f"container_{number}_{self.attempt_number:02d}_000001"

    def application(self) -> application_pb2.Application:
        """The application as it is now."""
        outcome = self._outcome
        ended = sum(c.state in FINAL for c in self._containers)
        message = application_pb2.Application(
            application_id=self.application_id,
            attempt_number=self.attempt_number,
            state=(
                application_pb2.APPLICATION_STATE_RUNNING
                if outcome is None
                else application_pb2.APPLICATION_STATE_ENDED
            ),
            outcome=outcome,
            master_container_id=self.master_container_id,
            progress=ended / max(1, len(self._containers)),
        )
        if self.progress is not None:
            message.progress, message.is_progress_reported = self.progress, True
        message.start_time.FromDatetime(self.start_time)
        return message

    def add_service(self, name: str, spec: service_pb2.ServiceSpec) -> None:
        """A service begins."""
        with self.turn():
            self.services[name] = FakeService(name, spec, has_begun=not spec.depends)
            self.add(name, spec.instances)

    def begin_anew(self) -> None:
        """The next attempt, which knows nothing of the one before."""
        with self.changed:
            self.stop_all(container_pb2.EXIT_REASON_APPLICATION_ENDED)
            self._former += self._containers
            self._containers, self.answers, self._granted = [], {}, 1
            self.services, self._statuses, self._touched, self._latest = {}, {}, {}, {}
            self.due = {}
            self.feed, self.store = Feed(self._kept_events), Store(self._check_owner, self.clock)
            self.annotations = dict(self.full_spec.annotations)
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
        ranks: Iterable[int] | None = None,
    ) -> list[container_pb2.Container]:
        """New containers, REQUESTED, at these ranks, or at those after the highest."""
        with self.turn():
            first = max(self.services[service].ranks, default=-1) + 1
            added = [
                self.request(service, rank, resource)
                for rank in (range(first, first + count) if ranks is None else ranks)
            ]
            return [_copy(container) for container in added]

    def request(
        self, service: str, rank: int, like: container_pb2.Container | None = None
    ) -> container_pb2.Container:
        """The next attempt of a rank, itself; of the size of another one, if that is given."""
        with self.turn():
            of = self.services[service]
            before = self.find_place(service, rank)
            container = container_pb2.Container(
                service_name=service,
                rank=rank,
                attempt_number=1 if before is None else before.attempt_number + 1,
                state=(
                    container_pb2.CONTAINER_STATE_REQUESTED
                    if of.has_begun
                    else container_pb2.CONTAINER_STATE_PENDING
                ),
                ordinal=of.next_ordinal,
                revision=of.revision,
            )
            container.resource.CopyFrom(like.resource if like is not None else of.spec.resource)
            container.request_time.FromDatetime(self.clock.now())
            of.next_ordinal += 1
            of.ranks.add(rank)
            of.target = len(of.ranks)
            self._containers.append(container)
            self._latest[service, rank] = container
            self.touch(container)
            return container

    def grant(self, service: str, rank: int) -> container_pb2.Container:
        """The last container of a place runs, or is held until the others are granted."""
        with self.turn():
            container = self._at(service, rank)
            if container.state == container_pb2.CONTAINER_STATE_PENDING:
                raise ValueError(
                    f"{service}.{rank} is PENDING: YARN has not been asked for it. "
                    + " ".join(
                        r.explanation for r in _waiting.reasons(self, self.services[service])
                    )
                )
            self._granted += 1
            number = self.application_id.removeprefix("application_")
            container.container_id = (
                f"container_{number}_{self.attempt_number:02d}_{self._granted:06d}"
            )
            container.node_id = f"node-{self._granted % 3 + 1}:45454"
            container.node_http_address = f"node-{self._granted % 3 + 1}:8042"
            self.touch(container)
            if self.services[service].holds:
                _waiting.hold(self, container)
                _waiting.settle(self)
            else:
                self.run(container)
            return _copy(container)

    def run(self, container: container_pb2.Container) -> None:
        """A container that was granted runs."""
        with self.turn():
            service = self.services[container.service_name]
            service.started.add(container.rank)
            container.state = container_pb2.CONTAINER_STATE_RUNNING
            container.start_time.FromDatetime(self.clock.now())
            self.logs.open(container.container_id)
            if not service.reports_ready:
                self.set_ready(container, is_ready=True)
            self.touch(container)

    def set_ready(self, container: container_pb2.Container, *, is_ready: bool) -> None:
        """A container is ready from now on, or is not any more."""
        with self.turn():
            if is_ready and not container.is_ready:
                container.ready_time.FromDatetime(self.clock.now())
            container.is_ready = is_ready
            self.touch(container)

    def finish(
        self, container_id: str, exit_code: int | None, reason: int, diagnostics: str = ""
    ) -> None:
        """A container ends by itself."""
        with self.turn():
            container = self.find(container_id)
            if container is None:
                raise KeyError(container_id)
            if container.state == container_pb2.CONTAINER_STATE_HELD:
                _waiting.give_back(self, [container])
                return
            state = container_pb2.CONTAINER_STATE_FAILED
            if exit_code == 0 and reason == container_pb2.EXIT_REASON_EXITED:
                state = container_pb2.CONTAINER_STATE_SUCCEEDED
            self._close(container, state, reason, exit_code, diagnostics)
            if state == container_pb2.CONTAINER_STATE_FAILED:
                _restarts.after_failure(self, container)

    def stop(
        self,
        containers: Iterable[container_pb2.Container],
        reason: int = container_pb2.EXIT_REASON_STOPPED,
    ) -> list[container_pb2.Container]:
        """Ends containers at a client's wish; returns them as such a client sees them first."""
        with self.turn():
            seen = []
            for container in containers:
                if container.state not in FINAL:
                    granted = container.HasField("start_time")
                    container.state = container_pb2.CONTAINER_STATE_STOPPING
                    answer = _copy(container)
                    self._close(container, container_pb2.CONTAINER_STATE_STOPPED, reason, None)
                    seen.append(answer if granted else _copy(container))
                else:
                    seen.append(_copy(container))
            return seen

    def stop_all(self, reason: int) -> None:
        """Ends all containers that have not."""
        self.stop([c for c in self._containers if c.state not in FINAL], reason)

    def of_service(self, name: str) -> list[container_pb2.Container]:
        """The containers of a service, themselves: of each rank that is to be filled the last."""
        return [self._latest[name, rank] for rank in sorted(self.services[name].ranks)]

    def find_ref(self, service: str, ordinal: int) -> container_pb2.Container | None:
        """The container of this ordinal, itself."""
        named = (service, ordinal)
        found = (c for c in self._containers if (c.service_name, c.ordinal) == named)
        return next(found, None)

    def find(self, container_id: str) -> container_pb2.Container | None:
        """The container itself, not a copy."""
        return next((c for c in self._containers if c.container_id == container_id), None)

    def find_place(self, service: str, rank: int) -> container_pb2.Container | None:
        """The last container of a place, itself."""
        return self._latest.get((service, rank))

    def is_pending(self, service: str, rank: int) -> bool:
        """Whether YARN has not been asked for the last container of a place."""
        with self.changed:
            return self._at(service, rank).state == container_pb2.CONTAINER_STATE_PENDING

    def is_over(self, container_id: str) -> bool:
        """Whether a container has ended, and with it what it writes."""
        with self.changed:
            container = self.find(container_id)
            ended = container is None or container.state in FINAL
            return ended or container_id in self.logs.lost

    def outcome(self) -> application_pb2.ApplicationOutcome | None:
        """How the application ended. None while it runs."""
        with self.changed:
            return self._outcome

    def end(self, final_status: str, diagnostics: str, exit_code: int) -> None:
        """The application ends; the first outcome stands."""
        with self.turn():
            if self._outcome is not None:
                return
            self._outcome = application_pb2.ApplicationOutcome(
                final_status=application_pb2.FinalStatus.Value(final_status),
                diagnostics=diagnostics,
                exit_code=exit_code,
            )
            self.stop_all(container_pb2.EXIT_REASON_APPLICATION_ENDED)
            self.note(application=self.application())

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
        container.exit.finish_time.FromDatetime(self.clock.now())
        container.ClearField("restart_time")
        container.is_ready = False
        self.touch(container)


def _copy(container: container_pb2.Container) -> container_pb2.Container:
    copy = container_pb2.Container()
    copy.CopyFrom(container)
    return copy
