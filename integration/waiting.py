"""Waiting for something with a name, and with evidence when it does not come."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")


class NotInTimeError(AssertionError):
    """What was waited for did not come in time; the message says what, and shows the evidence."""


def wait_until(
    condition: Callable[[], T],
    *,
    what: str,
    timeout: timedelta = timedelta(seconds=60),
    evidence: Callable[[], object] | None = None,
    poll: timedelta = timedelta(milliseconds=100),
) -> T:
    """
    Ask until the condition answers with something true, and return that.

    An exception of the condition is passed on: nothing is swallowed while waiting.

    Args:
        condition: asked at once, then every ``poll``.
        what: a sentence that says what went wrong if the time runs out.
        timeout: how long to wait.
        evidence: called if the time runs out; what it returns is shown.
        poll: pause between two questions.

    Raises:
        NotInTimeError: the time ran out.
    """
    deadline = time.monotonic() + timeout.total_seconds()
    while not (answer := condition()):
        if time.monotonic() >= deadline:
            shown = f"\n{evidence()}" if evidence is not None else ""
            raise NotInTimeError(f"{what}, within {timeout.total_seconds():g} s{shown}")
        time.sleep(poll.total_seconds())
    return answer
