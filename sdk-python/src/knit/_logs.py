"""Log files of containers, as a stream that survives broken connections."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, TypeAlias

import attrs

from knit._channel import ResponseStream, from_rpc_error
from knit._deadlines import pauses
from knit.exceptions import (
    ApplicationError,
    ApplicationNotFoundError,
    ApplicationNotRunningError,
    ConnectionLostError,
    LogsNotFoundError,
    RpcTimeoutError,
)

if TYPE_CHECKING:
    import grpc

    from knit._archived_logs import Archive, Identity
    from knit._deadlines import Deadline
    from knit.v1 import log_service_pb2

LONGEST_LINE_BYTES = 1024 * 1024
"""A longer line comes in parts, so that a program that writes none fills no memory."""

TRIES_WITHOUT_PROGRESS = 10
"""Broken connections in a row, without a byte between them, after which a stream gives up."""

FileKey: TypeAlias = tuple[str, str]
"""A log file: its container's ID and its name."""


@attrs.frozen
class LogLine:
    """A line of a log file, or a part of one that is longer than 1 MiB."""

    service: str
    """The service of the container that wrote it."""
    rank: int
    """The container's rank."""
    attempt_number: int
    """Which container at this rank it is, counted from 1."""
    container_id: str
    """The container, by YARN's identifier."""
    file: str
    """The file's name, such as `stdout`."""
    offset_bytes: int
    """Where in the file the first byte lies, counted from 0."""
    data: bytes
    """
    The bytes, with the newline if there is one: all lines of a file joined are the file.
    """

    @property
    def text(self) -> str:
        """The line as text, without its newline; what is not UTF-8 is replaced."""
        return self.data.decode(errors="replace").removesuffix("\n").removesuffix("\r")


@attrs.frozen
class LogChunk:
    """Bytes of a log file. It may begin and end within a line or a character."""

    service: str
    """The service of the container that wrote it."""
    rank: int
    """The container's rank."""
    attempt_number: int
    """Which container at this rank it is, counted from 1."""
    container_id: str
    """The container, by YARN's identifier."""
    file: str
    """The file's name, such as `stdout`."""
    offset_bytes: int
    """Where in the file the first byte lies, counted from 0."""
    data: bytes
    """The bytes. Never empty."""


@attrs.frozen
class LogEnd:
    """The end of a log file."""

    service: str
    """The service of the container that wrote it."""
    rank: int
    """The container's rank."""
    attempt_number: int
    """Which container at this rank it is, counted from 1."""
    container_id: str
    """The container, by YARN's identifier."""
    file: str
    """The file's name, such as `stdout`."""
    offset_bytes: int
    """The offset after the last byte read or skipped."""
    incomplete_reason: str | None
    """Why the file may lack its last bytes, in a sentence. None if every byte was read."""

    @property
    def is_complete(self) -> bool:
        """Whether every byte that was there has been read."""
        return self.incomplete_reason is None


@attrs.frozen
class LogFile:
    """A log file of a container, as it is now."""

    name: str
    """Its name in the container's log directory."""
    size_bytes: int
    """Its length in bytes."""


Open = Callable[
    ["log_service_pb2.StreamLogsRequest", int],
    "ResponseStream[log_service_pb2.StreamLogsResponse]",
]
"""Begins a call; the second argument says how many broke in a row before it."""

OpenArchive = Callable[[], "Archive"]
"""Leads to where the logs are once the Application Master has left."""

_Item: TypeAlias = LogChunk | LogEnd


