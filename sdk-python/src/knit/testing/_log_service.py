"""Log files, as the fake Application Master of `knit.testing` sends them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import attrs
import grpc

from knit.testing._calls import abort, answer, check_containers, check_services, fail, refusing
from knit.testing._faults import Fault
from knit.testing._refusals import Refusal, invalid
from knit.testing._roles import caller_of, refuse_unless_allowed
from knit.testing._state import FakeState
from knit.v1 import container_pb2, log_service_pb2, log_service_pb2_grpc

_MOST_FILES = 32


@attrs.frozen
class LogService(log_service_pb2_grpc.LogServiceServicer):
    _state: FakeState
    _chunk_bytes: int

    def ListLogFiles(  # noqa: N802
        self, request: log_service_pb2.ListLogFilesRequest, context: grpc.ServicerContext
    ) -> log_service_pb2.ListLogFilesResponse:
        def do() -> log_service_pb2.ListLogFilesResponse:
            check_containers(self._state, [request.container_id])
            logs = self._state.logs
            is_removed = request.container_id in logs.collected
            sizes = {} if is_removed else logs.sizes(request.container_id)
            return log_service_pb2.ListLogFilesResponse(
                files=[log_service_pb2.LogFile(name=n, size_bytes=s) for n, s in sizes.items()]
            )

        return answer(self._state, context, "ListLogFiles", do)

    @refusing
    def StreamLogs(  # noqa: N802
        self, request: log_service_pb2.StreamLogsRequest, context: grpc.ServicerContext
    ) -> Iterator[log_service_pb2.StreamLogsResponse]:
        state = self._state
        with state.changed:
            state.calls.append("StreamLogs")
            state.open_streams += 1
        context.add_callback(state.interrupt)  # a waiting stream sees that its client has left
        try:
            refuse_unless_allowed(caller_of(state, context), "StreamLogs")
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
                    fail(context, fault)
                if left is not None:
                    left -= len(chunk.data)
                self._count(len(chunk.data))
                yield response
            fail(context, fault)
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
        check_containers(state, request.container_ids)
        check_services(state, request.service_names)
        names = list(request.file_names) or ["stdout", "stderr"]
        if request.tail_lines < 0 or len(names) > _MOST_FILES or any("/" in n for n in names):
            raise invalid("tail_lines or a file is malformed.")
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
                        is_there = key[0] not in state.logs.collected
                        if start is None:
                            tail = request.HasField("tail_lines") and key[0] in known_at_first
                            tail = tail and is_there
                            start = self._tail(*key, request.tail_lines) if tail else 0
                        files[key] = _File(container, name, start, state.logs.cuts(*key))
                        if request.HasField("tail_lines") and key not in given and is_there:
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
            abort(context, grpc.StatusCode.UNAVAILABLE, "The Application Master is leaving.")

    def _wanted(self, request: log_service_pb2.StreamLogsRequest) -> list[container_pb2.Container]:
        return [
            container
            for container in self._state.containers()
            if container.container_id
            if not request.container_ids or container.container_id in request.container_ids
            if not request.service_names or container.service_name in request.service_names
        ]

    def _tail(self, container_id: str, name: str, lines: int) -> int:
        log = self._state.logs.whole(container_id, name)
        parts = log.splitlines(keepends=True)
        return len(log) - sum(map(len, parts[len(parts) - min(lines, len(parts)) :]))

    def _advance(
        self, file: _File, context: grpc.ServicerContext, *, follow: bool
    ) -> Iterator[log_service_pb2.StreamLogsResponse]:
        """The next chunk of a file, or its end."""
        if file.ended:
            return
        container_id = file.container.container_id
        cuts = self._state.logs.cuts(container_id, file.name)
        if cuts != file.cuts:
            file.cuts, file.offset = cuts, 0
            beginning = file.beginning()
            beginning.begin.is_cut = True
            yield beginning
        over = self._state.is_over(container_id)
        logs = self._state.logs
        is_gone = file.offset > 0 and logs.is_removed(container_id, file.name)
        if over and (container_id in logs.collected or is_gone):
            response = log_service_pb2.StreamLogsResponse()
            file.describe(response.end)
            response.end.incomplete_reason = "Its node has nothing of it: YARN has collected it."
            response.end.may_be_collected = True
            file.ended = True
            yield response
            return
        data, size = self._state.logs.part(container_id, file.name, file.offset, self._chunk_bytes)
        if file.offset > size and over:
            raise Refusal(
                "OUT_OF_RANGE",
                "OFFSET_PAST_END",
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
            response.end.incomplete_reason = self._state.logs.lost.get(container_id, "")
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
