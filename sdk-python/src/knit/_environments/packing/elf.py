"""
Where a program of Linux looks for its libraries, and how to tell it otherwise.

An interpreter in an archive must find the libraries beside it, wherever it is unpacked, and
without an environment variable that its children would inherit. ELF has a field for that,
DT_RPATH, which holds for all that the program loads; DT_RUNPATH, which most linkers write today,
holds for the program alone, and in a library it even hides the program's DT_RPATH.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import attrs

_MAGIC, _CLASS_64 = b"\x7fELF", 2
_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NULL, _DT_STRTAB, _DT_STRSZ, _DT_RPATH, _DT_RUNPATH = 0, 5, 10, 15, 29
_SEGMENT, _DYNAMIC = "IIQQQQQQ", "QQ"


def is_elf(data: bytes) -> bool:
    """Whether this is how a program or library of Linux begins."""
    return data[:4] == _MAGIC


def with_rpath(data: bytes, rpath: str) -> bytes | None:
    """
    The same program with this DT_RPATH instead of any other; None where it has no room for it.

    The text goes where the linker filled up the first page after the names of symbols, and the
    entry takes one of those that linkers leave free.
    """
    elf = _Elf.read(data)
    if elf is None:
        return None
    text = rpath.encode() + b"\0"
    entries = list(elf.dynamic())
    values = {tag: value for _, tag, value in entries}
    found = [offset for offset, tag, _ in entries if tag in (_DT_RPATH, _DT_RUNPATH)]
    free = [offset for offset, tag, _ in entries if tag == _DT_NULL]
    if not found and len(free) < 2:  # one has to stay, as the end
        return None
    room = elf.room_after(values.get(_DT_STRTAB, 0), len(text))
    if room is None:
        return None
    segment, header = room
    at = segment.offset + segment.file_size
    elf.data[at : at + len(text)] = text
    elf.grow(header, len(text))
    name = segment.address + segment.file_size - values[_DT_STRTAB]
    for offset in found or free[:1]:
        elf.put(offset, _DT_RPATH, name)
    for offset, tag, _ in entries:
        if tag == _DT_STRSZ:
            elf.put(offset, tag, name + len(text))
    return bytes(elf.data)


def without_runpath(data: bytes) -> bytes | None:
    """The same library, its DT_RUNPATH made a DT_RPATH; None where there is none to be made one."""
    elf = _Elf.read(data)
    if elf is None:
        return None
    entries = [entry for entry in elf.dynamic() if entry[1] == _DT_RUNPATH]
    for offset, _, value in entries:
        elf.put(offset, _DT_RPATH, value)
    return bytes(elf.data) if entries else None


@attrs.frozen
class _Segment:
    kind: int
    offset: int
    address: int
    file_size: int
    memory_size: int


@attrs.frozen
class _Elf:
    data: bytearray
    order: str
    segments: list[tuple[int, _Segment]]
    """Each with where in the file its header is."""

    @classmethod
    def read(cls, data: bytes) -> _Elf | None:
        if not is_elf(data) or len(data) < 64 or data[4] != _CLASS_64:
            return None
        order = "<" if data[5] == 1 else ">"
        (start,) = struct.unpack_from(f"{order}Q", data, 32)
        size, count = struct.unpack_from(f"{order}HH", data, 54)
        segments = []
        try:
            for header in range(start, start + size * count, size):
                kind, _, offset, address, _, file_size, memory_size, _ = struct.unpack_from(
                    order + _SEGMENT, data, header
                )
                segment = _Segment(kind, offset, address, file_size, memory_size)
                segments.append((header, segment))
        except struct.error:
            return None
        return cls(bytearray(data), order, segments)

    def dynamic(self) -> Iterator[tuple[int, int, int]]:
        """Where in the file each entry of the dynamic section is, its tag and its value."""
        for _, segment in self.segments:
            if segment.kind == _PT_DYNAMIC:
                for offset in range(segment.offset, segment.offset + segment.file_size, 16):
                    tag, value = struct.unpack_from(self.order + _DYNAMIC, self.data, offset)
                    yield offset, tag, value

    def put(self, offset: int, tag: int, value: int) -> None:
        struct.pack_into(self.order + _DYNAMIC, self.data, offset, tag, value)

    def room_after(self, address: int, size: int) -> tuple[_Segment, int] | None:
        """The segment that is loaded to this address and where its header is, if it can grow."""
        for header, segment in self.segments:
            if segment.kind != _PT_LOAD:
                continue
            if not segment.address <= address < segment.address + segment.memory_size:
                continue
            end = segment.offset + segment.file_size
            others = [other for _, other in self.segments if other.kind == _PT_LOAD]
            fits = all(
                other.offset >= end + size
                and other.address & ~0xFFF >= segment.address + segment.memory_size + size
                for other in others
                if other.offset > segment.offset
            )
            is_free = self.data[end : end + size] == bytes(size)
            if segment.file_size == segment.memory_size and fits and is_free:
                return segment, header
        return None

    def grow(self, header: int, size: int) -> None:
        for offset in (header + 32, header + 40):  # in the file, and in memory
            (now,) = struct.unpack_from(f"{self.order}Q", self.data, offset)
            struct.pack_into(f"{self.order}Q", self.data, offset, now + size)
