"""
TFile, the format of Hadoop 2 and the default of Hadoop 3.

A TFile is a BCFile: a magic number, compressed blocks, and at the end an index of the blocks. Its
blocks hold records, a key and a value each: the key is a container's ID, the value all its log
files, each after its name and its length. The index tells the last key of each block and how
many it has; a block ends with the record that makes it longer than 256 KiB, so a large log is
the last record of its block.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import attrs

from knit._cluster.logs.compression import decompressed
from knit._cluster.logs.node_file import Checked, NodeFile, Piece, readable
from knit._cluster.logs.reading import ByteReader, MalformedError, Reader, java_text

MAGIC = bytes.fromhex("d111d36891b5d7b639df414092bae150")
_TRAILER = struct.Struct(f">qhh{len(MAGIC)}s")
_VERSION = 1
_RESERVED_KEYS = ("VERSION", "APPLICATION_OWNER", "APPLICATION_ACL")
_KEPT_BLOCK_BYTES = 1024 * 1024
"""A block that is no longer than this, compressed, is kept for the container that comes next."""
_INDEX_BYTES = 64 * 1024 * 1024
"""No index of a sane file is longer."""


@attrs.frozen
class _Region:
    """Where a block lies."""

    offset: int
    compressed_bytes: int
    raw_bytes: int

    @classmethod
    def read(cls, reader: Reader) -> _Region:
        return cls(reader.vlong(), reader.vlong(), reader.vlong())


@attrs.frozen
class _Block:
    region: _Region
    last_key: str
    record_count: int


@attrs.frozen
class _Index:
    codec: str
    blocks: list[_Block]


@attrs.frozen
class _Record:
    """Where a container's value begins."""

    key: str
    region: _Region
    raw_offset: int
    """Of the record, within the block as it was before it was compressed."""


