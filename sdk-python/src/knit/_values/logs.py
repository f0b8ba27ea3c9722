"""Log files of containers, and what is read of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import attrs

STANDARD_FILES = ("stdout", "stderr")
"""What every program writes. A node keeps them whole until their container has ended."""

ROLLED_SUFFIX = ".rolled"
"""
What the names of files end in that nodes may collect, and remove, while their program runs.

It is what our submissions ask for. All other files are collected once, with their container's end.
"""

FileKey: TypeAlias = tuple[str, str]
"""A log file: its container's ID and its name."""

Identity: TypeAlias = tuple[str, int, int]
"""A container's service, rank and attempt number."""


@attrs.frozen
class LogLine:
    """A line of a log file, or a part of one; see `is_partial`."""

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
    is_partial: bool = False
    """
    Whether the next `LogLine` of this file goes on with the same line: this one is longer than
    1 MiB, or was not finished in time (`LogStream.lines`).
    """
    follows_cut: bool = False
    """As that of the chunk whose first line this is."""

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
    follows_cut: bool = False
    """
    Whether the file was made shorter before this, as by a program that opens it anew. Offsets
    begin anew, and what the program had written and nobody had read by then is lost.
    """


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


class LogFiles(list[LogFile]):
    """The log files of a container, by name: a list, and whether it is all."""

    incomplete_reason: str | None
    """Why there may be more files, or longer ones, in a sentence. None if these are all."""

    def __init__(self, files: Iterable[LogFile] = (), incomplete_reason: str | None = None) -> None:
        super().__init__(files)
        self.incomplete_reason = incomplete_reason


def is_rolled(file: str) -> bool:
    """Whether nodes may have collected, and removed, a file of this name while its program runs."""
    return file.endswith(ROLLED_SUFFIX)


Item: TypeAlias = LogChunk | LogEnd
