"""A handle on one application, running or ended."""

from __future__ import annotations

import functools
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar

import attrs

from knit._channel import Connection, ResponseStream
from knit._container import Container, ContainerState, to_datetime
from knit._deadlines import Deadline, pauses
from knit._enums import OpenEnum
from knit._logs import LogFile, LogStream
from knit._report import ApplicationReport, FinalStatus, YarnState
from knit._spec import Service
from knit._tls import ClientTls
from knit._waiting import WaitingReason
from knit.exceptions import (
    ApplicationNotFoundError,
    ApplicationNotRunningError,
    ClusterTimeoutError,
    ClusterUnreachableError,
    ConnectionLostError,
    ContainerNotFoundError,
    KnitError,
    LogsNotFoundError,
    RpcTimeoutError,
    SpecError,
    StandbyError,
    WaitTimeoutError,
    WrongStateError,
)

if TYPE_CHECKING:
    import grpc

    from knit._archived_logs import Archive
    from knit._cluster.aggregated_logs import AggregatedLogs
    from knit._endpoint import Endpoint
    from knit._resources import Resources
    from knit.v1 import application_pb2, application_service_pb2, log_service_pb2

_Q = TypeVar("_Q")
_R = TypeVar("_R")

RM_OUTAGE = timedelta(seconds=60)
"""How long `wait` bears a ResourceManager that does not answer."""

FAILURES_OF_ONE_THAT_LEAVES = 6
"""After so many broken calls in a row, an Application Master that has FINISHED has left."""


class ApplicationState(OpenEnum):
    """Where an application is in its life, as its Application Master sees it."""

    UNKNOWN = 0
    """A state newer than this SDK."""
    RUNNING = 1
    """Containers are wanted or running."""
    ENDING = 2
    """The outcome is decided; what still runs is being stopped."""
    ENDED = 3
    """Final: every container is in a final state and the outcome was reported to YARN."""


@attrs.frozen(kw_only=True)
class ApplicationOutcome:
    """How an application ended, or will end."""

    final_status: FinalStatus
    """What YARN is told."""
    diagnostics: str
    """A sentence: what ended it, and which container was the first to fail."""
    exit_code: int
    """
    0 after success; else the exit code of the first container that failed for good, or 1 where
    that one has none.
    """

    @classmethod
    def _from_proto(cls, message: application_pb2.ApplicationOutcome) -> ApplicationOutcome:
        from knit.v1 import application_pb2

        names = {v: n.removeprefix("FINAL_STATUS_") for n, v in application_pb2.FinalStatus.items()}
        return cls(
            final_status=FinalStatus(names.get(message.final_status, "UNKNOWN")),
            diagnostics=message.diagnostics,
            exit_code=message.exit_code,
        )


@attrs.frozen(kw_only=True)
class ApplicationDescription:
    """An application as its Application Master sees it."""

    application_id: str
    """YARN's identifier, `application_…`."""
    attempt_number: int
    """
    Which start of the Application Master this is, counted from 1. With one above 1 the
    application began anew at `start_time`, as it was submitted: containers that had been added
    are gone, and those that had been stopped run again.
    """
    state: ApplicationState
    """Where it is in its life."""
    outcome: ApplicationOutcome | None
    """How it ends. None while it is RUNNING."""
    start_time: datetime | None
    """When this Application Master registered with YARN."""
    name: str
    """The name it was submitted under."""
    services: Mapping[str, Service]
    """
    The services it was submitted with. Files have the URLs they were staged under, and the
    values of environments are empty, for they may be secret.
    """
    history_id: str = ""
    """
    Names what this Application Master remembers: another one for each attempt. Empty if it is
    older than that.
    """
    waiting_reasons: tuple[WaitingReason, ...] = ()
    """Why containers that are wanted have not been granted. Empty where none waits for long."""

    @classmethod
    def _from_proto(
        cls, message: application_service_pb2.GetApplicationResponse
    ) -> ApplicationDescription:
        outcome = message.outcome if message.HasField("outcome") else None
        return cls(
            application_id=message.application_id,
            attempt_number=message.attempt_number,
            state=ApplicationState(message.state),
            outcome=ApplicationOutcome._from_proto(outcome) if outcome is not None else None,
            start_time=to_datetime(message, "start_time"),
            name=message.spec.name,
            services={n: Service._from_proto(s) for n, s in sorted(message.spec.services.items())},
            history_id=message.history_id,
            waiting_reasons=tuple(map(WaitingReason._from_proto, message.waiting_reasons)),
        )


