"""
IFile, the "indexed file" that a cluster may be configured to write instead.

Each log file is compressed by itself, one after the other. What is where is told at the end: a
serialized Java object, its length, and the digest of the application's ID, with which the file
begins, too. With rolling aggregation the file is appended to, and each time ends with the whole
index; while that happens, a file beside it says where the last good index ends.

A NodeManager that collects an IFile bit by bit does not remember what it has collected: each
time it writes all files anew that are still there. What is there twice is read once here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from knit._cluster.logs.compression import decompressed
from knit._cluster.logs.java_objects import JavaObject, deserialize
from knit._cluster.logs.node_file import Checked, NodeFile, Piece, RemoteBytes, readable
from knit._cluster.logs.reading import ByteReader, MalformedError

CHECKSUM_SUFFIX = "-checksum"
_MODIFY_TIME_IN_HADOOP_2 = "lastModificatedTime"
_MARK_BYTES = 32
_INDEX_BYTES = 256 * 1024 * 1024
"""No index of a sane file is longer: it takes about 200 bytes for a log file."""
_SMALL_BYTES = 256 * 1024
_NEIGHBOURHOOD_BYTES = 1024 * 1024
"""Small logs that lie this close to each other are fetched at once."""


def mark_of(application_id: str) -> bytes:
    """What the files of an application begin and end with."""
    return hashlib.sha256(application_id.encode()).digest()


@attrs.frozen
class _Entry:
    """A log file, and where it lies."""

    container_id: str
    name: str
    size_bytes: int
    start: int
    compressed_bytes: int
    modify_time_ms: int


class IFile(NodeFile):
    """
    The logs of one node in an IFile.

    Args:
        source: The file.
        application_id: Whose logs it has.
        end: Where its last good index ends. Default: at its end.
    """

    def __init__(self, source: RemoteBytes, application_id: str, end: int | None = None) -> None:
        super().__init__(source)
        self._mark = mark_of(application_id)
        self._end = source.size_bytes if end is None else min(end, source.size_bytes)
        self._codec = ""
        self._entries: list[_Entry] | None = None
        self._neighbourhoods: dict[int, tuple[int, int]] = {}
        self._kept: tuple[int, bytes] | None = None

    def container_ids(self) -> Sequence[str]:
        return list(dict.fromkeys(entry.container_id for entry in self._all_entries()))

    def pieces(self, container_id: str) -> Iterator[Piece]:
        entries = [each for each in self._all_entries() if each.container_id == container_id]
        for place, entry in enumerate(entries):
            with readable(self.source.path):
                if any(self._repeats(entry, later) for later in entries[place + 1 :]):
                    continue
                data = ByteReader(self._content(entry))
            yield Piece(container_id, entry.name, entry.size_bytes, Checked(data, self.source.path))

    def _repeats(self, entry: _Entry, later: _Entry) -> bool:
        """Whether all of a log file was written once more, perhaps with what came to it since."""
        if entry.name != later.name or entry.size_bytes > later.size_bytes:
            return False
        if entry.modify_time_ms == later.modify_time_ms:
            return entry.size_bytes == later.size_bytes
        there, again = self._content(entry), ByteReader(self._content(later))
        return all(again.read(len(piece)) == piece for piece in there)

    def _content(self, entry: _Entry) -> Iterator[bytes]:
        """
        What a log file holds, and no more than it announced.

        What was appended while it was aggregated is left out by Hadoop, too.
        """
        reader = ByteReader(decompressed(self._codec, self._stored(entry)))
        return reader.pieces(entry.size_bytes)

    def _stored(self, entry: _Entry) -> Iterator[bytes]:
        if entry.compressed_bytes > _SMALL_BYTES:
            yield from self.source.stream(entry.start, entry.compressed_bytes)
            return
        first, last = self._neighbourhoods[entry.start // _NEIGHBOURHOOD_BYTES]
        if self._kept is None or self._kept[0] != first:
            self._kept = (first, self.source.read(first, last - first))
        start = entry.start - first
        yield self._kept[1][start : start + entry.compressed_bytes]

    def _all_entries(self) -> list[_Entry]:
        if self._entries is None:
            with readable(self.source.path):
                self._entries = self._load()
        return self._entries

    def _load(self) -> list[_Entry]:
        tail = 4 + _MARK_BYTES
        if self._end < tail:
            raise MalformedError(f"it has only {self._end} bytes")
        reader = ByteReader.over(self.source.read(self._end - tail, tail))
        size = reader.unpack("i")
        if reader.read(_MARK_BYTES) != self._mark:
            raise MalformedError("it does not end with the mark of its application")
        if not 0 < size <= min(self._end - tail, _INDEX_BYTES):
            raise MalformedError(f"its index is said to be {size} bytes long")
        index = deserialize(self.source.read(self._end - tail - size, size))
        fields = _object(index).fields
        self._codec = _text(fields.get("compressName"))
        self.node_id = _text(fields.get("nodeId")) or self.node_id
        for _ in decompressed(self._codec, ()):
            pass
        entries = [
            self._entry(_object(log).fields)
            for cycle in _object(fields.get("logMetas")).items()
            for _, logs in _object(_object(cycle).fields.get("logMetas")).entries()
            for log in _object(logs).items()
        ]
        entries.sort(key=lambda entry: entry.start)  # in the order in which they were written
        for entry in entries:
            if entry.compressed_bytes <= _SMALL_BYTES:
                place = entry.start // _NEIGHBOURHOOD_BYTES
                first, last = self._neighbourhoods.get(place, (entry.start, 0))
                end = entry.start + entry.compressed_bytes
                self._neighbourhoods[place] = (first, max(last, end))
        return entries

    def _entry(self, fields: dict[str, Any]) -> _Entry:
        entry = _Entry(
            _text(fields.get("containerId")),
            _text(fields.get("fileName")),
            _number(fields.get("fileSize")),
            _number(fields.get("startIndex")),
            _number(fields.get("fileCompressedSize")),
            _number(fields.get("lastModifiedTime", fields.get(_MODIFY_TIME_IN_HADOOP_2))),
        )
        if (
            min(entry.size_bytes, entry.start, entry.compressed_bytes) < 0
            or entry.start + entry.compressed_bytes > self._end
        ):
            raise MalformedError(f"{entry.name} should be at {entry.start}, where it cannot be")
        return entry


def parse_checksum(data: bytes) -> tuple[str, int]:
    """The name of the file that is being written to, and where its last good index ends."""
    reader = ByteReader.over(data)
    return reader.read(reader.unpack("i")).decode("utf-8", "replace"), reader.unpack("q")


def _object(value: Any) -> JavaObject:
    if not isinstance(value, JavaObject):
        raise MalformedError(f"its index has {value!r:.40} where an object should be")
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> int:
    if not isinstance(value, int):
        raise MalformedError(f"its index has {value!r:.40} where a number should be")
    return value
