"""The file system, by whichever way leads to its NameNode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from knit._cluster.doors import Doors
from knit._cluster.hdfs.data import FileData
from knit._cluster.hdfs.file_system import NameNodeDoor
from knit._cluster.hdfs.statuses import ContentSummary, FileStatus
from knit._cluster.hdfs.transfer import DataNodes
from knit._cluster.security.tokens import Token
from knit._values.deadlines import Deadline

_T = TypeVar("_T")


class Files(FileData):
    """
    The file system behind a NameNode, or behind an HA pair of them. Threads may share it.

    What is asked of the NameNode goes by the way that leads there, and where data is to go is one
    of these questions. Data itself has one way only, so that its failures say nothing of the other.

    What each call raises, and its arguments, are told by `webhdfs.WebHdfs`.

    Args:
        doors: The ways to it.
        data_nodes: What speaks to DataNodes.
        timeout: For each call that is given none; for data, the time in which nothing moves.
    """

    def __init__(
        self, doors: Doors[NameNodeDoor], data_nodes: DataNodes, *, timeout: timedelta
    ) -> None:
        super().__init__(data_nodes, timeout)
        self._doors = doors

    def close(self) -> None:
        """Closes connections that are its own, and cancels tokens that it fetched for itself."""
        self._doors.close()

    @property
    def user(self) -> str:
        """The name the file system knows us by."""
        return self._doors.chosen().user

    @property
    def address(self) -> str:
        """Who answered last, or is asked first; for messages."""
        return self._doors.chosen().address

    def now(self) -> datetime:
        """The time by the file system's clock, to a second, as far as it has told it."""
        return self._doors.chosen().now()

    def delegation_token(
        self, renewer: str | None = None, *, timeout: timedelta | None = None
    ) -> Token:
        """Another delegation token of ours, as the file system names it."""
        return self._ask(lambda door: door.delegation_token(renewer, timeout=timeout))

    def key_provider(self, *, timeout: timedelta | None = None) -> str | None:
        """Where the keys of its encryption zones are; None where it has none."""
        return self._ask(lambda door: door.key_provider(timeout=timeout))

    def home_directory(self, *, timeout: timedelta | None = None) -> str:
        """Our home directory's path. It need not exist."""
        return self._ask(lambda door: door.home_directory(timeout=timeout))

    def status(self, path: str, *, timeout: timedelta | None = None) -> FileStatus:
        return self._ask(lambda door: door.status(path, timeout=timeout))

    def list_directory(self, path: str, *, timeout: timedelta | None = None) -> list[FileStatus]:
        """What a directory holds, by name; for a file, the file."""
        return self._ask(lambda door: door.list_directory(path, timeout=timeout))

    def make_directories(
        self, path: str, *, permission: str = "755", timeout: timedelta | None = None
    ) -> None:
        """Makes a directory and its parents. One that is there already is left as it is."""
        self._ask(lambda door: door.make_directories(path, permission=permission, timeout=timeout))

    def rename(self, path: str, to: str, *, timeout: timedelta | None = None) -> bool:
        """Moves a file. False if the target exists or the source does not."""
        return self._ask(lambda door: door.rename(path, to, timeout=timeout))

    def delete(
        self, path: str, *, recursive: bool = False, timeout: timedelta | None = None
    ) -> bool:
        """Deletes a file or directory. False if there was none."""
        return self._ask(lambda door: door.delete(path, recursive=recursive, timeout=timeout))

    def set_times(
        self,
        path: str,
        *,
        access_time_ms: int | None = None,
        modify_time_ms: int | None = None,
        timeout: timedelta | None = None,
    ) -> None:
        """Sets the times that are given and leaves the other."""
        self._ask(
            lambda door: door.set_times(
                path,
                access_time_ms=access_time_ms,
                modify_time_ms=modify_time_ms,
                timeout=timeout,
            )
        )

    def set_permission(
        self, path: str, permission: str, *, timeout: timedelta | None = None
    ) -> None:
        """Sets the permission, octal."""
        self._ask(lambda door: door.set_permission(path, permission, timeout=timeout))

    def content_summary(self, path: str, *, timeout: timedelta | None = None) -> ContentSummary:
        """What lies below a directory, and its quotas."""
        return self._ask(lambda door: door.content_summary(path, timeout=timeout))

    def check_access(
        self, path: str, action: str = "rwx", *, timeout: timedelta | None = None
    ) -> None:
        """Raises unless we may do this."""
        self._ask(lambda door: door.check_access(path, action, timeout=timeout))

    def where_to_write(
        self,
        path: str,
        permission: str,
        overwrite: bool,
        what: str,
        deadline: Deadline,
        excluded: Sequence[str] | None = None,
    ) -> str:
        return self._ask(
            lambda door: door.where_to_write(path, permission, overwrite, what, deadline, excluded)
        )

    def where_to_read(
        self,
        path: str,
        offset_bytes: int,
        length_bytes: int | None,
        what: str,
        deadline: Deadline,
        excluded: Sequence[str] | None = None,
    ) -> str | None:
        return self._ask(
            lambda door: door.where_to_read(
                path, offset_bytes, length_bytes, what, deadline, excluded
            )
        )

    def replaces_token(self, url_string: str) -> bool:
        return self._doors.chosen().replaces_token(url_string)

    def token_shown(self) -> str:
        return self._doors.chosen().token_shown()

    def _ask(self, call: Callable[[NameNodeDoor], _T]) -> _T:
        return self._doors.through(call)