class TFile(NodeFile):
    """The logs of one node in a TFile."""

    _kept: tuple[_Region, bytes] | None = None
    _records: list[_Record] | None = None
    _index: _Index | None = None

    def container_ids(self) -> Sequence[str]:
        return list(dict.fromkeys(record.key for record in self._all_records()))

    def pieces(self, container_id: str) -> Iterator[Piece]:
        for record in self._all_records():
            if record.key == container_id:
                with readable(self.source.path):
                    value = _Value(self._raw(record.region, record.raw_offset))
                    value.key()
                yield from self._files(container_id, value)

    def _files(self, container_id: str, value: Reader) -> Iterator[Piece]:
        while True:
            with readable(self.source.path):
                first = value.read_some(2)
                if not first:
                    return
                if len(first) < 2:
                    first += value.read(2 - len(first))
                name = java_text(value.read(int.from_bytes(first, "big")))
                digits = value.java_utf()
                if not digits.isdecimal():
                    raise MalformedError(f"it has {digits[:40]!r} where {name!r} has its length")
            data = _Part(value, int(digits))
            yield Piece(container_id, name, int(digits), Checked(data, self.source.path))
            with readable(self.source.path):
                data.skip_rest()

    def _all_records(self) -> list[_Record]:
        if self._records is None:
            with readable(self.source.path):
                index = self._read_index()
                found = [record for block in index.blocks for record in self._scan(block)]
            self._records = [record for record in found if record.key not in _RESERVED_KEYS]
        return self._records

    def _scan(self, block: _Block) -> Iterator[_Record]:
        """A block's records. The key of the last one is known, so it is not read."""
        if block.record_count == 1:
            yield _Record(block.last_key, block.region, 0)
            return
        reader = self._raw(block.region, 0)
        for number in range(block.record_count):
            offset = reader.position
            if number == block.record_count - 1:
                yield _Record(block.last_key, block.region, offset)
                return
            value = _Value(reader)
            yield _Record(value.key(), block.region, offset)
            for _ in value.pieces():
                pass

    def _raw(self, region: _Region, raw_offset: int) -> ByteReader:
        """A block as it was before it was compressed, from somewhere on."""
        codec = self._read_index().codec
        if codec == "none":
            # Here a place in the block is a place in the file.
            return ByteReader(
                self._stored(
                    _Region(
                        region.offset + raw_offset,
                        region.compressed_bytes - raw_offset,
                        region.raw_bytes - raw_offset,
                    )
                )
            )
        reader = ByteReader(decompressed(codec, self._stored(region)))
        reader.skip(raw_offset)
        return reader

    def _stored(self, region: _Region) -> Iterator[bytes]:
        if region.compressed_bytes > _KEPT_BLOCK_BYTES:
            yield from self.source.stream(region.offset, region.compressed_bytes)
            return
        if self._kept is None or not _within(region, self._kept[0]):
            self._kept = (region, self.source.read(region.offset, region.compressed_bytes))
        kept, data = self._kept
        start = region.offset - kept.offset
        yield data[start : start + region.compressed_bytes]

    def _read_index(self) -> _Index:
        if self._index is None:
            self._index = self._load_index()
        return self._index

    def _load_index(self) -> _Index:
        size = self.source.size_bytes
        if size < len(MAGIC) + _TRAILER.size:
            raise MalformedError(f"it has only {size} bytes")
        start = size - _TRAILER.size
        meta_offset, major, minor, magic = _TRAILER.unpack(self.source.read(start, _TRAILER.size))
        if magic != MAGIC:
            raise MalformedError("it does not end as a TFile does")
        if major != _VERSION:
            raise MalformedError(f"it is a BCFile of version {major}.{minor}, which is not known")
        if not len(MAGIC) <= meta_offset <= start or start - meta_offset > _INDEX_BYTES:
            raise MalformedError(f"its index should be at {meta_offset}, where it cannot be")
        reader = ByteReader.over(self.source.read(meta_offset, start - meta_offset))
        metas: dict[str, tuple[str, _Region]] = {}
        for _ in range(reader.vlong()):
            name = reader.vlong_string()
            metas[name.removeprefix("data:")] = (reader.vlong_string(), self._region(reader))
        data_index = self._meta(metas, "BCFile.index")
        codec = data_index.vlong_string()
        regions = [self._region(data_index) for _ in range(data_index.vlong())]
        # What cannot be decompressed is known before anything else is tried.
        for _ in decompressed(codec, ()):
            pass
        return _Index(codec, self._blocks(metas, regions))

    def _region(self, reader: Reader) -> _Region:
        region = _Region.read(reader)
        if min(region.offset, region.compressed_bytes) < 0 or (
            region.offset + region.compressed_bytes > self.source.size_bytes
        ):
            raise MalformedError(f"a block should be at {region.offset}, where it cannot be")
        return region

    def _meta(self, metas: dict[str, tuple[str, _Region]], name: str) -> ByteReader:
        if name not in metas:
            raise MalformedError(f"it lacks its block {name}")
        codec, region = metas[name]
        if region.compressed_bytes > _INDEX_BYTES:
            raise MalformedError(f"its block {name} is {region.compressed_bytes} bytes long")
        stored = self.source.read(region.offset, region.compressed_bytes)
        return ByteReader(decompressed(codec, iter((stored,))))

    def _blocks(
        self, metas: dict[str, tuple[str, _Region]], regions: list[_Region]
    ) -> list[_Block]:
        reader = self._meta(metas, "TFile.index")
        if not regions:
            return []
        reader.read(reader.vlong())  # the first key
        blocks = []
        for region in regions:
            entry = ByteReader.over(reader.read(reader.vlong()))
            key = ByteReader.over(entry.read(entry.vlong())).java_utf()
            blocks.append(_Block(region, key, entry.vlong()))
        return blocks


class _Value(Reader):
    """
    A record: a key, and a value in chunks of lengths that were not known when it was begun.

    A chunk's length is negative unless it is the last one.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._left = 0
        self._is_last = False

    def key(self) -> str:
        """The key, which comes first."""
        return ByteReader.over(self._reader.read(self._reader.vlong())).java_utf()

    def read_some(self, limit: int) -> bytes:
        while not self._left:
            if self._is_last:
                return b""
            length = self._reader.vlong()
            self._left, self._is_last = abs(length), length >= 0
        piece = self._reader.read_some(min(limit, self._left))
        if not piece:
            raise MalformedError(f"it ends {self._left} bytes too early")
        self._left -= len(piece)
        return piece


class _Part(Reader):
    """The next bytes of another reader."""

    def __init__(self, reader: Reader, size: int) -> None:
        self._reader = reader
        self._left = size

    def read_some(self, limit: int) -> bytes:
        if not self._left:
            return b""
        piece = self._reader.read_some(min(limit, self._left))
        # A file that shrank while it was aggregated has less than it announced.
        self._left = self._left - len(piece) if piece else 0
        return piece

    def skip_rest(self) -> None:
        """Leaves the other reader where this part ends."""
        for _ in self.pieces():
            pass


def _within(inner: _Region, outer: _Region) -> bool:
    return (
        outer.offset <= inner.offset
        and inner.offset + inner.compressed_bytes <= outer.offset + outer.compressed_bytes
    )
