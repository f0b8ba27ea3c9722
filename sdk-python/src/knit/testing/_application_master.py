"""The fake itself: it serves what it is told in real calls."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING

import attrs

from knit._handles.application import Application
from knit._handles.container import Container
from knit._handles.current import Current, CurrentContainer
from knit._values.access import Role
from knit._values.applications import ApplicationOutcome
from knit._values.containers import ExitReason
from knit._values.delegation_tokens import DelegationTokenInfo
from knit._values.events import NoticeSeverity
from knit._values.reports import ApplicationReport
from knit._values.services import Service
from knit._values.spec import ApplicationSpec
from knit._values.states import FinalStatus, YarnState
from knit._values.waiting import WaitingReason
from knit._wire.channel import LARGEST_MESSAGE_BYTES
from knit._wire.tls import ApplicationTls, ClientTls
from knit.exceptions import ApplicationNotRunningError
from knit.testing._faults import Fault
from knit.testing._yarn import FakeYarn

if TYPE_CHECKING:
    import grpc


_LARGEST_CHUNK_BYTES = 64 * 1024
_THREADS = 64
_SERVER_OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", LARGEST_MESSAGE_BYTES),
    # As the real one: clients look whether it is there every 30 s, also while nothing is sent.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
]


class FakeApplicationMaster:
    """
    An Application Master that does as it is told.

    What it decides by itself it decides by the contract's rules, and a test says the rest:

    * Who may make which call, by the client's role (`application(role=...)`, `current`).
    * A service waits, PENDING, until what it `depends` on is so. One that starts together is HELD
      until all of its containers are granted, or given back after nine minutes.
    * A failure that a restart budget pays for is followed by the next attempt, after its rest.
      Time for rests and holds stands still until `advance`, so that no test has to race it.
    * Everything else is told: what is granted (`grant`), ready, written, ended and updated. A
      failure for good does not end the application, whatever its policy: say `end`.

    Threads may share it. Leaving the `with` block stops it.

    Args:
        spec: What the application consists of. Default: one service `worker` of one container.
        application_id: YARN's identifier.
        running: Whether the containers run from the start, those excepted that wait for what is
            not so yet; otherwise they are REQUESTED, and `grant` makes them run.
        chunk_bytes: How much of a log is sent at once, at most 64 KiB.
        kept_events: How many events are kept for who watches.
    """

    def __init__(
        self,
        spec: ApplicationSpec | None = None,
        *,
        application_id: str = "application_1700000000000_0001",
        running: bool = True,
        chunk_bytes: int = _LARGEST_CHUNK_BYTES,
        kept_events: int = 100_000,
    ) -> None:
        from knit.testing._state import FakeState

        if spec is None:
            spec = ApplicationSpec("fake", {"worker": Service("true")})
        self.application_id = application_id
        self.tls = ApplicationTls.generate()
        """The application's certificates; `tls.client` lets a client in."""
        self._spec = spec
        self._queue = spec.queue
        self._priority = spec.priority or 0
        self._chunk_bytes = min(max(1, chunk_bytes), _LARGEST_CHUNK_BYTES)
        self._state = FakeState(
            application_id,
            spec,
            running=running,
            token_key=self.tls.token_key,
            kept_events=kept_events,
        )
        self._server: grpc.Server | None = None
        self._address: str | None = None
        self._yarn_state: YarnState | None = None
        self._yarn_is_silent = False
        self._applications: list[Application] = []

    # Its life

    def start(self) -> FakeApplicationMaster:
        """Begins to serve, on a free port of this machine."""
        import grpc

        from knit.testing._services import add_services

        server = grpc.server(
            ThreadPoolExecutor(_THREADS, thread_name_prefix="knit-fake-am"),
            options=_SERVER_OPTIONS,
        )
        add_services(server, self._state, self._chunk_bytes)
        credentials = grpc.ssl_server_credentials(
            [(self.tls.key, self.tls.cert)],
            root_certificates=self.tls.ca,
            require_client_auth=True,
        )
        port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        self._server, self._address = server, f"127.0.0.1:{port}"
        return self

    def stop(self) -> None:
        """Leaves: calls under way are cut off. Calling it again is safe."""
        server, self._server, self._address = self._server, None, None
        if server is not None:
            self._state.interrupt()
            server.stop(grace=None).wait()

    def restart(self) -> None:
        """Leaves and comes back elsewhere with all it knew, as after a broken network."""
        self.stop()
        self.start()

    def begin_anew(self) -> None:
        """
        The next attempt of the Application Master begins, as after the loss of its node.

        It knows nothing of the one before: its containers are those of the specification, and
        run. Where the application is served, it comes back on another port.
        """
        served = self._server is not None
        self.stop()
        self._state.begin_anew()
        if served:
            self.start()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Leaves for as long as the block lasts, and comes back on another port."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def without_yarn(self) -> Iterator[None]:
        """YARN does not answer for as long as the block lasts, as when the network is gone."""
        self._yarn_is_silent = True
        try:
            yield
        finally:
            self._yarn_is_silent = False

    def __enter__(self) -> FakeApplicationMaster:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for application in self._applications:
            application.close()
        self.stop()

    @property
    def address(self) -> str | None:
        """Where it serves, `host:port`. None while it does not."""
        return self._address

    def application(
        self, *, role: Role = Role.OWNER, timeout: timedelta = timedelta(seconds=10)
    ) -> Application:
        """
        Returns a handle on the application, as `Client.application` would.

        Args:
            role: What it may do: `OWNER`, `OPERATOR` or `VIEWER`. For containers see `current`.
            timeout: For each call that is given no other.
        """
        tls = self.tls.clients[role.name.lower()]
        return self._handle(None if role is Role.OWNER else tls, timeout)

    def current(
        self, service: str, rank: int = 0, *, timeout: timedelta = timedelta(seconds=10)
    ) -> Current:
        """
        Returns what `knit.current()` returns in the container at this place.

        Raises:
            ApplicationNotRunningError: It has not been granted.
        """
        container = self._at(service, rank)
        inside = CurrentContainer(
            container_id=_known(container.container_id),
            service=service,
            rank=rank,
            attempt_number=container.attempt_number,
            ordinal=container.ref.ordinal,
            memory_mib=container.resources.memory_mib,
            vcores=container.resources.vcores,
        )
        return Current(self._handle(self._container_tls(container), timeout), inside)

    def environment(
        self, service: str, rank: int, directory: str | os.PathLike[str]
    ) -> dict[str, str]:
        """
        Returns the variables that knit sets in the container at this place.

        With them `knit.current()` works in a program that a test starts, and
        `knit.current(environment=...)` in the test's own process.

        Args:
            service: The container's service.
            rank: Its rank.
            directory: Where its credentials are written, as its launch would.

        Raises:
            ApplicationNotRunningError: It has not been granted, or the fake does not serve.
        """
        from knit._wire.endpoint import Endpoint

        if self._address is None:
            raise ApplicationNotRunningError("The fake does not serve: call start first.")
        container = self._at(service, rank)
        tls = self._container_tls(container)
        saved = Endpoint._of(self.application_id, self._address, tls).save(directory)
        return {
            "KNIT_APPLICATION_ID": self.application_id,
            "KNIT_CONTAINER_ID": _known(container.container_id),
            "KNIT_CREDENTIALS": str(saved),
            "KNIT_SERVICE_NAME": service,
            "KNIT_RANK": str(rank),
            "KNIT_ATTEMPT_NUMBER": str(container.attempt_number),
            "KNIT_ORDINAL": str(container.ref.ordinal),
            "KNIT_MEMORY_MIB": str(container.resources.memory_mib),
            "KNIT_VCORES": str(container.resources.vcores),
        }

    def _handle(self, tls: ClientTls | None, timeout: timedelta) -> Application:
        handle = Application(FakeYarn(self), self.application_id, tls=tls, timeout=timeout)
        self._applications.append(handle)
        return handle

    def _at(self, service: str, rank: int) -> Container:
        found = [c for c in self.containers() if (c.service, c.rank) == (service, rank)]
        if not found:
            raise KeyError(f"{service}.{rank}")
        return found[-1]

    def _container_tls(self, container: Container) -> ClientTls:
        from knit.testing._roles import token_of

        token = token_of(self._state, container.ref, container.attempt_number)
        return attrs.evolve(self.tls.clients["container"], token=token)

    # What happens on the cluster

    def containers(self) -> list[Container]:
        """The containers as they are now, by service, rank and attempt number."""
        return [Container._from_proto(message) for message in self._state.containers()]

    def add(self, service: str, count: int = 1, *, running: bool = True) -> list[Container]:
        """Adds containers to a service, as a client's call would."""
        added = self._state.add(service, count)
        for message in added if running else ():
            if not self._state.is_pending(message.service_name, message.rank):
                self._state.grant(message.service_name, message.rank)
        # Read again: granting changed them.
        places = {(message.service_name, message.rank) for message in added}
        return [c for c in self.containers() if (c.service, c.rank) in places]

    def grant(self, service: str, rank: int) -> Container:
        """
        YARN grants the container asked for at this place, and it runs.

        In a service that starts together it is HELD until the last one is granted; then all run.

        Raises:
            ValueError: It is PENDING: YARN has not been asked for it yet.
        """
        return Container._from_proto(self._state.grant(service, rank))

    def wait_for(self, *reasons: WaitingReason) -> None:
        """
        Containers wait for these reasons from now on, and for no others but those that follow
        from the specification: other services, the others of theirs, the end of a rest.
        """
        with self._state.turn():
            self._state.waiting = [reason._to_proto() for reason in reasons]

    def hold_tokens(self, *tokens: DelegationTokenInfo) -> None:
        """
        The application holds these delegation tokens from now on, and no others.

        At first there are none, as on a cluster without Kerberos. They are what clients are told of
        them, and let nobody in; viewers are told nothing. They do not end by themselves, nor are
        they replaced: say the next ones.
        """
        with self._state.changed:
            self._state.tokens = [token._to_proto() for token in tokens]

    def advance(self, duration: timedelta) -> None:
        """
        Moves time on: rests, holds and leases that end meanwhile end, in their order.

        A container whose rest has ended is REQUESTED; `grant` makes it run.
        """
        from knit.testing import _waiting

        with self._state.changed:
            _waiting.advance(self._state, duration)

    def ready(self, service: str, rank: int, *, is_ready: bool = True) -> None:
        """The container at this place is ready, or is not any more."""
        with self._state.turn():
            container = self._state.find_place(service, rank)
            if container is None:
                raise KeyError(f"{service}.{rank}")
            self._state.set_ready(container, is_ready=is_ready)

    def notice(
        self,
        text: str,
        *,
        service: str | None = None,
        severity: NoticeSeverity = NoticeSeverity.INFO,
    ) -> None:
        """The Application Master says something that people should know."""
        from knit.v1 import event_service_pb2

        with self._state.turn():
            self._state.note(
                notice=event_service_pb2.Notice(
                    severity=event_service_pb2.NoticeSeverity.ValueType(severity),
                    service_name=service or "",
                    text=text,
                )
            )

    def finish_update(self, service: str) -> None:
        """All ranks of a service pass to the revision that is to come, and run."""
        from knit.testing import _control

        _control.finish_update(self._state, service)

    def pause_update(self, service: str, explanation: str) -> None:
        """The update of a service waits for somebody to decide, for this reason."""
        from knit.testing import _control

        _control.pause_update(self._state, service, explanation)

    def write(self, container_id: str | None, data: bytes, *, file: str = "stdout") -> None:
        """A container writes to one of its log files."""
        with self._state.changed:
            self._state.logs.write(_known(container_id), file, data)
            self._state.changed.notify_all()

    def cut(self, container_id: str | None, *, file: str = "stdout") -> None:
        """A container's log file becomes empty, as when its program opens it anew."""
        with self._state.changed:
            self._state.logs.cut(_known(container_id), file)
            self._state.changed.notify_all()

    def finish(
        self,
        container_id: str | None,
        *,
        exit_code: int | None = 0,
        reason: ExitReason = ExitReason.EXITED,
        diagnostics: str = "",
    ) -> None:
        """
        A container ends: SUCCEEDED with exit code 0, else FAILED.

        The next attempt takes the place of one that FAILED, where a budget of its service pays
        for that: REQUESTED at once, or PENDING until its rest has ended (`advance`). By default
        that is so where YARN took the container away, three times. Whether such failures end
        the application, the test says (`end`).
        """
        self._state.finish(_known(container_id), exit_code, int(reason), diagnostics)

    def lose_logs(self, container_id: str | None, reason: str) -> None:
        """The log files of a container end as incomplete, for this reason."""
        with self._state.changed:
            self._state.logs.lost[_known(container_id)] = reason
            self._state.changed.notify_all()

    def collect_logs(self, container_id: str | None, *, file: str | None = None) -> None:
        """
        YARN has collected the log files of a container that has ended, and its node removed them.

        So it is where nodes collect while applications run. Streams then have them of what is
        collected.

        Args:
            container_id: Of which container.
            file: Only this file, of a container that may run, as nodes do with names that end in
                `.rolled`. Default: all, once it has ended.
        """
        with self._state.changed:
            if file is not None:
                self._state.logs.roll(_known(container_id), file)
            else:
                self._state.logs.collected.add(_known(container_id))
            self._state.changed.notify_all()

    def end(
        self,
        final_status: FinalStatus = FinalStatus.SUCCEEDED,
        *,
        exit_code: int = 0,
        diagnostics: str = "",
    ) -> None:
        """The application ends, and with it every container that has not."""
        self._state.end(f"FINAL_STATUS_{final_status.value}", diagnostics, exit_code)

    def report_as(self, state: YarnState | None) -> None:
        """YARN says this of the application from now on. None: what is true."""
        self._yarn_state = state

    # What goes wrong, and what was asked

    def fail_next(self, fault: Fault) -> None:
        """The next calls, or log streams, have this fault, after those that were given before."""
        self._state.faults.append(fault)

    @property
    def calls(self) -> list[str]:
        """The names of the calls that were made, in order."""
        return list(self._state.calls)

    @property
    def open_streams(self) -> int:
        """How many log streams are under way."""
        return self._state.open_streams

    @property
    def open_watches(self) -> int:
        """How many watches of events or keys are under way."""
        return self._state.open_watches

    @property
    def sent_bytes(self) -> int:
        """How many bytes of logs have been sent, or handed to gRPC for sending."""
        return self._state.sent_bytes

    @property
    def was_released(self) -> bool:
        """Whether a client called `release` after the end."""
        return self._state.was_released

    def _report(self) -> ApplicationReport:
        message = self._state.outcome()
        outcome = None if message is None else ApplicationOutcome._from_proto(message)
        state = YarnState.RUNNING if outcome is None else YarnState.FINISHED
        return ApplicationReport(
            application_id=self.application_id,
            name=self._spec.name,
            user="fake",
            queue=self._queue,
            priority=self._priority,
            application_type="knit",
            state=self._yarn_state or state,
            final_status=FinalStatus.UNDEFINED if outcome is None else outcome.final_status,
            diagnostics=outcome.diagnostics if outcome is not None else "",
            start_time=self._state.start_time,
            finish_time=self._state.clock.now() if outcome is not None else None,
            am_address=self._address,
        )


def _known(container_id: str | None) -> str:
    if container_id is None:
        raise ApplicationNotRunningError("This container has not been granted: call grant first.")
    return container_id
