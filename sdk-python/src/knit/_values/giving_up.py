"""
Work in several threads that is given up once nobody waits for it: by Ctrl-C, or another's failure.

A thread that is blocked in a call cannot be woken; all that waits between calls can, and is.
"""

from __future__ import annotations

import contextlib
import contextvars
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import TypeVar

_T = TypeVar("_T")
_A = TypeVar("_A")

GRACE_SECONDS = 1.0
"""
How long threads whose work is given up may clear up behind them, where somebody wants to leave.

What hangs in a call is left to it then: its thread keeps no process alive.
"""

_CURRENT: contextvars.ContextVar[GivingUp | None] = contextvars.ContextVar("knit", default=None)


class GivenUpError(Exception):
    """Nobody waits for this any more."""


class GivingUp:
    """
    Whether somebody still waits for some work, and for all that is begun within it.

    Args:
        within: What this is a part of; with that it is given up, too.
    """

    def __init__(self, within: GivingUp | None = None) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._parts: weakref.WeakSet[GivingUp] = weakref.WeakSet()
        if within is not None:
            within._take(self)

    @property
    def is_given_up(self) -> bool:
        return self._event.is_set()

    def give_up(self) -> None:
        """Nobody waits any more. May be called from a signal's handler's thread, and again."""
        with self._lock:
            self._event.set()
            parts = list(self._parts)
        for part in parts:
            part.give_up()

    def _take(self, part: GivingUp) -> None:
        with self._lock:
            self._parts.add(part)
            is_over = self._event.is_set()
        if is_over:
            part.give_up()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Within the block, in this thread and in `Threads` from there on, it is looked at."""
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)

    def pause(self, seconds: float) -> None:
        if _wait(self._event, seconds):
            raise GivenUpError


def pause(seconds: float) -> None:
    """
    Waits.

    Raises:
        GivenUpError: Nobody waits for this work any more; at once when that is so.
    """
    current = _CURRENT.get()
    if current is None:
        time.sleep(seconds)
    else:
        current.pause(seconds)


def heed() -> None:
    """
    Goes on if this work is still of use.

    Raises:
        GivenUpError: It is not.
    """
    current = _CURRENT.get()
    if current is not None and current.is_given_up:
        raise GivenUpError


@contextlib.contextmanager
def clearing_up() -> Iterator[None]:
    """Within the block, which takes back what was begun, nothing is given up."""
    token = _CURRENT.set(None)
    try:
        yield
    finally:
        _CURRENT.reset(token)


class Threads:
    """
    A few threads for parts of one piece of work. Left by an exception, what goes on is given up.

    By Ctrl-C, or where all is given up, the block is left after `GRACE_SECONDS` at the latest, and
    else once the last part has ended.

    Args:
        most: How many at a time.
        name: Theirs.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most, self._name = most, name
        self._giving_up = GivingUp(_CURRENT.get())
        self._parts: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(self, work: Callable[[], _T]) -> Future[_T]:
        """Has a thread do it, as soon as one is free."""
        future: Future[_T] = Future()
        context = contextvars.copy_context()

        def part() -> None:
            try:
                with self._giving_up.watched():
                    heed()
                    found = work()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(found)

        self._parts.put(lambda: context.run(part))
        if len(self._threads) < self._most:
            name = f"{self._name}_{len(self._threads)}"
            thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def map(self, work: Callable[[_A], _T], parts: Iterable[_A]) -> list[_T]:
        """What it comes to for each, in their order."""
        futures = [self.submit(lambda part=part: work(part)) for part in parts]  # type: ignore[misc]
        return [future.result() for future in futures]

    def _run(self) -> None:
        while (part := self._parts.get()) is not None:
            part()

    def __enter__(self) -> Threads:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._giving_up.give_up()
        for _ in self._threads:
            self._parts.put(None)
        leaves = kind is not None and (kind is GivenUpError or not issubclass(kind, Exception))
        until = time.monotonic() + GRACE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()) if leaves else None)


def within(seconds: float, work: Callable[[], object]) -> bool:
    """
    Does something in a thread of its own, which is waited for no longer than that.

    Returns:
        Whether it was done. What it raises is not told.
    """
    done = threading.Event()

    def run() -> None:
        with contextlib.suppress(Exception):
            work()
            done.set()

    thread = threading.Thread(target=run, name="knit-clearing-up", daemon=True)
    thread.start()
    thread.join(seconds)
    return done.is_set()


def _wait(event: threading.Event, seconds: float) -> bool:
    return event.wait(seconds)
