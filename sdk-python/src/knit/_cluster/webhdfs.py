"""
The cluster's file system over WebHDFS, or over HttpFS or a gateway that speaks the same.

Reading and writing go to a DataNode, in two steps: the NameNode says which one, then the data
goes there. No data is sent to the NameNode, and none before a DataNode was named.
"""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Protocol
from urllib.parse import parse_qs, quote, urlsplit

import attrs

from knit._cluster.errors import DATA_NODE, NAME_NODE, check_status
from knit._cluster.failover import DaemonClient
from knit._cluster.http import HttpClient, Response, base_of
from knit._values.deadlines import Deadline
from knit._values.paths import reason
from knit.exceptions import (
    ClusterError,
    ClusterFileNotFoundError,
    ClusterResponseError,
    ClusterTimeoutError,
    ClusterUnreachableError,
    SpecError,
    WebHdfsDisabledError,
    WrongPortError,
)

_API = "/webhdfs/v1"
_OCTETS = {"Content-Type": "application/octet-stream"}
#: However slow, data may go on for so long; what does not move is given up after the timeout.
_LONGEST_TRANSFER = timedelta(days=7)
#: What HDFS may need to close a file, beyond the time for any answer.
_CLOSING = timedelta(seconds=10)
#: Broken connections in a row, without a byte between them, after which reading gives up.
_TRIES_WITHOUT_PROGRESS = 5
_PAUSE_SECONDS = 0.2


class Readable(Protocol):
    """Anything with a file's `read`."""

    def read(self, size: int = -1, /) -> bytes: ...


Progress = Callable[[int], None]
"""Called with the number of bytes that have just been sent."""


@attrs.frozen(kw_only=True)
class FileStatus:
    """What the file system knows of a file or directory."""

    path: str
    """Absolute, without the file system's address."""
    is_directory: bool
    size_bytes: int
    modify_time_ms: int
    """Milliseconds since 1970, as YARN compares it."""
    access_time_ms: int
    """The same; 0 where the cluster does not record it."""
    owner: str
    group: str
    permission: str
    """Octal, such as `644`."""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def modify_time(self) -> datetime:
        return datetime.fromtimestamp(self.modify_time_ms / 1000, timezone.utc)


@attrs.frozen(kw_only=True)
class ContentSummary:
    """What lies below a directory, and its quotas."""

    size_bytes: int
    """Without replication."""
    space_consumed_bytes: int
    """With it."""
    file_count: int
    directory_count: int
    name_quota: int | None
    space_quota_bytes: int | None


