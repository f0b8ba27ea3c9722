"""Data on their way to and from DataNodes."""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from datetime import timedelta
from typing import Protocol, TypeGuard
from urllib.parse import parse_qs, urlsplit

from knit._cluster.rest.answer_errors import check_status
from knit._cluster.rest.answers import Response
from knit._cluster.rest.client import HttpClient
from knit._cluster.rest.daemons import DATA_NODE
from knit._values.deadlines import Deadline
from knit._values.paths import reason
from knit.exceptions import ClusterError, ClusterTimeoutError, ClusterUnreachableError, SpecError

_OCTETS = {"Content-Type": "application/octet-stream"}
#: However slow, data may go on for so long; what does not move is given up after the timeout.
_LONGEST_TRANSFER = timedelta(days=7)
#: What HDFS may need to close a file, beyond the time for any answer.
_CLOSING = timedelta(seconds=10)
#: Broken connections in a row, without a byte between them, after which reading gives up.
_TRIES_WITHOUT_PROGRESS = 5
_PAUSE_SECONDS = 0.2
_LARGEST_REFUSAL_BYTES = 1 << 20
"""Of what a DataNode says where it gives no data: its exception is in some KiB."""
_CLOSED = (403, 404, 405)
"""What is answered where the way to a DataNode's web server is closed on purpose."""
_ONE_WAY = (
    "Data goes to and from the web servers of DataNodes directly, whichever way leads to the "
    "NameNode, and under the names the cluster knows them by: make these names and ports reachable "
    "from here, or use HttpFS, which needs neither, by knit.webhdfs.url."
)


class Readable(Protocol):
    """Anything with a file's `read`."""

    def read(self, size: int = -1, /) -> bytes: ...


Progress = Callable[[int], None]
"""Called with the number of bytes that have just been sent."""


class DataNodes:
    """
    Writes to and reads from DataNodes, wherever the NameNode says that the data is.

    Args:
        http: The connections.
    """

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    def write(
        self,
        location: str,
        stream: Readable,
        size_bytes: int,
        *,
        what: str,
        progress: Progress | None,
        timeout: timedelta,
    ) -> None:
        """
        Sends a file's contents.

        Args:
            location: Where to, as the NameNode said.
            stream: Is read from where it stands.
            size_bytes: How much of it.
            what: What is tried, for messages.
            progress: Told of bytes as they leave.
            timeout: In which nothing moves.
        """
        try:
            response = self._http.request(
                "PUT",
                location,
                what=what,
                daemon=DATA_NODE,
                deadline=Deadline.after(_LONGEST_TRANSFER),
                body=_Reader(stream, size_bytes, progress, what),
                headers={**_OCTETS, "Content-Length": str(size_bytes)},
                authenticate=lacks_identity(location),
                connect_seconds=timeout.total_seconds(),
                answer_seconds=(timeout + _CLOSING).total_seconds(),
            )
        except ClusterError as error:
            raise _data_node_problem(error, location, what) from error
        except _OwnError as own:
            raise own.error from own.error.__cause__
        _check(response, what)

    def read(self, location: str, *, what: str, deadline: Deadline) -> Iterator[bytes]:
        """
        What comes from there, as it arrives.

        Args:
            location: Where from, as the NameNode said.
            what: What is tried, for messages.
            deadline: For the beginning; each chunk gets its time anew.
        """
        try:
            response = self._http.open(
                "GET",
                location,
                what=what,
                daemon=DATA_NODE,
                deadline=deadline,
                authenticate=lacks_identity(location),
            )
        except ClusterError as error:
            raise _data_node_problem(error, location, what) from error
        if response.status >= 300:
            body = _beginning_of(
                self._http.chunks(
                    response, location, what=what, daemon=DATA_NODE, deadline=deadline
                )
            )
            headers = {name.lower(): value for name, value in response.headers.items()}
            _check(Response(location, response.status, headers, body), what)
        # The length is not known here.
        yield from self._http.chunks(
            response,
            location,
            what=what,
            daemon=DATA_NODE,
            deadline=Deadline.after(_LONGEST_TRANSFER),
            stalled_seconds=deadline.total.total_seconds(),
        )


def _beginning_of(chunks: Generator[bytes, None, None]) -> bytes:
    """What is read of an answer that is nobody's data."""
    data = b""
    with contextlib.closing(chunks):
        for chunk in chunks:
            data += chunk
            if len(data) >= _LARGEST_REFUSAL_BYTES:
                break
    return data


