"""A handle on one application, running or ended."""

from __future__ import annotations

import functools
import logging
import math
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from knit._channel import Connection, ResponseStream, Stubs
from knit._container import Container
from knit._locating import Locator, Yarn, has_left, waited
from knit._logs import LogStream
from knit._tls import ClientTls
from knit._values.applications import ApplicationDescription, ApplicationOutcome, ApplicationState
from knit._values.containers import ContainerState
from knit._values.deadlines import Deadline, Pause, pauses
from knit._values.logs import LogFile
from knit._values.reports import ApplicationReport
from knit._values.states import FinalStatus, YarnState
from knit.exceptions import (
    CLUSTER_SILENCE,
    ApplicationNotFoundError,
    ApplicationNotRunningError,
    ClusterError,
    ConnectionLostError,
    ContainerNotFoundError,
    HistoryLostError,
    InvalidRequestError,
    KnitError,
    LogsNotFoundError,
    LogsUnavailableError,
    PositionOutOfRangeError,
    RpcTimeoutError,
    SpecError,
    WrongStateError,
)

if TYPE_CHECKING:
    import grpc
    from google.protobuf.message import Message

    from knit._archived_logs import Archive
    from knit._cluster.logs import AggregatedLogs
    from knit._endpoint import Endpoint
    from knit._values.resources import Resources
    from knit.v1 import log_service_pb2

_Q = TypeVar("_Q", bound="Message")
_R = TypeVar("_R")
_log = logging.getLogger("knit")


ContainerLike: TypeAlias = str | Container
"""A container, or its ID."""


