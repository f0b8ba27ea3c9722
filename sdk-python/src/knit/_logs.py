"""Log files of containers, as a stream that survives broken connections."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Protocol

import attrs

from knit._channel import (
    LARGEST_MESSAGE_BYTES,
    CertificateDateError,
    ResponseStream,
    check_size,
    from_rpc_error,
    never_connected,
)
from knit._locating import Notice
from knit._values.deadlines import Deadline, Pause, pauses
from knit._values.logs import FileKey, Item, LogChunk, LogEnd, LogLine
from knit.exceptions import (
    ApplicationError,
    ApplicationNotFoundError,
    ApplicationNotRunningError,
    ClusterError,
    ConnectionLostError,
    KnitError,
    LogsNotFoundError,
    RpcTimeoutError,
)

if TYPE_CHECKING:
    import grpc

    from knit._archived_logs import Archive, Identity
    from knit.v1 import log_service_pb2

LONGEST_LINE_BYTES = 1024 * 1024
"""A longer line comes in parts, so that a program that writes none fills no memory."""

UNREACHED_PATIENCE = timedelta(seconds=60)
"""
How long an Application Master is tried that was never reached: its port may be closed to this
machine for good. One that was reached once is looked for as long as the application lives.
"""

_FIELD_BYTES = 4
"""What a position takes in its request beside itself: a tag and a length."""


class Open(Protocol):
    """Begins a call."""

    def __call__(
        self,
        request: log_service_pb2.StreamLogsRequest,
        failures: int,
        lost: KnitError | None,
        pause: Pause,
    ) -> ResponseStream[log_service_pb2.StreamLogsResponse]:
        """
        Begins it.

        Args:
            request: What is wanted.
            failures: How many calls broke in a row before it.
            lost: How the last of them did.
            pause: How to wait while the Application Master is looked for.
        """


OpenArchive = Callable[[], "Archive"]
"""Leads to where the logs are once the Application Master has left."""


class _LeftError(Exception):
    """The stream was closed while it waited."""


class LogStream:
    """
    Log files of one or many containers, read as they are written.

    Iterating yields lines, and `chunks` yields the bytes as they come; a stream is read once.
    The bytes of one file come in order, each once, also when the connection breaks in between:
    the stream then goes on by itself where it was, for as long as the application lives. It
    outlives a network that is gone for a while, a ResourceManager that restarts, and the loss of
    the Application Master's node. While it waits for one of these, or for the Application Master
    to start, it says so in the log (`knit`). Files come interleaved. Who reads slowly is sent to
    slowly.

    Once the Application Master has left, the rest comes from where YARN collects the logs of
    ended applications; one container after the other, and each byte once here, too. That takes
    YARN some seconds after the end. A stream that follows waits for it, for as long as anything
    happens within two minutes; any other gives what is there, and `incomplete_reason` says so if
    that may not be all. In the same way a stream that follows a whole application completes, at
    the end, what it could not have while it was written: of a node that did not answer, or of
    containers whose Application Master was lost.

    Leaving the `with` block, or the loop, ends the call. In a forked process it cannot be read.

    Raises:
        ConnectionLostError: While reading; the Application Master was never reached, or the
            cluster did not answer for a quarter of an hour.
        ApplicationNotRunningError: While reading; the application ended before it had containers.
        LogsUnavailableError: While reading; the application has ended, its Application Master
            left before every byte was read, and the rest cannot be had from the cluster: it
            keeps no logs, has deleted them, or has them in a form that cannot be read.
        AccessDeniedError: Likewise; they may not be read by this user.
        ContainerNotFoundError: A container or a service does not exist.
        WaitTimeoutError: The Application Master has not started by the stream's deadline.
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
        has_left: Callable[[], bool] | None = None,
        address: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._open = open_call
        self._request = request
        self._what = what
        self._deadline = Deadline.never() if deadline is None else deadline
        self._open_archive = archive
        self._has_left = has_left
        self._address = address
        self._incomplete_reason: str | None = None
        self._identities: dict[str, Identity] = {}
        self._closed = threading.Event()
        self._lock = threading.Lock()
        # Guarded by _lock, so that close() of another thread ends the right call.
        self._call: ResponseStream[log_service_pb2.StreamLogsResponse] | None = None
        self._positions: dict[FileKey, int] = {}
        self._ends: dict[FileKey, LogEnd] = {}
        self._cut: set[FileKey] = set()
        self._was_reached = False
        self._lost: KnitError | None = None
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
        return self.lines()

    def lines(self, *, partial_after: timedelta | None = None) -> Iterator[LogLine]:
        """
        Yields the lines, as iterating does.

        Args:
            partial_after: What there is of a line that is not finished after so long is given as
                it is, `is_partial`, and the rest as further parts: programs that draw a progress
                bar write one line for hours. Default: a line comes when it is finished.
        """
        lines = _Lines()
        seconds = None if partial_after is None else partial_after.total_seconds()
        items = self._items if seconds is None else self._punctual_items(lines, seconds)
        try:
            for item in items:
                if item is not None:
                    yield from lines.feed(item)
                if seconds is not None:
                    yield from lines.overdue(seconds)
            yield from lines.rest()
        finally:
            self.close()

    def _punctual_items(self, lines: _Lines, seconds: float) -> Iterator[Item | None]:
        """The items, and None whenever a line that is held back becomes due."""
        handed: queue.SimpleQueue[Item | BaseException | None] = queue.SimpleQueue()
        taken = threading.Semaphore(0)

        def read() -> None:
            try:
                for item in self._items:
                    handed.put(item)
                    taken.acquire()  # one at a time: a slow reader is sent to slowly here, too
            except BaseException as error:
                handed.put(error)
            else:
                handed.put(None)

        threading.Thread(target=read, name="knit-log-stream", daemon=True).start()
        try:
            while True:
                try:
                    item = handed.get(timeout=lines.seconds_until_due(seconds))
                except queue.Empty:
                    yield None
                    continue
                if item is None:
                    return
                if isinstance(item, BaseException):
                    raise item
                yield item
                taken.release()
        finally:
            self.close()
            taken.release()

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

    # Reading

    def _read(self) -> Iterator[Item]:
        try:
            gone = yield from self._read_live()
            if gone is not None:
                if self._open_archive is None:
                    raise gone
                yield from self._read_archive(self._open_archive(), gone)
            elif self._is_to_be_completed():
                yield from self._complete()
        except _LeftError:
            return

    def _read_live(self) -> Generator[Item, None, ApplicationError | None]:
        """What the Application Master sends. Returns why it cannot be asked, if it has left."""
        import grpc

        failures, steps, notice = 0, pauses(0.1, 2.0), Notice()
        unreached: Deadline | None = None
        lost: KnitError | None = None
        while True:
            begun_at = dict(self._positions), len(self._ends)
            try:
                for response in self._begin(failures, lost):
                    self._was_reached, self._lost = True, None
                    item = self._accept(response)
                    if item is not None:
                        yield item
                return None
            except grpc.RpcError as error:
                if self._closed.is_set():
                    raise _LeftError from error
                self._check_deadline()
                lost = from_rpc_error(error, self._what, self._address())
                if not _may_resume(error) or isinstance(lost, CertificateDateError):
                    raise lost from error
                self._lost = lost
                self._was_reached = self._was_reached or not never_connected(error)
            except (ApplicationNotRunningError, ApplicationNotFoundError) as error:
                return error
            except ConnectionLostError:
                if self._closed.is_set():
                    raise _LeftError from None
                self._check_deadline()
                raise
            if begun_at != (self._positions, len(self._ends)):
                failures, steps, notice = 0, pauses(0.1, 2.0), Notice()
            failures += 1
            if not self._was_reached:
                unreached = unreached or Deadline.after(UNREACHED_PATIENCE)
                if unreached.is_over:
                    raise lost
            notice.waiting(f"{lost.message} Trying again, as long as the application lives.")
            self._wait(next(steps))

    def _read_archive(
        self,
        archive: Archive,
        gone: ApplicationError,
        has_left: Callable[[], bool] | None = None,
    ) -> Iterator[Item]:
        """The rest, where it is kept once the Application Master has left."""
        from knit._archived_logs import ArchiveReader, ArchiveRequest

        request = ArchiveRequest(
            container_ids=tuple(self._request.container_ids),
            services=tuple(self._request.service_names),
            files=self._files,
            follow=self._request.follow,
            tail_lines=self._request.tail_lines if self._request.HasField("tail_lines") else None,
        )
        reader = ArchiveReader(
            archive,
            request,
            positions=self._positions,
            ends=self._ends,
            known=self._identities,
            pause=self._wait_for_archive,
            gone=gone,
            has_left=has_left,
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

    # What could not be had while it was written

    @property
    def _files(self) -> tuple[str, ...]:
        return tuple(self._request.file_names) or ("stdout", "stderr")

    def _is_to_be_completed(self) -> bool:
        return self._may_be_completed and any(True for _ in self._unfinished())

    @property
    def _may_be_completed(self) -> bool:
        """Whether what is lacking can be had: the application may run long after a container."""
        return (
            self._request.follow
            and not self._request.container_ids
            and self._open_archive is not None
            and self._has_left is not None
        )

    def _unfinished(self) -> Iterator[FileKey]:
        """The files that were begun, and of which there may be more than was read."""
        for container_id in self._identities:
            for name in self._files:
                end = self._ends.get((container_id, name))
                if end is None or not end.is_complete:
                    yield container_id, name

    def _complete(self) -> Iterator[Item]:
        assert self._open_archive is not None  # noqa: S101 - _may_be_completed
        Notice(at_once=True).waiting(
            f"{self._what}: what could not be read while it was written is read from what YARN "
            "collects now."
        )
        try:
            gone = ApplicationNotRunningError(f"{self._what}: it has not ended yet.")
            yield from self._read_archive(self._open_archive(), gone, self._has_left)
        except (ApplicationError, ClusterError) as error:
            yield from self._leave_unfinished(error)

    def _leave_unfinished(self, error: KnitError) -> Iterator[LogEnd]:
        for key in list(self._unfinished()):
            end = self._ends.get(key)
            live = end.incomplete_reason if end is not None else None
            why = (
                f"{live or 'Its Application Master was lost while it ran.'} Nor could it be "
                f"completed afterwards: {error.message}"
            )
            identity = self._identities[key[0]]
            self._ends[key] = LogEnd(*identity, *key, self._positions.get(key, 0), why)
            yield self._ends[key]

    # Waiting

    def _wait(self, seconds: float) -> None:
        """Waits; leaves if nobody wants to read any more."""
        self._check_deadline()
        if self._closed.wait(min(seconds, self._deadline.remaining_seconds)):
            raise _LeftError

    def _wait_for_archive(self, seconds: float) -> bool:
        self._wait(seconds)
        return True

    def _begin(
        self, failures: int, lost: KnitError | None
    ) -> Iterable[log_service_pb2.StreamLogsResponse]:
        if self._closed.is_set():
            raise _LeftError
        call = self._open(self._next_request(), failures, lost, self._wait)
        with self._lock:
            self._call = call
        if self._closed.is_set():  # by another thread, before it could see this call
            call.cancel()
        return call

    def _next_request(self) -> log_service_pb2.StreamLogsRequest:
        """What is still wanted."""
        from knit.v1 import log_service_pb2

        request = log_service_pb2.StreamLogsRequest()
        request.CopyFrom(self._request)
        left = LARGEST_MESSAGE_BYTES - request.ByteSize()
        # Of too many files those go without of which the least was read: the Application Master
        # then sends it again, and it is skipped here.
        for (container_id, file), offset in sorted(
            self._positions.items(), key=lambda position: position[1], reverse=True
        ):
            position = log_service_pb2.LogPosition(
                container_id=container_id, file_name=file, offset_bytes=offset
            )
            left -= position.ByteSize() + _FIELD_BYTES
            if left < 0:
                break
            request.positions.append(position)
        check_size(request, self._what)
        return request

    def _accept(self, response: log_service_pb2.StreamLogsResponse) -> Item | None:
        """What a response says that was not known, and takes note of it."""
        kind = response.WhichOneof("item")
        if kind == "chunk":
            self._identify(response.chunk)
            return self._accept_chunk(response.chunk)
        if kind == "end":
            self._identify(response.end)
            return self._accept_end(response.end)
        if kind == "begin":
            begin = response.begin
            self._identify(begin)
            key = (begin.container_id, begin.file_name)
            if begin.is_cut:
                self._positions[key] = begin.offset_bytes
                self._cut.add(key)
            else:
                self._positions.setdefault(key, begin.offset_bytes)
        return None  # newer than this SDK

    def _identify(
        self,
        message: log_service_pb2.LogBegin | log_service_pb2.LogChunk | log_service_pb2.LogEnd,
    ) -> None:
        identity = message.service_name, message.rank, message.attempt_number
        self._identities[message.container_id] = identity

    def _accept_chunk(self, chunk: log_service_pb2.LogChunk) -> LogChunk | None:
        key = (chunk.container_id, chunk.file_name)
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
            self._take_cut(key),
        )

    def _take_cut(self, key: FileKey) -> bool:
        is_cut = key in self._cut
        self._cut.discard(key)
        return is_cut

    def _accept_end(self, end: log_service_pb2.LogEnd) -> LogEnd | None:
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
        if not found.is_complete and self._may_be_completed:
            return None  # the rest of its last line may come yet
        return found

    def _check_deadline(self) -> None:
        if self._deadline.is_over:
            seconds = self._deadline.total.total_seconds()
            lately = f" The last try: {self._lost.message}" if self._lost is not None else ""
            raise RpcTimeoutError(
                f"{self._what}: the logs have not ended within {seconds:g} s. "
                f"Give more time, or none to read without a limit.{lately}"
            )


