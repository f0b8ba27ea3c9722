"""Work in threads, and what comes of it when nobody waits any more. By events, not by clocks."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from knit._values import giving_up
from knit._values.giving_up import GivenUpError, GivingUp, Threads, clearing_up, heed, pause, within

LONG = 3600.0
"""Seconds that no test waits for: whoever is not woken is killed by the time limit of all tests."""


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """What hangs in a call does so until this is set; the test's end does so."""
    event = threading.Event()
    yield event
    event.set()


def test_threads_do_parts_and_tell_what_came_of_each() -> None:
    def fails() -> int:
        raise ValueError("no")

    with Threads(2, "test") as threads:
        assert threads.map(lambda n: n * n, range(5)) == [0, 1, 4, 9, 16]
        failed = threads.submit(fails)
        assert isinstance(failed.exception(), ValueError)
        assert threads.submit(lambda: 1).result() == 1


def test_no_more_work_at_a_time_than_wanted_and_that_many() -> None:
    meet = threading.Barrier(3, timeout=60)
    busy = 0
    most = 0
    lock = threading.Lock()

    def part() -> None:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        meet.wait()
        with lock:
            busy -= 1

    with Threads(3, "test") as threads:
        for each in [threads.submit(part) for _ in range(6)]:
            each.result()
    assert most == 3


def test_left_by_an_error_what_waits_is_woken_and_what_is_not_begun_never_is() -> None:
    parts: list[Future[None]] = []

    def whole() -> None:
        with Threads(1, "test") as threads:
            parts.append(threads.submit(lambda: pause(LONG)))
            parts.append(threads.submit(lambda: pytest.fail("it was begun")))
            raise ValueError("another part failed")

    with pytest.raises(ValueError, match="another part failed"):
        whole()
    # The block was left only after all of them.
    assert [type(part.exception(timeout=0)) for part in parts] == [GivenUpError, GivenUpError]


def test_parts_of_parts_are_given_up_too() -> None:
    waits = threading.Event()
    whole = GivingUp()

    def inner() -> None:
        waits.set()
        pause(LONG)

    def outer() -> None:
        with Threads(1, "inner") as threads:
            threads.submit(inner).result()

    with whole.watched(), Threads(1, "outer") as threads:
        found = threads.submit(outer)
        assert waits.wait(60)
        whole.give_up()
        assert isinstance(found.exception(), GivenUpError)
    # What is begun afterwards ends as it begins.
    with whole.watched(), Threads(1, "late") as threads:
        assert isinstance(threads.submit(lambda: None).exception(), GivenUpError)
        with pytest.raises(GivenUpError):
            heed()
    heed()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GivenUpError])
def test_what_hangs_in_a_call_does_not_keep_who_wants_to_leave(
    monkeypatch: pytest.MonkeyPatch, release: threading.Event, kind: type[BaseException]
) -> None:
    monkeypatch.setattr(giving_up, "GRACE_SECONDS", 0.01)
    hangs = threading.Event()

    def hang() -> bool:
        hangs.set()
        # It keeps no process alive either.
        assert threading.current_thread().daemon
        return release.wait()

    parts: list[Future[bool]] = []

    def whole() -> None:
        with Threads(1, "test") as threads:
            parts.append(threads.submit(hang))
            assert hangs.wait(60)
            raise kind

    with pytest.raises(kind):
        whole()
    [hanging] = parts
    assert not hanging.done()
    release.set()
    assert hanging.result(timeout=60)


def test_who_failed_waits_for_what_hangs(release: threading.Event) -> None:
    """It is left to nobody: the next try would meet it."""
    hangs = threading.Event()
    ends: list[bool] = []

    def hang() -> None:
        hangs.set()
        release.wait()
        ends.append(True)

    def fail() -> None:
        with contextlib.suppress(ValueError), Threads(1, "test") as threads:
            threads.submit(hang)
            raise ValueError

    failing = threading.Thread(target=fail, daemon=True)
    failing.start()
    assert hangs.wait(60)
    failing.join(0.05)
    assert failing.is_alive()
    release.set()
    failing.join(60)
    assert ends == [True]


def test_what_was_begun_is_taken_back_without_being_given_up() -> None:
    whole = GivingUp()
    whole.give_up()
    with whole.watched():
        with clearing_up():
            heed()
            pause(0)
        with pytest.raises(GivenUpError):
            pause(LONG)


def test_something_is_waited_for_so_long_and_no_longer(release: threading.Event) -> None:
    done: list[bool] = []
    assert within(60, lambda: done.append(True))
    assert done == [True]
    assert not within(0.01, release.wait)

    def fails() -> None:
        raise ValueError

    assert not within(60, fails)
