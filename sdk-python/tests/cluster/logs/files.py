"""Files of aggregated logs for tests: those that Hadoop wrote, and a writer for odd ones."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from knit._cluster.logs.ifile import IFile, mark_of
from knit._cluster.logs.node_file import NodeFile
from knit._cluster.logs.tfile import MAGIC, TFile

DATA = Path(__file__).with_name("data")
BY_HADOOP = ("tfile-none", "tfile-gz", "ifile-none", "ifile-gz")
ROLLING = ("tfile-gz-rolling", "ifile-gz-rolling")

Logs = dict[str, dict[str, bytes]]
"""The files of each container, by its ID."""

Record = tuple[str, list[tuple[str, bytes]]]
"""A container and its files, in the order they are written in."""


class MemoryFile:
    """A file of the cluster that is in memory, and counts what is read of it."""

    def __init__(self, data: bytes, path: str = "/logs/node-1_45454") -> None:
        self.path = path
        self.size_bytes = len(data)
        self.bytes_read = 0
        self._data = data

    def stream(self, offset_bytes: int, length_bytes: int) -> Iterator[bytes]:
        assert offset_bytes >= 0
        assert offset_bytes + length_bytes <= self.size_bytes
        for start in range(offset_bytes, offset_bytes + length_bytes, 50_000):
            piece = self._data[start : min(start + 50_000, offset_bytes + length_bytes)]
            self.bytes_read += len(piece)
            yield piece

    def read(self, offset_bytes: int, length_bytes: int) -> bytes:
        return b"".join(self.stream(offset_bytes, length_bytes))


def fixture(name: str) -> tuple[str, dict[str, bytes]]:
    """An application's ID, and the files that Hadoop wrote for it, by name."""
    directory = DATA / name
    files = {
        path.name: path.read_bytes()
        for path in sorted(directory.iterdir())
        if path.name != "application"
    }
    return (directory / "application").read_text().strip(), files


def open_fixture(name: str, change: Callable[[bytes], bytes] = bytes) -> NodeFile:
    """The one file of such an application, perhaps changed."""
    application_id, files = fixture(name)
    [(node, data)] = files.items()
    source = MemoryFile(change(data), f"/logs/{application_id}/{node}")
    return TFile(source) if name.startswith("tfile") else IFile(source, application_id)


def contents(node: NodeFile) -> Logs:
    """All that is in a node's file."""
    found: Logs = {}
    for container_id in node.container_ids():
        files = found.setdefault(container_id, {})
        for piece in node.pieces(container_id):
            files[piece.name] = files.get(piece.name, b"") + b"".join(piece.data.pieces())
    return found


# A writer of TFiles, after the description of the format.


def vlong(number: int) -> bytes:
    """A number in TFile's variable length."""
    if -32 <= number < 128:
        return struct.pack(">b", number)
    magnitude = ~number if number < 0 else number
    length = magnitude.bit_length() // 8 + 1
    first = number >> ((length - 1) * 8)
    for short, base, limit in ((1, 52, 20), (2, 88, 16), (3, 112, 8)):
        # The first byte holds the highest bits of the number, where these are few.
        if length <= short:
            first = number >> (8 * short)
        if length <= short + 1 and -limit <= first < limit:
            rest = (number & ((1 << (8 * short)) - 1)).to_bytes(short, "big")
            return struct.pack(">b", first - base) + rest
    length = max(4, length)
    return struct.pack(">b", length - 129) + number.to_bytes(length, "big", signed=True)


def utf(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def value_of(files: Iterable[tuple[str, bytes]], announce: Callable[[int], int] = int) -> bytes:
    """The value of a container: each file after its name and its length in digits."""
    return b"".join(utf(name) + utf(str(announce(len(data)))) + data for name, data in files)


def chunked(value: bytes, chunk_bytes: int = 1024 * 1024) -> bytes:
    """A value in chunks; the length of the last one, which may be empty, is not negative."""
    cut = [value[start : start + chunk_bytes] for start in range(0, len(value), chunk_bytes)]
    *chunks, last = cut or [b""]
    if len(last) == chunk_bytes:
        chunks, last = [*chunks, last], b""
    return b"".join(vlong(-len(chunk)) + chunk for chunk in chunks) + vlong(len(last)) + last


def tfile(
    records: Iterable[Record],
    *,
    codec: str = "none",
    block_bytes: int = 256 * 1024,
    chunk_bytes: int = 1024 * 1024,
    announce: Callable[[int], int] = int,
) -> bytes:
    """A TFile with these containers, after the records that YARN begins one with."""
    pack: Callable[[bytes], bytes] = zlib.compress if codec == "gz" else bytes
    written, blocks, open_block, count = bytearray(MAGIC), [], bytearray(), 0
    pairs = [
        ("VERSION", struct.pack(">i", 1)),
        ("APPLICATION_ACL", utf("VIEW_APP") + utf("*")),
        ("APPLICATION_OWNER", utf("alice")),
        *((key, value_of(files, announce)) for key, files in records),
    ]
    index = vlong(len(vlong(9) + utf("VERSION"))) + vlong(9) + utf("VERSION")
    for number, (key, value) in enumerate(pairs):
        open_block += vlong(len(utf(key))) + utf(key) + chunked(value, chunk_bytes)
        count += 1
        if len(pack(bytes(open_block))) >= block_bytes or number == len(pairs) - 1:
            packed = pack(bytes(open_block))
            blocks.append((len(written), len(packed), len(open_block)))
            written += packed
            entry = vlong(len(utf(key))) + utf(key) + vlong(count)
            index += vlong(len(entry)) + entry
            open_block, count = bytearray(), 0
    data_index = vlong(len(codec)) + codec.encode() + vlong(len(blocks))
    data_index += b"".join(vlong(n) for block in blocks for n in block)
    meta = b""
    for name, content in (
        ("BCFile.index", data_index),
        ("TFile.index", index),
        ("TFile.meta", struct.pack(">hh", 1, 0) + vlong(len(pairs)) + vlong(0)),
    ):
        region = (len(written), len(pack(content)), len(content))
        written += pack(content)
        full = f"data:{name}"
        meta += vlong(len(full)) + full.encode() + vlong(len(codec)) + codec.encode()
        meta += b"".join(map(vlong, region))
    meta_offset = len(written)
    written += vlong(3) + meta + struct.pack(">qhh", meta_offset, 1, 0) + MAGIC
    return bytes(written)


__all__ = ["BY_HADOOP", "DATA", "ROLLING", "MemoryFile", "contents", "fixture", "mark_of"]
