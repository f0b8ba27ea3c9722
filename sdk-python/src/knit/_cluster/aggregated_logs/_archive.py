"""Looks at what YARN has aggregated of one application, and knows whether that is all of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import attrs

from knit._cluster.aggregated_logs import _places, _records
from knit._cluster.aggregated_logs._container_logs import AggregatedLogs, ContainerLogs
from knit._cluster.aggregated_logs._directory import LogDirectories, quietly
from knit._cluster.aggregated_logs._ifile import CHECKSUM_SUFFIX, IFile, mark_of, parse_checksum
from knit._cluster.aggregated_logs._node_file import NodeFile
from knit._cluster.aggregated_logs._places import Place
from knit._cluster.aggregated_logs._reading import MalformedError
from knit._cluster.aggregated_logs._records import ApplicationRecord
from knit._cluster.aggregated_logs._remote import RemoteFile
from knit._cluster.aggregated_logs._tfile import MAGIC, TFile
from knit._values.identifiers import attempt_of, numbers_of
from knit.exceptions import (
    ApplicationNotFoundError,
    ClusterFileNotFoundError,
    LogAggregationDisabledError,
    LogFormatError,
    LogsNotFoundError,
)

if TYPE_CHECKING:
    from knit._cluster.cluster import Cluster
    from knit._cluster.webhdfs import FileStatus
    from knit._values.reports import ApplicationReport

_TMP_SUFFIX = ".tmp"
_HAR_SUFFIX = ".har"
_MARK_BYTES = 32
_READERS = 8
"""So many nodes' files are opened at the same time."""
_STATUS_TIMEOUT_PROPERTY = "yarn.log-aggregation-status.time-out.ms"
_STATUS_TIMEOUT = timedelta(minutes=10)
"""So long after the end the ResourceManager gives up on nodes that say nothing."""
_ENDED_WELL = "SUCCEEDED"
_ENDED_BADLY = ("FAILED", "TIME_OUT")
_DISABLED = "DISABLED"


@attrs.frozen
class _Listing:
    """The files of an application's directories, by what they are."""

    finished: list[FileStatus]
    unfinished: list[str]
    """Paths of what is still being written."""
    good_ends: Mapping[str, int]
    """Where the last good index ends, by the name of an IFile that is being appended to."""
    archives: list[str]
    """Paths of Hadoop archives, which hold logs of many nodes."""


@attrs.frozen
class _Facts:
    """What YARN says of the application."""

    report: ApplicationReport | None
    am_containers: Mapping[str, str]
    """The containers of its Application Masters, and their nodes."""

    @property
    def aggregation(self) -> str:
        """YARN's word for how far it is; empty where it has none."""
        return "" if self.report is None else str(self.report.raw.get("logAggregationStatus") or "")


