"""The time of the fake Application Master of `knit.testing`."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone


class FakeClock:
    """This machine's time, and what a test has moved it on by."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        """By how much it was moved on so far."""

    def now(self) -> datetime:
        """The time of day."""
        return datetime.now(timezone.utc) + self.ahead

    def monotonic(self) -> float:
        """Seconds that nobody sets back."""
        return time.monotonic() + self.ahead.total_seconds()
