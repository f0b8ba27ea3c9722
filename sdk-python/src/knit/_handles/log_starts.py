"""Where reading begins in what YARN has collected of a log file."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs

from knit._wire.rolled_files import Measure, RolledFile

if TYPE_CHECKING:
    from knit._cluster.logs import ContainerLogs
    from knit._cluster.logs.node_file import Piece


@attrs.define
class Start:
    """Where reading begins: at an offset, or so many lines after it."""

    offset: int
    lines: int = 0

    def begin(self, piece: Piece) -> None:
        """The next part begins: of one file, as this is where names are given once."""

    def finish(self) -> None:
        """All was read."""

    def left_out_of(self, data: bytes, offset: int) -> int:
        """How many of these bytes, which lie at `offset`, come before it."""
        first = min(len(data), max(0, self.offset - offset))
        while self.lines and first < len(data):
            newline = data.find(b"\n", first)
            if newline < 0:
                return len(data)
            first = newline + 1
            self.lines -= 1
        return first


def start_of_tail(container: ContainerLogs, name: str, count: int) -> Start:
    """Reads a file once, and remembers how many lines there are where rather than the lines."""
    marks: collections.deque[tuple[int, int]] = collections.deque()
    size = newlines = forgotten = 0
    last = b"\n"
    for piece in container._pieces():
        if piece.name != name:
            continue
        for data in piece.data.pieces():
            found = data.count(b"\n")
            marks.append((size, found))
            size, newlines, last = size + len(data), newlines + found, data[-1:]
            while newlines - forgotten - marks[0][1] > count:
                forgotten += marks.popleft()[1]
    if count == 0:
        return Start(size)
    too_many = newlines + (last != b"\n") - count
    if too_many <= 0:
        return Start(0)
    before = forgotten
    for offset, found in marks:
        if before + found >= too_many:
            return Start(offset, too_many - before)
        before += found
    return Start(size)


class RowOfAll:
    """Takes note of all collected files of a name as they are read."""

    def __init__(self) -> None:
        self._contents: list[tuple[int, Measure]] = []

    def begin(self, piece: Piece) -> None:
        """The next one begins."""
        self._contents.append((piece.size_bytes, Measure()))

    def add(self, data: bytes) -> None:
        """Bytes of it."""
        self._contents[-1][1].add(data)

    def finish(self, file: RolledFile) -> None:
        """All were read."""
        file.all_collected((size, measure.digest) for size, measure in self._contents)


class RolledStart:
    """
    Where reading begins in a row of collected files: in each of them after what was sent of it.

    Args:
        file: What was sent.
        container: Whose it is.
        name: The name of all of them.
    """

    def __init__(self, file: RolledFile, container: ContainerLogs, name: str) -> None:
        self._file = file
        self._sent = file.sent_of(pieces_of(container, name))
        self._row = RowOfAll()
        self._number, self._read = -1, 0

    def begin(self, piece: Piece) -> None:
        """The next one begins."""
        self._row.begin(piece)
        self._number, self._read = self._number + 1, 0

    def left_out_of(self, data: bytes, offset: int) -> int:
        """How many of the next bytes were sent before, or are left out otherwise."""
        first = min(len(data), max(0, self._sent[self._number] - self._read))
        self._read += len(data)
        self._row.add(data)
        return first

    def finish(self) -> None:
        """All were read."""
        self._row.finish(self._file)


def pieces_of(container: ContainerLogs, name: str) -> Iterator[Piece]:
    """The collected files of this name, in the order in which they were collected."""
    return (piece for piece in container._pieces() if piece.name == name)