class LogArchive:
    """
    The aggregated logs of one application. Not for several threads at once.

    Args:
        cluster: Where it ran.
        application_id: Which it is.
    """

    def __init__(self, cluster: Cluster, application_id: str) -> None:
        self._cluster = cluster
        self.application_id = application_id
        self._directories = LogDirectories(
            cluster.files, cluster.config, quietly(cluster.resource_manager.configured)
        )
        self._mark = mark_of(application_id)
        self._opened: dict[object, NodeFile | LogFormatError] = {}
        self._records: dict[object, ApplicationRecord] = {}

    def look(self) -> AggregatedLogs:
        """
        What is there now.

        Raises:
            LogAggregationDisabledError: The cluster keeps no logs.
            LogsNotFoundError: There are none, and none will come.
            LogFormatError: There are some, and none of them can be read.
            AccessDeniedError: They may not be read by this user.
            ClusterError: The cluster does not answer, or not as it should.
        """
        facts = self._ask()
        user = facts.report.user if facts.report is not None else self._cluster.files.user
        listing = self._list(user)
        nodes, problems = self._open_all(listing)
        am_ids = self._am_ids(facts, nodes)
        records = self._read_records(nodes, am_ids)
        recorded = {
            container_id: place
            for record in records
            for container_id, place in _places.places_of(record).items()
        }
        containers = self._containers(nodes, recorded, am_ids)
        missing = {key: place for key, place in recorded.items() if key not in containers}
        used = {place.node_id for place in recorded.values()} | set(facts.am_containers.values())
        absent = sorted(used - {node.node_id for node in nodes} - {None, ""}, key=str)
        settled = self._is_settled(facts, listing, bool(recorded) and not absent, nodes)
        if settled and not containers:
            raise problems[0] if problems else self._nothing(facts, listing)
        return AggregatedLogs(
            application_id=self.application_id,
            containers=containers,
            incomplete_reason=_incomplete_reason(
                facts, listing, settled, [str(node) for node in absent], problems
            ),
            is_settled=settled,
            has_ended=facts.report is None or facts.report.state.is_final,
            missing={
                key: (place.service, place.rank, place.attempt_number)
                for key, place in missing.items()
            },
            silent=frozenset(
                key
                for key, place in missing.items()
                if settled
                and facts.aggregation not in _ENDED_BADLY
                and any(node.node_id == place.node_id for node in nodes)
            ),
            problems=tuple(problems),
            records=tuple(records),
            fingerprint=(
                facts.aggregation,
                tuple((status.path, status.size_bytes) for status in listing.finished),
                tuple(listing.unfinished),
            ),
        )

    # What there is

    def _ask(self) -> _Facts:
        manager = self._cluster.resource_manager
        try:
            report = manager.application(self.application_id)
        except ApplicationNotFoundError:
            return _Facts(None, {})  # YARN has forgotten it; its logs may be there all the same
        am_containers = {}
        for attempt in manager.attempts(self.application_id):
            if attempt.get("containerId"):
                node_id = str(attempt.get("nodeId") or "")
                am_containers[str(attempt["containerId"])] = node_id
        return _Facts(report, am_containers)

    def _list(self, user: str) -> _Listing:
        statuses = self._directories.list_files(self.application_id, user)
        finished, unfinished, archives = [], [], []
        good_ends: dict[str, int] = {}
        for status in statuses:
            if status.name.endswith(_HAR_SUFFIX):
                archives.append(status.path)
            elif status.is_directory:
                continue
            elif status.name.endswith(_TMP_SUFFIX):
                unfinished.append(status.path)
            elif status.name.endswith(CHECKSUM_SUFFIX):
                good_ends.update(self._good_end(status))
            else:
                finished.append(status)
        # The pieces of a node's logs come in the order of their times, which their names end with.
        finished.sort(key=lambda status: (status.path.rpartition("/")[0], status.name))
        return _Listing(finished, unfinished, good_ends, archives)

    def _good_end(self, status: FileStatus) -> dict[str, int]:
        try:
            name, end = parse_checksum(self._cluster.files.read(status.path))
        except (MalformedError, ClusterFileNotFoundError):
            return {}  # it is just being written, or just gone
        return {name: end}

    def _open_all(self, listing: _Listing) -> tuple[list[NodeFile], list[LogFormatError]]:
        problems = [_archived(path) for path in listing.archives]
        nodes: list[NodeFile] = []
        if not listing.finished:
            return nodes, problems

        def open_one(status: FileStatus) -> NodeFile | LogFormatError | None:
            return self._open(status, listing.good_ends.get(status.name))

        with ThreadPoolExecutor(_READERS, thread_name_prefix="knit-logs") as pool:
            for found in pool.map(open_one, listing.finished):
                if isinstance(found, NodeFile):
                    nodes.append(found)
                elif found is not None:
                    problems.append(found)
        return nodes, problems

    def _open(self, status: FileStatus, end: int | None) -> NodeFile | LogFormatError | None:
        """A node's file. None where nothing of it is there yet."""
        if end == 0:
            return None
        key = (status.path, status.size_bytes, status.modify_time_ms, end)
        if key not in self._opened:
            try:
                node = self._detect(RemoteFile(self._cluster.files, status), end)
                node.container_ids()
                self._opened[key] = node
            except LogFormatError as error:
                self._opened[key] = error
            except ClusterFileNotFoundError:
                return None  # replaced or deleted since it was listed
        return self._opened[key]

    def _detect(self, source: RemoteFile, end: int | None) -> NodeFile:
        if end is not None:
            return IFile(source, self.application_id, end)
        tail = min(source.size_bytes, _MARK_BYTES)
        mark = source.read(source.size_bytes - tail, tail)
        if mark.endswith(MAGIC):
            return TFile(source)
        if mark == self._mark:
            return IFile(source, self.application_id)
        raise LogFormatError(
            f"The aggregated logs in {source.path} cannot be read: the file ends neither as a "
            "TFile nor as an indexed file does. It may be cut off; see whether the cluster's own "
            "`yarn logs` can read it.",
            path=source.path,
        )

    def _am_ids(self, facts: _Facts, nodes: Iterable[NodeFile]) -> set[str]:
        if facts.am_containers:
            return set(facts.am_containers)
        return {
            container_id
            for node in nodes
            for container_id in node.container_ids()
            if _places.may_be_application_master(container_id)
        }

    def _read_records(self, nodes: Iterable[NodeFile], am_ids: set[str]) -> list[ApplicationRecord]:
        """What the Application Masters wrote down, in the order of their attempts."""
        found: list[tuple[int, ApplicationRecord]] = []
        for node in nodes:
            for container_id in am_ids.intersection(node.container_ids()):
                key = (node, container_id)
                attempt_number = attempt_of(container_id)
                if key not in self._records:
                    pieces = (
                        data
                        for piece in node.pieces(container_id)
                        if piece.name == _records.FILE_NAME
                        for data in piece.data.pieces()
                    )
                    record = _records.parse(pieces)
                    if record.attempt_number is None:
                        record = attrs.evolve(record, attempt_number=attempt_number)
                    self._records[key] = record
                if self._records[key].containers or self._records[key].has_outcome:
                    found.append((attempt_number or 0, self._records[key]))
        return [record for _, record in sorted(found, key=lambda each: each[0])]

    def _containers(
        self, nodes: Iterable[NodeFile], recorded: Mapping[str, Place], am_ids: set[str]
    ) -> dict[str, ContainerLogs]:
        parts: dict[str, list[NodeFile]] = {}
        for node in nodes:
            for container_id in node.container_ids():
                parts.setdefault(container_id, []).append(node)
        found = {}
        for container_id in sorted(parts, key=numbers_of):
            place = recorded.get(container_id) or _places.guess(container_id)
            found[container_id] = ContainerLogs(
                container_id=container_id,
                node_id=parts[container_id][0].node_id,
                service=place.service,
                rank=place.rank,
                attempt_number=place.attempt_number,
                is_application_master=container_id in am_ids,
                parts=tuple(parts[container_id]),
            )
        return found

    # Whether that is all

    def _is_settled(
        self, facts: _Facts, listing: _Listing, all_nodes_are_there: bool, nodes: list[NodeFile]
    ) -> bool:
        if facts.report is None:
            return not listing.unfinished
        if not facts.report.state.is_final:
            return False
        if facts.aggregation in (_ENDED_WELL, *_ENDED_BADLY, _DISABLED):
            return True
        if not facts.am_containers and not listing.finished and not listing.unfinished:
            return True  # it never had a container
        if all_nodes_are_there and not listing.unfinished:
            # YARN's word for it comes some seconds later, or never, after it was restarted.
            return not any(node.is_rolling for node in nodes)
        ended = facts.report.finish_time
        return ended is not None and datetime.now(timezone.utc) - ended > self._status_timeout()

    def _status_timeout(self) -> timedelta:
        try:
            millis = int(self._cluster.config.get(_STATUS_TIMEOUT_PROPERTY) or 0)
        except ValueError:
            millis = 0
        return timedelta(milliseconds=millis) if millis > 0 else _STATUS_TIMEOUT

    def _nothing(self, facts: _Facts, listing: _Listing) -> LogsNotFoundError | Exception:
        what = f"The logs of {self.application_id} cannot be read"
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
            f"{self._directories.where()}. The cluster deletes them after a while "
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


def _incomplete_reason(
    facts: _Facts,
    listing: _Listing,
    settled: bool,
    absent: list[str],
    problems: list[LogFormatError],
) -> str | None:
    nodes = f" those of {', '.join(absent)} are missing" if absent else ""
    if facts.report is not None and not facts.report.state.is_final:
        return "The application is still running, and its logs are collected after its end."
    if not settled:
        said = f" (YARN says: {facts.aggregation})" if facts.aggregation else ""
        return (
            f"The logs are still being collected from the nodes{said}"
            + (f":{nodes}" if nodes else "")
            + ". Try again in a moment, or follow them."
        )
    if problems:
        return problems[0].message
    if facts.aggregation in _ENDED_BADLY:
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


def _archived(path: str) -> LogFormatError:
    return LogFormatError(
        f"The aggregated logs are packed into the Hadoop archive {path}, which knit cannot read. "
        "Read them with the cluster's own `yarn logs`.",
        path=path,
    )
