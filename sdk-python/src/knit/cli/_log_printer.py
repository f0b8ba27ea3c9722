"""Prints what containers write, each line under the name of who wrote it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from knit.cli._output import has_colours, is_terminal

if TYPE_CHECKING:
    import knit
    from knit.cli._progress import Progress

_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
_USUAL_FILES = ("stdout", "stderr")


class LogPrinter:
    """
    Prints log lines at once, and none of them twice.

    On a terminal a line reads `worker/0 | text`, in a colour by rank; elsewhere it reads
    `[worker/0] text`; as JSON it is an object with the event `log`. What a container wrote to
    its stderr goes to ours, except in JSON. Bytes are passed on as they are, whatever the locale.
    """

    def __init__(self, progress: Progress, *, as_json: bool = False) -> None:
        self._progress = progress
        self._as_json = as_json
        self._out = _Target(sys.stdout)
        self._err = _Target(sys.stderr)
        self._next_offset: dict[tuple[str, str], int] = {}
        self._width = 0

    def print_all(self, stream: knit.LogStream) -> None:
        """Print a stream to its end, and say so where bytes of it are lost."""
        for line in stream:
            self.print(line)
        by_reason: dict[str, list[knit.LogEnd]] = {}
        if stream.incomplete_reason is not None:
            by_reason[stream.incomplete_reason] = []
        for end in stream.ends.values():
            if end.incomplete_reason is not None:
                by_reason.setdefault(end.incomplete_reason, []).append(end)
        for reason, ends in by_reason.items():
            self._progress.warn(f"{_what_may_be_missing(ends)} may be missing: {reason}")

    def print(self, line: knit.LogLine) -> None:
        """Print a line, unless it was printed before."""
        key = (line.container_id, line.file)
        if line.offset_bytes < self._next_offset.get(key, 0):
            return
        self._next_offset[key] = line.offset_bytes + len(line.data)
        if self._as_json:
            target, data = self._out, self._json(line)
        else:
            target = self._err if line.file == "stderr" else self._out
            data = self._labelled(line, target)
        with self._progress.undisturbed():
            target.write(data)

    def _labelled(self, line: knit.LogLine, target: _Target) -> bytes:
        # After the end it may be unknown which container was which.
        name = f"{line.service}/{line.rank}" if line.service else line.container_id
        if line.file not in _USUAL_FILES:
            name += f":{line.file}"
        data = line.data[:-1] if line.data.endswith(b"\n") else line.data
        if not target.is_terminal:
            return b"[%b] %b\n" % (name.encode(), data)
        self._width = max(self._width, len(name))
        label = f"{name.ljust(self._width)} | ".encode()
        if not target.has_colours:
            return label + data + b"\n"
        colour = _COLOURS[(line.rank + sum(line.service.encode())) % len(_COLOURS)]
        # A program that leaves its own colours switched on does not colour its neighbours.
        reset = b"\x1b[0m" if b"\x1b" in data else b""
        return b"\x1b[%dm%b\x1b[0m%b%b\n" % (colour, label, data, reset)

    def _json(self, line: knit.LogLine) -> bytes:
        value = {
            "event": "log",
            "service": line.service,
            "rank": line.rank,
            "attempt_number": line.attempt_number,
            "container_id": line.container_id,
            "file": line.file,
            "offset_bytes": line.offset_bytes,
            "text": line.text,
        }
        return json.dumps(value).encode() + b"\n"


def _what_may_be_missing(ends: Sequence[knit.LogEnd]) -> str:
    if not ends:
        return "logs"
    if len(ends) > 1:
        containers = {end.container_id for end in ends}
        return f"the ends of {len(ends)} log files of {len(containers)} containers"
    [end] = ends
    whose = f"{end.service}/{end.rank} ({end.container_id})" if end.service else end.container_id
    return f"the end of {end.file} of {whose}"


class _Target:
    """One of our own streams, written to in bytes."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.is_terminal = is_terminal(stream)
        self.has_colours = has_colours(stream)

    def write(self, data: bytes) -> None:
        self._stream.flush()  # what was printed as text comes first
        self._stream.buffer.write(data)  # type: ignore[attr-defined]
        self._stream.buffer.flush()  # type: ignore[attr-defined]
