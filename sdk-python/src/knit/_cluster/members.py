"""What is told where none of a daemon's addresses served: one error, which names them all."""

from __future__ import annotations

from collections.abc import Sequence

from knit._cluster.rest.daemons import Daemon
from knit.exceptions import ClusterError


def summary(
    failures: Sequence[ClusterError], what: str, daemon: Daemon, telling: Sequence[type]
) -> ClusterError:
    """
    One error for all members: the most telling one, which names the others too.

    Args:
        failures: One for each that was tried, of the kinds of `telling`; at least one.
        what: What was tried, as the messages begin.
        daemon: What was looked for.
        telling: Kinds of errors, that first which says most.
    """
    chosen = min(failures, key=lambda failure: _rank(failure, telling))
    others = dict.fromkeys(
        f"{failure.url}: {_came_back(failure, what)}"
        for failure in failures
        if failure is not chosen
    )
    if not others:
        return chosen
    error = type(chosen)(
        f"{chosen.message} No other {daemon.name} answered either: {'; '.join(others)}.",
        url=chosen.url,
    )
    error.__dict__.update(chosen.__dict__)
    error.__cause__ = chosen
    return error


def _rank(failure: ClusterError, telling: Sequence[type]) -> int:
    return next(rank for rank, kind in enumerate(telling) if isinstance(failure, kind))


def _came_back(failure: ClusterError, what: str) -> str:
    """The part of a message that says what came back, without the advice."""
    return failure.message.removeprefix(f"{what}: ").partition(". ")[0]
