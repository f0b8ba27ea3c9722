"""How long things may take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import attrs


@attrs.frozen
class Deadline:
    """A point in time by which a whole operation is over, whatever happens on its way."""

    at: float
    """On the clock of `time.monotonic`."""
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

    @property
    def remaining_seconds(self) -> float:
        """Never negative."""
        return max(0.0, self.at - time.monotonic())

    @property
    def remaining(self) -> timedelta:
        """Never negative."""
        return timedelta(seconds=self.remaining_seconds)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left of it."""
        return self.remaining_seconds <= 0

    def share(self, parts: int) -> Deadline:
        """An earlier deadline, which leaves as much time for each of the other parts."""
        return self if parts == 1 else Deadline.after(self.remaining / parts)

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