class WebHdfs:
    """
    The file system behind a NameNode, or behind an HA pair of them. Threads may share it.

    Args:
        http: The connections.
        base_urls: Where it may answer, without `/webhdfs/v1`.
        timeout: For each call that is given no deadline of its own; for data, for the time in
            which nothing moves.
    """

    def __init__(
        self,
        http: HttpClient,
        base_urls: tuple[str, ...],
        *,
        timeout: timedelta = timedelta(seconds=30),
    ) -> None:
        self.daemon = DaemonClient(http, NAME_NODE, base_urls)
        self.timeout = timeout
        self._http = http

    @property
    def user(self) -> str:
        """The name the file system knows us by."""
        return self._http.authentication.user

    def home_directory(self, *, timeout: timedelta | None = None) -> str:
        """Our home directory's path. It need not exist."""
        data = self._json("GET", "/", "GETHOMEDIRECTORY", "Asking for the home directory", timeout)
        path = data.get("Path")
        if not isinstance(path, str):
            raise self._unreadable("Asking for the home directory", "Path")
        return path

    def status(self, path: str, *, timeout: timedelta | None = None) -> FileStatus:
        """
        What there is at a path.

        Raises:
            ClusterFileNotFoundError: Nothing.
        """
        what = f"Looking at {path}"
        found = self._json("GET", path, "GETFILESTATUS", what, timeout).get("FileStatus")
        if not isinstance(found, dict):
            raise self._unreadable(what, "FileStatus")
        return _file_status(path, found)

    def find(self, path: str, *, timeout: timedelta | None = None) -> FileStatus | None:
        """What there is at a path; None if nothing."""
        try:
            return self.status(path, timeout=timeout)
        except ClusterFileNotFoundError:
            return None

    def list_directory(self, path: str, *, timeout: timedelta | None = None) -> list[FileStatus]:
        """
        What a directory holds, by name; for a file, the file.

        Raises:
            ClusterFileNotFoundError: There is no such path.
        """
        what = f"Listing {path}"
        statuses = self._json("GET", path, "LISTSTATUS", what, timeout).get("FileStatuses")
        found = statuses.get("FileStatus") if isinstance(statuses, dict) else None
        if not isinstance(found, list):
            raise self._unreadable(what, "FileStatuses")
        entries = (
            _file_status(_join(path, str(entry.get("pathSuffix", ""))), entry) for entry in found
        )
        return sorted(entries, key=lambda entry: entry.path)

    def make_directories(
        self, path: str, *, permission: str = "755", timeout: timedelta | None = None
    ) -> None:
        """Makes a directory and its parents. One that is there already is left as it is."""
        self._json(
            "PUT",
            path,
            "MKDIRS",
            f"Making the directory {path}",
            timeout,
            {"permission": permission},
            repeatable=True,
        )

    def rename(self, path: str, to: str, *, timeout: timedelta | None = None) -> bool:
        """Moves a file. False if the target exists or the source does not."""
        what = f"Renaming {path} to {to}"
        data = self._json("PUT", path, "RENAME", what, timeout, {"destination": to})
        return bool(data.get("boolean"))

    def delete(
        self, path: str, *, recursive: bool = False, timeout: timedelta | None = None
    ) -> bool:
        """Deletes a file or directory. False if there was none. Calling it again is safe."""
        query = {"recursive": str(recursive).lower()}
        what = f"Deleting {path}"
        data = self._json("DELETE", path, "DELETE", what, timeout, query, repeatable=True)
        return bool(data.get("boolean"))

    def set_times(
        self,
        path: str,
        *,
        access_time_ms: int | None = None,
        modify_time_ms: int | None = None,
        timeout: timedelta | None = None,
    ) -> None:
        """Sets the times that are given and leaves the other."""
        query = {
            "accesstime": str(-1 if access_time_ms is None else access_time_ms),
            "modificationtime": str(-1 if modify_time_ms is None else modify_time_ms),
        }
        what = f"Setting the times of {path}"
        self._json("PUT", path, "SETTIMES", what, timeout, query, repeatable=True)

    def set_permission(
        self, path: str, permission: str, *, timeout: timedelta | None = None
    ) -> None:
        """Sets the permission, octal."""
        query = {"permission": permission}
        what = f"Setting the permission of {path}"
        self._json("PUT", path, "SETPERMISSION", what, timeout, query, repeatable=True)

    def content_summary(self, path: str, *, timeout: timedelta | None = None) -> ContentSummary:
        """What lies below a directory, and its quotas."""
        what = f"Summing up {path}"
        found = self._json("GET", path, "GETCONTENTSUMMARY", what, timeout).get("ContentSummary")
        if not isinstance(found, dict):
            raise self._unreadable(what, "ContentSummary")
        return ContentSummary(
            size_bytes=int(found.get("length", 0)),
            space_consumed_bytes=int(found.get("spaceConsumed", 0)),
            file_count=int(found.get("fileCount", 0)),
            directory_count=int(found.get("directoryCount", 0)),
            name_quota=_quota(found.get("quota")),
            space_quota_bytes=_quota(found.get("spaceQuota")),
        )

    def check_access(
        self, path: str, action: str = "rwx", *, timeout: timedelta | None = None
    ) -> None:
        """
        Raises unless we may do this.

        Args:
            path: What to look at.
            action: Of `r`, `w` and `x`, those that are wanted, `-` for the others.
            timeout: Default: this object's.

        Raises:
            AccessDeniedError: We may not.
            ClusterFileNotFoundError: There is no such path.
        """
        what = f"Asking for access to {path}"
        self._json("GET", path, "CHECKACCESS", what, timeout, {"fsaction": action})

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
    ) -> None:
        """
        Writes a file, and the directories above it.

        Args:
            path: Where.
            data: What: bytes, or a binary file, which is read from where it stands.
            size_bytes: How much of it. Default: to its end, which a pipe does not have.
            permission: Octal.
            overwrite: Whether to replace a file that is there.
            progress: Told of bytes as they leave.
            timeout: In which nothing moves.

        Raises:
            SpecError: The data ends before it should, or cannot be read.
            ClusterFileExistsError: There is one, and it is not to be replaced.
            ClusterUnreachableError: The DataNode cannot be reached from here.
            ClusterError: Anything else; what was written so far may be left behind.
        """
        what = f"Writing {path}"
        stream = io.BytesIO(data) if isinstance(data, bytes) else data
        if size_bytes is None:
            if not isinstance(stream, io.IOBase):
                raise ValueError("size_bytes is needed for what is not a file")
            size_bytes = _bytes_left(stream)
        query = {"overwrite": str(overwrite).lower(), "permission": permission}
        location = self._locate("PUT", path, "CREATE", what, query, self._deadline(timeout))
        try:
            response = self._at_data_node(
                "PUT",
                location,
                what,
                self.timeout if timeout is None else timeout,
                body=_Reader(stream, size_bytes, progress, what),
                headers={**_OCTETS, "Content-Length": str(size_bytes)},
            )
        except _OwnError as own:
            raise own.error from own.error.__cause__
        check_status(response, what, DATA_NODE)

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
        query = {"offset": str(offset_bytes)}
        if length_bytes is not None:
            query["length"] = str(length_bytes)
        deadline = self._deadline(timeout)
        location = self._locate("GET", path, "OPEN", what, query, deadline)
        try:
            response = self._http.open(
                "GET",
                location,
                what=what,
                daemon=DATA_NODE,
                deadline=deadline,
                authenticate=_lacks_identity(location),
            )
        except ClusterError as error:
            raise _data_node_problem(error, location, what) from error
        if response.status >= 300:
            body = b"".join(
                self._http.chunks(
                    response, location, what=what, daemon=DATA_NODE, deadline=deadline
                )
            )
            headers = {name.lower(): value for name, value in response.headers.items()}
            check_status(Response(location, response.status, headers, body), what, DATA_NODE)
        # The length is not known here, so each chunk gets the time anew.
        yield from self._http.chunks(
            response,
            location,
            what=what,
            daemon=DATA_NODE,
            deadline=Deadline.after(_LONGEST_TRANSFER),
            stalled_seconds=deadline.total.total_seconds(),
        )

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
        position, end = offset_bytes, offset_bytes + length_bytes
        failures = 0
        while position < end:
            lost: ClusterError | None = None
            try:
                with contextlib.closing(
                    self._open(path, position, end - position, timeout)
                ) as chunks:
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
                    f"Reading {path}: it ends at byte {position}, although {end} bytes of it were "
                    "there. Was it replaced or deleted in the meantime?"
                )
            time.sleep(_PAUSE_SECONDS * failures)

    def _deadline(self, timeout: timedelta | None) -> Deadline:
        return Deadline.of(timeout, default=self.timeout)

    def _json(
        self,
        method: str,
        path: str,
        operation: str,
        what: str,
        timeout: timedelta | None,
        query: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
    ) -> dict[str, Any]:
        response = self._call(
            method, path, operation, what, query, self._deadline(timeout), repeatable
        )
        return response.json(what, NAME_NODE)

    def _call(
        self,
        method: str,
        path: str,
        operation: str,
        what: str,
        query: Mapping[str, str] | None,
        deadline: Deadline,
        repeatable: bool | None = None,
        redirects: bool = False,
    ) -> Response:
        if not path.startswith("/"):
            raise ValueError(f"{path!r} is not an absolute path")
        try:
            return self.daemon.request(
                method,
                _API + quote(path, safe="/"),
                what=what,
                deadline=deadline,
                query={"op": operation, **(query or {})},
                repeatable=repeatable,
                redirects=redirects,
            )
        except WrongPortError as error:
            if error.answered_by == NAME_NODE.name:
                raise WebHdfsDisabledError(
                    f"{what}: the NameNode at {base_of(error.url or '')} answers, "
                    "but not to WebHDFS (404). Set dfs.webhdfs.enabled to true on it, or run "
                    "HttpFS and name it in knit.webhdfs.url.",
                    url=error.url,
                    status=error.status,
                ) from error
            raise

    def _locate(
        self,
        method: str,
        path: str,
        operation: str,
        what: str,
        query: Mapping[str, str],
        deadline: Deadline,
    ) -> str:
        """Asks the NameNode where the data is to go or to come from."""
        # Hadoop 2 does not know noredirect, and redirects.
        asked = {**query, "noredirect": "true"}
        response = self._call(
            method, path, operation, what, asked, deadline, repeatable=True, redirects=True
        )
        location = _location(response, what)
        if isinstance(location, str) and "noredirect" in _query(location):
            # The question itself was sent on, as balancers do, for a NameNode leaves that out.
            location = self._located_elsewhere(method, response.url, location, what, deadline)
        if not isinstance(location, str) or not urlsplit(location).hostname:
            raise self._unreadable(what, "Location")
        return location

    def _located_elsewhere(
        self, method: str, url: str, location: str, what: str, deadline: Deadline
    ) -> object:
        """Follows one redirect of the question where data is to go, to where it is as safe."""
        if urlsplit(location).scheme != urlsplit(url).scheme:
            raise ClusterResponseError(
                f"{what}: {base_of(url)} sent us on to {base_of(location)}, which is another "
                "protocol. Name the address that answers itself, in dfs.namenode.http-address or "
                "knit.webhdfs.url.",
                url=base_of(url),
            )
        response = self._http.request(
            method,
            location,
            what=what,
            daemon=NAME_NODE,
            deadline=deadline,
            authenticate=_lacks_identity(location),
        )
        check_status(response, what, NAME_NODE, redirects=True)
        found = _location(response, what)
        if "noredirect" in _query(found):
            raise ClusterResponseError(
                f"{what}: {base_of(url)} sent us on to {base_of(location)}, and that on again. "
                "Name the address that answers itself, in dfs.namenode.http-address or "
                "knit.webhdfs.url.",
                url=base_of(url),
            )
        return found

    def _at_data_node(
        self,
        method: str,
        location: str,
        what: str,
        timeout: timedelta,
        body: Readable | None,
        headers: Mapping[str, str],
    ) -> Response:
        try:
            return self._http.request(
                method,
                location,
                what=what,
                daemon=DATA_NODE,
                deadline=Deadline.after(_LONGEST_TRANSFER),
                body=body,
                headers=headers,
                authenticate=_lacks_identity(location),
                connect_seconds=timeout.total_seconds(),
                answer_seconds=(timeout + _CLOSING).total_seconds(),
            )
        except ClusterError as error:
            raise _data_node_problem(error, location, what) from error

    def _unreadable(self, what: str, missing: str) -> ClusterResponseError:
        return ClusterResponseError(
            f"{what}: {self.daemon.active_url} answered without {missing}. Is WebHDFS or HttpFS "
            "what listens there?",
            url=self.daemon.active_url,
        )


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


