"""Files on their way to the cache of the cluster."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING

import attrs

from knit._cluster.hdfs.own_token import is_token_gone
from knit._cluster.hdfs.statuses import FileStatus
from knit._cluster.patience import SAFE_MODE, Notice, Tries
from knit._staging.directory import FILE_PERMISSION, StagingDirectory
from knit._staging.values import ProgressCallback, StagingProgress
from knit._values.deadlines import Deadline
from knit._values.giving_up import clearing_up, heed
from knit._values.paths import reason
from knit.exceptions import (
    CLUSTER_SILENCE,
    ClusterError,
    ClusterFileNotFoundError,
    ClusterResponseError,
    FileMissingError,
    NoDataNodeError,
    SafeModeError,
    SpecError,
)

if TYPE_CHECKING:
    from knit._cluster.cluster import Place

USE_MARK = ".used"
"""What the name of the file ends in whose time is that of an entry's last use."""
#: A DataNode makes the file on its own time: it may do so after the client broke off.
_LATE_CREATION = timedelta(seconds=2)
_DISCARD_INTERVAL = timedelta(milliseconds=100)
UPLOAD_TRIES = 3
"""
So often a file is sent that breaks on its way, as in a failover: a DataNode bears that one by
itself, and another NameNode's restart for as long as its own client is told to.
"""
#: What a DataNode says whose own connection to the NameNode broke.
_LOST_BY_A_DATA_NODE = (
    "ConnectException",
    "EOFException",
    "NoRouteToHostException",
    "SocketException",
    "SocketTimeoutException",
)
#: A use within this time of the last one is not noted again.
_TOUCH_INTERVAL = timedelta(hours=1)
_HASH_BLOCK_BYTES = 1 << 20
_log = logging.getLogger("knit")
# YARN unpacks by the end of the URL, so these are kept; of two parts where it takes two.
_ARCHIVE_EXTENSIONS = (".tar.gz", ".tgz", ".tar", ".zip", ".jar")


@attrs.frozen
class Staged:
    """Where a file is on the cluster, and what YARN compares of it."""

    url: str
    size_bytes: int
    modify_time_ms: int


class Uploads:
    """
    Brings single files to the cache of a directory `.knit`. Threads may share it.

    Args:
        directory: Where to.
        locate: Finds what is on the cluster already.
    """

    def __init__(self, directory: StagingDirectory, locate: Callable[[str], Place]) -> None:
        self._directory = directory
        self._locate = locate

    def bring(
        self, path: Path, shown: str, counter: Counter, before_upload: Callable[[], None]
    ) -> Staged:
        """A file of this machine, sent unless it is there; see `Staging.stage`."""
        digest, size_bytes = _digest(path)
        name = digest + _extension(path.name)
        target = f"{self._directory.root}/cache/{name}"
        found = self._directory.files.find(target)
        if found is not None and found.size_bytes == size_bytes:
            self._touch(found, before_upload)
            counter.cached(shown)
        else:
            counter.expect(size_bytes)
            before_upload()
            found = self._upload(path, shown, target, digest, size_bytes, counter)
        return Staged(self._directory.url(target), found.size_bytes, found.modify_time_ms)

    def found(self, url: str) -> Staged:
        """A file that is on the cluster already."""
        place = self._locate(url)
        try:
            status = place.files.status(place.path)
        except ClusterFileNotFoundError as error:
            raise FileMissingError(
                f"The file {url} does not exist on the cluster. Check its path."
            ) from error
        if status.is_directory:
            raise SpecError(f"{url} is a directory. Name a file; an archive can hold several.")
        return Staged(place.url, status.size_bytes, status.modify_time_ms)

    def _upload(
        self,
        path: Path,
        shown: str,
        target: str,
        digest: str,
        size_bytes: int,
        counter: Counter,
    ) -> FileStatus:
        self._directory.prepare()
        breaks = 0
        shows_another_token = False
        notice = Notice()
        outage: Tries | None = None
        while True:
            sent = 0

            def count(size: int) -> None:
                nonlocal sent
                sent += size
                counter.sent(shown, size)

            patience = SAFE_MODE if outage is None else outage.deadline.remaining
            try:
                return self._send(path, target, digest, size_bytes, count, patience)
            except ClusterError as error:
                # Else the NameNode said so, after all that could be done about it.
                by_data_node = sent > 0 or not size_bytes
                if is_token_gone(error) and by_data_node and not shows_another_token:
                    shows_another_token = True
                    _log.warning("%s Sending %s once more.", error.message, shown)
                elif _takes_no_data_yet(error) and by_data_node:
                    outage = outage or Tries(Deadline.after(SAFE_MODE))
                    outage.pause(error, lambda: notice)
                else:
                    breaks += 1
                    broke = _is_of_the_cluster(error) and (sent > 0 or breaks > 1)
                    if breaks == UPLOAD_TRIES or not broke:
                        raise
                    _log.warning("%s Sending %s once more.", error.message, shown)
                counter.sent(shown, -sent)

    def _send(
        self,
        path: Path,
        target: str,
        digest: str,
        size_bytes: int,
        count: Callable[[int], None],
        patience: timedelta,
    ) -> FileStatus:
        directory, _, name = target.rpartition("/")
        part = f"{directory}/.{name}.{secrets.token_hex(8)}.part"
        reader: _HashingReader | None = None
        try:
            with _opened(path) as file:
                reader = _HashingReader(file, path)
                self._directory.files.create(
                    part,
                    reader,
                    size_bytes=size_bytes,
                    permission=FILE_PERMISSION,
                    progress=count,
                    patience=patience,
                )
            if reader.digest.hexdigest() != digest:
                raise _changed(path)
            found = self._move(part, target, size_bytes)
        except BaseException as error:
            with clearing_up(), contextlib.suppress(ClusterError):
                # What no DataNode has been sent any of, none makes a file of.
                is_sent = reader is not None and (reader.has_begun or not size_bytes)
                answered = getattr(error, "status", None) is not None
                self._discard(part, may_come_late=is_sent and not answered)
            raise
        return found

    def _discard(self, part: str, *, may_come_late: bool) -> None:
        """Removes an upload that broke, also one that its DataNode has yet to make a file of."""
        give_up = time.monotonic() + _LATE_CREATION / timedelta(seconds=1)
        while (
            not self._directory.files.delete(part) and may_come_late and time.monotonic() < give_up
        ):
            time.sleep(_DISCARD_INTERVAL / timedelta(seconds=1))

    def _move(self, part: str, target: str, size_bytes: int) -> FileStatus:
        """Renames an upload to its final name, unless somebody else was quicker."""
        for _ in range(2):
            if self._directory.files.rename(part, target):
                return self._directory.files.status(target)
            there = self._directory.files.find(target)
            if there is not None and there.size_bytes == size_bytes:
                # Another client, or our own first try after a broken connection.
                self._directory.files.delete(part)
                return there
            if there is not None:
                self._directory.files.delete(target)
        raise ClusterResponseError(
            f"Staging {target}: the file system would neither take the name nor say what holds "
            "it. Try again."
        )

    def _touch(self, status: FileStatus, before: Callable[[], None]) -> None:
        """Notes the use, for the sweep. Never the modification time: YARN compares that."""
        if self._directory.is_within(
            _TOUCH_INTERVAL, max(status.access_time_ms, status.modify_time_ms)
        ):
            return
        before()  # a file system in safe mode is waited for there
        try:
            self._directory.files.set_times(status.path, access_time_ms=self._directory.now_ms())
        except ClusterResponseError:
            # The cluster was told not to record access times, so a file's own time has to do.
            mark = status.path + USE_MARK
            marked = self._directory.files.find(mark)
            if marked is None or not self._directory.is_within(
                _TOUCH_INTERVAL, marked.modify_time_ms
            ):
                self._directory.files.create(mark, b"", permission=FILE_PERMISSION, overwrite=True)


