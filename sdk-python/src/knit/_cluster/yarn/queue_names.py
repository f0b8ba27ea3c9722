"""Which queue a name means, and what to say where it means none."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from knit._values.queues import QueueReport
from knit.exceptions import QueueNotFoundError, QueueStoppedError

MOST_TOLD = 20
"""Queues that a message names; a cluster may have thousands."""


def queue_called(
    queues: Sequence[QueueReport], name: str, *, what: str, url: str | None = None
) -> QueueReport:
    """
    The queue that a name means: a path, one without its `root.`, or a last part.

    Of a parent and a leaf with the same last part, the leaf is meant.

    Args:
        queues: All there are.
        name: As somebody typed it.
        what: What is tried, for messages.
        url: Who told of them.

    Raises:
        QueueNotFoundError: There is none, or more than one; the message names the nearest.
    """
    for path in (name, f"root.{name}"):
        for queue in queues:
            if queue.path == path:
                return queue
    found = [queue for queue in queues if queue.name == name]
    found = [queue for queue in found if queue.is_leaf] or found
    if not found:
        raise QueueNotFoundError(
            f"{what}: the cluster has no queue {name!r}.{nearest(queues, name)} "
            f"{open_queues(queues)}",
            url=url,
        )
    if len(found) > 1:
        raise QueueNotFoundError(
            f"{what}: {name!r} may mean {_listed([queue.path for queue in found])}. Give its path.",
            url=url,
        )
    return found[0]


def open_queue_called(
    queues: Sequence[QueueReport], name: str, *, what: str, url: str | None = None
) -> QueueReport:
    """
    The queue for applications that a name means.

    Raises:
        QueueNotFoundError: There is none, or more than one, or it only holds other queues.
        QueueStoppedError: It takes no applications.
    """
    queue = queue_called(queues, name, what=what, url=url)
    if not queue.is_leaf:
        below = [q for q in queues if q.is_open and q.path.startswith(f"{queue.path}.")]
        raise QueueNotFoundError(
            f"{what}: {queue.path} only holds other queues. Of those "
            f"{_listed([q.path for q in below]) or 'none'} take applications.",
            url=url,
        )
    if not queue.is_open:
        raise QueueStoppedError(
            f"{what}: the queue {queue.path} is {queue.state.value} and takes no applications. "
            f"{open_queues(queues)}",
            url=url,
        )
    return queue


def open_queues(queues: Sequence[QueueReport]) -> str:
    """A sentence on where applications can be submitted to."""
    leaves = [queue.path for queue in queues if queue.is_open]
    return f"Queues that take applications: {_listed(leaves) or 'none'}."


def nearest(queues: Sequence[QueueReport], name: str) -> str:
    """A sentence on queues with names like this one, with a space before it; empty if none has."""
    paths = {called: queue.path for queue in queues for called in (queue.path, queue.name)}
    close = difflib.get_close_matches(name, paths, n=3)
    found = dict.fromkeys(paths[called] for called in close)
    return f" The nearest: {', '.join(found)}." if found else ""


def _listed(paths: Sequence[str]) -> str:
    more = len(paths) - MOST_TOLD
    told = ", ".join(paths[:MOST_TOLD])
    return f"{told} and {more} more (knit queues)" if more > 0 else told
