"""Ctrl-C reaches the command whatever its main thread is about to do."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time

import pytest

from knit.cli._running.interrupts import Interrupts, next_event


def test_a_signal_that_does_not_wake_the_main_thread_is_handled_all_the_same() -> None:
    """As when it comes just before the thread falls asleep; here another thread receives it."""
    events: queue.SimpleQueue[int] = queue.SimpleQueue()

    def interrupt() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    with Interrupts() as interrupts:
        interrupts.hand_over(events.put, most=1)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        thread = threading.Thread(target=interrupt)
        thread.start()
        try:
            assert next_event(events, time.monotonic() + 20) == 1
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            thread.join()


def test_waiting_ends_at_its_deadline() -> None:
    events: queue.SimpleQueue[int] = queue.SimpleQueue()
    for seconds in (-1, 0, 0.7):
        deadline = time.monotonic() + seconds
        with pytest.raises(queue.Empty):
            next_event(events, deadline)
        assert time.monotonic() >= deadline


def test_what_is_there_is_given_even_after_the_deadline() -> None:
    events: queue.SimpleQueue[str] = queue.SimpleQueue()
    events.put("there")
    assert next_event(events, time.monotonic() - 1) == "there"
