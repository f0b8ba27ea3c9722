"""
What a measured client and the bench say to each other: one JSON object per line.

The client prints a line when it has done a step, and waits for a line on its standard input before
it goes on to the next. Only the standard library is imported here, and little of it: this is part
of what is measured, on every side alike.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

VALUE = bytes(100)
"""What is written to a key-value store."""

Marks = dict[str, int]
"""Nanoseconds since the epoch by the name of what was reached."""


def now() -> int:
    return time.time_ns()


def timed(call: Callable[[], object]) -> int:
    """How long it takes, in nanoseconds."""
    began = time.perf_counter_ns()
    call()
    return time.perf_counter_ns() - began


def tell(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def wait_for_go() -> None:
    """Stay until the bench says so; leave if it is gone."""
    if not sys.stdin.readline():
        sys.exit(0)
