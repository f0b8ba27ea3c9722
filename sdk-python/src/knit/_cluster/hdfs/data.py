"""A file's contents, where only the way to find its DataNode differs."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from datetime import timedelta

from knit._cluster.hdfs.elsewhere import Search
from knit._cluster.hdfs.own_token import is_token_gone
from knit._cluster.hdfs.statuses import FileStatus
from knit._cluster.hdfs.transfer import (
    DataNodes,
    Progress,
    Readable,
    bytes_left,
    query_of,
    read_on,
)
from knit._values.deadlines import Deadline
from knit.exceptions import ClusterError, ClusterFileNotFoundError


class FileData(ABC):
    """
    Reading and writing, by the web servers of DataNodes.

    Args:
        data_nodes: What speaks to them.
        timeout: For each call that is given none: for data, the time in which nothing moves.
    """

    def __init__(self, data_nodes: DataNodes, timeout: timedelta) -> None:
        self._data_nodes = data_nodes
        self.timeout = timeout

    @abstractmethod
    def status(self, path: str, *, timeout: timedelta | None = None) -> FileStatus:
        """
        What there is at a path.

        Raises:
            ClusterFileNotFoundError: Nothing.
        """

    @abstractmethod
    def where_to_write(
        self,
        path: str,
        permission: str,
        overwrite: bool,
        what: str,
        deadline: Deadline,
        excluded: Sequence[str] | None = None,
    ) -> str:
        """
        The address that takes a file's contents.

        Args:
            path: The file.
            permission: Octal.
            overwrite: Whether to replace a file that is there.
            what: What is tried, for messages.
            deadline: For the answer.
            excluded: DataNodes to leave out, each `host:port`. None: the first question for this
                file; else what an earlier one may have made of it is replaced.
        """

    @abstractmethod
    def where_to_read(
        self,
        path: str,
        offset_bytes: int,
        length_bytes: int | None,
        what: str,
        deadline: Deadline,
        excluded: Sequence[str] | None = None,
    ) -> str | None:
        """The address that gives a file's contents; None where there are none from there on."""

    @abstractmethod
    def replaces_token(self, url_string: str) -> bool:
        """Shows another token than this one from now on; False where it is not ours to do so."""

    @abstractmethod
    def token_shown(self) -> str:
        """The token that DataNodes are shown from now on. A secret."""

    def find(self, path: str, *, timeout: timedelta | None = None) -> FileStatus | None:
        """What there is at a path; None if nothing."""
        try:
            return self.status(path, timeout=timeout)
        except ClusterFileNotFoundError:
            return None

    def create(
        self,
        path: str,
        data: bytes | Readable,
        *,
        size_bytes: int | None = None,
        permission: str = "644",
        overwrite: bool = False,
        progress: Progress | None = None,
        timeout: timedelta | None = None,
        patience: timedelta | None = None,
    ) -> None:
        """
        Writes a file, and the directories above it.

        Where a DataNode does not know our token any more, another one is shown the next time:
        bytes are sent once more with it, and whoever gave a file can do so.

        Args:
            path: Where.
            data: What: bytes, or a binary file, which is read from where it stands.
            size_bytes: How much of it. Default: to its end, which a pipe does not have.
            permission: Octal.
            overwrite: Whether to replace a file that is there.
            progress: Told of bytes as they leave.
            timeout: In which nothing moves.
            patience: How long to wait for a file system that takes no data yet, as after its
                start. Default: `timeout`.

        Raises:
            SpecError: The data ends before it should, or cannot be read.
            ClusterFileExistsError: There is one, and it is not to be replaced.
            ClusterUnreachableError: No DataNode that is named can be reached from here.
            NoDataNodeError: There is none that could take the data.
            ClusterError: Anything else; what was written so far may be left behind.
        """
        what = f"Writing {path}"
        stream = io.BytesIO(data) if isinstance(data, bytes) else data
        if size_bytes is None:
            if not isinstance(stream, io.IOBase):
                raise ValueError("size_bytes is needed for what is not a file")
            size_bytes = bytes_left(stream)
        waits = self._deadline(timeout if patience is None else patience)
        search = Search(waits)
        stalled = self.timeout if timeout is None else timeout
        while True:
            try:
                location = self.where_to_write(
                    path, permission, overwrite, what, waits, search.excluded
                )
            except ClusterError as error:
                search.none_other(error)
                continue
            try:
                self._write(
                    location,
                    data,
                    stream,
                    size_bytes,
                    what=what,
                    progress=progress,
                    timeout=stalled,
                )
            except ClusterError as error:
                search.missed(location, error)  # nothing of the data was taken then
            else:
                return

    def _write(
        self,
        location: str,
        data: bytes | Readable,
        stream: Readable,
        size_bytes: int,
        *,
        what: str,
        progress: Progress | None,
        timeout: timedelta,
    ) -> None:
        for is_last in (not isinstance(data, bytes), True):
            try:
                self._data_nodes.write(
                    location, stream, size_bytes, what=what, progress=progress, timeout=timeout
                )
            except ClusterError as error:  # noqa: PERF203 - twice at most
                refused = self._refused_token(error, location)
                if refused is None or is_last:
                    raise
                # The file may be there already, made by the first try.
                location = location.replace(refused, self.token_shown())
                stream = io.BytesIO(data) if isinstance(data, bytes) else data
            else:
                return

    def read(
        self,
        path: str,
        *,
        offset_bytes: int = 0,
        length_bytes: int | None = None,
        timeout: timedelta | None = None,
    ) -> bytes:
        """
        Reads a file, or a part of it, into memory.

        Raises:
            ClusterFileNotFoundError: There is none.
        """
        return b"".join(
            self.open(path, offset_bytes=offset_bytes, length_bytes=length_bytes, timeout=timeout)
        )

    def open(
        self,
        path: str,
        *,
        offset_bytes: int = 0,
        length_bytes: int | None = None,
        timeout: timedelta | None = None,
    ) -> Iterator[bytes]:
        """
        Reads a file, or a part of it, as it arrives.

        Nothing is asked before the first chunk is. Leaving early closes the connection.

        Raises:
            ClusterFileNotFoundError: There is none.
        """
        return self._open(path, offset_bytes, length_bytes, timeout)

    def _open(
        self, path: str, offset_bytes: int, length_bytes: int | None, timeout: timedelta | None
    ) -> Generator[bytes, None, None]:
        what = f"Reading {path}"
        deadline = self._deadline(timeout)
        search = Search(deadline)
        while True:
            try:
                location = self.where_to_read(
                    path, offset_bytes, length_bytes, what, deadline, search.excluded
                )
            except ClusterError as error:
                search.none_other(error)
                continue
            if location is None:
                return
            try:
                yield from self._read(location, what, deadline)
            except ClusterError as error:
                search.missed(location, error)  # not a byte has come then
            else:
                return

    def _read(self, location: str, what: str, deadline: Deadline) -> Generator[bytes, None, None]:
        for is_last in (False, True):
            has_begun = False
            try:
                for chunk in self._data_nodes.read(location, what=what, deadline=deadline):
                    has_begun = True
                    yield chunk
            except ClusterError as error:
                refused = self._refused_token(error, location)
                if refused is None or has_begun or is_last:
                    raise
                location = location.replace(refused, self.token_shown())
            else:
                return

    def _refused_token(self, error: ClusterError, location: str) -> str | None:
        """The token that a DataNode did not know, which is then shown no more; None if it did."""
        shown = query_of(location).get("delegation")
        if shown is None or not is_token_gone(error):
            return None
        return shown[0] if self.replaces_token(shown[0]) else None

    def stream(
        self,
        path: str,
        *,
        offset_bytes: int = 0,
        length_bytes: int,
        timeout: timedelta | None = None,
    ) -> Iterator[bytes]:
        """
        Reads a part of a file as it arrives, and goes on where it was after a broken connection.

        What is not taken yet stays in the cluster, so a slow reader needs no more memory.

        Args:
            path: The file.
            offset_bytes: Where to begin.
            length_bytes: How much of it, which has to be there.
            timeout: In which nothing moves.

        Raises:
            ClusterFileNotFoundError: There is none.
            ClusterUnreachableError: It breaks again and again, without a byte in between.
        """
        return read_on(
            lambda position, left: self._open(path, position, left, timeout),
            offset_bytes,
            length_bytes,
            what=f"Reading {path}",
        )

    def _deadline(self, timeout: timedelta | None) -> Deadline:
        return Deadline.of(timeout, default=self.timeout)
