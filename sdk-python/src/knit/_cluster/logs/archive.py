"""Looks at what YARN has aggregated of one application, and knows whether that is all of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import attrs

from knit._cluster.logs.completeness import (
    ENDED_BADLY,
    Facts,
    Listing,
    incomplete_reason,
    is_settled,
    nothing_there,
)
from knit._cluster.logs.container_logs import AggregatedLogs, ContainerLogs
from knit._cluster.logs.directory import LogDirectories, log_place, quietly
from knit._cluster.logs.ifile import CHECKSUM_SUFFIX, IFile, mark_of, parse_checksum
from knit._cluster.logs.node_file import NodeFile
from knit._cluster.logs.places import Place, guess, may_be_application_master, places_of
from knit._cluster.logs.reading import MalformedError
from knit._cluster.logs.records import FILE_NAME, ApplicationRecord, parse
from knit._cluster.logs.remote import RemoteFile
from knit._cluster.logs.tfile import MAGIC, TFile
from knit._values.identifiers import attempt_of, numbers_of
from knit.exceptions import ApplicationNotFoundError, ClusterFileNotFoundError, LogFormatError

if TYPE_CHECKING:
    from knit._cluster.cluster import Cluster
    from knit._cluster.hdfs.statuses import FileStatus

_TMP_SUFFIX = ".tmp"
_HAR_SUFFIX = ".har"
_MARK_BYTES = 32
_READERS = 8
"""So many nodes' files are opened at the same time."""


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
        place = log_place(cluster)
        self._files = place.files
        self._directories = LogDirectories(
            place.files,
            cluster.config,
            quietly(cluster.resource_manager.configured),
            address=place.file_system,
        )
        self._mark = mark_of(application_id)
        self._opened: dict[object, NodeFile | LogFormatError] = {}
        self._records: dict[tuple[NodeFile, str], ApplicationRecord] = {}

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
            for container_id, place in places_of(record).items()
        }
        containers = self._containers(nodes, recorded, am_ids)
        missing = {key: place for key, place in recorded.items() if key not in containers}
        used = {place.node_id for place in recorded.values()} | set(facts.am_containers.values())
        absent = sorted(used - {node.node_id for node in nodes} - {None, ""}, key=str)
        settled = is_settled(
            facts,
            listing,
            all_nodes_are_there=bool(recorded) and not absent,
            # What cannot be read may be theirs.
            is_any_missing=bool(absent) and not problems,
            is_rolling=any(node.is_rolling for node in nodes),
            config=self._cluster.config,
        )
        if settled and not containers:
            raise (
                problems[0]
                if problems
                else nothing_there(self.application_id, facts, self._directories.where())
            )
        return AggregatedLogs(
            application_id=self.application_id,
            containers=containers,
            incomplete_reason=incomplete_reason(
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
                and facts.aggregation not in ENDED_BADLY
                and any(node.node_id == place.node_id for node in nodes)
            ),
            problems=tuple(problems),
            records=tuple(records),
            masters=tuple(sorted(am_ids)),
            fingerprint=(
                facts.aggregation,
                tuple((status.path, status.size_bytes) for status in listing.finished),
                tuple(listing.unfinished),
            ),
        )

    # What there is

    def _ask(self) -> Facts:
        manager = self._cluster.resource_manager
        try:
            report = manager.application(self.application_id)
        except ApplicationNotFoundError:
            return Facts(None, {})  # YARN has forgotten it; its logs may be there all the same
        am_containers = {}
        for attempt in manager.attempts(self.application_id):
            if attempt.container_id is not None:
                am_containers[attempt.container_id] = attempt.node_id or ""
        return Facts(report, am_containers)

    def _list(self, user: str) -> Listing:
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
        return Listing(finished, unfinished, good_ends, archives)

    def _good_end(self, status: FileStatus) -> dict[str, int]:
        try:
            name, end = parse_checksum(self._files.read(status.path))
        except (MalformedError, ClusterFileNotFoundError):
            return {}  # it is just being written, or just gone
        return {name: end}

    def _open_all(self, listing: Listing) -> tuple[list[NodeFile], list[LogFormatError]]:
        problems = [_archived(path) for path in listing.archives]
        if not listing.finished:
            return [], problems

        def open_one(status: FileStatus) -> NodeFile | LogFormatError | None:
            return self._open(status, listing.good_ends.get(status.name))

        with ThreadPoolExecutor(_READERS, thread_name_prefix="knit-logs") as pool:
            opened = [found for found in pool.map(open_one, listing.finished) if found is not None]
        self._forget_all_but(opened)
        nodes = [found for found in opened if isinstance(found, NodeFile)]
        problems += [found for found in opened if isinstance(found, LogFormatError)]
        return nodes, problems

    def _forget_all_but(self, opened: Sequence[NodeFile | LogFormatError]) -> None:
        """What was replaced or deleted is opened no more, however often it is looked at."""
        kept = {id(each) for each in opened}
        self._opened = {key: found for key, found in self._opened.items() if id(found) in kept}
        self._records = {key: found for key, found in self._records.items() if id(key[0]) in kept}

    def _open(self, status: FileStatus, end: int | None) -> NodeFile | LogFormatError | None:
        """A node's file. None where nothing of it is there yet."""
        if end == 0:
            return None
        key = (status.path, status.size_bytes, status.modify_time_ms, end)
        if key not in self._opened:
            try:
                node = self._detect(RemoteFile(self._files, status), end)
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

    def _am_ids(self, facts: Facts, nodes: Iterable[NodeFile]) -> set[str]:
        if facts.am_containers:
            return set(facts.am_containers)
        return {
            container_id
            for node in nodes
            for container_id in node.container_ids()
            if may_be_application_master(container_id)
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
                        if piece.name == FILE_NAME
                        for data in piece.data.pieces()
                    )
                    record = parse(pieces)
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
            place = recorded.get(container_id) or guess(container_id)
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


def _archived(path: str) -> LogFormatError:
    return LogFormatError(
        f"The aggregated logs are packed into the Hadoop archive {path}, which knit cannot read. "
        "Read them with the cluster's own `yarn logs`.",
        path=path,
    )
