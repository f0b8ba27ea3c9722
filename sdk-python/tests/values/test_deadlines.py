"""Deadlines, whose clock is the test's."""

from __future__ import annotations

import math
import time
from datetime import timedelta

import pytest

from knit._values.deadlines import Deadline, pauses


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_what_is_left_shrinks_and_is_never_negative(clock: list[float]) -> None:
    deadline = Deadline.after(timedelta(seconds=8))
    assert deadline.remaining_seconds == 8
    clock[0] += 6
    assert deadline.remaining == timedelta(seconds=2)
    assert deadline.capped(timedelta(seconds=1)) == timedelta(seconds=1)
    assert deadline.capped(timedelta(seconds=30)) == timedelta(seconds=2)
    assert deadline.share(2).remaining_seconds == 1
    assert deadline.share(1) is deadline
    clock[0] += 60
    assert deadline.remaining == deadline.capped(timedelta(seconds=1)) == timedelta()
    assert deadline.total == timedelta(seconds=8)


def test_a_deadline_of_nothing_is_over_at_once(clock: list[float]) -> None:
    assert Deadline.after(timedelta()).remaining_seconds == 0
    assert Deadline.after(timedelta(seconds=-1)).remaining_seconds == 0


def test_what_has_no_end_bounds_no_step(clock: list[float]) -> None:
    deadline = Deadline.never()
    clock[0] += 1e9
    assert deadline.remaining_seconds == math.inf
    assert deadline.remaining == timedelta.max
    assert deadline.capped(timedelta(seconds=30)) == timedelta(seconds=30)
    assert deadline.share(3) is deadline


def test_pauses_grow_to_their_last_and_stay() -> None:
    steps = pauses(1, 3, 2)
    assert [next(steps) for _ in range(4)] == [1, 2, 3, 3]
