"""Ctrl-C, SIGTERM and SIGHUP (a terminal that is closed) while an application runs."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import TypeVar

T = TypeVar("T")

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
_LONGEST_SLEEP_SECONDS = 0.5


def next_event(events: queue.SimpleQueue[T], deadline: float | None = None) -> T:
    """
    Wait for an event in the main thread, without sleeping through a signal.

    Python handles signals between two steps of the main thread. One that arrives just before
    that thread falls asleep does not wake it; so it wakes by itself now and then.

    Args:
        events: What other threads and `Interrupts` have to say.
        deadline: By `time.monotonic()`. Default: none.

    Raises:
        queue.Empty: There was none until then.
    """
    while True:
        remaining = float("inf") if deadline is None else deadline - time.monotonic()
        try:
            return events.get(timeout=max(0.0, min(remaining, _LONGEST_SLEEP_SECONDS)))
        except queue.Empty:
            if remaining <= _LONGEST_SLEEP_SECONDS:
                raise


class Interrupts:
    """
    Counts interrupts within its `with`.

    Until `hand_over` each is a KeyboardInterrupt, as usual. After that they are handed
    to a function, and one more than it takes ends this process at once.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        """The first one's number. None before that."""
        self._count = 0
        self._most = 0
        self._receiver: Callable[[int], None] | None = None
        self._previous: dict[int, object] = {}

    @property
    def by(self) -> str:
        """What interrupted, for people."""
        name = signal.Signals(self.signal or signal.SIGINT).name
        return {"SIGINT": "Ctrl-C", "SIGHUP": "a closed terminal"}.get(name, name)

    @property
    def exit_code(self) -> int:
        """What a shell makes of a process that ends by this signal."""
        return 128 + (self.signal or signal.SIGINT)

    def hand_over(self, receiver: Callable[[int], None], *, most: int) -> None:
        """
        From now on call `receiver` with 1, 2… up to `most`, within a signal handler.

        Whoever takes over from another receiver is told at once if that one was called.
        """
        interrupted = self.signal is not None
        self._count, self._most = int(interrupted), most
        self._receiver = receiver
        if interrupted:
            receiver(1)

    def take_back(self) -> None:
        """From now on each is a KeyboardInterrupt again: for what the main thread waits itself."""
        self._receiver = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                # What is ignored stays ignored: nohup, or a shell's background job.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.signal is None:
            self.signal = number
        self._count += 1
        if self._receiver is None:
            raise KeyboardInterrupt
        if self._count > self._most:
            os._exit(self.exit_code)
        self._receiver(self._count)
