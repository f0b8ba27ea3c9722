"""The fake itself: it serves what it is told in real calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from types import TracebackType
from typing import TYPE_CHECKING

from knit._handles.application import Application
from knit._handles.container import Container
from knit._values.access import Role
from knit._values.containers import ExitReason
from knit._values.events import NoticeSeverity
from knit._values.reports import ApplicationReport
from knit._values.services import Service
from knit._values.spec import ApplicationSpec
from knit._values.states import FinalStatus, YarnState
from knit._values.waiting import WaitingReason
from knit._wire.channel import LARGEST_MESSAGE_BYTES
from knit._wire.tls import ApplicationTls, ClientTls
from knit.exceptions import ApplicationNotRunningError, ClusterUnreachableError
from knit.testing._faults import Fault

if TYPE_CHECKING:
    import grpc

    from knit.testing._archive import FakeArchive
    from knit.v1 import application_pb2, service_pb2

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

    Threads may share it. Leaving the `with` block stops it.

    Args:
        spec: What the application consists of. Default: one service `worker` of one container.
        application_id: YARN's identifier.
        running: Whether the containers run from the start; otherwise they are REQUESTED, and
            `grant` makes them run.
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
        self._chunk_bytes = min(max(1, chunk_bytes), _LARGEST_CHUNK_BYTES)
        self._state = FakeState(application_id, spec, running=running, kept_events=kept_events)
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

    def application(self, *, timeout: timedelta = timedelta(seconds=10)) -> Application:
        """Returns a handle on the application, as `Client.application` would."""
        handle = Application(_FakeYarn(self), self.application_id, timeout=timeout)
        self._applications.append(handle)
        return handle

    # What happens on the cluster

    def containers(self) -> list[Container]:
        """The containers as they are now, by service, rank and attempt number."""
        return [Container._from_proto(message) for message in self._state.containers()]

    def add(self, service: str, count: int = 1, *, running: bool = True) -> list[Container]:
        """Adds containers to a service, as a client's call would."""
        added = self._state.add(service, count)
        for message in added if running else ():
            self._state.grant(message.service_name, message.rank)
        # Read again: granting changed them.
        places = {(message.service_name, message.rank) for message in added}
        return [c for c in self.containers() if (c.service, c.rank) in places]

    def grant(self, service: str, rank: int) -> Container:
        """YARN grants the container asked for at this place, and it runs."""
        return Container._from_proto(self._state.grant(service, rank))

    def wait_for(self, *reasons: WaitingReason) -> None:
        """Containers wait for these reasons from now on, and for no others."""
        with self._state.turn():
            self._state.waiting = [reason._to_proto() for reason in reasons]

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
        """A container ends: SUCCEEDED with exit code 0, else FAILED. None starts in its place."""
        self._state.finish(_known(container_id), exit_code, int(reason), diagnostics)

    def lose_logs(self, container_id: str | None, reason: str) -> None:
        """The log files of a container end as incomplete, for this reason."""
        with self._state.changed:
            self._state.logs.lost[_known(container_id)] = reason
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
        outcome = self._state.outcome()
        state = YarnState.RUNNING if outcome is None else YarnState.FINISHED
        status = FinalStatus.UNDEFINED
        if outcome is not None:
            status = FinalStatus(_status_name(outcome))
        return ApplicationReport(
            application_id=self.application_id,
            name=self._spec.name,
            user="fake",
            queue=self._spec.queue,
            application_type="knit",
            state=self._yarn_state or state,
            final_status=status,
            diagnostics=outcome.diagnostics if outcome is not None else "",
            start_time=self._state.start_time,
            finish_time=datetime.now(timezone.utc) if outcome is not None else None,
            am_address=self._address,
        )


class _FakeYarn:
    """What YARN would say of a fake's application."""

    def __init__(self, fake: FakeApplicationMaster) -> None:
        self._fake = fake

    def report(self, application_id: str, timeout: timedelta) -> ApplicationReport:
        self._check_whether_it_answers(application_id)
        return self._fake._report()

    def _check_whether_it_answers(self, application_id: str) -> None:
        if self._fake._yarn_is_silent:
            raise ClusterUnreachableError(
                f"Asking for {application_id}: the fake was told that YARN does not answer."
            )

    def kill(self, application_id: str, timeout: timedelta) -> ApplicationReport:
        self._check_whether_it_answers(application_id)
        if self._fake._state.outcome() is None:
            self._fake.end(FinalStatus.KILLED, exit_code=1, diagnostics="Killed by its user.")
            self._fake.report_as(YarnState.KILLED)
        self._fake.stop()
        return self._fake._report()

    def address(self, report: ApplicationReport, timeout: timedelta) -> str | None:
        return report.am_address

    def archive(self, application_id: str) -> FakeArchive:
        from knit.testing._archive import FakeArchive

        return FakeArchive(self._fake._state)

    def stage(
        self, application_id: str, services: Mapping[str, Service]
    ) -> dict[str, service_pb2.ServiceSpec]:
        from knit.testing._state import as_if_staged

        return {name: as_if_staged(service) for name, service in services.items()}

    def credentials(
        self, application_id: str, timeout: timedelta, *, role: Role = Role.OWNER
    ) -> ClientTls:
        return self._fake.tls.clients[role.name.lower()]


def _known(container_id: str | None) -> str:
    if container_id is None:
        raise ApplicationNotRunningError("This container has not been granted: call grant first.")
    return container_id


def _status_name(outcome: application_pb2.ApplicationOutcome) -> str:
    from knit.v1 import application_pb2

    return application_pb2.FinalStatus.Name(outcome.final_status).removeprefix("FINAL_STATUS_")
