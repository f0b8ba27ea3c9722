"""Logs of containers that have ended, which YARN has collected while their application runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from knit._handles.archived_logs import ArchiveReader, ArchiveRequest
from knit._handles.yarn import Archive
from knit._values.logs import STANDARD_FILES, FileKey, LogEnd
from knit.exceptions import ApplicationNotRunningError, LogFormatError

if TYPE_CHECKING:
    from knit._cluster.logs import AggregatedLogs, ContainerLogs
    from knit._values.logs import Identity
    from knit._wire.rolled_files import RolledFiles


class CollectedSoFar:
    """
    What is collected, which is looked at again only where it lacks what is wanted.

    Containers that have ended are told of one by one, and there may be thousands of them; a look
    asks the ResourceManager and lists directories. Only files that are collected whole, with the
    end of their container, are taken from a look before: of others more may be there since.

    Args:
        archive: Where to look.
    """

    def __init__(self, archive: Archive) -> None:
        self.application_id = archive.application_id
        self._archive = archive
        self._wanted: Collection[FileKey] = ()
        self._last: AggregatedLogs | None = None

    def want(self, files: Collection[FileKey]) -> None:
        """What is looked for from now on."""
        self._wanted = files

    def look(self) -> AggregatedLogs:
        """What is there, at least of what is wanted."""
        if self._last is None or not all(self._has(self._last, *key) for key in self._wanted):
            return self.look_anew()
        return self._last

    def look_anew(self) -> AggregatedLogs:
        """What is there now."""
        self._last = self._archive.look()
        return self._last

    @staticmethod
    def _has(logs: AggregatedLogs, container_id: str, file: str) -> bool:
        container = logs.containers.get(container_id)
        if container is None or file not in STANDARD_FILES:
            return False
        try:
            return any(each.name == file for each in container.files)
        except LogFormatError:
            return False


def forgotten(
    logs: AggregatedLogs,
    container_ids: Collection[str],
    known: Collection[str],
    files: Collection[str],
) -> dict[FileKey, LogEnd]:
    """
    The files of containers that the Application Master has forgotten, which ended long ago.

    It remembers few attempts of each rank. What they were for stands in its record, which is
    collected at the end.

    Args:
        logs: What is collected. Where there is nothing of one of them, the result is empty.
        container_ids: Those that are wanted.
        known: Those that the Application Master knows.
        files: The names of the files that are wanted.
    """
    unknown = [container_id for container_id in container_ids if container_id not in known]
    if not all(container_id in logs.containers for container_id in unknown):
        return {}
    ends = {}
    for container_id in unknown:
        container = logs.containers[container_id]
        identity = (container.service, container.rank, container.attempt_number)
        for file in files:
            why = "The Application Master has forgotten this container."
            ends[container_id, file] = LogEnd(*identity, container_id, file, 0, why)
    return ends


class RemovedReader(ArchiveReader):
    """
    Reads files, once, that their nodes have no more.

    A node removes the files of a container when it has collected all of them. So what is collected
    of one is all there is; and where nothing is, though it was looked for after the node had said
    that it has nothing, the container ended before it wrote anything.

    Args:
        archive: Where to look.
        removed: The files, and the ends that the Application Master has given them.
        tail_lines: So many of the last lines of those that have no position. None: all.
        positions: How far each file was read before. Kept up to date by the caller.
        known: Which container is which.
        pause: Waits so many seconds, and says whether to go on.
        rolled: What was sent of files that nodes may collect while their program runs.
    """

    def __init__(
        self,
        archive: CollectedSoFar,
        removed: Mapping[FileKey, LogEnd],
        *,
        tail_lines: int | None,
        positions: Mapping[FileKey, int],
        known: Mapping[str, Identity],
        pause: Callable[[float], bool],
        rolled: RolledFiles | None = None,
    ) -> None:
        request = ArchiveRequest(
            container_ids=tuple(dict.fromkeys(container_id for container_id, _ in removed)),
            services=(),
            files=tuple(dict.fromkeys(file for _, file in removed)),
            follow=False,
            tail_lines=tail_lines,
        )
        archive.want(removed)
        super().__init__(
            archive,
            request,
            positions=positions,
            ends={},
            known=known,
            pause=pause,
            gone=ApplicationNotRunningError("It runs."),
            has_left=lambda: False,
            rolled=rolled,
        )
        self._removed = removed

    def _identity(self, container: ContainerLogs) -> Identity:
        return self._known[container.container_id]

    def _open_files(self, container_id: str) -> list[str]:
        return [file for each, file in self._removed if each == container_id]

    def _is_final(self, container: ContainerLogs, logs: AggregatedLogs) -> bool:
        return True

    def _check_names(self, logs: AggregatedLogs) -> None:
        """The Application Master knows these containers."""

    def _missing_ends(self, logs: AggregatedLogs) -> Iterator[LogEnd]:
        for (container_id, file), end in self._removed.items():
            if container_id in logs.containers:
                continue
            reason = None
            if logs._problems:
                reason = f"{end.incomplete_reason} {logs._problems[0].message}"
            elif self._positions.get((container_id, file)):
                reason = f"{end.incomplete_reason} Nor has YARN collected any logs of it."
            identity = (end.service, end.rank, end.attempt_number)
            yield self._end(identity, container_id, file, 0, reason)