class LogStream:
    """
    Log files of one or many containers, read as they are written.

    Iterating yields lines, and `chunks` yields the bytes as they come; a stream is read once.
    The bytes of one file come in order, each once, also when the connection breaks in between:
    the stream then goes on by itself where it was. Files come interleaved. Who reads slowly is
    sent to slowly.

    Once the Application Master has left, the rest comes from where YARN collects the logs of
    ended applications; one container after the other, and each byte once here, too. That takes
    YARN some seconds after the end. A stream that follows waits for it, for as long as anything
    happens within two minutes; any other gives what is there, and `incomplete_reason` says so if
    that may not be all.

    Leaving the `with` block, or the loop, ends the call.

    Raises:
        ConnectionLostError: While reading; the Application Master stayed away.
        LogsUnavailableError: While reading; the application has ended, its Application Master
            left before every byte was read, and the rest cannot be had from the cluster: it
            keeps no logs, has deleted them, or has them in a form that cannot be read.
        AccessDeniedError: Likewise; they may not be read by this user.
        ContainerNotFoundError: A container or a service does not exist.
        RpcTimeoutError: The stream has not ended by its deadline.
    """

    def __init__(
        self,
        open_call: Open,
        request: log_service_pb2.StreamLogsRequest,
        *,
        what: str,
        deadline: Deadline | None = None,
        archive: OpenArchive | None = None,
    ) -> None:
        self._open = open_call
        self._request = request
        self._what = what
        self._deadline = deadline
        self._open_archive = archive
        self._incomplete_reason: str | None = None
        self._identities: dict[str, Identity] = {}
        self._closed = threading.Event()
        self._lock = threading.Lock()
        # Guarded by _lock, so that close() of another thread ends the right call.
        self._call: ResponseStream[log_service_pb2.StreamLogsResponse] | None = None
        self._positions: dict[FileKey, int] = {}
        self._ends: dict[FileKey, LogEnd] = {}
        self._items = self._read()

    @property
    def ends(self) -> Mapping[FileKey, LogEnd]:
        """The ends of files that have come so far, by container ID and file name."""
        return MappingProxyType(self._ends)

    @property
    def incomplete_reason(self) -> str | None:
        """
        Why what was read may not be all, in a sentence. None if it is, and before the end.

        It is said of whole containers, too, whose logs have not reached the archive yet.
        """
        if self._incomplete_reason is not None:
            return self._incomplete_reason
        reasons = (end.incomplete_reason for end in self._ends.values())
        return next((reason for reason in reasons if reason is not None), None)

    def __iter__(self) -> Iterator[LogLine]:
        lines = _Lines()
        try:
            for item in self._items:
                yield from lines.feed(item)
            yield from lines.rest()
        finally:
            self.close()

    def chunks(self) -> Iterator[LogChunk]:
        """Yields the bytes as they come."""
        try:
            for item in self._items:
                if isinstance(item, LogChunk):
                    yield item
        finally:
            self.close()

    def close(self) -> None:
        """Ends the call; an iteration that waits in another thread ends too."""
        self._closed.set()
        with self._lock:
            call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def __enter__(self) -> LogStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self) -> Iterator[_Item]:
        import grpc

        tries, pause = 0, pauses(0.1, 2.0)
        while not self._closed.is_set():
            begun_at = dict(self._positions), len(self._ends)
            try:
                for response in self._begin(tries):
                    item = self._accept(response)
                    if item is not None:
                        yield item
                return
            except grpc.RpcError as error:
                if self._closed.is_set():
                    return
                if not _may_resume(error):
                    raise from_rpc_error(error, self._what) from error
                lost = from_rpc_error(error, self._what)
            except (ApplicationNotRunningError, ApplicationNotFoundError) as error:
                if self._open_archive is None or self._closed.is_set():
                    raise
                open_archive, gone = self._open_archive, error
                break
            except ConnectionLostError as error:
                if self._closed.is_set():
                    return
                lost = error
            if begun_at != (self._positions, len(self._ends)):
                tries, pause = 0, pauses(0.1, 2.0)
            tries += 1
            if tries >= TRIES_WITHOUT_PROGRESS:
                raise lost
            self._check_deadline()
            self._closed.wait(next(pause))
        else:
            return
        yield from self._read_archive(open_archive(), gone)

    def _read_archive(self, archive: Archive, gone: ApplicationError) -> Iterator[_Item]:
        """The rest, where it is kept once the Application Master has left."""
        from knit._archived_logs import ArchiveReader, ArchiveRequest

        request = ArchiveRequest(
            container_ids=tuple(self._request.container_ids),
            services=tuple(self._request.service_names),
            files=tuple(self._request.file_names) or ("stdout", "stderr"),
            follow=self._request.follow,
            tail_lines=self._request.tail_lines if self._request.HasField("tail_lines") else None,
        )
        reader = ArchiveReader(
            archive,
            request,
            positions=self._positions,
            ends=self._ends,
            known=self._identities,
            pause=self._pause,
            gone=gone,
        )
        try:
            for item in reader.items():
                key = (item.container_id, item.file)
                if isinstance(item, LogEnd):
                    self._positions[key], self._ends[key] = item.offset_bytes, item
                else:
                    self._positions[key] = item.offset_bytes + len(item.data)
                yield item
                self._check_deadline()
                if self._closed.is_set():
                    return
        except LogsNotFoundError as error:
            if isinstance(gone, ApplicationNotFoundError):
                raise gone from error  # nobody has ever heard of it
            raise
        self._incomplete_reason = reader.incomplete_reason

    def _pause(self, seconds: float) -> bool:
        """Waits, and says whether anybody still wants to read."""
        self._check_deadline()
        if self._deadline is not None:
            seconds = min(seconds, self._deadline.remaining_seconds)
        return not self._closed.wait(seconds)

    def _begin(self, failures: int) -> Iterable[log_service_pb2.StreamLogsResponse]:
        from knit.v1 import log_service_pb2

        request = log_service_pb2.StreamLogsRequest()
        request.CopyFrom(self._request)
        for (container_id, file), offset in self._positions.items():
            request.positions.add(container_id=container_id, file_name=file, offset_bytes=offset)
        call = self._open(request, failures)
        with self._lock:
            self._call = call
        if self._closed.is_set():  # by another thread, before it could see this call
            call.cancel()
        return call

    def _accept(self, response: log_service_pb2.StreamLogsResponse) -> _Item | None:
        """What a response says that was not known, and takes note of it."""
        kind = response.WhichOneof("item")
        if kind == "chunk":
            return self._accept_chunk(response.chunk)
        if kind == "end":
            return self._accept_end(response.end)
        if kind == "begin":
            begin = response.begin
            self._positions.setdefault((begin.container_id, begin.file_name), begin.offset_bytes)
        return None  # newer than this SDK

    def _accept_chunk(self, chunk: log_service_pb2.LogChunk) -> LogChunk | None:
        key = (chunk.container_id, chunk.file_name)
        self._identities[chunk.container_id] = (
            chunk.service_name,
            chunk.rank,
            chunk.attempt_number,
        )
        data, offset = chunk.data, chunk.offset_bytes
        expected = self._positions.get(key, offset)
        if offset > expected:
            raise ApplicationError(
                f"{self._what}: the bytes {expected} to {offset} of {chunk.file_name} of "
                f"{chunk.container_id} were left out. Read the file again from its start."
            )
        if offset < expected:
            data, offset = data[expected - offset :], expected
        if not data:
            return None
        self._positions[key] = offset + len(data)
        return LogChunk(
            chunk.service_name,
            chunk.rank,
            chunk.attempt_number,
            chunk.container_id,
            chunk.file_name,
            offset,
            data,
        )

    def _accept_end(self, end: log_service_pb2.LogEnd) -> LogEnd:
        key = (end.container_id, end.file_name)
        self._positions[key] = end.offset_bytes
        found = self._ends[key] = LogEnd(
            end.service_name,
            end.rank,
            end.attempt_number,
            end.container_id,
            end.file_name,
            end.offset_bytes,
            end.incomplete_reason or None,
        )
        return found

    def _check_deadline(self) -> None:
        if self._deadline is not None and self._deadline.remaining_seconds == 0:
            seconds = self._deadline.total.total_seconds()
            raise RpcTimeoutError(
                f"{self._what}: the logs have not ended within {seconds:g} s. "
                "Give more time, or none to read without a limit."
            )


