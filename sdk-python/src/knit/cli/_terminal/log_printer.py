"""Prints what containers write, each line under the name of who wrote it."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

import attrs

from knit.cli._terminal.output import clean, has_colours, is_terminal

if TYPE_CHECKING:
    import knit
    from knit.cli._terminal.progress import Progress

PATIENCE_WITH_A_LINE = 2.0
"""Seconds after which what there is of an unfinished line is shown: a progress bar, a prompt."""
LONGEST_LINE_BYTES = 1024 * 1024
"""As for the SDK's lines: a longer one is shown in parts."""
_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
_USUAL_FILES = ("stdout", "stderr")


class OutputError(Exception):
    """Our own output cannot be written: the disk is full, or nobody reads it any more."""

    def __init__(self, error: OSError | ValueError) -> None:
        why = getattr(error, "strerror", None) or "it is closed"
        super().__init__(f"The output cannot be written: {why}.")
        self.is_closed = isinstance(error, (BrokenPipeError, ValueError))
        """Whether nobody reads it, who then need not be told either."""


@attrs.define
class _File:
    """A log file, and the beginning of a line of it whose end has not come."""

    writer: knit.LogChunk | knit.LogLine
    """Whose it is; its data are not used."""
    pending: bytearray = attrs.field(factory=bytearray)
    shown: int = 0
    """How many bytes of `pending` stand on the open line."""
    since: float = 0.0
    """When the first byte came that is not shown, by time.monotonic."""


