"""Programs of few bytes, laid out as linkers do it: where there is room, and where not."""

from __future__ import annotations

import struct

import pytest

from knit._environments.packing.elf import with_rpath, without_runpath

LOAD, DYNAMIC = 1, 2
NULL, STRTAB, STRSZ, RPATH, RUNPATH = 0, 5, 10, 15, 29
BASE, END, PAGE = 0x400000, 0x400, 0x1000
NAMES = 0x300
OURS = "$ORIGIN/../lib"
SIZE = len(OURS) + 1
FREE = ((STRTAB, BASE + NAMES), (STRSZ, END - NAMES), (NULL, 0), (NULL, 0))


def program(
    entries: tuple[tuple[int, int], ...] = FREE,
    *,
    order: str = "<",
    memory_size: int = END,
    next_offset: int = PAGE,
    next_address: int = BASE + PAGE,
) -> bytearray:
    """Names at the end of its first segment, and after the second the dynamic section."""
    data = bytearray(2 * PAGE)
    data[:6] = b"\x7fELF\x02" + (b"\x01" if order == "<" else b"\x02")
    struct.pack_into(f"{order}Q", data, 32, 64)
    struct.pack_into(f"{order}HH", data, 54, 56, 3)
    at, size = PAGE + 0x100, 16 * len(entries)
    segments = [
        (LOAD, 5, 0, BASE, 0, END, memory_size, PAGE),
        (LOAD, 6, next_offset, next_address, 0, 0x200, 0x300, PAGE),
        (DYNAMIC, 6, at, next_address + 0x100, 0, size, size, 8),
    ]
    for number, segment in enumerate(segments):
        struct.pack_into(f"{order}IIQQQQQQ", data, 64 + 56 * number, *segment)
    for number, entry in enumerate(entries):
        struct.pack_into(f"{order}QQ", data, at + 16 * number, *entry)
    data[NAMES:END] = b"n" * (END - NAMES - 1) + b"\0"
    return data


def found(data: bytes, order: str = "<") -> dict[int, bytes]:
    """The paths as the dynamic linker finds them: by address, in what is loaded of the file."""
    (count,) = struct.unpack_from(f"{order}H", data, 56)
    headers = [struct.unpack_from(f"{order}IIQQQQQQ", data, 64 + 56 * n) for n in range(count)]
    [(_, _, at, _, _, size, _, _)] = [header for header in headers if header[0] == DYNAMIC]
    entries = [struct.unpack_from(f"{order}QQ", data, at + n) for n in range(0, size, 16)]
    assert entries[-1] == (NULL, 0)
    values = dict(entries)
    paths = {}
    for tag in (RPATH, RUNPATH):
        if tag in values:
            address = values[STRTAB] + values[tag]
            [(offset, start, length)] = [
                (h[2], h[3], h[5])
                for h in headers
                if h[0] == LOAD and h[3] <= address < h[3] + h[5]
            ]
            loaded = data[offset : offset + length]
            path = loaded[address - start : loaded.index(0, address - start)]
            assert values[tag] + len(path) + 1 <= values[STRSZ]
            paths[tag] = path
    return paths


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_path_is_added_where_there_is_room(order: str) -> None:
    changed = with_rpath(bytes(program(order=order)), OURS)
    assert changed is not None
    assert found(changed, order) == {RPATH: OURS.encode()}


@pytest.mark.parametrize("tag", [RPATH, RUNPATH])
def test_another_path_is_replaced_and_needs_no_free_entry(tag: int) -> None:
    changed = with_rpath(bytes(program(((tag, 0), *FREE[:3]))), OURS)
    assert changed is not None
    assert found(changed) == {RPATH: OURS.encode()}


def test_the_last_byte_before_the_next_segment_may_be_taken() -> None:
    assert with_rpath(bytes(program(next_offset=END + SIZE)), OURS) is not None


NEIGHBOUR = program()
NEIGHBOUR[END + SIZE - 1] = 1
NARROW = program()
NARROW[4] = 1


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            program(next_offset=END + SIZE - 1), id="the next segment follows in the file"
        ),
        pytest.param(program(next_address=BASE + 0xFFF), id="it follows in memory"),
        pytest.param(program(memory_size=END + 1), id="zeros follow that the program uses"),
        pytest.param(NEIGHBOUR, id="something is there"),
        pytest.param(program(FREE[:3]), id="the one free entry is the end"),
        pytest.param(program(((STRTAB, BASE + END), *FREE[1:])), id="the names are elsewhere"),
        pytest.param(NARROW, id="32 bits"),
        pytest.param(program()[:100], id="cut off"),
        pytest.param(b"#!/bin/sh", id="no program"),
    ],
)
def test_what_has_no_room_is_left_as_it_is(data: bytearray) -> None:
    assert with_rpath(bytes(data), OURS) is None


def test_a_library_with_a_path_of_its_own_hides_the_programs_no_more() -> None:
    data = program(((RUNPATH, 0), *FREE[:3]))
    changed = without_runpath(bytes(data))
    assert changed is not None
    assert set(found(changed)) == {RPATH}
    assert without_runpath(changed) is None
    assert without_runpath(b"#!/bin/sh") is None
