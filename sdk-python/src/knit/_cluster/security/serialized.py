"""What Hadoop writes into tokens and their files: Writables, and the few protobuf fields."""

from __future__ import annotations

from collections.abc import Iterator

_LONGEST_VARINT_BYTES = 10
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


class MalformedTokenError(ValueError):
    """Not what Hadoop writes. Says what is wrong in half a sentence, and nothing of the bytes."""


class ByteCursor:
    """
    Reads bytes in memory from their start to their end, never beyond.

    Args:
        data: Not copied before it is read.
    """

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes have not been read."""
        return len(self._data) - self._at

    def read(self, size: int) -> bytes:
        """
        Exactly so many bytes.

        Raises:
            MalformedTokenError: There are fewer.
        """
        if not 0 <= size <= self.left:
            raise MalformedTokenError(f"it announces {size} bytes where {self.left} are left")
        self._at += size
        return bytes(self._data[self._at - size : self._at])

    def vlong(self) -> int:
        """A number as `WritableUtils.writeVLong` writes it."""
        first = int.from_bytes(self.read(1), "big", signed=True)
        if first >= -112:
            return first
        negative = first < -120
        magnitude = int.from_bytes(self.read((-120 if negative else -112) - first), "big")
        if magnitude >= 1 << 63:
            raise MalformedTokenError("it has a number beyond 64 bits")
        return ~magnitude if negative else magnitude

    def blob(self) -> bytes:
        """Bytes after their number."""
        return self.read(self.vlong())

    def text(self) -> str:
        """Hadoop's `Text`."""
        return to_text(self.blob())

    def varint(self) -> int:
        """An unsigned number as protobuf writes it."""
        value = 0
        for place in range(_LONGEST_VARINT_BYTES):
            (byte,) = self.read(1)
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                if value >= 1 << 64:
                    break
                return value
        raise MalformedTokenError("it has a number beyond 64 bits")

    def fields(self) -> Iterator[tuple[int, int | bytes]]:
        """The fields of the protobuf message that the rest is, by their numbers."""
        while self.left:
            key = self.varint()
            number, kind = key >> 3, key & 7
            if not number:
                raise MalformedTokenError("it has a field with the number 0")
            if kind == _VARINT:
                yield number, self.varint()
            elif kind == _LENGTH:
                yield number, self.read(self.varint())
            elif kind == _FIXED64:
                yield number, self.read(8)
            elif kind == _FIXED32:
                yield number, self.read(4)
            else:
                raise MalformedTokenError(f"it has a field of the unknown type {kind}")


def to_text(data: bytes) -> str:
    """
    A text of Hadoop's.

    Raises:
        MalformedTokenError: It is not UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise MalformedTokenError("it has a name that is not UTF-8") from None


def bytes_in(value: int | bytes) -> bytes:
    """The value of a field that is to hold bytes."""
    if isinstance(value, int):
        raise MalformedTokenError("it has a number where bytes should be")
    return value


def int_in(value: int | bytes) -> int:
    """The value of a field that is to hold a number of 64 bits with a sign."""
    if isinstance(value, bytes):
        raise MalformedTokenError("it has bytes where a number should be")
    return value - (1 << 64) if value >= 1 << 63 else value


def vlong(value: int) -> bytes:
    """A number as `WritableUtils.writeVLong` writes it."""
    if -112 <= value <= 127:
        return value.to_bytes(1, "big", signed=True)
    start, magnitude = (-112, value) if value >= 0 else (-120, ~value)
    data = magnitude.to_bytes((magnitude.bit_length() + 7) // 8, "big")
    return (start - len(data)).to_bytes(1, "big", signed=True) + data


def blob(data: bytes) -> bytes:
    """Bytes after their number."""
    return vlong(len(data)) + data
