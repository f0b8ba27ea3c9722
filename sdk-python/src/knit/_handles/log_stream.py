"""Log files of containers, as a stream that survives broken connections."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING

import attrs

from knit._cluster.patience import Notice
from knit._handles.log_lines import Lines, punctual
from knit._handles.session import OpenLogs
from knit._values.deadlines import Deadline, pauses
from knit._values.logs import FileKey, Item, LogChunk, LogEnd, LogLine, is_rolled
from knit._wire.connection import ResponseStream
from knit._wire.log_cursor import LogCursor
from knit._wire.rolled_files import LookAgainError, RolledFiles
from knit._wire.statuses import CertificateDateError, from_rpc_error, may_resume, never_connected
from knit.exceptions import (
    ApplicationError,
    ApplicationNotFoundError,
    ApplicationNotRunningError,
    ClusterError,
    ConnectionLostError,
    ContainerNotFoundError,
    KnitError,
    LogsNeedKerberosError,
    LogsNotFoundError,
    RpcTimeoutError,
)

if TYPE_CHECKING:
    from knit._handles.removed_logs import CollectedSoFar
    from knit._handles.rolled_logs import Listing
    from knit._handles.yarn import Archive
    from knit.v1 import log_service_pb2


UNREACHED_PATIENCE = timedelta(seconds=60)
"""
How long an Application Master is tried that was never reached: its port may be closed to this
machine for good. One that was reached once is looked for as long as the application lives.
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
    containers whose Application Master was lost. What nodes have collected, and removed while the
    application runs, of containers that have ended and of files in `.rolled`, every stream gives
    at once from there.

    Where nodes show logs only to who has a Kerberos ticket, and the application has no keytab,
    nothing can be read while it is written. A stream that follows says so, waits, and gives all of
    it as YARN collects it: now and then while the application runs, where the cluster does that,
    and after its end. Any other gives what is collected by now. `is_live` is False then.

    Leaving the `with` block, or the loop, ends the call. In a forked process it cannot be read.

    Raises:
        ConnectionLostError: While reading; the Application Master was never reached, or the
            cluster did not answer for a quarter of an hour.
        ApplicationNotRunningError: While reading; the application ended before it had containers.
        LogsUnavailableError: While reading; the application has ended, its Application Master
            left before every byte was read, and the rest cannot be had from the cluster: it
            keeps no logs, has deleted them, or has them in a form that cannot be read.
        AccessDeniedError: Likewise; they may not be read by this user.
        LogsNeedKerberosError: Likewise; only a ticket would do, nothing is collected yet, and the
            stream does not follow.
        ContainerNotFoundError: A container or a service does not exist.
        WaitTimeoutError: The Application Master has not started by the stream's deadline.
        RpcTimeoutError: The stream has not ended by its deadline.
    """

    def __init__(
        self,
        open_call: OpenLogs,
        request: log_service_pb2.StreamLogsRequest,
        *,
        what: str,
        deadline: Deadline | None = None,
        archive: OpenArchive | None = None,
        has_left: Callable[[], bool] | None = None,
        address: Callable[[], str | None] = lambda: None,
        listing: Listing | None = None,
    ) -> None:
        self._open = open_call
        self._what = what
        self._deadline = Deadline.never() if deadline is None else deadline
        self._open_archive = archive
        self._collected: CollectedSoFar | None = None
        self._has_left = has_left
        self._address = address
        self._listing = listing
        self._incomplete_reason: str | None = None
        self._is_live = True
        self._cursor = LogCursor(
            request,
            what=what,
            # An application may run long after a container that was named.
            can_complete=bool(
                request.follow and not request.container_ids and archive and has_left
            ),
        )
        self._rolled = RolledFiles(self._cursor.positions)
        self._closed = threading.Event()
        self._lock = threading.Lock()
        # Guarded by _lock, so that close() of another thread ends the right call.
        self._call: ResponseStream[log_service_pb2.StreamLogsResponse] | None = None
        self._was_reached = False
        self._lost: KnitError | None = None
        self._items = self._read()

    @property
    def is_live(self) -> bool:
        """Whether bytes come as they are written, as far as the nodes have been asked."""
        return self._is_live

    @property
    def ends(self) -> Mapping[FileKey, LogEnd]:
        """The ends of files that have come so far, by container ID and file name."""
        return MappingProxyType(self._cursor.ends)

    @property
    def incomplete_reason(self) -> str | None:
        """
        Why what was read may not be all, in a sentence. None if it is, and before the end.

        It is said of whole containers, too, whose logs have not reached the archive yet.
        """
        if self._incomplete_reason is not None:
            return self._incomplete_reason
        reasons = (end.incomplete_reason for end in self._cursor.ends.values())
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
        lines = Lines()
        seconds = None if partial_after is None else partial_after.total_seconds()
        items: Iterator[Item | None] = self._items
        if seconds is not None:
            items = punctual(self._items, lines, seconds, self.close)
        try:
            for item in items:
                if item is not None:
                    yield from lines.feed(item)
                if seconds is not None:
                    yield from lines.overdue(seconds)
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
        self._end_call()

    def _end_call(self) -> None:
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
                if isinstance(gone, LogsNeedKerberosError):
                    yield from self._read_collected(self._open_archive())
                else:
                    yield from self._read_archive(self._open_archive(), gone)
            elif self._cursor.can_complete and any(True for _ in self._cursor.unfinished()):
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
            begun_at = self._cursor.progress()
            try:
                yield from self._read_rolled()
                for response in self._responses(failures, lost):
                    item = self._cursor.accept(response)
                    if item is not None:
                        yield item
                    if self._cursor.removed and self._cursor.request.follow:
                        yield from self._read_removed()
                # Of one that does not follow all at once, with one look at what is collected.
                yield from self._read_removed()
                return None
            except LookAgainError:
                self._end_call()
                continue
            except grpc.RpcError as error:
                if self._closed.is_set():
                    raise _LeftError from error
                self._check_deadline()
                lost = from_rpc_error(error, self._what, self._address())
                if isinstance(lost, LogsNeedKerberosError):
                    return lost
                if isinstance(lost, ContainerNotFoundError) and self._take_forgotten():
                    yield from self._read_removed()
                    if self._cursor.request.container_ids:
                        continue  # with the others
                    return None
                if not may_resume(error) or isinstance(lost, CertificateDateError):
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
            if begun_at != self._cursor.progress():
                failures, steps, notice = 0, pauses(0.1, 2.0), Notice()
            failures += 1
            if not self._was_reached:
                unreached = unreached or Deadline.after(UNREACHED_PATIENCE)
                if unreached.is_over:
                    raise lost
            notice.waiting(f"{lost.message} Trying again, as long as the application lives.")
            self._wait(next(steps))

    def _read_collected(self, archive: Archive) -> Iterator[Item]:
        """What nodes do not show, as far as YARN has collected it; if it follows, to the end."""
        self._is_live = False
        refused = (
            f"{self._what}: the nodes of this cluster show logs only to who has a Kerberos ticket, "
            "and the application has no keytab"
        )
        if self._cursor.request.follow:
            Notice(at_once=True).waiting(
                f"{refused}: they come as YARN collects them, at the latest after its end."
            )
        gone = LogsNeedKerberosError(
            f"{refused}; YARN has collected none of these yet. Follow them, which waits for that, "
            "read them after the end, or submit with a keytab."
        )
        yield from self._read_archive(archive, gone, self._has_left or (lambda: False))
        if self._incomplete_reason is not None and not any(self._cursor.positions.values()):
            raise gone

    def _read_archive(
        self,
        archive: Archive,
        gone: ApplicationError,
        has_left: Callable[[], bool] | None = None,
    ) -> Iterator[Item]:
        """The rest, where it is kept once the Application Master has left."""
        from knit._handles.archived_logs import ArchiveReader, ArchiveRequest

        cursor, wanted = self._cursor, self._cursor.request
        request = ArchiveRequest(
            container_ids=tuple(wanted.container_ids),
            services=tuple(wanted.service_names),
            files=cursor.files,
            follow=wanted.follow,
            tail_lines=wanted.tail_lines if wanted.HasField("tail_lines") else None,
        )
        reader = ArchiveReader(
            archive,
            request,
            positions=cursor.positions,
            ends=cursor.ends,
            known=cursor.identities,
            pause=self._wait_for_archive,
            gone=gone,
            has_left=has_left,
            rolled=self._rolled,
            identify=self._listing.identify if self._listing is not None else None,
        )
        try:
            for item in reader.items():
                cursor.note(item)
                yield item
                self._check_deadline()
                if self._closed.is_set():
                    return
        except LogsNotFoundError as error:
            if isinstance(gone, ApplicationNotFoundError):
                raise gone from error  # nobody has ever heard of it
            raise
        self._incomplete_reason = reader.incomplete_reason

    def _read_removed(self) -> Iterator[Item]:
        """The files that nodes have collected and removed while the application runs."""
        removed, cursor = self._cursor.take_removed(), self._cursor
        if not removed:
            return
        try:
            for item in self._removed_items(removed):
                if isinstance(item, LogEnd) and not item.is_complete:
                    told = cursor.give_up(item)
                    if told is not None:
                        yield told
                else:
                    cursor.note(item)
                    yield item
                self._check_deadline()
        except RpcTimeoutError:
            raise
        except KnitError as error:  # what is live goes on, also where nothing leads to the cluster
            for key, end in removed.items():
                if not cursor.ends[key].is_complete:
                    said = (
                        f"{end.incomplete_reason} What is collected could not be read: "
                        f"{error.message}"
                    )
                    told = cursor.give_up(attrs.evolve(end, incomplete_reason=said))
                    if told is not None:
                        yield told

    def _removed_items(self, removed: Mapping[FileKey, LogEnd]) -> Iterator[Item]:
        from knit._handles.removed_logs import RemovedReader

        wanted = self._cursor.request
        return RemovedReader(
            self._collected_so_far(),
            removed,
            tail_lines=wanted.tail_lines if wanted.HasField("tail_lines") else None,
            positions=self._cursor.positions,
            known=self._cursor.identities,
            pause=self._wait_for_archive,
            rolled=self._rolled,
        ).items()

    def _read_rolled(self) -> Iterator[Item]:
        """What nodes have collected, and removed, of programs that run, and did not come before."""
        names = {name for name in self._cursor.files if is_rolled(name)}
        if not names or self._open_archive is None or self._listing is None:
            return
        from knit._handles.rolled_logs import RolledReader

        wanted = self._cursor.request
        reader = RolledReader(
            self._what,
            names,
            rolled=self._rolled,
            positions=self._cursor.positions,
            tail_lines=wanted.tail_lines if wanted.HasField("tail_lines") else None,
            listing=self._listing,
        )
        for item in reader.items(lambda: self._collected_so_far().look_anew()):
            self._cursor.note(item)
            yield item
            self._check_deadline()

    def _take_forgotten(self) -> bool:
        """Takes containers that the Application Master has forgotten for removed, if they are."""
        from knit._handles.removed_logs import forgotten

        cursor, wanted = self._cursor, self._cursor.request.container_ids
        if self._open_archive is None or self._listing is None:
            return False
        try:
            known = self._listing.identify()
            logs = self._collected_so_far().look_anew()
        except KnitError:
            return False  # that it is not found is what is known
        found = forgotten(logs, wanted, known, cursor.files)
        for key, end in found.items():
            cursor.forget(key, end)
        return bool(found)

    def _collected_so_far(self) -> CollectedSoFar:
        from knit._handles.removed_logs import CollectedSoFar

        if self._open_archive is None:
            raise ApplicationError("There is nowhere to look.")
        if self._collected is None:
            self._collected = CollectedSoFar(self._open_archive())
        return self._collected

    def _complete(self) -> Iterator[Item]:
        assert self._open_archive is not None  # noqa: S101 - can_complete
        Notice(at_once=True).waiting(
            f"{self._what}: what could not be read while it was written is read from what YARN "
            "collects now."
        )
        try:
            gone = ApplicationNotRunningError(f"{self._what}: it has not ended yet.")
            yield from self._read_archive(self._open_archive(), gone, self._has_left)
        except (ApplicationError, ClusterError) as error:
            yield from self._cursor.leave_unfinished(error.message)

    # Waiting

    def _wait(self, seconds: float) -> None:
        """Waits; leaves if nobody wants to read any more."""
        self._check_deadline()
        if self._closed.wait(min(seconds, self._deadline.remaining_seconds)):
            raise _LeftError

    def _wait_for_archive(self, seconds: float) -> bool:
        self._wait(seconds)
        return True

    def _responses(
        self, failures: int, lost: KnitError | None
    ) -> Iterator[log_service_pb2.StreamLogsResponse]:
        """What one call to the Application Master brings."""
        for response in self._begin(failures, lost):
            self._was_reached, self._lost = True, None
            yield from self._rolled.from_node(response)

    def _begin(
        self, failures: int, lost: KnitError | None
    ) -> Iterable[log_service_pb2.StreamLogsResponse]:
        if self._closed.is_set():
            raise _LeftError
        request = self._cursor.next_request()
        self._rolled.to_node(request)
        call = self._open(request, failures=failures, lost=lost, pause=self._wait)
        with self._lock:
            self._call = call
        if self._closed.is_set():  # by another thread, before it could see this call
            call.cancel()
        return call

    def _check_deadline(self) -> None:
        if self._deadline.is_over:
            seconds = self._deadline.total.total_seconds()
            lately = f" The last try: {self._lost.message}" if self._lost is not None else ""
            raise RpcTimeoutError(
                f"{self._what}: the logs have not ended within {seconds:g} s. "
                f"Give more time, or none to read without a limit.{lately}"
            )
