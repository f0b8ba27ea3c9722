"""Bytes that are pulled from the cluster as they are needed, and what Hadoop writes them as."""

from __future__ import annotations

import abc
import struct
from collections.abc import Iterator

PIECE_BYTES = 256 * 1024
"""The most that is handed on at once."""


class MalformedError(Exception):
    """What was read is not what Hadoop writes; says what was found, in half a sentence."""


class Reader(abc.ABC):
    """A sequence of bytes, read once from its start to its end."""

    @abc.abstractmethod
    def read_some(self, limit: int) -> bytes:
        """The next bytes, at most so many and at least one; empty only at the end."""

    def read(self, size: int) -> bytes:
        """
        Exactly so many bytes.

        Raises:
            MalformedError: There are fewer.
        """
        if size < 0:
            raise MalformedError(f"it announces {size} bytes")
        pieces, left = [], size
        while left:
            piece = self.read_some(left)
            if not piece:
                raise MalformedError(f"it ends {left} bytes too early")
            pieces.append(piece)
            left -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def skip(self, size: int) -> None:
        """Leaves out so many bytes."""
        while size > 0:
            piece = self.read_some(min(size, PIECE_BYTES))
            if not piece:
                raise MalformedError(f"it ends {size} bytes too early")
            size -= len(piece)

    def pieces(self, size: int | None = None) -> Iterator[bytes]:
        """The next bytes in handy pieces: so many, or fewer if it ends, by default all."""
        while size is None or size > 0:
            piece = self.read_some(PIECE_BYTES if size is None else min(size, PIECE_BYTES))
            if not piece:
                return
            if size is not None:
                size -= len(piece)
            yield piece

    def unpack(self, layout: str) -> int:
        """A number of Java's, big-endian, by its letter in `struct`."""
        (value,) = struct.unpack(f">{layout}", self.read(struct.calcsize(f">{layout}")))
        return int(value)

    def vlong(self) -> int:
        """A number in TFile's variable length, which is not that of Hadoop's Writables."""
        first = self.unpack("b")
        if first >= -32:
            return first
        kind = (first + 128) // 8
        if kind >= 7:
            return ((first + 52) << 8) | self.unpack("B")
        if kind >= 3:
            return ((first + 88) << 16) | self.unpack("H")
        if kind >= 1:
            return ((first + 112) << 24) | int.from_bytes(self.read(3), "big")
        length = first + 129
        if length < 4:
            raise MalformedError(f"no number begins with the byte {first}")
        return int.from_bytes(self.read(length), "big", signed=True)

    def vlong_string(self) -> str:
        """A text after its length as `vlong`."""
        return _text(self.read(self.vlong()))

    def java_utf(self) -> str:
        """A text as `DataOutput.writeUTF` writes it."""
        return java_text(self.read(self.unpack("H")))


class ByteReader(Reader):
    """Reads what comes out of an iterator, and holds no more than one of its chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._chunk = memoryview(b"")
        self.position = 0
        """How many bytes have been read."""

    @classmethod
    def over(cls, data: bytes) -> ByteReader:
        """Reads what is in memory."""
        return cls(iter((data,)))

    def read_some(self, limit: int) -> bytes:
        while not self._chunk:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._chunk = memoryview(chunk)
        piece = bytes(self._chunk[:limit])
        self._chunk = self._chunk[limit:]
        self.position += len(piece)
        return piece


def java_text(data: bytes) -> str:
    """Java's "modified" UTF-8: surrogates one by one, and a null in two bytes."""
    try:
        text = data.replace(b"\xc0\x80", b"\0").decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise MalformedError(f"it has {data[:40]!r} where a name should be") from error
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
