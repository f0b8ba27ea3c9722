"""
The cluster's file system, whichever way leads to its NameNode.

There are two: WebHDFS, and the protocol that Hadoop's own clients speak. Data goes to and from the
web servers of DataNodes by both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from knit._cluster.hdfs.statuses import ContentSummary, FileStatus
from knit._cluster.hdfs.transfer import Progress, Readable
from knit._cluster.security.tokens import Token
from knit._values.deadlines import Deadline


class FileSystem(Protocol):
    """
    The file system behind a NameNode, or behind an HA pair of them. Threads may share it.

    What each call raises, and its arguments, are told by `webhdfs.WebHdfs`.
    """

    @property
    def timeout(self) -> timedelta:
        """For each call that is given none: for data, the time in which nothing moves."""

    @property
    def user(self) -> str:
        """The name the file system knows us by."""

    @property
    def address(self) -> str:
        """Who answered last, or is asked first; for messages."""

    def now(self) -> datetime:
        """The time by the file system's clock, to a second, as far as it has told it."""

    def delegation_token(
        self, renewer: str | None = None, *, timeout: timedelta | None = None
    ) -> Token:
        """Another delegation token of ours, as the file system names it."""

    def key_provider(self, *, timeout: timedelta | None = None) -> str | None:
        """Where the keys of its encryption zones are; None where it has none."""

    def home_directory(self, *, timeout: timedelta | None = None) -> str:
        """Our home directory's path. It need not exist."""

    def status(self, path: str, *, timeout: timedelta | None = None) -> FileStatus:
        """What there is at a path."""

    def find(self, path: str, *, timeout: timedelta | None = None) -> FileStatus | None:
        """What there is at a path; None if nothing."""

    def list_directory(self, path: str, *, timeout: timedelta | None = None) -> list[FileStatus]:
        """What a directory holds, by name; for a file, the file."""

    def make_directories(
        self, path: str, *, permission: str = "755", timeout: timedelta | None = None
    ) -> None:
        """Makes a directory and its parents. One that is there already is left as it is."""

    def rename(self, path: str, to: str, *, timeout: timedelta | None = None) -> bool:
        """Moves a file. False if the target exists or the source does not."""

    def delete(
        self, path: str, *, recursive: bool = False, timeout: timedelta | None = None
    ) -> bool:
        """Deletes a file or directory. False if there was none."""

    def set_times(
        self,
        path: str,
        *,
        access_time_ms: int | None = None,
        modify_time_ms: int | None = None,
        timeout: timedelta | None = None,
    ) -> None:
        """Sets the times that are given and leaves the other."""

    def set_permission(
        self, path: str, permission: str, *, timeout: timedelta | None = None
    ) -> None:
        """Sets the permission, octal."""

    def content_summary(self, path: str, *, timeout: timedelta | None = None) -> ContentSummary:
        """What lies below a directory, and its quotas."""

    def check_access(
        self, path: str, action: str = "rwx", *, timeout: timedelta | None = None
    ) -> None:
        """Raises unless we may do this."""

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
        """Writes a file, and the directories above it."""

    def read(
        self,
        path: str,
        *,
        offset_bytes: int = 0,
        length_bytes: int | None = None,
        timeout: timedelta | None = None,
    ) -> bytes:
        """Reads a file, or a part of it, into memory."""

    def open(
        self,
        path: str,
        *,
        offset_bytes: int = 0,
        length_bytes: int | None = None,
        timeout: timedelta | None = None,
    ) -> Iterator[bytes]:
        """Reads a file, or a part of it, as it arrives."""

    def stream(
        self,
        path: str,
        *,
        offset_bytes: int = 0,
        length_bytes: int,
        timeout: timedelta | None = None,
    ) -> Iterator[bytes]:
        """Reads a part of a file, and goes on where it was after a broken connection."""

    def close(self) -> None:
        """Closes connections that are its own, and cancels tokens that it fetched for itself."""


class NameNodeDoor(FileSystem, Protocol):
    """One of the ways."""

    def where_to_write(
        self,
        path: str,
        permission: str,
        overwrite: bool,
        what: str,
        deadline: Deadline,
        excluded: Sequence[str] | None = None,
    ) -> str:
        """The address that takes a file's contents."""

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

    def replaces_token(self, url_string: str) -> bool:
        """Shows another token than this one from now on; False where it is not ours to do so."""

    def token_shown(self) -> str:
        """The token that DataNodes are shown from now on. A secret."""
