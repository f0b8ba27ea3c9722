"""The aggregated logs of one application, and of one of its containers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import attrs

from knit._cluster.logs.node_file import Piece
from knit._cluster.logs.records import ApplicationRecord
from knit._values.logs import LogFile
from knit.exceptions import LogFormatError, LogsNotFoundError


class Part(Protocol):
    """Where logs of a container are: a file of a node, or what a command said."""

    is_rolling: bool

    def pieces(self, container_id: str) -> Iterator[Piece]:
        """The log files of a container in it."""


@attrs.frozen(kw_only=True, eq=False)
class ContainerLogs:
    """The log files of a container, as they were kept after its end."""

    container_id: str
    """YARN's identifier, `container_…`."""
    node_id: str
    """The node it ran on, `host:port`."""
    service: str
    """
    The service it belonged to. Empty for an Application Master, and where it is not known,
    because the Application Master left no record.
    """
    rank: int
    """Its rank; where it is not known, the number at the end of its ID."""
    attempt_number: int
    """Which container at this rank it was, counted from 1."""
    is_application_master: bool
    """Whether it is that of the Application Master itself."""
    _parts: tuple[Part, ...] = attrs.field(repr=False, alias="parts")
    _files: list[LogFile] = attrs.field(factory=list, repr=False, init=False)

    @property
    def files(self) -> list[LogFile]:
        """
        Its files and their lengths, by name.

        The first time it may have to read all that the container wrote, though not into memory.

        Raises:
            LogFormatError: They cannot be read.
        """
        if not self._files:
            sizes: dict[str, int] = {}
            for piece in self._pieces():
                sizes[piece.name] = sizes.get(piece.name, 0) + piece.size_bytes
            self._files.extend(LogFile(name, size) for name, size in sorted(sizes.items()))
        return list(self._files)

    def open(self, file: str, *, offset_bytes: int = 0) -> Iterator[bytes]:
        """
        Reads a file in pieces, without ever holding much of it.

        Args:
            file: Its name, such as `stdout`.
            offset_bytes: Where to begin.

        Raises:
            LogsNotFoundError: The container has no file of that name.
            LogFormatError: It cannot be read.
        """
        base, is_there = 0, False
        for piece in self._pieces():
            if piece.name != file:
                continue
            is_there = True
            begin = min(max(0, offset_bytes - base), piece.size_bytes)
            piece.data.skip(begin)
            yield from piece.data.pieces()
            base += piece.size_bytes
        if not is_there:
            raise LogsNotFoundError(
                f"{self.container_id} has no log file {file!r}. It has "
                f"{', '.join(each.name for each in self.files) or 'none'}."
            )

    def read(self, file: str) -> bytes:
        """A whole file, in memory; as `open`."""
        return b"".join(self.open(file))

    def _pieces(self) -> Iterator[Piece]:
        for part in self._parts:
            yield from part.pieces(self.container_id)

    @property
    def _is_final(self) -> bool:
        """Whether nothing can be added to it, whatever else is still aggregated."""
        return not any(part.is_rolling for part in self._parts)


@attrs.frozen(kw_only=True, eq=False)
class AggregatedLogs:
    """The logs of an application that YARN has collected, as they were when looked at."""

    application_id: str
    """YARN's identifier, `application_…`."""
    containers: Mapping[str, ContainerLogs]
    """
    Those whose logs are there, by their IDs, in the order of these; the Application Master's
    own included.
    """
    incomplete_reason: str | None
    """Why logs may be missing, in a sentence. None if all are there."""
    _is_settled: bool = attrs.field(alias="is_settled")
    """Whether it will stay as it is."""
    _has_ended: bool = attrs.field(alias="has_ended", default=True)
    """Whether the application is over, as far as YARN knows."""
    _missing: Mapping[str, tuple[str, int, int]] = attrs.field(alias="missing", factory=dict)
    """Containers that ran and whose logs are not there: service, rank and attempt number."""
    _silent: frozenset[str] = attrs.field(alias="silent", default=frozenset())
    """Those of them that left none, as when their launch failed."""
    _problems: tuple[LogFormatError, ...] = attrs.field(alias="problems", default=())
    """What is there and cannot be read."""
    _records: tuple[ApplicationRecord, ...] = attrs.field(alias="records", default=(), repr=False)
    """What the Application Masters wrote down, in the order of their attempts."""
    _fingerprint: object = attrs.field(alias="fingerprint", default=None, repr=False)
    """Changes whenever something was added."""
    _masters: tuple[str, ...] = attrs.field(alias="masters", default=(), repr=False)
    """The containers of the Application Masters, in the order of their attempts."""

    @property
    def is_complete(self) -> bool:
        """Whether the logs of all containers are there, as far as can be known."""
        return self.incomplete_reason is None