@attrs.define
class _OpenLine:
    """The beginning of a line whose end has not come."""

    first: LogLine
    """Whose it is and where it begins; its data are not used."""
    buffer: bytearray


class _Lines:
    """Cuts chunks of many files into lines; holds back at most one line of each."""

    def __init__(self) -> None:
        self._open: dict[FileKey, _OpenLine] = {}

    def feed(self, item: _Item) -> Iterator[LogLine]:
        """The lines that are complete now."""
        key = (item.container_id, item.file)
        if isinstance(item, LogEnd):
            yield from self._flush(key)
            return
        held = self._open.pop(key, None)
        offset = held.first.offset_bytes if held else item.offset_bytes
        buffer = held.buffer if held else bytearray()
        searched, start = len(buffer), 0
        buffer += item.data
        while True:
            newline = buffer.find(b"\n", max(searched, start))
            end = newline + 1 if newline >= 0 else len(buffer)
            if newline < 0 and end - start < LONGEST_LINE_BYTES:
                break
            # A long line is cut at the limit, wherever its newline is.
            end = min(end, start + LONGEST_LINE_BYTES)
            yield _line(item, offset + start, bytes(buffer[start:end]))
            start = end
        if start < len(buffer):
            del buffer[:start]
            self._open[key] = _OpenLine(_line(item, offset + start, b""), buffer)

    def rest(self) -> Iterator[LogLine]:
        """What has come of lines that never ended."""
        for key in list(self._open):
            yield from self._flush(key)

    def _flush(self, key: FileKey) -> Iterator[LogLine]:
        held = self._open.pop(key, None)
        if held is not None:
            yield attrs.evolve(held.first, data=bytes(held.buffer))


def _line(chunk: LogChunk, offset: int, data: bytes) -> LogLine:
    return LogLine(
        chunk.service,
        chunk.rank,
        chunk.attempt_number,
        chunk.container_id,
        chunk.file,
        offset,
        data,
    )


def _may_resume(error: grpc.RpcError) -> bool:
    """Whether a stream broke rather than was refused."""
    code = getattr(error, "code", lambda: None)()
    name = code.name if code is not None else "UNKNOWN"
    if name in ("UNAVAILABLE", "CANCELLED"):
        return True
    # A process that is killed, or a proxy in between, can end a stream without a status.
    details = getattr(error, "details", lambda: None)() or ""
    return name in ("INTERNAL", "UNKNOWN") and ("RST_STREAM" in details or "Stream rem" in details)
