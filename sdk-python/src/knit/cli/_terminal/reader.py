"""Whoever reads what we print, and leaves."""

from __future__ import annotations

import io
import select
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOOKS_EVERY_MS = 250


@contextmanager
def until_reader_leaves(close: Callable[[], object]) -> Iterator[None]:
    """
    Calls `close` once nobody reads our output any more, as after `| head -1`.

    A write would tell, but a stream in which nothing happens writes nothing, perhaps for days.

    Raises:
        BrokenPipeError: On leaving the block, if that was so.
    """
    over, left = threading.Event(), threading.Event()
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)  # errors and hang-ups are told unasked
    except (AttributeError, io.UnsupportedOperation, OSError, ValueError):
        yield  # no pipe, or a system that cannot tell
        return

    def look() -> None:
        while not over.is_set():
            if any(
                told & (select.POLLERR | select.POLLHUP) for _, told in poll.poll(_LOOKS_EVERY_MS)
            ):
                left.set()
                close()
                return

    thread = threading.Thread(target=look, name="knit-reader", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if left.is_set():
        raise BrokenPipeError