def _is_of_the_cluster(error: ClusterError) -> bool:
    """Whether it broke because a daemon went away, or another one took over."""
    return isinstance(error, CLUSTER_SILENCE) or error.exception in _LOST_BY_A_DATA_NODE


def _takes_no_data_yet(error: ClusterError) -> bool:
    """Whether a NameNode that has just come back says so, to a DataNode or to HttpFS."""
    is_safe = isinstance(error, SafeModeError) and error.ends_by_itself
    return is_safe or isinstance(error, NoDataNodeError)


class Counter:
    """Adds up what the uploads report and passes it on, one report at a time."""

    def __init__(self, callback: ProgressCallback | None) -> None:
        self._callback = callback
        self._lock = threading.Lock()
        self._sent_bytes = 0
        self._total_bytes = 0

    def expect(self, size_bytes: int) -> None:
        with self._lock:
            self._total_bytes += size_bytes

    def cached(self, shown: str) -> None:
        self._report(shown, 0, cached=True)

    def sent(self, shown: str, count: int) -> None:
        heed()  # another file may have failed
        self._report(shown, count, cached=False)

    def _report(self, shown: str, count: int, *, cached: bool) -> None:
        with self._lock:
            self._sent_bytes += count
            if self._callback is not None:
                self._callback(
                    StagingProgress(
                        file=shown,
                        sent_bytes=self._sent_bytes,
                        total_bytes=self._total_bytes,
                        cached=cached,
                    )
                )


def _digest(path: Path) -> tuple[str, int]:
    """The file's SHA-256 and size. Read anew each time: that costs a second for a gigabyte."""
    digest = hashlib.sha256()
    size_bytes = 0
    with _opened(path) as file:
        while block := _read(file, _HASH_BLOCK_BYTES, path):
            heed()
            digest.update(block)
            size_bytes += len(block)
    return digest.hexdigest(), size_bytes


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise FileMissingError(f"The file {path} does not exist on this machine.") from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _read(file: IO[bytes], size: int, path: Path) -> bytes:
    try:
        return file.read(size)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> SpecError:
    return SpecError(
        f"The file {path} cannot be read ({reason(error)}). "
        "Check its permissions, and that it is a file."
    )


def _changed(path: Path) -> SpecError:
    return SpecError(
        f"The file {path} changed while it was sent to the cluster. "
        "Submit again when nothing writes to it any more."
    )


class _HashingReader:
    """A file whose digest is taken once more as it is sent. It is not read beyond what is sent."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self._path = path
        self.has_begun = False
        """Whether any of it was asked for, to be sent."""
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        self.has_begun = True
        data = _read(self._file, size, self._path)
        if not data:
            raise _changed(self._path)
        self.digest.update(data)
        return data


def _extension(name: str) -> str:
    """What the name ends in, as far as it is of use and safe in a URL."""
    lower = name.lower()
    suffix = Path(lower).suffix
    plain = suffix if re.fullmatch(r"\.[a-z0-9]{1,10}", suffix) else ""
    return next((known for known in _ARCHIVE_EXTENSIONS if lower.endswith(known)), plain)
