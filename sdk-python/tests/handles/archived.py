"""Collected logs in memory, and what a stream makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from knit import AggregatedLogs, ContainerLogs, KnitError, LogChunk, LogEnd
from knit._cluster.logs.node_file import Piece
from knit._cluster.logs.reading import ByteReader
from knit._handles.archived_logs import ArchiveReader, ArchiveRequest
from knit._values.logs import Identity
from knit.exceptions import ApplicationNotRunningError

MASTER, ONE, TWO = "container_1_0001_01_000001", "container_1_0001_01_000002", "container_1_0001_2"
GONE = ApplicationNotRunningError("It has left.")
Key = tuple[str, str]


class Part:
    """Logs in memory."""

    def __init__(
        self,
        *files: tuple[str, bytes],
        rolling: bool = False,
        cut: int = 5,
        lost: int = 0,
    ) -> None:
        self.is_rolling = rolling
        self.reads = 0
        self._files = files
        self._cut = cut
        self._lost = lost

    def pieces(self, container_id: str) -> Iterator[Piece]:
        self.reads += 1
        for name, data in self._files:
            kept = data[: len(data) - self._lost]
            chunks = [kept[at : at + self._cut] for at in range(0, len(kept), self._cut)]
            yield Piece(container_id, name, len(data), ByteReader(iter(chunks)))


def container(container_id: str, *parts: Part, place: Identity = ("web", 0, 1)) -> ContainerLogs:
    service, rank, attempt = place
    return ContainerLogs(
        container_id=container_id,
        node_id="node-1:8041",
        service=service,
        rank=rank,
        attempt_number=attempt,
        is_application_master=container_id == MASTER,
        parts=parts,
    )


def logs(*containers: ContainerLogs, settled: bool = True, **fields: Any) -> AggregatedLogs:
    fields.setdefault("incomplete_reason", None if settled else "still being collected")
    return AggregatedLogs(
        application_id="application_1_0001",
        containers={each.container_id: each for each in containers},
        is_settled=settled,
        **fields,
    )


class Archive:
    """Gives one look after the other, or fails as told, and then the last one again and again."""

    application_id = "application_1_0001"

    def __init__(self, *looks: AggregatedLogs | KnitError) -> None:
        self._looks = list(looks)
        self.count = 0

    def look(self) -> AggregatedLogs:
        self.count += 1
        found = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        if isinstance(found, KnitError):
            raise found
        return found


class Read:
    """What came of a stream; the caller's part is played as `LogStream` does."""

    def __init__(
        self,
        archive: Archive,
        *,
        positions: dict[Key, int] | None = None,
        known: dict[str, Identity] | None = None,
        ends: dict[Key, LogEnd] | None = None,
        has_left: Callable[[], bool] | None = None,
        **request: Any,
    ) -> None:
        defaults: dict[str, Any] = {
            "container_ids": (),
            "services": (),
            "files": ("stdout", "stderr"),
            "follow": False,
            "tail_lines": None,
        }
        self.positions = dict(positions or {})
        self.ends = dict(ends or {})
        self.files: dict[Key, bytes] = {}
        self.places: dict[str, Identity] = {}
        self.pauses: list[float] = []
        reader = ArchiveReader(
            archive,
            ArchiveRequest(**{**defaults, **request}),
            positions=self.positions,
            ends=self.ends,
            known=known or {},
            pause=self._pause,
            gone=GONE,
            has_left=has_left,
        )
        for item in reader.items():
            key = (item.container_id, item.file)
            self.places[item.container_id] = (item.service, item.rank, item.attempt_number)
            if isinstance(item, LogEnd):
                assert key not in self.ends or not self.ends[key].is_complete, "two ends"
                self.ends[key] = item
                self.positions[key] = item.offset_bytes
            else:
                self._accept(key, item)
        self.incomplete_reason = reader.incomplete_reason

    def _accept(self, key: Key, chunk: LogChunk) -> None:
        assert chunk.data
        assert chunk.offset_bytes == self.positions.get(key, chunk.offset_bytes)
        self.positions[key] = chunk.offset_bytes + len(chunk.data)
        self.files[key] = self.files.get(key, b"") + chunk.data

    def _pause(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        return len(self.pauses) < 1000
