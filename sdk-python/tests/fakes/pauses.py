"""Time that passes as fast as a test wants it to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from knit._values import giving_up


class Pauses(list[float]):
    """What was slept, while the clock went on without anybody's waiting."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.meanwhile: Callable[[], None] = lambda: None
        monotonic = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: monotonic() + sum(self))
        monkeypatch.setattr(time, "sleep", self._sleep)
        monkeypatch.setattr(giving_up, "_wait", self._wait)

    def _wait(self, event: threading.Event, seconds: float) -> bool:
        self._sleep(seconds)
        return event.is_set()

    def _sleep(self, seconds: float) -> None:
        self.append(seconds)
        self.meanwhile()