class LogPrinter:
    """
    Prints log lines at once, and none of them twice.

    On a terminal a line reads `worker/0 | text`, in a colour by rank; elsewhere it reads
    `[worker/0] text`; as JSON it is an object with the event `log`. What a container wrote to
    its stderr goes to ours, except in JSON. Bytes are passed on as they are, whatever the locale.

    A line that does not end is shown, as far as it has come, after two seconds, and goes on where
    it stands; if another one has to be shown meanwhile it is ended, and goes on below, under its
    label. On a terminal each carriage return begins it anew behind the label. JSON has whole
    lines only.

    Raises:
        OutputError: By every method that prints.
    """

    def __init__(self, progress: Progress, *, as_json: bool = False) -> None:
        self._progress = progress
        self._as_json = as_json
        self._out = _Target(sys.stdout)
        self._err = _Target(sys.stderr)
        self.printed_anything = False
        # Everything below is guarded by the progress's lock, that of what goes to the terminal.
        self._next_offset: dict[tuple[str, str], int] = {}
        self._known_before: dict[tuple[str, str], int] = {}
        self._files: dict[tuple[str, str], _File] = {}
        self._open: tuple[_File, _Target] | None = None
        self._width = 0

    def print_all(self, stream: knit.LogStream) -> None:
        """Print a stream to its end, and say so where bytes of it are lost."""
        self.begin()
        if self._as_json:
            for line in stream:
                self.print(line)
        else:
            with self._impatience():
                for chunk in stream.chunks():
                    self.feed(chunk)
            self.finish()
        by_reason: dict[str, list[knit.LogEnd]] = {}
        if stream.incomplete_reason is not None:
            by_reason[stream.incomplete_reason] = []
        for end in stream.ends.values():
            if end.incomplete_reason is not None:
                by_reason.setdefault(end.incomplete_reason, []).append(end)
        for reason, ends in by_reason.items():
            self._progress.warn(f"{_what_may_be_missing(ends)} may be missing: {reason}")

    def begin(self) -> None:
        """A stream begins, perhaps anew: what was printed before is not printed again."""
        self._known_before = dict(self._next_offset)

    def print(self, line: knit.LogLine) -> None:
        """Print a line, unless it was printed before."""
        if self._as_json:
            if self._take_note(line) == line.data:
                with self._progress.undisturbed():
                    self._out.write(self._json(line))
            return
        with self._progress.undisturbed():
            file = self._feed(line)
            if file is not None and file.pending:
                self._end_pending(file)

    def feed(self, chunk: knit.LogChunk) -> None:
        """Print the lines that are complete now."""
        with self._progress.undisturbed():
            self._feed(chunk)

    def show_pending(self, patience: float = PATIENCE_WITH_A_LINE) -> None:
        """Show what there is of lines of which something has not been shown for so long."""
        with self._progress.undisturbed():
            for file in self._files.values():
                if len(file.pending) > file.shown and time.monotonic() - file.since >= patience:
                    self._show(file)

    def finish(self) -> None:
        """Nothing more comes: end the lines that were not."""
        with self._progress.undisturbed():
            for file in self._files.values():
                if file.pending:
                    self._end_pending(file)
            self._close_line()

    @contextmanager
    def _impatience(self) -> Iterator[None]:
        """Within the block unfinished lines are shown after a while."""
        over = threading.Event()

        def watch() -> None:
            # Whoever prints the next line meets an OutputError as well.
            with suppress(OutputError):
                while not over.wait(PATIENCE_WITH_A_LINE / 4):
                    self.show_pending()

        watcher = threading.Thread(target=watch, name="knit-unfinished-lines", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def _take_note(self, item: knit.LogLine | knit.LogChunk) -> bytes:
        """Its bytes that were not printed before."""
        key = (item.container_id, item.file)
        data = item.data
        if item.follows_cut:
            self._known_before.pop(key, None)
        known = self._known_before.get(key)
        if known is not None:
            data = data[max(0, known - item.offset_bytes) :]
            if data:
                del self._known_before[key]
        if data:
            self._next_offset[key] = item.offset_bytes + len(item.data)
            self.printed_anything = True
        return data

    def _feed(self, item: knit.LogLine | knit.LogChunk) -> _File | None:
        key = (item.container_id, item.file)
        expected = self._next_offset.get(key)
        data = self._take_note(item)
        if not data:
            return None
        file = self._files.setdefault(key, _File(item))
        if file.pending and item.offset_bytes != expected:
            self._end_pending(file)  # what follows is another line
        if item.follows_cut:
            self._progress.warn(
                f"{self._name(file)}: the file {item.file} was made shorter and begins anew; what "
                "nobody had read of it is lost"
            )
        if len(file.pending) == file.shown:
            file.since = time.monotonic()
        file.pending += data
        whole = file.pending.rfind(b"\n") + 1
        if whole:
            self._show_lines(file, whole)
        if len(file.pending) >= LONGEST_LINE_BYTES:
            self._end_pending(file)
        elif self._is_open(file) and len(file.pending) > file.shown:
            self._show(file)
        return file

    def _target(self, file: _File) -> _Target:
        return self._err if file.writer.file == "stderr" else self._out

    def _is_open(self, file: _File) -> bool:
        return self._open is not None and self._open[0] is file

    def _show_lines(self, file: _File, end: int) -> None:
        """Print what ends with a newline at `end`, the rest of an open line first."""
        target, data = self._target(file), bytes(file.pending[:end])
        output = bytearray()
        if self._is_open(file):
            first, _, data = data.partition(b"\n")
            output += self._continued(file, target, first) + b"\n"
            self._set_open(None)
        else:
            # What was shown of it is not repeated; of what was shown whole only its end is new.
            data = data[file.shown :].removeprefix(b"\n" if file.shown else b"")
            if data:
                self._close_line()
        for line in data.split(b"\n")[:-1] if data else ():
            output += self._label(file, target) + self._text(target, line) + b"\n"
        del file.pending[:end]
        file.shown, file.since = 0, time.monotonic()
        if output:
            target.write(bytes(output))

    def _show(self, file: _File) -> None:
        """Show what there is of a line, and leave it open."""
        target = self._target(file)
        if self._is_open(file):
            output = self._continued(file, target, bytes(file.pending))
        else:
            # What was shown of it before another line came is not repeated.
            new = bytes(file.pending[file.shown :])
            self._close_line()
            output = self._label(file, target) + self._text(target, new)
            self._set_open((file, target))
        if target.is_terminal:
            # What a carriage return has passed over is never seen again.
            del file.pending[: file.pending.rfind(b"\r", 0, -1) + 1]
        file.shown = len(file.pending)
        target.write(output)

    def _end_pending(self, file: _File) -> None:
        file.pending += b"\n"
        self._show_lines(file, len(file.pending))

    def _close_line(self) -> None:
        if self._open is not None:
            _, target = self._open
            self._set_open(None)
            target.write(b"\n")

    def _set_open(self, line: tuple[_File, _Target] | None) -> None:
        self._open = line
        self._progress.leave_open(None if line is None else self._close_line)

    def _continued(self, file: _File, target: _Target, line: bytes) -> bytes:
        """What is to be written where the line stands open, of which a part is shown."""
        if target.is_terminal and b"\r" in line[max(0, file.shown - 1) :].rstrip(b"\r"):
            return b"\r\x1b[2K" + self._label(file, target) + self._text(target, line)
        return line[file.shown :]

    def _text(self, target: _Target, data: bytes) -> bytes:
        """A line as it is to be seen, behind its label."""
        if target.is_terminal:
            data = data.rstrip(b"\r").rpartition(b"\r")[2]
            # A program that leaves its own colours switched on does not colour its neighbours.
            if target.has_colours and b"\x1b" in data:
                data += b"\x1b[0m"
        return data

    @staticmethod
    def _name(file: _File) -> str:
        who = file.writer
        # After the end it may be unknown which container was which.
        return f"{who.service}/{who.rank}" if who.service else who.container_id

    def _label(self, file: _File, target: _Target) -> bytes:
        who, name = file.writer, self._name(file)
        if who.file not in _USUAL_FILES:
            name += f":{clean(who.file)}"
        if not target.is_terminal:
            return f"[{name}] ".encode()
        self._width = max(self._width, len(name))
        label = f"{name.ljust(self._width)} | ".encode()
        if not target.has_colours:
            return label
        colour = _COLOURS[(who.rank + sum(who.service.encode())) % len(_COLOURS)]
        return b"\x1b[%dm%b\x1b[0m" % (colour, label)

    def _json(self, line: knit.LogLine) -> bytes:
        value: dict[str, Any] = {
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
        try:
            self._stream.flush()  # what was printed as text comes first
            self._stream.buffer.write(data)  # type: ignore[attr-defined]
            self._stream.buffer.flush()  # type: ignore[attr-defined]
        except (OSError, ValueError) as error:
            raise OutputError(error) from error