@attrs.define
class _OpenLine:
    """The beginning of a line whose end has not come."""

    first: LogLine
    """Whose it is and where it begins; its data are not used."""
    buffer: bytearray
    since: float
    """When the first of these bytes came, on the clock of `time.monotonic`."""


class _Lines:
    """Cuts chunks of many files into lines; holds back at most one line of each."""

    def __init__(self) -> None:
        self._open: dict[FileKey, _OpenLine] = {}

    def feed(self, item: Item) -> Iterator[LogLine]:
        """The lines that are complete now."""
        key = (item.container_id, item.file)
        if isinstance(item, LogEnd):
            yield from self._flush(key)
            return
        if item.follows_cut:
            yield from self._flush(key)
        held = self._open.pop(key, None)
        buffer = held.buffer if held else bytearray()
        since = held.since if held and buffer else time.monotonic()
        line = held.first if held else _line(item)
        searched, start = len(buffer), 0
        offset, follows_cut = line.offset_bytes, line.follows_cut
        buffer += item.data
        while True:
            newline = buffer.find(b"\n", max(searched, start))
            end = newline + 1 if newline >= 0 else len(buffer)
            if newline < 0 and end - start < LONGEST_LINE_BYTES:
                break
            # A long line is cut at the limit, wherever its newline is.
            end = min(end, start + LONGEST_LINE_BYTES)
            data = bytes(buffer[start:end])
            # Not by attrs.evolve, which takes five times as long: there are millions of lines.
            yield LogLine(
                item.service,
                item.rank,
                item.attempt_number,
                item.container_id,
                item.file,
                offset + start,
                data,
                end != newline + 1,
                follows_cut,
            )
            follows_cut = False
            start = end
        if start < len(buffer):
            del buffer[:start]
            line = attrs.evolve(line, offset_bytes=offset + start, follows_cut=follows_cut)
            self._open[key] = _OpenLine(line, buffer, since)

    def seconds_until_due(self, patience: float) -> float | None:
        """When `overdue` has something to give. None: not before more has come."""
        oldest = min((held.since for held in self._open.values() if held.buffer), default=None)
        return None if oldest is None else max(0.0, oldest + patience - time.monotonic())

    def overdue(self, patience: float) -> Iterator[LogLine]:
        """What has come of lines that are not finished after so many seconds."""
        now = time.monotonic()
        for key, held in list(self._open.items()):
            if held.buffer and now - held.since >= patience:
                data = bytes(held.buffer)
                yield attrs.evolve(held.first, data=data, is_partial=True)
                rest = attrs.evolve(
                    held.first,
                    offset_bytes=held.first.offset_bytes + len(data),
                    follows_cut=False,
                )
                self._open[key] = _OpenLine(rest, bytearray(), now)

    def rest(self) -> Iterator[LogLine]:
        """What has come of lines that never ended."""
        for key in list(self._open):
            yield from self._flush(key)

    def _flush(self, key: FileKey) -> Iterator[LogLine]:
        held = self._open.pop(key, None)
        if held is not None and held.buffer:
            yield attrs.evolve(held.first, data=bytes(held.buffer))


def _line(chunk: LogChunk) -> LogLine:
    """A line that begins where the chunk does."""
    return LogLine(
        chunk.service,
        chunk.rank,
        chunk.attempt_number,
        chunk.container_id,
        chunk.file,
        chunk.offset_bytes,
        b"",
        follows_cut=chunk.follows_cut,
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