def read_on(
    open_at: Callable[[int, int], Generator[bytes, None, None]],
    offset_bytes: int,
    length_bytes: int,
    *,
    what: str,
) -> Iterator[bytes]:
    """
    Reads a part of a file, and goes on where it was after a broken connection.

    Args:
        open_at: Begins at an offset, with so many bytes wanted.
        offset_bytes: Where to begin.
        length_bytes: How much, which has to be there.
        what: What is tried, for messages.

    Raises:
        ClusterUnreachableError: It breaks again and again, without a byte in between.
    """
    position, end = offset_bytes, offset_bytes + length_bytes
    failures = 0
    while position < end:
        lost: ClusterError | None = None
        try:
            with contextlib.closing(open_at(position, end - position)) as chunks:
                for chunk in chunks:
                    position += len(chunk)
                    failures = 0
                    yield chunk
        except (ClusterUnreachableError, ClusterTimeoutError) as error:
            lost = error
        if position >= end:
            return
        failures += 1
        if failures >= _TRIES_WITHOUT_PROGRESS:
            raise lost or ClusterUnreachableError(
                f"{what}: it ends at byte {position}, although {end} bytes of it were "
                "there. Was it replaced or deleted in the meantime?"
            )
        time.sleep(_PAUSE_SECONDS * failures)


class _OwnError(Exception):
    """
    What went wrong on our side while a body was read.

    An OSError of the local disk would be taken for one of the connection.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class _Reader:
    """A part of a file as a request's body: counts what leaves, and misses what does not come."""

    def __init__(
        self, stream: Readable, size_bytes: int, progress: Progress | None, what: str
    ) -> None:
        self._stream = stream
        self._left = size_bytes
        self._progress = progress
        self._what = what

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        if not wanted:
            return b""
        try:
            data = self._stream.read(wanted)
        except OSError as error:
            raise _OwnError(
                SpecError(f"{self._what}: what was to be sent cannot be read ({reason(error)}).")
            ) from error
        if not data:
            # The DataNode would wait for the rest, and we for the DataNode.
            raise _OwnError(
                SpecError(
                    f"{self._what}: what was to be sent has become {self._left} bytes shorter "
                    "meanwhile. Try again when nothing writes to it any more."
                )
            )
        self._left -= len(data)
        if self._progress is not None:
            try:
                self._progress(len(data))
            except OSError as error:
                raise _OwnError(error) from error
        return data


def is_address(location: object) -> TypeGuard[str]:
    """Whether this is an address that can be called: with a host, and a port that there can be."""
    try:
        parts = urlsplit(location) if isinstance(location, str) else None
        return parts is not None and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def query_of(location: object) -> Mapping[str, list[str]]:
    return parse_qs(urlsplit(location).query) if is_address(location) else {}


def lacks_identity(location: str) -> bool:
    """Whether an address does not say who we are: a gateway sends us to itself in this way."""
    return not {"user.name", "delegation"} & query_of(location).keys()


def _data_node_problem(error: ClusterError, location: str, what: str) -> ClusterError:
    """The NameNode names DataNodes as the cluster knows them, which may mean nothing here."""
    if not isinstance(error, ClusterUnreachableError):
        return error
    parts = urlsplit(location)
    if error._is_lasting:
        # Reached, and not trusted: with another way out than the way there.
        error.args = (
            f"{what}: the NameNode sent us to the DataNode {parts.hostname}:{parts.port}, and "
            f"that failed: {error.message.removeprefix(f'{what}: ')}",
        )
        return error
    came_back = error.message.removeprefix(f"{what}: ").partition(". ")[0]
    return ClusterUnreachableError(
        f"{what}: the NameNode sent us to the DataNode {parts.hostname}:{parts.port}, and that "
        f"failed: {came_back}. {_ONE_WAY}",
        url=location.partition("?")[0],
    )


def _check(response: Response, what: str) -> None:
    """Raises the error for an answer that says no, with what there is to do for data alone."""
    try:
        check_status(response, what, DATA_NODE)
    except ClusterError as error:
        if response.status in _CLOSED and error.exception is None:
            error.args = (f"{error.message} {_ONE_WAY}",)
        raise


def bytes_left(stream: io.IOBase) -> int:
    position = stream.tell()
    end = stream.seek(0, os.SEEK_END)
    stream.seek(position)
    return end - position