class Application:
    """
    A handle on one application.

    It holds an ID and a connection, no state: every method asks. Calls to the Application Master
    wait for it to start, find it again where it was started anew, and are over by their
    deadline; within it they bear a cluster that does not answer for a while. Threads may share a
    handle, and so may forked processes.

    Handles come from `Client.submit` and `Client.application`. Leaving a `with` block closes the
    connection, and the application goes on; but the block of a handle from `submit` that is left
    by an exception, `KeyboardInterrupt` included, kills the application.

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
        kill_on_error: bool = False,
    ) -> None:
        self._yarn = yarn
        self._application_id = application_id
        self._timeout = timeout
        self._kill_on_error = kill_on_error
        self._locator = Locator(yarn, application_id, tls=tls, timeout=timeout)
        self._connection = Connection(self._locator.master)

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
        try:
            if kind is not None and self._kill_on_error:
                self._give_up()
        finally:
            self.close()

    def _give_up(self) -> None:
        """Ends the application, for its submitter's program has failed or was interrupted."""
        try:
            self.kill()
        except KnitError as error:
            # What made us leave says more, and is under way already.
            _log.warning(
                "%s was to be killed, for its with block was left by an exception, and may still "
                "run: %s Kill it: knit kill %s",
                self._application_id,
                error.message,
                self._application_id,
            )

    def close(self) -> None:
        """Closes the connection; the application goes on. Calling it again is safe."""
        self._connection.close()

    def report(self, *, timeout: timedelta | None = None) -> ApplicationReport:
        """
        Asks YARN about the application; works before, while and after it runs.

        Raises:
            ApplicationNotFoundError: YARN does not know it, or no longer.
        """
        return self._yarn.report(self._application_id, self._within(timeout).total)

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

        return Endpoint._of(*self._locator.master(self._within(timeout), 0, time.sleep))

    def describe(self, *, timeout: timedelta | None = None) -> ApplicationDescription:
        """Asks the Application Master what the application consists of and how it is doing."""
        return self._describe(self._within(timeout))

    def _describe(self, deadline: Deadline) -> ApplicationDescription:
        from knit.v1 import application_service_pb2 as pb

        response = self._call(
            lambda stubs: stubs.application.GetApplication,
            pb.GetApplicationRequest(),
            f"Asking for {self._application_id}",
            deadline,
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

        They come in pages, each of which is consistent in itself: of thousands, the last are as
        they were a moment later than the first.

        Works after the end, too, from what the Application Master wrote down and YARN has
        collected; that is waited for, as long as the timeout allows. Then all attempts of the
        Application Master are listed, by service, rank, `application_attempt` and attempt number.

        Args:
            services: Only of these. Default: of all.
            states: Only in these. Default: in any.
            timeout: Default: the client's.

        Raises:
            ContainerNotFoundError: No service has one of the names.
            ApplicationNotRunningError: It has ended, and nothing is known of its containers.
        """
        deadline = self._within(timeout)
        names, kinds = _several("services", services), list(states or ())
        try:
            return self._list(names, kinds, deadline)
        except (ApplicationNotRunningError, ApplicationNotFoundError, ConnectionLostError) as error:
            if not self._is_gone(error):
                raise
            return self._list_recorded(names, kinds, deadline, error)

    def _list(
        self, services: list[str], states: list[ContainerState], deadline: Deadline
    ) -> list[Container]:
        """The containers as the Application Master lists them."""
        from knit.v1 import container_pb2
        from knit.v1 import container_service_pb2 as pb

        request = pb.ListContainersRequest(
            service_names=services,
            states=[container_pb2.ContainerState.ValueType(state) for state in states],
        )
        found: list[Container] = []
        history_id = ""
        while True:
            try:
                page = self._call(
                    lambda stubs: stubs.containers.ListContainers,
                    request,
                    f"Listing the containers of {self._application_id}",
                    deadline,
                )
            except InvalidRequestError:
                if not request.page_token:
                    raise
                # Another Application Master does not know the page: from the beginning.
                request.page_token, found = "", []
                continue
            if request.page_token and page.history_id != history_id:
                request.page_token, found = "", []
                continue
            history_id = page.history_id
            found += (Container._from_proto(container, self) for container in page.containers)
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return found

    def _list_recorded(
        self,
        services: list[str],
        states: list[ContainerState],
        deadline: Deadline,
        gone: KnitError,
    ) -> list[Container]:
        """The containers as they were written down, once that is collected."""
        archive, steps = self._yarn.archive(self._application_id), pauses(0.2, 2.0, 1.5)
        try:
            logs = self._look_into_archive(gone, archive)
            while not (
                logs._is_settled
                or any(record.has_outcome for record in logs._records)
                or deadline.is_over
            ):
                time.sleep(min(next(steps), deadline.remaining_seconds))
                logs = self._look_into_archive(gone, archive)
        except LogsUnavailableError as error:
            raise type(gone)(f"{gone.message} {error.message}") from error
        if not logs._records:
            why = logs.incomplete_reason or "Its Application Master left no record of them."
            raise type(gone)(f"{gone.message} Its containers are not known any more: {why}")
        if any(record.is_truncated for record in logs._records):
            _log.warning(
                "%s had more containers than its Application Master wrote down: some are missing.",
                self._application_id,
            )
        found = [
            Container._from_record(container, record.attempt_number, self)
            for record in logs._records
            for container in record.containers
        ]
        known = {container.service for container in found}
        if unknown := ", ".join(sorted(set(services) - known)):
            raise ContainerNotFoundError(
                f"{self._application_id} had no containers of {unknown}. It had some of "
                f"{', '.join(sorted(known))}."
            )
        found.sort(key=lambda c: (c.service, c.rank, c.application_attempt or 0, c.attempt_number))
        return [
            container
            for container in found
            if (not services or container.service in services)
            and (not states or container.state in states)
        ]

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
        broken connection is tried again, and none is added twice: where the Application Master
        is replaced meanwhile, the other one, which knows nothing of it, is not asked again.

        Args:
            count: How many, 1 to 10,000.
            service: To which. May be left out if there is only one.
            resources: Their size. Default: the service's own.
            environment: Variables for these containers, over the service's own.
            timeout: Default: the client's.

        Raises:
            ContainerNotFoundError: No service has that name.
            InvalidRequestError: The count is out of range, or an environment name malformed.
            HistoryLostError: The Application Master was replaced, after it may have added them.
            WrongStateError: The application is ending.
            ResourceExhaustedError: More than YARN grants to one container, or too many.
            SpecError: No service was named, and there are several.
        """
        from knit.v1 import container_service_pb2 as pb

        deadline = self._within(timeout)
        description = self._describe(deadline)
        request = pb.AddContainersRequest(
            service_name=_only_service(description) if service is None else service,
            count=count,
            resource=resources._to_proto() if resources is not None else None,
            environment=environment or {},
            request_id=uuid.uuid4().hex,
            history_id=description.history_id,
        )
        what = f"Adding containers to {self._application_id}"
        try:
            response = self._call(
                lambda stubs: stubs.containers.AddContainers,
                request,
                what,
                deadline,
            )
        except PositionOutOfRangeError as error:
            raise HistoryLostError(
                f"{what}: its Application Master was replaced meanwhile, and the application "
                "began anew. The containers may have been added before that, and are then gone "
                "with it. List the containers, then decide."
            ) from error
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
            lambda stubs: stubs.containers.StopContainers,
            request,
            f"Stopping containers of {self._application_id}",
            self._within(timeout),
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

        container_id = _container_id(container)
        what = f"Listing the log files of {container_id}"
        try:
            response = self._call(
                lambda stubs: stubs.logs.ListLogFiles,
                pb.ListLogFilesRequest(container_id=container_id),
                what,
                self._within(timeout),
                repeatable=False,  # UNAVAILABLE is here the node's answer too
            )
        except (ApplicationNotRunningError, ApplicationNotFoundError, ConnectionLostError) as error:
            if not self._is_gone(error):
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
                Master that no longer answers is noticed within a minute, and looked for as long
                as the application lives.

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
        deadline = Deadline.never() if timeout is None else Deadline.after(timeout)
        return LogStream(
            functools.partial(self._open_logs, what, deadline),
            request,
            what=what,
            deadline=deadline,
            archive=functools.partial(self._yarn.archive, self._application_id),
            has_left=self._locator.has_left,
            address=lambda: self._connection.address,
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
        from knit._cluster.logs import wait_until_settled

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
        return self._shut_down(final_status, diagnostics, self._within(timeout))

    def release(self, *, timeout: timedelta | None = None) -> None:
        """
        Lets the Application Master of an application that has ended leave at once.

        It would otherwise stay a while for other clients. Whoever has read what they wanted may
        call it. It waits until YARN has taken note of the outcome, if it is about to; one that
        has left already is no error.

        Raises:
            WrongStateError: The application is still running; use `stop`.
            WaitTimeoutError: It has not ended in time.
        """
        deadline = self._within(timeout)
        steps = pauses(0.02, 0.5)
        try:
            while (state := self._describe(deadline).state) is not ApplicationState.ENDED:
                if state is ApplicationState.RUNNING:
                    raise WrongStateError(
                        f"{self._application_id} is still running and cannot be released: "
                        "stop it first, or wait for its end."
                    )
                if deadline.is_over:
                    raise waited(deadline, f"{self._application_id} to end; it is {state}")
                time.sleep(min(next(steps), deadline.remaining_seconds))
            self._shut_down(FinalStatus.KILLED, "", deadline)
        except ApplicationNotRunningError:
            return  # it has left
        except (ConnectionLostError, RpcTimeoutError):
            # Gone, or only out of reach: YARN knows.
            if not self._locator.look(deadline, time.sleep).state.is_final:
                raise

    def kill(self, *, timeout: timedelta | None = None) -> ApplicationReport:
        """
        Has YARN end the application, and waits until it has; needs no Application Master.

        An application that has ended already stays as it is.

        Args:
            timeout: For the end to come; a second at least, in which it is asked for. Default:
                the client's.

        Raises:
            WaitTimeoutError: It has not ended in time; YARN goes on trying.
        """
        return self._locator.kill(self._within(timeout), time.sleep)

    def wait(
        self, *, timeout: timedelta | None = None, poll: timedelta | None = None
    ) -> ApplicationReport:
        """
        Waits until YARN says that the application has ended.

        It asks often at first, then every two seconds. It bears a ResourceManager that does not
        answer, as while it restarts or fails over, for a quarter of an hour, and says so in the
        log (`knit`).

        Args:
            timeout: Zero asks once. Default: none.
            poll: How long to wait between two questions, instead.

        Returns:
            The last report; `raise_for_status` of it fails unless all is well.

        Raises:
            WaitTimeoutError: It has not ended in time; it goes on.
        """
        deadline = Deadline.never() if timeout is None else Deadline.after(timeout)
        steps = (
            pauses(poll.total_seconds(), poll.total_seconds()) if poll else pauses(0.1, 2.0, 1.2)
        )
        state = YarnState.UNKNOWN
        while True:
            what = f"{self._application_id} to end"
            try:
                report = self._locator.look(deadline, time.sleep, from_the_start=True)
            except CLUSTER_SILENCE as error:
                if not deadline.is_over:
                    raise
                raise waited(deadline, f"{what}; it was {state.value}. {error.message}") from error
            state = report.state
            if state.is_final:
                return report
            if deadline.is_over:
                raise waited(deadline, f"{what}; it is {state.value}")
            time.sleep(min(next(steps), deadline.remaining_seconds))

    def _within(self, timeout: timedelta | None) -> Deadline:
        return Deadline.of(timeout, default=self._timeout)

    def _call(
        self,
        pick: Callable[[Stubs], grpc.UnaryUnaryMultiCallable[_Q, _R]],
        request: _Q,
        what: str,
        deadline: Deadline,
        *,
        repeatable: bool = True,
    ) -> _R:
        return self._connection.call(
            pick, request, what=what, deadline=deadline, repeatable=repeatable
        )

    def _open_logs(
        self,
        what: str,
        deadline: Deadline,
        request: log_service_pb2.StreamLogsRequest,
        failures: int,
        lost: KnitError | None,
        pause: Pause,
    ) -> ResponseStream[log_service_pb2.StreamLogsResponse]:

        def pick(stubs: Stubs) -> Callable[[], ResponseStream[log_service_pb2.StreamLogsResponse]]:
            left = deadline.remaining_seconds
            timeout = None if left == math.inf else max(0.001, left)
            return functools.partial(stubs.logs.StreamLogs, request, timeout=timeout)

        return self._connection.stream(
            pick, what=what, deadline=deadline, failures=failures, lost=lost, pause=pause
        )

    def _is_gone(self, error: KnitError) -> bool:
        """Whether the Application Master has left, rather than being out of reach."""
        if not isinstance(error, ConnectionLostError):
            return True
        try:
            return has_left(self.report())
        except ClusterError:
            return False

    def _look_into_archive(self, gone: KnitError, archive: Archive | None = None) -> AggregatedLogs:
        """What YARN has collected, when the Application Master cannot be asked."""
        try:
            logs = (archive or self._yarn.archive(self._application_id)).look()
        except LogsNotFoundError as error:
            if isinstance(gone, ApplicationNotFoundError):
                raise gone from error
            raise
        if not logs._has_ended:
            raise gone
        return logs

    def _shut_down(
        self, final_status: FinalStatus, diagnostics: str, deadline: Deadline
    ) -> ApplicationOutcome:
        from knit.v1 import application_pb2
        from knit.v1 import application_service_pb2 as pb

        value = application_pb2.FinalStatus.Value(f"FINAL_STATUS_{final_status.value}")
        response = self._call(
            lambda stubs: stubs.application.Shutdown,
            pb.ShutdownRequest(final_status=value, diagnostics=diagnostics),
            f"Stopping {self._application_id}",
            deadline,
        )
        return ApplicationOutcome._from_proto(response.outcome)


def _only_service(description: ApplicationDescription) -> str:
    names = list(description.services)
    if len(names) != 1:
        raise SpecError(
            f"{description.application_id} has several services: say to which of "
            f"{', '.join(names)} containers are to be added."
        )
    return names[0]


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
