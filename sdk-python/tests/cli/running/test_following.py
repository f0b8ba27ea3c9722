"""`knit run` looks at containers seldom enough for the Application Master, and often enough."""

from __future__ import annotations

from datetime import timedelta

import pytest

from knit.cli._running.following import IDLE_POLL_SECONDS, POLL_SECONDS, pause_after

LINGER = timedelta(seconds=10)


def test_what_is_quick_is_looked_at_often() -> None:
    assert pause_after(0.001, LINGER) == POLL_SECONDS


def test_looking_takes_a_tenth_of_the_time() -> None:
    assert pause_after(0.2, LINGER) == pytest.approx(1.8)


@pytest.mark.parametrize("look_seconds", [1.5, 30])
def test_an_application_master_that_lingers_is_not_missed(look_seconds: float) -> None:
    """However slow the first look was, which waits for the Application Master to be up."""
    assert pause_after(look_seconds, LINGER) < LINGER.total_seconds() / 2


@pytest.mark.parametrize("seconds", [0, 0.1])
def test_one_that_does_not_linger_is_not_asked_all_the_time(seconds: float) -> None:
    assert pause_after(30, timedelta(seconds=seconds)) == POLL_SECONDS


def test_looks_while_all_run_fall_into_the_time_of_lingering_too() -> None:
    assert LINGER.total_seconds() / 2 > IDLE_POLL_SECONDS
