"""The contract as the fake Application Master of `knit.testing` fulfils it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, NoReturn, TypeVar

import attrs
import grpc

from knit.testing._faults import Fault
from knit.testing._state import FakeState
from knit.v1 import (
    application_pb2,
    application_service_pb2,
    application_service_pb2_grpc,
    container_pb2,
    container_service_pb2,
    container_service_pb2_grpc,
    log_service_pb2,
    log_service_pb2_grpc,
)

PAGE_CONTAINERS = 1000
"""So many containers are listed at once, at most."""

_LARGEST_COUNT = 10_000
_MOST_FILES = 32
_LONGEST_REQUEST_ID = 256
_R = TypeVar("_R")


def add_services(server: grpc.Server, state: FakeState, chunk_bytes: int) -> None:
    """Registers what an Application Master serves."""
    application_service_pb2_grpc.add_ApplicationServiceServicer_to_server(
        _ApplicationService(state),  # type: ignore[abstract]
        server,
    )
    container_service_pb2_grpc.add_ContainerServiceServicer_to_server(
        _ContainerService(state),  # type: ignore[abstract]
        server,
    )
    log_service_pb2_grpc.add_LogServiceServicer_to_server(_LogService(state, chunk_bytes), server)


def _abort(context: grpc.ServicerContext, code: grpc.StatusCode, details: str) -> NoReturn:
    context.abort(code, details)
    raise AssertionError("abort raises")


def _fail(context: grpc.ServicerContext, fault: Fault) -> None:
    if fault.status is not None:
        _abort(context, grpc.StatusCode[fault.status], "The fake was told to fail.")


def _answer(state: FakeState, context: grpc.ServicerContext, name: str, do: Callable[[], _R]) -> _R:
    """Does what a call asks for, unless a fault is due."""
    with state.changed:
        state.calls.append(name)
    fault = state.take_fault(name) or Fault()
    time.sleep(fault.delay.total_seconds())
    if not fault.done_first:
        _begin_anew(state, fault)
        _fail(context, fault)
    with state.changed:
        answer = do()
    _begin_anew(state, fault)
    _fail(context, fault)
    return answer


def _begin_anew(state: FakeState, fault: Fault) -> None:
    if fault.restarts:
        state.begin_anew()


@attrs.frozen
class _ApplicationService(application_service_pb2_grpc.ApplicationServiceServicer):
    _state: FakeState

    def GetApplication(  # noqa: N802
        self,
        request: application_service_pb2.GetApplicationRequest,
        context: grpc.ServicerContext,
    ) -> application_service_pb2.GetApplicationResponse:
        def do() -> application_service_pb2.GetApplicationResponse:
            outcome = self._state.outcome()
            application = application_pb2.Application(
                application_id=self._state.application_id,
                attempt_number=self._state.attempt_number,
                state=_state_after(outcome),
                outcome=outcome,
            )
            application.start_time.FromDatetime(self._state.start_time)
            return application_service_pb2.GetApplicationResponse(
                application=application,
                spec=self._state.spec,
                history_id=self._state.history_id,
                waiting_reasons=self._state.waiting,
            )

        return _answer(self._state, context, "GetApplication", do)

    def Shutdown(  # noqa: N802
        self, request: application_service_pb2.ShutdownRequest, context: grpc.ServicerContext
    ) -> application_service_pb2.ShutdownResponse:
        def do() -> application_service_pb2.ShutdownResponse:
            if self._state.outcome() is not None:
                self._state.was_released = True
            status = request.final_status or application_pb2.FINAL_STATUS_KILLED
            if status not in application_pb2.FinalStatus.values():
                _abort(context, grpc.StatusCode.INVALID_ARGUMENT, "final_status is not known.")
            succeeded = status == application_pb2.FINAL_STATUS_SUCCEEDED
            name = application_pb2.FinalStatus.Name(status)
            self._state.end(name, request.diagnostics, 0 if succeeded else 1)
            outcome = self._state.outcome()
            return application_service_pb2.ShutdownResponse(
                state=_state_after(outcome), outcome=outcome
            )

        return _answer(self._state, context, "Shutdown", do)


def _state_after(
    outcome: application_pb2.ApplicationOutcome | None,
) -> application_pb2.ApplicationState.ValueType:
    if outcome is None:
        return application_pb2.APPLICATION_STATE_RUNNING
    return application_pb2.APPLICATION_STATE_ENDED


class _Place(NamedTuple):
    """Where a container stands in a list."""

    service: str
    rank: int
    attempt_number: int


def _place(container: container_pb2.Container) -> _Place:
    return _Place(container.service_name, container.rank, container.attempt_number)


def _page_start(token: str, history_id: str, context: grpc.ServicerContext) -> _Place:
    try:
        history, *place = json.loads(token)
    except ValueError:
        history, place = None, []
    if history != history_id:
        _abort(context, grpc.StatusCode.INVALID_ARGUMENT, "page_token is none of this call's.")
    return _Place(*place)


@attrs.frozen
class _ContainerService(container_service_pb2_grpc.ContainerServiceServicer):
    _state: FakeState

    def ListContainers(  # noqa: N802
        self, request: container_service_pb2.ListContainersRequest, context: grpc.ServicerContext
    ) -> container_service_pb2.ListContainersResponse:
        def do() -> container_service_pb2.ListContainersResponse:
            _check_services(self._state, context, request.service_names)
            if request.page_size < 0:
                _abort(context, grpc.StatusCode.INVALID_ARGUMENT, "page_size is negative.")
            size = min(request.page_size or PAGE_CONTAINERS, PAGE_CONTAINERS)
            history_id, after = self._state.history_id, _Place("", 0, 0)
            if request.page_token:
                after = _page_start(request.page_token, history_id, context)
            page = [
                container
                for container in self._state.containers()
                if not request.service_names or container.service_name in request.service_names
                if not request.states or container.state in request.states
                if _place(container) > after
            ]
            return container_service_pb2.ListContainersResponse(
                containers=page[:size],
                next_page_token=(
                    json.dumps([history_id, *_place(page[size - 1])]) if page[size:] else ""
                ),
                history_id=history_id,
            )

        return _answer(self._state, context, "ListContainers", do)

    def AddContainers(  # noqa: N802
        self, request: container_service_pb2.AddContainersRequest, context: grpc.ServicerContext
    ) -> container_service_pb2.AddContainersResponse:
        def do() -> container_service_pb2.AddContainersResponse:
            _check_services(self._state, context, [request.service_name])
            if not 1 <= request.count <= _LARGEST_COUNT:
                _abort(context, grpc.StatusCode.INVALID_ARGUMENT, "count is not 1 to 10,000.")
            if len(request.request_id.encode()) > _LONGEST_REQUEST_ID:
                _abort(context, grpc.StatusCode.INVALID_ARGUMENT, "request_id is too long.")
            if request.history_id not in ("", self._state.history_id):
                _abort(
                    context,
                    grpc.StatusCode.OUT_OF_RANGE,
                    "This Application Master knows nothing of that history.",
                )
            if self._state.outcome() is not None:
                _abort(context, grpc.StatusCode.FAILED_PRECONDITION, "The application is ending.")
            sized = None
            if request.HasField("resource"):
                sized = container_pb2.Container(resource=request.resource)
            added = self._state.add(request.service_name, request.count, sized, request.request_id)
            return container_service_pb2.AddContainersResponse(containers=added)

        return _answer(self._state, context, "AddContainers", do)

    def StopContainers(  # noqa: N802
        self, request: container_service_pb2.StopContainersRequest, context: grpc.ServicerContext
    ) -> container_service_pb2.StopContainersResponse:
        def do() -> container_service_pb2.StopContainersResponse:
            if not request.container_ids and not request.places:
                _abort(context, grpc.StatusCode.INVALID_ARGUMENT, "No container was named.")
            if len(request.container_ids) + len(request.places) > _LARGEST_COUNT:
                _abort(context, grpc.StatusCode.INVALID_ARGUMENT, "More than 10,000 were named.")
            found = [self._state.find(container_id) for container_id in request.container_ids]
            found += [self._state.find_place(p.service_name, p.rank) for p in request.places]
            known = [container for container in found if container is not None]
            if len(known) != len(found):
                _abort(
                    context,
                    grpc.StatusCode.NOT_FOUND,
                    "The application never held one of these containers.",
                )
            return container_service_pb2.StopContainersResponse(containers=self._state.stop(known))

        return _answer(self._state, context, "StopContainers", do)


@attrs.frozen
class _LogService(log_service_pb2_grpc.LogServiceServicer):
    _state: FakeState
    _chunk_bytes: int

    def ListLogFiles(  # noqa: N802
        self, request: log_service_pb2.ListLogFilesRequest, context: grpc.ServicerContext
    ) -> log_service_pb2.ListLogFilesResponse:
        def do() -> log_service_pb2.ListLogFilesResponse:
            _check_containers(self._state, context, [request.container_id])
            sizes = self._state.log_sizes(request.container_id)
            return log_service_pb2.ListLogFilesResponse(
                files=[log_service_pb2.LogFile(name=n, size_bytes=s) for n, s in sizes.items()]
            )

        return _answer(self._state, context, "ListLogFiles", do)

    def StreamLogs(  # noqa: N802
        self, request: log_service_pb2.StreamLogsRequest, context: grpc.ServicerContext
    ) -> Iterator[log_service_pb2.StreamLogsResponse]:
        state = self._state
        with state.changed:
            state.calls.append("StreamLogs")
            state.open_streams += 1
        context.add_callback(state.interrupt)  # a waiting stream sees that its client has left
        try:
            fault = state.take_fault("StreamLogs") or Fault()
            time.sleep(fault.delay.total_seconds())
            left = fault.after_bytes if fault.status is not None else None
            for response in self._responses(request, context):
                chunk = response.chunk
                if left is not None and len(chunk.data) > left:
                    if left:
                        part = log_service_pb2.StreamLogsResponse()
                        part.CopyFrom(response)
                        part.chunk.data = chunk.data[:left]
                        self._count(left)
                        yield part
                    _fail(context, fault)
                if left is not None:
                    left -= len(chunk.data)
                self._count(len(chunk.data))
                yield response
            _fail(context, fault)
        finally:
            with state.changed:
                state.open_streams -= 1

    def _count(self, sent: int) -> None:
        with self._state.changed:
            self._state.sent_bytes += sent

    def _responses(
        self, request: log_service_pb2.StreamLogsRequest, context: grpc.ServicerContext
    ) -> Iterator[log_service_pb2.StreamLogsResponse]:
        state, interruptions = self._state, self._state.interruptions
        _check_containers(state, context, request.container_ids)
        _check_services(state, context, request.service_names)
        names = list(request.file_names) or ["stdout", "stderr"]
        if request.tail_lines < 0 or len(names) > _MOST_FILES or any("/" in n for n in names):
            _abort(context, grpc.StatusCode.INVALID_ARGUMENT, "tail_lines or a file is malformed.")
        known_at_first = {c.container_id for c in state.containers()}
        files: dict[tuple[str, str], _File] = {}
        given = {(p.container_id, p.file_name): p.offset_bytes for p in request.positions}
        while context.is_active() and interruptions == state.interruptions:
            progress = False
            for container in self._wanted(request):
                for name in names:
                    key = (container.container_id, name)
                    if key not in files:
                        start = given.get(key)
                        if start is None:
                            tail = request.HasField("tail_lines") and key[0] in known_at_first
                            start = self._tail(*key, request.tail_lines) if tail else 0
                        files[key] = _File(container, name, start, state.cuts(*key))
                        if request.HasField("tail_lines") and key not in given:
                            yield files[key].beginning()
                    for response in self._advance(files[key], context, follow=request.follow):
                        progress = True
                        yield response
            if progress:
                continue
            with state.changed:
                done = all(file.ended for file in files.values())
                later = request.follow and not request.container_ids and state.outcome() is None
                if done and not later:
                    return
                # Nothing is missed in between: whatever changes wakes, and else it looks again.
                state.changed.wait(timeout=0.05)
        if context.is_active():
            _abort(context, grpc.StatusCode.UNAVAILABLE, "The Application Master is leaving.")

    def _wanted(self, request: log_service_pb2.StreamLogsRequest) -> list[container_pb2.Container]:
        return [
            container
            for container in self._state.containers()
            if container.container_id
            if not request.container_ids or container.container_id in request.container_ids
            if not request.service_names or container.service_name in request.service_names
        ]

    def _tail(self, container_id: str, name: str, lines: int) -> int:
        log = self._state.log(container_id, name)
        parts = log.splitlines(keepends=True)
        return len(log) - sum(map(len, parts[len(parts) - min(lines, len(parts)) :]))

    def _advance(
        self, file: _File, context: grpc.ServicerContext, *, follow: bool
    ) -> Iterator[log_service_pb2.StreamLogsResponse]:
        """The next chunk of a file, or its end."""
        if file.ended:
            return
        container_id = file.container.container_id
        cuts = self._state.cuts(container_id, file.name)
        if cuts != file.cuts:
            file.cuts, file.offset = cuts, 0
            beginning = file.beginning()
            beginning.begin.is_cut = True
            yield beginning
        over = self._state.is_over(container_id)
        data, size = self._state.log_part(container_id, file.name, file.offset, self._chunk_bytes)
        if file.offset > size and over:
            _abort(
                context,
                grpc.StatusCode.OUT_OF_RANGE,
                f"{file.name} of {container_id} ends at {size}, before {file.offset}.",
            )
        response = log_service_pb2.StreamLogsResponse()
        if data:
            file.describe(response.chunk)
            response.chunk.data = data
            file.offset += len(data)
            yield response
        elif over or not follow:
            file.describe(response.end)
            response.end.incomplete_reason = self._state.lost_logs.get(container_id, "")
            file.ended = True
            yield response


@attrs.define
class _File:
    """How far a stream is with one log file."""

    container: container_pb2.Container
    name: str
    offset: int
    cuts: int
    ended: bool = False

    def beginning(self) -> log_service_pb2.StreamLogsResponse:
        response = log_service_pb2.StreamLogsResponse()
        self.describe(response.begin)
        return response

    def describe(
        self,
        message: log_service_pb2.LogBegin | log_service_pb2.LogChunk | log_service_pb2.LogEnd,
    ) -> None:
        message.container_id = self.container.container_id
        message.service_name = self.container.service_name
        message.rank = self.container.rank
        message.attempt_number = self.container.attempt_number
        message.file_name = self.name
        message.offset_bytes = self.offset


def _check_services(state: FakeState, context: grpc.ServicerContext, names: Iterable[str]) -> None:
    for name in names:
        if name not in state.spec.services:
            _abort(context, grpc.StatusCode.NOT_FOUND, f"There is no service {name!r}.")


def _check_containers(
    state: FakeState, context: grpc.ServicerContext, container_ids: Iterable[str]
) -> None:
    for container_id in container_ids:
        if not container_id or state.find(container_id) is None:
            _abort(context, grpc.StatusCode.NOT_FOUND, f"There never was {container_id!r}.")
