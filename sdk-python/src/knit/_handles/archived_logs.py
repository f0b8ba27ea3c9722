"""The logs of an application that has ended, as the stream they would have been."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import attrs

from knit._cluster import patience
from knit._cluster.patience import Notice
from knit._handles.locating import LONGEST_DEPARTURE
from knit._handles.log_starts import RolledStart, Start, start_of_tail
from knit._handles.yarn import Archive
from knit._values.deadlines import Deadline
from knit._values.logs import Identity
from knit.exceptions import (
    CLUSTER_SILENCE,
    ContainerNotFoundError,
    InvalidRequestError,
    KnitError,
    LogsNotFoundError,
)

if TYPE_CHECKING:
    from knit._cluster.logs import AggregatedLogs, ContainerLogs
    from knit._values.logs import FileKey, LogChunk, LogEnd
    from knit._wire.rolled_files import RolledFiles

PATIENCE_SECONDS = 120.0
"""How long a stream that follows waits for YARN to collect more, while nothing happens."""

_FIRST_PAUSE, _LAST_PAUSE = 0.25, 2.0
"""Seconds between two looks at what YARN has collected."""
_LONGEST_PAUSE = 30.0
"""Likewise of an application that runs, which may be for months and is collected every hour."""
_SHARE_OF_THE_WAIT = 0.05
"""So much of the time that it has waited a reader may come late, to look less often."""


@attrs.frozen(kw_only=True)
class ArchiveRequest:
    """What of the logs is wanted."""

    container_ids: tuple[str, ...]
    """Empty: of all but the Application Masters."""
    services: tuple[str, ...]
    """Empty: of all."""
    files: tuple[str, ...]
    follow: bool
    tail_lines: int | None

    def check(self) -> None:
        """
        Refuses what an Application Master would have refused.

        Raises:
            InvalidRequestError: It makes no sense.
        """
        for name in self.files:
            if not name or "/" in name or name in (".", ".."):
                raise InvalidRequestError(f"{name!r} is not the name of a log file.")
        if self.tail_lines is not None and self.tail_lines < 0:
            raise InvalidRequestError(f"tail_lines is {self.tail_lines}: it cannot be negative.")


class ArchiveReader:
    """
    Reads what is wanted from the archive, once, and waits for more of it if it is to follow.

    Args:
        archive: Where to look.
        request: What is wanted.
        positions: How far each file was read before. Kept up to date by the caller.
        ends: The files whose ends have come. Likewise.
        known: Which container is which, as far as that was learned before.
        pause: Waits so many seconds, and says whether to go on.
        gone: Why the Application Master cannot be asked; raised if its application still runs.
        has_left: Whether the Application Master has left. If given, the end of an application
            that still runs is waited for, and so is its departure, before which YARN collects
            nothing.
        rolled: What was sent of files that nodes may collect while their program runs.
        identify: Asks which container is which while the application runs: what says so among
            what is collected comes with its end.

    Raises:
        InvalidRequestError: The request makes no sense.
    """

    def __init__(
        self,
        archive: Archive,
        request: ArchiveRequest,
        *,
        positions: Mapping[FileKey, int],
        ends: Mapping[FileKey, LogEnd],
        known: Mapping[str, Identity],
        pause: Callable[[float], bool],
        gone: KnitError,
        has_left: Callable[[], bool] | None = None,
        rolled: RolledFiles | None = None,
        identify: Callable[[], Mapping[str, Identity]] | None = None,
    ) -> None:
        request.check()
        self._archive = archive
        self._request = request
        self._positions = positions
        self._ends = ends
        self._known = known
        self._pause = pause
        self._gone = gone
        self._has_left = has_left
        self._rolled = rolled
        self._identify = identify
        self._parts_read: dict[str, int] = {}
        self._ended: set[str] = set()
        self._reasons: list[str] = []
        self.incomplete_reason: str | None = None
        """Why not everything was read, in a sentence. None if all was, or before the end."""

    def items(self) -> Iterator[LogChunk | LogEnd]:
        """
        What is there and was not read before, and the ends of the files.

        Raises:
            LogsUnavailableError: It cannot be had; by its kind.
            ContainerNotFoundError: A container or a service does not exist.
        """
        seen: object = None
        began = moved = time.monotonic()
        wait, outage, notice = _FIRST_PAUSE, Deadline.never(), Notice()
        while True:
            try:
                logs = self._archive.look()
            except CLUSTER_SILENCE as error:
                if outage.at == math.inf:
                    outage = Deadline.after(patience.OUTAGE)
                if not self._request.follow or outage.is_over:
                    raise
                notice.waiting(f"{error.message} Trying again.")
                if not self._pause(_LAST_PAUSE):
                    return
                continue
            outage = Deadline.never()
            if not logs._has_ended and self._has_left is None:
                raise self._gone
            if logs._fingerprint != seen:
                seen, moved, wait = logs._fingerprint, time.monotonic(), _FIRST_PAUSE
            elif self._is_too_early(logs, began):
                moved = time.monotonic()
            is_last = (
                logs._is_settled
                or not self._request.follow
                or time.monotonic() - moved > PATIENCE_SECONDS
            )
            if logs._is_settled:
                self._check_names(logs)
            elif not logs._has_ended:
                self._learn(logs)
            for container in logs.containers.values():
                if self._is_wanted(container, is_last):
                    yield from self._read(container, logs, is_last)
            if is_last:
                break
            if not self._pause(wait):
                return
            longest = _LAST_PAUSE
            if not logs._has_ended:
                waited = time.monotonic() - began
                longest = min(max(_LAST_PAUSE, _SHARE_OF_THE_WAIT * waited), _LONGEST_PAUSE)
            wait = min(longest, wait * 1.5)
            notice.waiting(
                f"Waiting for the logs of {logs.application_id} to be collected by YARN."
            )
        yield from self._missing_ends(logs)
        self._conclude(logs)

    def _is_too_early(self, logs: AggregatedLogs, began: float) -> bool:
        """Whether YARN cannot have begun to collect."""
        if self._has_left is None or logs._is_settled:
            return False
        return not logs._has_ended or (
            time.monotonic() - began < LONGEST_DEPARTURE.total_seconds() and not self._has_left()
        )

    def _conclude(self, logs: AggregatedLogs) -> None:
        is_nothing = not logs.containers and not any(self._positions.values())
        if self._request.follow and not logs._is_settled and is_nothing:
            # Without a byte, nobody would notice that something is missing.
            raise LogsNotFoundError(
                f"YARN has not collected any logs of {logs.application_id} within "
                f"{PATIENCE_SECONDS:g} s. {logs.incomplete_reason}"
            )
        asked = self._request.container_ids
        are_there = all(container_id in logs.containers for container_id in asked)
        if not asked or not are_there:
            if logs._problems and logs._is_settled:
                raise logs._problems[0]
            self.incomplete_reason = logs.incomplete_reason
        if self.incomplete_reason is None and self._reasons:
            self.incomplete_reason = self._reasons[0]

    # What is wanted

    def _identity(self, container: ContainerLogs) -> Identity:
        if not container.service and container.container_id in self._known:
            return self._known[container.container_id]
        return container.service, container.rank, container.attempt_number

    def _learn(self, logs: AggregatedLogs) -> None:
        """Asks for what is not known of containers that are there."""
        if self._identify is None or not any(
            not self._identity(each)[0] and not each.is_application_master
            for each in logs.containers.values()
        ):
            return
        try:
            places = self._identify()
        except KnitError:
            return  # they wait for the record, which comes with the end
        there = {key: places[key] for key in logs.containers if key in places}
        self._known = {**self._known, **there}

    def _is_wanted(self, container: ContainerLogs, is_last: bool) -> bool:
        if self._request.container_ids:
            if container.container_id not in self._request.container_ids:
                return False
        elif container.is_application_master:
            return False
        service = self._identity(container)[0]
        if not service and not container.is_application_master and not is_last:
            return False  # the Application Master's record, which says it, may be about to come
        return not self._request.services or service in self._request.services

    def _check_names(self, logs: AggregatedLogs) -> None:
        what = self._archive.application_id
        for container_id in self._request.container_ids:
            if container_id not in logs.containers and container_id not in logs._missing:
                raise ContainerNotFoundError(
                    f"There are no logs of {container_id} among those of {what}. There are some "
                    f"of {', '.join(logs.containers) or 'no container'}."
                )
        services = {identity[0] for identity in logs._missing.values()}
        services |= {self._identity(container)[0] for container in logs.containers.values()}
        unknown = ", ".join(sorted(set(self._request.services) - services))
        known = ", ".join(sorted(services - {""}))
        if unknown and known:
            raise ContainerNotFoundError(
                f"{what} had no containers of {unknown}. It had some of {known}."
            )
        if unknown:
            raise ContainerNotFoundError(
                f"Which containers of {what} belonged to {unknown} is not known, for its "
                "Application Master left no record. Name the containers by their IDs."
            )

    def _open_files(self, container_id: str) -> list[str]:
        """The files whose ends have not come, or came too early."""
        return [
            name
            for name in self._request.files
            if (end := self._ends.get((container_id, name))) is None or not end.is_complete
        ]

    # Reading one container

    def _read(
        self, container: ContainerLogs, logs: AggregatedLogs, is_last: bool
    ) -> Iterator[LogChunk | LogEnd]:
        """What is new of a container, and the ends of its files if no more is to come."""
        from knit._values.logs import LogChunk

        is_final = self._is_final(container, logs)
        if self._request.tail_lines is not None and not (is_final or is_last):
            return  # where the last lines begin cannot be known yet
        container_id, identity = container.container_id, self._identity(container)
        files = self._open_files(container_id)
        is_read = self._parts_read.get(container_id) == len(container._parts)
        if container_id in self._ended or not files or (is_read and not (is_final or is_last)):
            return
        starts = {name: self._start(container, name) for name in files}
        sizes, short = dict.fromkeys(files, 0), set()
        for piece in container._pieces():
            if piece.name not in sizes:
                continue
            announced_end = sizes[piece.name] + piece.size_bytes
            start, key = starts[piece.name], (container_id, piece.name)
            start.begin(piece)
            for data in piece.data.pieces():
                offset = sizes[piece.name]
                sizes[piece.name] += len(data)
                left_out = start.left_out_of(data, offset)
                if left_out < len(data):
                    at = offset + left_out
                    if isinstance(start, RolledStart):  # in the row that was sent
                        at = self._positions.get(key, 0)
                    yield LogChunk(*identity, *key, at, data[left_out:])
            if sizes[piece.name] < announced_end:
                short.add(piece.name)
        for start in starts.values():
            start.finish()
        self._parts_read[container_id] = len(container._parts)
        if is_final or is_last:
            self._ended.add(container_id)
            for name in files:
                reason = None if is_final else logs.incomplete_reason
                if name in short:
                    reason = "The file became shorter while YARN collected it."
                elif (
                    is_final
                    and sizes[name] < self._positions.get((container_id, name), 0)
                    and not isinstance(starts[name], RolledStart)
                ):
                    reason = "YARN collected less of it than was read while it was written."
                yield self._end(identity, container_id, name, sizes[name], reason)

    def _is_final(self, container: ContainerLogs, logs: AggregatedLogs) -> bool:
        """Whether nothing more of it will be collected. Of what runs, more may be now and then."""
        return logs._is_settled or (logs._has_ended and container._is_final)

    def _start(self, container: ContainerLogs, name: str) -> Start | RolledStart:
        key = (container.container_id, name)
        if self._rolled is not None and self._rolled.knows(key):
            return RolledStart(self._rolled.file(key), container, name)
        position = self._positions.get(key)
        if position is not None:
            return Start(position)
        if self._request.tail_lines is None:
            return Start(0)
        return start_of_tail(container, name, self._request.tail_lines)

    def _end(
        self, identity: Identity, container_id: str, name: str, offset: int, reason: str | None
    ) -> LogEnd:
        from knit._values.logs import LogEnd

        if reason is not None:
            self._reasons.append(reason)
        offset = max(offset, self._positions.get((container_id, name), 0))
        return LogEnd(*identity, container_id, name, offset, reason)

    def _missing_ends(self, logs: AggregatedLogs) -> Iterator[LogEnd]:
        """The ends of files whose containers have left nothing."""
        lost = logs.incomplete_reason or "YARN has collected no logs of this container."
        missing = {**self._known, **logs._missing}
        for container_id in self._request.container_ids:
            missing.setdefault(container_id, ("", 0, 1))
        for container_id, identity in missing.items():
            is_asked = (
                container_id in self._request.container_ids or not self._request.container_ids
            ) and (not self._request.services or identity[0] in self._request.services)
            if is_asked and container_id not in logs.containers:
                for name in self._open_files(container_id):
                    wrote_nothing = container_id in logs._silent and not self._positions.get(
                        (container_id, name)
                    )
                    reason = None if wrote_nothing else lost
                    yield self._end(identity, container_id, name, 0, reason)
