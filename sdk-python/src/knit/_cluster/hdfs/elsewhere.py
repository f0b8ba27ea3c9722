"""Which DataNode is tried next, where the one that the NameNode names cannot be reached."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from urllib3.exceptions import ConnectTimeoutError

from knit._cluster.patience import Notice, Tries
from knit._values.deadlines import Deadline
from knit.exceptions import ClusterError, ClusterTimeoutError

MOST_OTHERS = 3
"""
So many DataNodes are asked to be left out at once, as many as have a block by default.

A NameNode goes on to name one that has died for ten minutes
(`dfs.namenode.heartbeat.recheck-interval`), to readers of a block often the same one each time.
"""

_NONE_OTHER = (
    "Failed to find datanode",
    "No active nodes contain this block",
    "are excluded in this operation",
)
"""What a NameNode says where all that it could name are left out."""


class Search:
    """
    One call's way to a DataNode that answers. For one thread.

    Those that cannot be reached are left out of what the NameNode is asked next. Where it has no
    other, one that has refused a connection is waited for: its machine is there, and the NameNode
    has heard of it not long ago, so it is about to come back. An unknown host, or one that says
    nothing, may be out of reach from here for good, so that is told at once.

    Args:
        deadline: For all tries together.
    """

    def __init__(self, deadline: Deadline) -> None:
        self._tries = Tries(deadline)
        self.excluded: list[str] | None = None
        """Those to leave out, each `host:port`; None where none was tried yet."""
        self._first: ClusterError | None = None
        self._has_refused = False
        self._notice = Notice()

    def missed(self, location: str, error: ClusterError) -> None:
        """
        Has another DataNode tried than that of an address, which failed.

        Raises:
            ClusterError: That failure, where it had a connection, or there is nothing left to try.
        """
        self._check_time(error)
        causes = list(_causes(error))
        if not any(isinstance(cause, ConnectTimeoutError) for cause in causes):
            raise error
        self._first = self._first or error
        self._has_refused |= any(isinstance(cause, ConnectionRefusedError) for cause in causes)
        self.excluded = [*(self.excluded or ()), urlsplit(location).netloc]
        if len(self.excluded) > MOST_OTHERS:
            self._wait(self._first)

    def none_other(self, error: ClusterError) -> None:
        """
        Has all of them tried again, after a pause, where the NameNode names no other.

        Raises:
            ClusterError: This failure, where it is another one; else the first of a DataNode.
        """
        self._check_time(error)
        if not self.excluded or self._first is None:
            raise error
        if not any(sign in error.message for sign in _NONE_OTHER):
            raise error
        self._wait(self._first)

    def _check_time(self, error: ClusterError) -> None:
        """The try in which the time ends says nothing but that: told is what it was needed for."""
        if isinstance(error, ClusterTimeoutError) and self._first is not None:
            raise self._first from error

    def _wait(self, error: ClusterError) -> None:
        if not self._has_refused:
            raise error
        self._tries.pause(error, lambda: self._notice)
        self.excluded, self._has_refused = [], False


def _causes(error: BaseException) -> Iterator[BaseException]:
    """A failure and what it comes from, as far as that is known."""
    seen: set[int] = set()
    left: list[object] = [error]
    while left:
        cause = left.pop()
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            # urllib3 keeps what made it give up in an attribute.
            left += [cause.__cause__, cause.__context__, getattr(cause, "reason", None)]
