"""
How long a cluster that does not answer now is waited for, and how that is told: one policy.

It is the same whatever way leads to a daemon:

* A call has its time, 30 s unless it is given another. Within it is borne what passes by itself: a
  pair without an active member, a daemon that is starting, a NameNode that says when it will leave
  safe mode or that its DataNodes have yet to find, and the silence of a daemon that has answered
  before. One that has never answered may not be there at all, so that is told at once.
* Whoever waits for an application, in `wait`, `run` or `logs -f`, goes on for `OUTAGE`.
* A submission waits for a NameNode in safe mode, or without DataNodes, for `SAFE_MODE`. For nodes
  it does not wait: YARN takes applications without.

What is waited for is told in the log, after `QUIET_SECONDS`, with how long.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from knit._values import giving_up
from knit._values.deadlines import Deadline, pauses
from knit.exceptions import (
    ClusterError,
    ClusterTimeoutError,
    ClusterUnreachableError,
    NoDataNodeError,
    SafeModeError,
    StandbyError,
)

OUTAGE = timedelta(minutes=15)
"""
How long a daemon that does not answer is waited for by whoever waits for an application.

Application Masters and nodes give up their ResourceManager after as long, by Hadoop's own default
(`yarn.resourcemanager.connect.max-wait.ms`), so little outlives a longer outage.
"""

SAFE_MODE = timedelta(minutes=2)
"""
How long a submission waits for a NameNode that will leave safe mode by itself, and for DataNodes.

After the last block was reported it stays in it for 30 s by default
(`dfs.namenode.safemode.extension`); a NameNode that needs longer has most of its start before it.
DataNodes that find it again do so within some seconds, and where there are no blocks it takes
changes before they do.
"""

NODES_RETURN = timedelta(seconds=45)
"""
So long after a ResourceManager's start its nodes may not have come back yet.

A NodeManager asks for it every 30 s by default (`yarn.resourcemanager.connect.retry-interval.ms`),
and then registers anew; 28 to 33 s were measured.
"""

QUIET_SECONDS = 5.0
"""Waiting for longer than this is told."""

_FIRST_PAUSE, _LAST_PAUSE = 0.5, 2.0

_log = logging.getLogger("knit")
_T = TypeVar("_T")


class Notice:
    """Tells in the log what is waited for: after some seconds, and again when that changes."""

    def __init__(self, *, at_once: bool = False) -> None:
        self._loud_at = time.monotonic() + (0 if at_once else QUIET_SECONDS)
        self._said: str | None = None

    def waiting(self, sentence: str, *, kind: str | None = None) -> None:
        """
        It is still waited, for this.

        Args:
            sentence: For what, and how long.
            kind: What is the same for sentences that tell the same, of other files as it may be.
                Default: the sentence.
        """
        # One that only counts down is the same.
        meant = re.sub(r"\d+", "0", sentence) if kind is None else kind
        if meant != self._said and time.monotonic() >= self._loud_at:
            self._said = meant
            _log.warning("%s", sentence)


class Tries:
    """
    The tries of one thing, with longer and longer pauses between them. For one thread.

    Args:
        deadline: For all of them together.
    """

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        """For all of them together."""
        self._pauses = pauses(_FIRST_PAUSE, _LAST_PAUSE)

    def pause(self, error: ClusterError, notice: Callable[[], Notice]) -> None:
        """
        Waits before the next one, and tells why.

        Args:
            error: Why the last one failed.
            notice: Where it is told; asked for where there is a next one.

        Raises:
            ClusterError: That failure, where there is no time for another one.
            GivenUpError: Nobody waits for it any more.
        """
        pause = next(self._pauses)
        if self.deadline.remaining_seconds < pause:
            raise error
        seconds = self.deadline.total.total_seconds()
        notice().waiting(
            f"{error.message} Trying again, for {seconds:g} s in all.", kind=type(error).__name__
        )
        giving_up.pause(pause)


class Patience:
    """
    The patience with one daemon, or with a pair of them, of all calls to it. Threads may share it.

    Args:
        members: How many there are, of which one is active.
    """

    def __init__(self, members: int) -> None:
        self._is_pair = members > 1
        # Both are written without a lock: a stale value costs one more sentence, or one try less.
        self._has_answered = False
        self._outage: Notice | None = None

    def answered(self) -> None:
        """A daemon has said something, whatever it was: it is there."""
        self._has_answered = True

    def passes(self, error: ClusterError) -> bool:
        """Whether it may help to try again in a moment what failed like this."""
        if isinstance(error, StandbyError):
            # One that was named alone stays on standby for as long as the other one is active.
            return self._is_pair or error._is_starting
        if isinstance(error, SafeModeError):
            return error.ends_by_itself
        if isinstance(error, NoDataNodeError):
            return not error._is_lasting
        is_silence = isinstance(error, ClusterUnreachableError | ClusterTimeoutError)
        return is_silence and self._has_answered and not error._is_lasting

    def insist(self, ask: Callable[[], _T], deadline: Deadline) -> _T:
        """
        What a call comes to, which is made again for as long as its failure may pass.

        Args:
            ask: Makes the call. What it raises that is no ClusterError ends it, too.
            deadline: For all tries together.

        Raises:
            ClusterError: The last failure.
            GivenUpError: Nobody waits for it any more.
        """
        tries = Tries(deadline)
        while True:
            giving_up.heed()
            try:
                found = ask()
            except ClusterError as error:
                if not self.passes(error):
                    raise
                tries.pause(error, self._noticed)
            else:
                self._outage = None
                return found

    def _noticed(self) -> Notice:
        # Kept from one call to the next, so that of many the same is told once. Others may take
        # it away meanwhile.
        notice = self._outage = self._outage or Notice()
        return notice


def may_lack_nodes(started: datetime | None, now: datetime | None) -> bool:
    """
    Whether nodes may be about to come back to a ResourceManager.

    Args:
        started: When it was started. One of a pair may have been for long, and have taken over
            just now, which it does not tell.
        now: The time by its own clock.
    """
    return started is not None and now is not None and now - started < NODES_RETURN
