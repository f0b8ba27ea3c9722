"""How things go, on stderr: a line per step, and on a terminal one more that changes in place."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import ClassVar

import click

from knit.cli._terminal.output import clean, has_colours, is_terminal, say
from knit.cli._terminal.words import human_duration


class Progress:
    """
    Says how things go, unless told to be quiet.

    Several threads may call it; `undisturbed` keeps its lines out of what others print.
    """

    latest: ClassVar[Progress | None] = None
    """The one there is, if there is one, so that nobody writes over its lines."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._is_live = not quiet and is_terminal(sys.stderr)
        self._has_colours = has_colours(sys.stderr)
        self._lock = threading.RLock()
        self._status = ""
        self._end_line: Callable[[], None] | None = None
        self._began = time.monotonic()
        Progress.latest = self
        self._last_step = self._began

    @property
    def elapsed(self) -> timedelta:
        """Since this was made."""
        return timedelta(seconds=time.monotonic() - self._began)

    def step(self, sentence: str, *, timed: bool = False) -> None:
        """Say that something was done; `timed` adds how long after the step before."""
        with self.undisturbed():
            now = time.monotonic()
            if timed:
                sentence += f" ({human_duration(timedelta(seconds=now - self._last_step))})"
            self._last_step = now
            self._status = ""
            if not self._quiet:
                self._say(sentence, "cyan")

    def warn(self, sentence: str) -> None:
        """Say what the user should know even if they asked for quiet."""
        with self.undisturbed():
            self._say(sentence, "yellow")

    def status(self, text: str) -> None:
        """Show what is going on now, in place of what was shown before; nothing ends it."""
        if self._is_live:
            with self._lock:
                if clean(text) != self._status:
                    self._clear()
                    self._status = clean(text)
                    self._draw()

    def leave_open(self, end_line: Callable[[], None] | None) -> None:
        """
        A line of output stands unfinished, and is ended by this function before we say anything.

        Call it within `undisturbed`; None says that no such line is left.
        """
        self._end_line = end_line

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """While others print to the terminal: the status line makes room and comes back."""
        with self._lock:
            self._clear()
            try:
                yield
            finally:
                self._draw()

    def _say(self, sentence: str, colour: str) -> None:
        if self._end_line is not None:
            self._end_line()
        try:
            head = click.style("knit:", fg=colour) if self._has_colours else "knit:"
            click.echo(f"{head} {clean(sentence)}", err=True, color=self._has_colours)
        except (OSError, ValueError):  # nobody listens; the application matters more
            self._quiet, self._is_live = True, False

    def _clear(self) -> None:
        # Where an unfinished line stands nothing was drawn.
        if self._status and self._end_line is None:
            self._write("\r\x1b[2K")

    def _draw(self) -> None:
        if self._status and self._end_line is None:
            self._write(f"\x1b[2m{self._status[: _width() - 1]}\x1b[0m")

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError):
            self._is_live, self._status = False, ""


def _width() -> int:
    import shutil

    return max(20, shutil.get_terminal_size().columns)


class SdkNotices(logging.Handler):
    """What the SDK logs as a warning is a sentence for users: for what it waits, what it lost."""

    def emit(self, record: logging.LogRecord) -> None:
        sentence = record.getMessage()
        if Progress.latest is not None:
            Progress.latest.warn(sentence)
        else:
            say(sentence)