class Yarn(Protocol):
    """What a handle needs of the cluster; each call within its timeout."""

    def report(self, application_id: str, timeout: timedelta) -> ApplicationReport:
        """What the ResourceManager says."""

    def kill(self, application_id: str, timeout: timedelta) -> ApplicationReport:
        """Ends the application, waits until YARN says so, and removes its staging directory."""

    def address(self, report: ApplicationReport, timeout: timedelta) -> str | None:
        """Where the Application Master answers, `host:port`. None while it does not."""

    def archive(self, application_id: str) -> Archive:
        """Where its logs are once its Application Master has left."""

    def credentials(self, application_id: str, timeout: timedelta) -> ClientTls:
        """What the Application Master lets its clients in by."""


ContainerLike: TypeAlias = str | Container
"""A container, or its ID."""


class Application:
    """
    A handle on one application.

    It holds an ID and a connection, no state: every method asks. Calls to the Application Master
    wait for it to start, find it again where it was started anew, and are over by their
    deadline. Threads may share a handle. Leaving a `with` block closes the connection; it does
    not end the application.

    Handles come from `Client.submit` and `Client.application`.

    Raises:
        ApplicationNotRunningError: By every call to the Application Master, if it has left.
        ConnectionLostError: Likewise, if it does not answer.
        RpcTimeoutError: Likewise, if it does not answer in time.
    """

    def __init__(
        self,
        yarn: Yarn,
        application_id: str,
        *,
        tls: ClientTls | None = None,
        timeout: timedelta = timedelta(seconds=30),
    ) -> None:
        self._yarn = yarn
        self._application_id = application_id
        self._tls = tls
        self._timeout = timeout
        self._connection = Connection(self._locate)

    @property
    def application_id(self) -> str:
        """YARN's identifier, `application_…`."""
        return self._application_id

    def __repr__(self) -> str:
        return f"Application({self._application_id!r})"

    def __enter__(self) -> Application:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; the application goes on. Calling it again is safe."""
        self._connection.close()

    def report(self, *, timeout: timedelta | None = None) -> ApplicationReport:
        """
        Asks YARN about the application; works before, while and after it runs.

        Raises:
            ApplicationNotFoundError: YARN does not know it, or no longer.
        """
        return self._yarn.report(self._application_id, timeout or self._timeout)

    def connect(self, *, timeout: timedelta | None = None) -> ApplicationDescription:
        """
        Waits until the Application Master answers; every other call does so by itself.

        Raises:
            WaitTimeoutError: It has not started in time: the queue may be full.
            ApplicationNotRunningError: The application ended before.
        """
        return self.describe(timeout=timeout)

    def endpoint(self, *, timeout: timedelta | None = None) -> Endpoint:
        """
        Waits until the Application Master has an address, and says how any client reaches it.

        Raises:
            WaitTimeoutError: It has not started in time: the queue may be full.
            ApplicationNotRunningError: The application has ended.
        """
        from knit._endpoint import Endpoint

        return Endpoint._of(*self._locate(Deadline.after(timeout or self._timeout), 0))

    def describe(self, *, timeout: timedelta | None = None) -> ApplicationDescription:
        """Asks the Application Master what the application consists of and how it is doing."""
        from knit.v1 import application_service_pb2 as pb
        from knit.v1.application_service_pb2_grpc import ApplicationServiceStub

        response = self._call(
            lambda channel: ApplicationServiceStub(channel).GetApplication,
            pb.GetApplicationRequest(),
            f"Asking for {self._application_id}",
            timeout,
        )
        return ApplicationDescription._from_proto(response)

    def containers(
        self,
        *,
        services: Iterable[str] | None = None,
        states: Iterable[ContainerState] | None = None,
        timeout: timedelta | None = None,
    ) -> list[Container]:
        """
        Returns the containers, ended ones included, by service, rank and attempt number.

        Args:
            services: Only of these. Default: of all.
            states: Only in these. Default: in any.
            timeout: Default: the client's.

        Raises:
            ContainerNotFoundError: No service has one of the names.
        """
        from knit.v1 import container_pb2
        from knit.v1 import container_service_pb2 as pb
        from knit.v1.container_service_pb2_grpc import ContainerServiceStub

        request = pb.ListContainersRequest(
            service_names=_several("services", services),
            states=[container_pb2.ContainerState.ValueType(state) for state in states or ()],
        )
        response = self._call(
            lambda channel: ContainerServiceStub(channel).ListContainers,
            request,
            f"Listing the containers of {self._application_id}",
            timeout,
        )
        return [Container._from_proto(container, self) for container in response.containers]

    def add_containers(
        self,
        count: int,
        *,
        service: str | None = None,
        resources: Resources | None = None,
        environment: Mapping[str, str] | None = None,
        timeout: timedelta | None = None,
    ) -> list[Container]:
        """
        Adds containers to a service, at the ranks after its highest.

        It returns once the Application Master has taken note, before YARN has granted any. A
        broken connection is tried again; none is added twice.

        Args:
            count: How many, 1 or more.
            service: To which. May be left out if there is only one.
            resources: Their size. Default: the service's own.
            environment: Variables for these containers, over the service's own.
            timeout: Default: the client's.

        Raises:
            ContainerNotFoundError: No service has that name.
            InvalidRequestError: The count is not positive, or an environment name malformed.
            WrongStateError: The application is ending.
            ResourceExhaustedError: More than YARN grants to one container, or too many.
            SpecError: No service was named, and there are several.
        """
        from knit.v1 import container_service_pb2 as pb
        from knit.v1.container_service_pb2_grpc import ContainerServiceStub

        deadline = Deadline.after(timeout or self._timeout)
        request = pb.AddContainersRequest(
            service_name=service if service is not None else self._only_service(deadline),
            count=count,
            resource=resources._to_proto() if resources is not None else None,
            environment=environment or {},
            request_id=uuid.uuid4().hex,
        )
        response = self._call(
            lambda channel: ContainerServiceStub(channel).AddContainers,
            request,
            f"Adding containers to {self._application_id}",
            deadline.remaining,
        )
        return [Container._from_proto(container, self) for container in response.containers]

    def stop_containers(
        self,
        containers: ContainerLike | Iterable[ContainerLike],
        *,
        timeout: timedelta | None = None,
    ) -> list[Container]:
        """
        Stops containers: SIGTERM and soon after SIGKILL for a process, no more asking for one
        that YARN has not granted.

        It returns once the Application Master has taken note. They end STOPPED, are not
        restarted, and do not make the application fail. Calling it again is safe.

        Args:
            containers: One or several, each by its ID or as it was listed.
            timeout: Default: the client's.

        Returns:
            Each of them as it is now, STOPPING or in a final state.

        Raises:
            ContainerNotFoundError: The application never held one of them; none is stopped.
        """
        from knit.v1 import container_service_pb2 as pb
        from knit.v1.container_service_pb2_grpc import ContainerServiceStub

        request = pb.StopContainersRequest()
        for container in _containers(containers):
            if isinstance(container, str):
                request.container_ids.append(container)
            elif container.container_id is not None:
                request.container_ids.append(container.container_id)
            else:
                request.places.add(service_name=container.service, rank=container.rank)
        if not request.container_ids and not request.places:
            return []
        response = self._call(
            lambda channel: ContainerServiceStub(channel).StopContainers,
            request,
            f"Stopping containers of {self._application_id}",
            timeout,
        )
        return [Container._from_proto(container, self) for container in response.containers]

    def log_files(
        self, container: ContainerLike, *, timeout: timedelta | None = None
    ) -> list[LogFile]:
        """
        Returns the log files of a container and their lengths, by name.

        Works after the end, too, from the logs that YARN has collected by then.

        Raises:
            ContainerNotFoundError: The application never held it, or YARN has no logs of it.
            ConnectionLostError: Its node does not answer, or no longer has the logs.
            LogsUnavailableError: The application has ended, and its logs cannot be had.
        """
        from knit.v1 import log_service_pb2 as pb
        from knit.v1.log_service_pb2_grpc import LogServiceStub

        container_id = _container_id(container)
        what = f"Listing the log files of {container_id}"
        try:
            response = self._call(
                lambda channel: LogServiceStub(channel).ListLogFiles,
                pb.ListLogFilesRequest(container_id=container_id),
                what,
                timeout,
                repeatable=False,  # UNAVAILABLE is here the node's answer too
            )
        except (ApplicationNotRunningError, ApplicationNotFoundError, ConnectionLostError) as error:
            if isinstance(error, ConnectionLostError) and not _has_left(self.report()):
                raise
            logs = self._look_into_archive(error)
            if container_id not in logs.containers:
                raise ContainerNotFoundError(
                    f"{what}: YARN has no logs of it. {logs.incomplete_reason or 'Check the ID.'}"
                ) from error
            return logs.containers[container_id].files
        return [LogFile(file.name, file.size_bytes) for file in response.files]

    def logs(
        self,
        *,
        follow: bool = False,
        services: Iterable[str] | None = None,
        containers: ContainerLike | Iterable[ContainerLike] | None = None,
        files: Iterable[str] = ("stdout", "stderr"),
        tail_lines: int | None = None,
        timeout: timedelta | None = None,
    ) -> LogStream:
        """
        Reads log files, of an application that runs or of one that has ended.

        Nothing is sent before the stream is iterated. The Application Master's own logs are read
        only if its container is named, and only after the end.

        Args:
            follow: Whether to go on with what is written later. A file then ends with its
                container, and the stream with the last file; without `containers`, with the
                application, and containers that start later are included.
            services: Only of these. Default: of all.
            containers: Only of these. Default: of all that `services` allows.
            files: The names of the files.
            tail_lines: Begin with so many of the last lines of each file. Default: at its start.
            timeout: For the whole stream. Default: none, as it may last for days; an Application
                Master that no longer answers is noticed within a minute.

        Raises:
            ApplicationNotRunningError: A container in `containers` has not been granted yet.
        """
        from knit.v1 import log_service_pb2 as pb

        request = pb.StreamLogsRequest(
            container_ids=[_container_id(c) for c in _containers(containers or ())],
            service_names=_several("services", services),
            file_names=_several("files", files),
            follow=follow,
            tail_lines=tail_lines,
        )
        what = f"Reading the logs of {self._application_id}"
        deadline = Deadline.after(timeout) if timeout is not None else None
        return LogStream(
            functools.partial(self._open_logs, what, deadline),
            request,
            what=what,
            deadline=deadline,
            archive=functools.partial(self._yarn.archive, self._application_id),
        )

    def aggregated_logs(self, *, wait: timedelta | None = None) -> AggregatedLogs:
        """
        Returns the logs that YARN has collected, by container; it does so after the end.

        They are read from the cluster's file system as they are asked for, so the result is
        small, and can be used for as long as the cluster keeps the logs. `logs` reads the same
        as a stream, before the end too.

        Args:
            wait: How long to wait for the collection to be complete. Default: not at all. What
                is there by then is returned; `is_complete` says whether that is all.

        Raises:
            LogAggregationDisabledError: The cluster keeps no logs of ended applications.
            LogsNotFoundError: It has none of this one: it had no container, or they were deleted.
            LogFormatError: None of them can be read.
            AccessDeniedError: They may not be read by this user.
        """
        from knit._cluster.aggregated_logs import wait_until_settled

        return wait_until_settled(self._yarn.archive(self._application_id).look, wait)

    def stop(
        self,
        *,
        final_status: FinalStatus = FinalStatus.KILLED,
        diagnostics: str = "",
        timeout: timedelta | None = None,
    ) -> ApplicationOutcome:
        """
        Asks the Application Master to end the application.

        It returns before the containers have stopped; `wait` waits for the end. Calling it again
        is safe: the first outcome stands.

        Args:
            final_status: What YARN is told: SUCCEEDED, FAILED or KILLED.
            diagnostics: Why, in a sentence for people.
            timeout: Default: the client's.

        Returns:
            The outcome that stands.
        """
        if final_status not in (FinalStatus.SUCCEEDED, FinalStatus.FAILED, FinalStatus.KILLED):
            raise ValueError(
                f"An application cannot end {final_status.value}: say SUCCEEDED, FAILED or KILLED."
            )
        return self._shut_down(final_status, diagnostics, timeout or self._timeout)

    def release(self, *, timeout: timedelta | None = None) -> None:
        """
        Lets the Application Master of an application that has ended leave at once.

        It would otherwise stay a while for other clients. Whoever has read what they wanted may
        call it. It waits until the outcome was reported to YARN, if it is about to be; one that
        has left already is no error.

        Raises:
            WrongStateError: The application is still running; use `stop`.
            WaitTimeoutError: It has not ended in time.
        """
        deadline = Deadline.after(timeout or self._timeout)
        pause = pauses(0.02, 0.5)
        try:
            while (state := self.describe(timeout=deadline.remaining).state).name != "ENDED":
                if state == ApplicationState.RUNNING:
                    raise WrongStateError(
                        f"{self._application_id} is still running and cannot be released: "
                        "stop it first, or wait for its end."
                    )
                self._pause(next(pause), deadline, f"{self._application_id} to end; it is {state}")
            self._shut_down(FinalStatus.KILLED, "", deadline.remaining)
        except (ApplicationNotRunningError, ConnectionLostError, RpcTimeoutError):
            return  # it has left

    def kill(self, *, timeout: timedelta | None = None) -> ApplicationReport:
        """
        Has YARN end the application, and waits until it has; needs no Application Master.

        An application that has ended already stays as it is.

        Raises:
            WaitTimeoutError: It has not ended in time; YARN goes on trying.
        """
        return self._yarn.kill(self._application_id, timeout or self._timeout)

    def wait(
        self, *, timeout: timedelta | None = None, poll: timedelta | None = None
    ) -> ApplicationReport:
        """
        Waits until YARN says that the application has ended.

        It asks often at first, then every two seconds, and bears a ResourceManager that does not
        answer for a minute.

        Args:
            timeout: Default: none.
            poll: How long to wait between two questions, instead.

        Returns:
            The last report; `raise_for_status` of it fails unless all is well.

        Raises:
            WaitTimeoutError: It has not ended in time; it goes on.
        """
        deadline = Deadline.after(timeout) if timeout is not None else None
        pause = (
            pauses(poll.total_seconds(), poll.total_seconds()) if poll else pauses(0.1, 2.0, 1.2)
        )
        answered = time.monotonic()
        state = YarnState.UNKNOWN
        while True:
            try:
                report = self.report()
            except (ClusterUnreachableError, ClusterTimeoutError, StandbyError):
                if time.monotonic() - answered > RM_OUTAGE.total_seconds():
                    raise
            else:
                answered, state = time.monotonic(), report.state
                if state.is_final:
                    return report
            self._pause(
                next(pause), deadline, f"{self._application_id} to end; it is {state.value}"
            )

    @staticmethod
    def _pause(seconds: float, deadline: Deadline | None, what: str) -> None:
        if deadline is None:
            time.sleep(seconds)
            return
        if deadline.remaining_seconds == 0:
            raise WaitTimeoutError(
                f"Waited {deadline.total.total_seconds():g} s for {what}. Wait longer, or look "
                "at what it is doing: knit status, knit logs."
            )
        time.sleep(min(seconds, deadline.remaining_seconds))

    def _call(
        self,
        pick: Callable[[grpc.Channel], grpc.UnaryUnaryMultiCallable[_Q, _R]],
        request: _Q,
        what: str,
        timeout: timedelta | None,
        *,
        repeatable: bool = True,
    ) -> _R:
        return self._connection.call(
            pick, request, what=what, timeout=timeout or self._timeout, repeatable=repeatable
        )

    def _open_logs(
        self,
        what: str,
        deadline: Deadline | None,
        request: log_service_pb2.StreamLogsRequest,
        failures: int,
    ) -> ResponseStream[log_service_pb2.StreamLogsResponse]:
        from knit.v1.log_service_pb2_grpc import LogServiceStub

        def pick(
            channel: grpc.Channel,
        ) -> Callable[[], ResponseStream[log_service_pb2.StreamLogsResponse]]:
            timeout = None if deadline is None else max(0.001, deadline.remaining_seconds)
            return functools.partial(LogServiceStub(channel).StreamLogs, request, timeout=timeout)

        finding = Deadline.after(self._timeout) if deadline is None else deadline
        return self._connection.stream(pick, what=what, deadline=finding, failures=failures)

    def _look_into_archive(self, gone: KnitError) -> AggregatedLogs:
        """What YARN has collected, when the Application Master cannot be asked."""
        try:
            logs = self._yarn.archive(self._application_id).look()
        except LogsNotFoundError as error:
            if isinstance(gone, ApplicationNotFoundError):
                raise gone from error
            raise
        if not logs._has_ended:
            raise gone
        return logs

    def _shut_down(
        self, final_status: FinalStatus, diagnostics: str, timeout: timedelta
    ) -> ApplicationOutcome:
        from knit.v1 import application_pb2
        from knit.v1 import application_service_pb2 as pb
        from knit.v1.application_service_pb2_grpc import ApplicationServiceStub

        value = application_pb2.FinalStatus.Value(f"FINAL_STATUS_{final_status.value}")
        response = self._call(
            lambda channel: ApplicationServiceStub(channel).Shutdown,
            pb.ShutdownRequest(final_status=value, diagnostics=diagnostics),
            f"Stopping {self._application_id}",
            timeout,
        )
        return ApplicationOutcome._from_proto(response.outcome)

    def _only_service(self, deadline: Deadline) -> str:
        names = list(self.describe(timeout=deadline.remaining).services)
        if len(names) != 1:
            raise SpecError(
                f"{self._application_id} has several services: say to which of "
                f"{', '.join(names)} containers are to be added."
            )
        return names[0]

    def _locate(self, deadline: Deadline, failures: int) -> tuple[str, ClientTls]:
        """Waits until YARN knows where the Application Master is."""
        pause = pauses(0.05, 0.5, 1.3)
        while True:
            timeout = max(timedelta(seconds=1), deadline.remaining)
            report = self._yarn.report(self._application_id, timeout)
            # One that FINISHED stays a while to answer; what YARN calls FAILED or KILLED is gone.
            may_answer = report.state is YarnState.FINISHED and failures < (
                1 if _holds_nothing(report) else FAILURES_OF_ONE_THAT_LEAVES
            )
            if report.state.is_final and not may_answer:
                raise _not_running(report)
            address = self._yarn.address(report, timeout)
            if address is not None:
                if self._tls is None:
                    try:
                        self._tls = self._yarn.credentials(self._application_id, timeout)
                    except ApplicationNotFoundError as error:
                        if not report.state.is_final:
                            raise
                        raise _not_running(report) from error
                return address, self._tls
            if report.state.is_final:
                raise _not_running(report)
            state = report.state.value
            said = f" (YARN says: {report.diagnostics.strip()})" if report.diagnostics else ""
            self._pause(
                next(pause),
                deadline,
                f"the Application Master of {self._application_id} to start; the application is "
                f"{state} in the queue {report.queue}{said}",
            )


def _has_left(report: ApplicationReport) -> bool:
    """Whether YARN says that there is no Application Master any more."""
    return report.state.is_final and (
        report.state is not YarnState.FINISHED or _holds_nothing(report)
    )


def _holds_nothing(report: ApplicationReport) -> bool:
    """Whether YARN says that the last container has gone, and so the Application Master's."""
    return report.raw.get("runningContainers") == -1


def _not_running(report: ApplicationReport) -> ApplicationNotRunningError:
    how = report.state.value
    if report.state is YarnState.FINISHED:
        how = f"{how}, {report.final_status.value}"
    said = report.diagnostics.strip()
    return ApplicationNotRunningError(
        f"{report.application_id} has ended ({how}) and its Application Master has left"
        + (f": {said}" if said else ".")
    )


def _containers(value: ContainerLike | Iterable[ContainerLike]) -> list[ContainerLike]:
    return [value] if isinstance(value, (str, Container)) else list(value)


def _container_id(container: ContainerLike) -> str:
    if isinstance(container, str):
        return container
    if container.container_id is None:
        raise ApplicationNotRunningError(
            f"{container.service}.{container.rank} has no logs yet: YARN has not granted the "
            "container."
        )
    return container.container_id


def _several(name: str, value: Iterable[str] | None) -> list[str]:
    if isinstance(value, str):
        raise SpecError(f"{name} is the text {value!r}: give a list of names.")
    return list(value or ())
