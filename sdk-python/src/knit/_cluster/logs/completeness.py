"""Whether what YARN has collected is all that there will be."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import attrs

from knit._cluster.logs.container_logs import AggregatedLogs
from knit._cluster.patience import NODES_RETURN
from knit.exceptions import LogAggregationDisabledError, LogFormatError, LogsNotFoundError

if TYPE_CHECKING:
    from knit._cluster.configuration.config import ClusterConfig
    from knit._cluster.hdfs.statuses import FileStatus
    from knit._values.reports import ApplicationReport


_STATUS_TIMEOUT_PROPERTY = "yarn.log-aggregation-status.time-out.ms"
_STATUS_TIMEOUT = timedelta(minutes=10)
"""So long after the end the ResourceManager gives up on nodes that say nothing."""
_ENDED_WELL = "SUCCEEDED"
ENDED_BADLY = ("FAILED", "TIME_OUT")
_DISABLED = "DISABLED"


@attrs.frozen
class Listing:
    """The files of an application's directories, by what they are."""

    finished: list[FileStatus]
    unfinished: list[str]
    """Paths of what is still being written."""
    good_ends: Mapping[str, int]
    """Where the last good index ends, by the name of an IFile that is being appended to."""
    archives: list[str]
    """Paths of Hadoop archives, which hold logs of many nodes."""


@attrs.frozen
class Facts:
    """What YARN says of the application."""

    report: ApplicationReport | None
    am_containers: Mapping[str, str]
    """The containers of its Application Masters, and their nodes."""

    @property
    def aggregation(self) -> str:
        """YARN's word for how far it is; empty where it has none."""
        return "" if self.report is None else str(self.report.raw.get("logAggregationStatus") or "")


def is_settled(
    facts: Facts,
    listing: Listing,
    *,
    all_nodes_are_there: bool,
    is_any_missing: bool,
    is_rolling: bool,
    config: ClusterConfig,
) -> bool:
    """
    Whether nothing more is to come.

    Args:
        facts: What YARN says of the application.
        listing: What is there.
        all_nodes_are_there: Whether there is something of each node that it is known to have used.
        is_any_missing: Whether there is nothing of one of these nodes.
        is_rolling: Whether one of their files may still be appended to.
        config: Says when the ResourceManager gives up on nodes that say nothing.
    """
    if facts.report is None:
        return not listing.unfinished
    if not facts.report.state.is_final:
        return False
    if facts.aggregation in (*ENDED_BADLY, _DISABLED):
        return True
    ended = facts.report.finish_time
    since = None if ended is None else datetime.now(timezone.utc) - ended
    if facts.aggregation == _ENDED_WELL and not listing.unfinished:
        # After a failover it is said of the nodes that have come back so far.
        return not is_any_missing or since is None or since > NODES_RETURN
    if not facts.am_containers and not listing.finished and not listing.unfinished:
        return True  # it never had a container
    if all_nodes_are_there and not listing.unfinished:
        # YARN's word for it comes some seconds later, or never, after it was restarted.
        return not is_rolling
    return since is not None and since > _given_up_after(config)


def _given_up_after(config: ClusterConfig) -> timedelta:
    """How long after the end the ResourceManager waits for nodes that say nothing."""
    try:
        millis = int(config.get(_STATUS_TIMEOUT_PROPERTY) or 0)
    except ValueError:
        millis = 0
    return timedelta(milliseconds=millis) if millis > 0 else _STATUS_TIMEOUT


def nothing_there(
    application_id: str, facts: Facts, where: str
) -> LogsNotFoundError | LogAggregationDisabledError:
    """The error for an application of which there are no logs, and of which none will come."""
    what = f"The logs of {application_id} cannot be read"
    if facts.aggregation == _DISABLED:
        return LogAggregationDisabledError(
            f"{what}: it has ended, and this cluster keeps no logs. Read them while the "
            "application runs (knit logs --follow, or a longer linger), or have "
            "yarn.log-aggregation-enable set to true on the cluster."
        )
    if facts.report is not None and not facts.am_containers:
        return LogsNotFoundError(f"{what}: it ended before it had a container.")
    return LogsNotFoundError(
        f"{what}: its Application Master has left, and there are none of it below "
        f"{where}. The cluster deletes them after a while "
        "(yarn.log-aggregation.retain-seconds), or somebody has."
    )


def wait_until_settled(
    look: Callable[[], AggregatedLogs],
    wait: timedelta | None,
    sleep: Callable[[float], None] = time.sleep,
) -> AggregatedLogs:
    """Looks until nothing more is to come, or the time is over."""
    end = time.monotonic() + (wait.total_seconds() if wait is not None else 0)
    pause = 0.2
    while True:
        logs = look()
        left = end - time.monotonic()
        if logs._is_settled or left <= 0:
            return logs
        sleep(min(pause, left))
        pause = min(2.0, pause * 1.5)


def incomplete_reason(
    facts: Facts,
    listing: Listing,
    settled: bool,
    absent: list[str],
    problems: list[LogFormatError],
) -> str | None:
    nodes = f" those of {', '.join(absent)} are missing" if absent else ""
    if facts.report is not None and not facts.report.state.is_final:
        return "The application is still running, and its logs are collected after its end."
    if not settled:
        word = facts.aggregation if facts.aggregation != _ENDED_WELL else ""  # it is of others
        said = f" (YARN says: {word})" if word else ""
        return (
            f"The logs are still being collected from the nodes{said}"
            + (f":{nodes}" if nodes else "")
            + ". Try again in a moment, or follow them."
        )
    if problems:
        return problems[0].message
    if facts.aggregation in ENDED_BADLY:
        how = "failed on a node" if facts.aggregation == "FAILED" else "was not heard of in time"
        return (
            f"The collection of the logs {how}, as YARN says"
            + (f":{nodes}" if nodes else "")
            + ". Look into the logs of that NodeManager."
        )
    if absent and facts.aggregation != _ENDED_WELL:
        return f"Not all nodes have handed in their logs:{nodes}."
    if listing.unfinished:
        return f"{listing.unfinished[0]} was begun and never finished, so its node may have failed."
    return None
