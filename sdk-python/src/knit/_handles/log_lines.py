"""Lines of many log files, cut from chunks as they come."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator

import attrs

from knit._values.logs import FileKey, Item, LogChunk, LogEnd, LogLine

LONGEST_LINE_BYTES = 1024 * 1024
"""A longer line comes in parts, so that a program that writes none fills no memory."""


@attrs.define
class _OpenLine:
    """The beginning of a line whose end has not come."""

    first: LogLine
    """Whose it is and where it begins; its data are not used."""
    buffer: bytearray
    since: float
    """When the first of these bytes came, on the clock of `time.monotonic`."""


class Lines:
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


def punctual(
    items: Iterator[Item], lines: Lines, seconds: float, close: Callable[[], None]
) -> Iterator[Item | None]:
    """
    The items, and None whenever a line that is held back becomes due.

    Args:
        items: What is read, in another thread.
        lines: Where they go.
        seconds: After so long what there is of a line is due.
        close: Ends the reading.
    """
    handed: queue.SimpleQueue[Item | BaseException | None] = queue.SimpleQueue()
    taken = threading.Semaphore(0)

    def read() -> None:
        try:
            for item in items:
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
        close()
        taken.release()
