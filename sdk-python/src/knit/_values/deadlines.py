"""How long things may take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import attrs

Pause = Callable[[float], None]
"""Waits so many seconds. Raises where nobody waits any more."""


@attrs.frozen
class Deadline:
    """A point in time by which a whole operation is over, whatever happens on its way."""

    at: float
    """On the clock of `time.monotonic`; infinity if there is none."""
    total: timedelta
    """How long it was when it was set."""

    @classmethod
    def after(cls, timeout: timedelta) -> Deadline:
        """The deadline that lies this far ahead."""
        return cls(time.monotonic() + timeout.total_seconds(), timeout)

    @classmethod
    def of(cls, timeout: timedelta | None, *, default: timedelta) -> Deadline:
        """The deadline of a call that may be given a timeout; zero is one, and is over at once."""
        return cls.after(default if timeout is None else timeout)

    @classmethod
    def never(cls) -> Deadline:
        """The deadline of what may take as long as it takes."""
        return cls(math.inf, timedelta.max)

    @property
    def remaining_seconds(self) -> float:
        """Never negative; infinity if there is no end."""
        return max(0.0, self.at - time.monotonic())

    @property
    def remaining(self) -> timedelta:
        """Never negative."""
        return self.capped(timedelta.max)

    def capped(self, timeout: timedelta) -> timedelta:
        """The time for one of its steps: so much, or what is left if that is less."""
        left = self.remaining_seconds
        return timeout if left >= timeout.total_seconds() else timedelta(seconds=left)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left of it."""
        return self.remaining_seconds <= 0

    def share(self, parts: int) -> Deadline:
        """An earlier deadline, which leaves as much time for each of the other parts."""
        if parts == 1 or self.at == math.inf:
            return self
        return Deadline.after(self.remaining / parts)

    def at_most(self, timeout: timedelta) -> Deadline:
        """The earlier one of this deadline and one that lies so far ahead."""
        other = Deadline.after(timeout)
        return other if other.at < self.at else self


def pauses(first: float, last: float, factor: float = 1.6) -> Iterator[float]:
    """Seconds to wait between tries: growing, then constant, without end."""
    pause = first
    while True:
        yield pause
        pause = min(last, pause * factor)
