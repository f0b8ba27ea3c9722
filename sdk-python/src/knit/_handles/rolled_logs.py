"""Files that nodes have collected, and removed, while their program runs: those of a rotation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING

import attrs

from knit._cluster.patience import Notice
from knit._handles.log_starts import RowOfAll, pieces_of, start_of_tail
from knit._values.logs import LogChunk
from knit._wire.rolled_files import Measure, RolledFiles
from knit.exceptions import (
    ApplicationNotFoundError,
    ApplicationNotRunningError,
    KnitError,
    LogsUnavailableError,
)

if TYPE_CHECKING:
    from knit._cluster.logs import AggregatedLogs, ContainerLogs
    from knit._values.logs import FileKey, Identity


@attrs.frozen(kw_only=True)
class Listing:
    """What the Application Master can be asked of containers, within a call's time."""

    identify: Callable[[], Mapping[str, Identity]]
    """Which container is which, of those that are wanted."""
    files_of: Callable[[str], Collection[str]]
    """The names of the files that a container's node has."""


class RolledReader:
    """
    Reads, each time a stream begins or goes on, what was collected meanwhile.

    Args:
        what: What is tried, as the beginning of a sentence.
        names: The files that are wanted, and that nodes may collect.
        rolled: What was sent of them.
        positions: How far each was read. Kept up to date by the caller.
        tail_lines: So many of the last lines of those that have no position. None: all.
        listing: What the Application Master says.
    """

    def __init__(
        self,
        what: str,
        names: Collection[str],
        *,
        rolled: RolledFiles,
        positions: Mapping[FileKey, int],
        tail_lines: int | None,
        listing: Listing,
    ) -> None:
        self._what = what
        self._names = names
        self._rolled = rolled
        self._positions = positions
        self._tail_lines = tail_lines
        self._listing = listing

    def items(self, look: Callable[[], AggregatedLogs]) -> Iterator[LogChunk]:
        """
        What is there of containers that the Application Master knows, and was not sent.

        Where it cannot be had a stream goes on, and looks again at each file's end.

        Args:
            look: Looks at what is collected.

        Raises:
            ApplicationNotRunningError: The Application Master has left; by its kind.
        """
        self._rolled.is_unsure = True
        try:
            logs = look()
            # Which files there are may take reading all of a container's: of those wanted only.
            places = self._listing.identify() if logs.containers else {}
            for container_id, container in logs.containers.items():
                if container_id in places:
                    for name in [file.name for file in container.files]:
                        if name in self._names:
                            yield from self._file(container, places[container_id], name)
        except (ApplicationNotRunningError, ApplicationNotFoundError):
            raise
        except LogsUnavailableError:
            return  # who reads what is left at the end says why
        except KnitError as error:
            Notice(at_once=True).waiting(
                f"{self._what}: what YARN has collected while it runs could not be read: "
                f"{error.message} It is tried again at the end of each file."
            )
            return
        self._rolled.is_unsure = bool(logs._problems)

    def _file(self, container: ContainerLogs, identity: Identity, name: str) -> Iterator[LogChunk]:
        key = (container.container_id, name)
        if self._tail_lines is not None and key not in self._positions:
            yield from self._tail(container, identity, name, self._tail_lines)
            return
        file, before = self._rolled.file(key), self._positions.get(key, 0)
        sent = file.sent_of(pieces_of(container, name))
        for piece, known in zip(pieces_of(container, name), sent, strict=False):
            if known == piece.size_bytes:
                continue
            piece.data.skip(known)
            measure = Measure()
            for data in piece.data.pieces():
                yield LogChunk(*identity, *key, self._positions.get(key, 0), data)
                if known:
                    file.continued(data)
                measure.add(data)
            if not known:
                file.collected(piece.size_bytes, measure)
        if file.is_last_live:
            self._rolled.preceded(key, self._positions.get(key, 0) - before)
        else:
            self._rolled.presume(key, lambda: last_of(container, name))

    def _tail(
        self, container: ContainerLogs, identity: Identity, name: str, lines: int
    ) -> Iterator[LogChunk]:
        """The last lines are those of what the node has, and where it has nothing, of the rest."""
        key, file = (container.container_id, name), RowOfAll()
        is_on_node = name in self._listing.files_of(container.container_id)
        start = start_of_tail(container, name, lines)
        offset = 0
        for piece in pieces_of(container, name):
            file.begin(piece)
            for data in piece.data.pieces():
                file.add(data)
                left_out = len(data) if is_on_node else start.left_out_of(data, offset)
                if left_out < len(data):
                    yield LogChunk(*identity, *key, offset + left_out, data[left_out:])
                offset += len(data)
        file.finish(self._rolled.file(key))
        if not is_on_node and key in self._positions:
            self._rolled.follows(key)


def last_of(container: ContainerLogs, name: str) -> Iterator[bytes]:
    """The bytes of the last of them."""
    count = sum(1 for _ in pieces_of(container, name))
    for number, piece in enumerate(pieces_of(container, name), 1):
        if number == count:
            yield from piece.data.pieces()
