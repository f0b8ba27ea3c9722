"""TFiles: written by Hadoop, and odd ones."""

from __future__ import annotations

import contextlib
import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knit._cluster.logs.tfile import TFile
from knit.exceptions import LogFormatError
from tests.cluster.logs.files import MemoryFile, Record, contents, tfile

ONE, TWO, THREE = (f"container_1700000000000_0001_01_{number:06}" for number in (2, 3, 4))


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that no codec makes smaller."""
    return random.Random(seed).randbytes(size)


NAMES = st.sampled_from(["stdout", "stderr", "é.log", "a" * 300])
RECORDS = st.lists(
    st.tuples(st.uuids().map(str), st.lists(st.tuples(NAMES, st.binary(max_size=500)), max_size=4)),
    max_size=8,
)


@settings(deadline=None)
@given(
    RECORDS,
    st.sampled_from(["none", "gz"]),
    st.sampled_from([1, 100, 1000, 256 * 1024]),
    st.sampled_from([1, 7, 64, 1024 * 1024]),
)
def test_what_was_written_is_read(
    records: list[Record], codec: str, block_bytes: int, chunk_bytes: int
) -> None:
    """Whatever is where: each container in a block of its own, all in one, one in many chunks."""
    data = tfile(records, codec=codec, block_bytes=block_bytes, chunk_bytes=chunk_bytes)
    node = TFile(MemoryFile(data))
    assert node.container_ids() == [key for key, _ in records]
    for key, files in records:
        found = [
            (piece.name, piece.size_bytes, b"".join(piece.data.pieces()))
            for piece in node.pieces(key)
        ]
        assert found == [(name, len(content), content) for name, content in files]


@pytest.mark.parametrize("codec", ["none", "gz"])
def test_a_log_of_many_megabytes_crosses_chunks_and_blocks(codec: str) -> None:
    large = noise(3_500_000)
    records: list[Record] = [
        (ONE, [("stderr", b"err\n"), ("stdout", large)]),
        (TWO, [("stdout", b"")]),
        (THREE, [("stdout", large[::-1])]),
    ]
    node = TFile(MemoryFile(tfile(records, codec=codec)))
    assert contents(node) == {key: dict(files) for key, files in records}


def test_a_node_without_containers_has_none() -> None:
    assert TFile(MemoryFile(tfile([]))).container_ids() == []


def test_a_container_may_have_several_records() -> None:
    records: list[Record] = [(ONE, [("a", b"1")]), (TWO, []), (ONE, [("b", b"2")])]
    node = TFile(MemoryFile(tfile(records, block_bytes=1)))
    assert contents(node) == {ONE: {"a": b"1", "b": b"2"}, TWO: {}}


@pytest.mark.parametrize("codec", ["none", "gz"])
def test_reading_one_container_leaves_the_others_alone(codec: str) -> None:
    large = noise(4_000_000)
    records: list[Record] = [
        (ONE, [("stdout", large)]),
        (TWO, [("stdout", b"small\n")]),
        (THREE, [("stdout", large)]),
    ]
    source = MemoryFile(tfile(records, codec=codec))
    node = TFile(source)
    assert [b"".join(piece.data.pieces()) for piece in node.pieces(TWO)] == [b"small\n"]
    assert source.bytes_read < 300_000


def test_memory_does_not_grow_with_the_log() -> None:
    data = tfile([(ONE, [("stdout", bytes(40_000_000))])], codec="gz")
    node = TFile(MemoryFile(data))
    tracemalloc.start()
    try:
        size = sum(len(part) for piece in node.pieces(ONE) for part in piece.data.pieces())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size == 40_000_000
    assert peak < 3_000_000


def test_a_file_that_shrank_while_it_was_collected_is_read_as_far_as_it_goes() -> None:
    data = tfile([(ONE, [("stdout", b"only this")])], announce=lambda size: size + 100)
    found = [(p.size_bytes, b"".join(p.data.pieces())) for p in TFile(MemoryFile(data)).pieces(ONE)]
    assert found == [(109, b"only this")]


WHOLE = tfile([(ONE, [("stdout", noise(2000)), ("stderr", b"x")])], codec="none")


@pytest.mark.parametrize("size", [0, 1, 16, 43, 44, 100, len(WHOLE) - 1, len(WHOLE) - 17])
def test_a_file_that_is_cut_off_is_an_error_that_names_it(size: int) -> None:
    with pytest.raises(LogFormatError, match="/logs/node-1_45454 cannot be read") as caught:
        contents(TFile(MemoryFile(WHOLE[:size])))
    assert caught.value.path == "/logs/node-1_45454"
    assert caught.value.codec is None


@settings(deadline=None, max_examples=300)
@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255), st.sampled_from(["none", "gz"]))
def test_a_damaged_file_is_read_or_is_an_error_but_nothing_else(
    place: int, change: int, codec: str
) -> None:
    data = bytearray(tfile([(ONE, [("stdout", noise(2000)), ("stderr", b"x")])], codec=codec))
    data[place % len(data)] ^= change
    with contextlib.suppress(LogFormatError):
        contents(TFile(MemoryFile(bytes(data))))


def test_another_codec_is_an_error_that_names_it() -> None:
    data = tfile([(ONE, [("stdout", b"x")])]).replace(b"\x04none", b"\x04lzo!")
    with pytest.raises(LogFormatError, match=r"compressed with 'lzo!'.*compression-type") as caught:
        TFile(MemoryFile(data)).container_ids()
    assert caught.value.codec == "lzo!"


def test_another_version_is_an_error() -> None:
    data = bytearray(tfile([]))
    data[-20:-16] = bytes([0, 2, 0, 0])
    with pytest.raises(LogFormatError, match=r"version 2\.0"):
        TFile(MemoryFile(bytes(data))).container_ids()


@pytest.mark.parametrize(
    ("name", "node_id", "is_rolling"),
    [
        ("node-1_45454", "node-1:45454", False),
        ("node_1.example.org_8041", "node_1.example.org:8041", False),
        ("node-1_45454_1700000000123", "node-1:45454", True),
        ("10.0.0.1_45454", "10.0.0.1:45454", False),
        ("odd", "odd", False),
    ],
)
def test_the_node_is_told_by_the_files_name(name: str, node_id: str, is_rolling: bool) -> None:
    node = TFile(MemoryFile(WHOLE, f"/logs/{name}"))
    assert (node.node_id, node.is_rolling) == (node_id, is_rolling)