def _location(response: Response, what: str) -> object:
    """Where an answer says that the data is to go; None if it does not."""
    location = response.headers.get("location")
    return location if location is not None else response.json(what, NAME_NODE).get("Location")


def _query(location: object) -> Mapping[str, object]:
    return parse_qs(urlsplit(location).query) if isinstance(location, str) else {}


def _lacks_identity(location: str) -> bool:
    """Whether an address does not say who we are: a gateway sends us to itself in this way."""
    return not {"user.name", "delegation"} & _query(location).keys()


def _data_node_problem(error: ClusterError, location: str, what: str) -> ClusterError:
    """The NameNode names DataNodes as the cluster knows them, which may mean nothing here."""
    if not isinstance(error, ClusterUnreachableError):
        return error
    parts = urlsplit(location)
    came_back = error.message.removeprefix(f"{what}: ").partition(". ")[0]
    return ClusterUnreachableError(
        f"{what}: the NameNode sent us to the DataNode {parts.hostname}:{parts.port}, and that "
        f"failed: {came_back}. Data goes to and from DataNodes directly, under the names the "
        "cluster knows them by: make these names and ports reachable from here, or use HttpFS, "
        "which needs neither, by knit.webhdfs.url.",
        url=location.partition("?")[0],
    )


def _file_status(path: str, data: Mapping[str, Any]) -> FileStatus:
    return FileStatus(
        path=path,
        is_directory=data.get("type") == "DIRECTORY",
        size_bytes=int(data.get("length", 0)),
        modify_time_ms=int(data.get("modificationTime", 0)),
        access_time_ms=int(data.get("accessTime", 0)),
        owner=str(data.get("owner", "")),
        group=str(data.get("group", "")),
        permission=str(data.get("permission", "")),
    )


def _join(directory: str, name: str) -> str:
    return f"{directory.rstrip('/')}/{name}" if name else directory


def _quota(value: object) -> int | None:
    return int(value) if isinstance(value, int | str) and int(value) >= 0 else None


def _bytes_left(stream: io.IOBase) -> int:
    position = stream.tell()
    end = stream.seek(0, os.SEEK_END)
    stream.seek(position)
    return end - position
