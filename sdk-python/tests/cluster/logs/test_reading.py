"""Numbers, texts and compressed bytes as Hadoop writes them."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knit._cluster.logs.compression import UnknownCodecError, decompressed
from knit._cluster.logs.reading import PIECE_BYTES, ByteReader, MalformedError, java_text
from tests.cluster.logs.files import vlong

LONGS = st.integers(-(2**63), 2**63 - 1)


@given(LONGS)
def test_a_number_of_variable_length_is_read_as_it_was_written(number: int) -> None:
    reader = ByteReader.over(vlong(number) + b"rest")
    assert reader.vlong() == number
    assert reader.read(4) == b"rest"


@pytest.mark.parametrize(
    ("number", "written"),
    # By org.apache.hadoop.io.file.tfile.Utils.writeVLong of Hadoop 3.4.2.
    [
        (0, "00"),
        (127, "7f"),
        (128, "cc80"),
        (-32, "e0"),
        (-33, "cbdf"),
        (5119, "dfff"),
        (5120, "a81400"),
        (-5120, "b800"),
        (-5121, "a7ebff"),
        (32767, "a87fff"),
        (32768, "a88000"),
        (1048575, "b7ffff"),
        (1048576, "90100000"),
        (-1048576, "980000"),
        (-1048577, "8fefffff"),
        (134217727, "97ffffff"),
        (134217728, "8308000000"),
        (-134217728, "88000000"),
        (-134217729, "83f7ffffff"),
        (2147483647, "837fffffff"),
        (2147483648, "840080000000"),
        (-2147483648, "8380000000"),
        (-2147483649, "84ff7fffffff"),
        (549755813887, "847fffffffff"),
        (549755813888, "85008000000000"),
        (140737488355327, "857fffffffffff"),
        (140737488355328, "8600800000000000"),
        (36028797018963967, "867fffffffffffff"),
        (36028797018963968, "870080000000000000"),
        (9223372036854775807, "877fffffffffffffff"),
        (-9223372036854775808, "878000000000000000"),
    ],
)
def test_numbers_are_as_hadoop_writes_them(number: int, written: str) -> None:
    assert vlong(number).hex() == written
    assert ByteReader.over(bytes.fromhex(written)).vlong() == number


@pytest.mark.parametrize("first", range(0x80, 0x83))
def test_a_number_of_a_length_that_does_not_exist_is_malformed(first: int) -> None:
    with pytest.raises(MalformedError, match="no number"):
        ByteReader.over(bytes([first]) + bytes(8)).vlong()


@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(1, 30)))
def test_a_reader_gives_all_bytes_once_and_in_order(chunks: list[bytes], sizes: list[int]) -> None:
    whole, reader, received = b"".join(chunks), ByteReader(iter(chunks)), b""
    for size in sizes:
        piece = reader.read_some(size)
        assert len(piece) <= size
        assert piece or received == whole
        received += piece
        assert reader.position == len(received)
    assert received + b"".join(reader.pieces()) == whole


def test_reading_past_the_end_is_malformed() -> None:
    with pytest.raises(MalformedError, match="2 bytes too early"):
        ByteReader.over(b"abc").read(5)
    with pytest.raises(MalformedError, match="1 bytes too early"):
        ByteReader.over(b"abc").skip(4)
    with pytest.raises(MalformedError, match="-1 bytes"):
        ByteReader.over(b"abc").read(-1)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"stdout", "stdout"),
        ("é✓".encode(), "é✓"),
        (b"a\xc0\x80b", "a\0b"),
        (bytes.fromhex("eda0bdedb880"), "\U0001f600"),
    ],
)
def test_javas_utf_8_is_read(data: bytes, text: str) -> None:
    assert java_text(data) == text


def test_what_is_no_text_is_malformed() -> None:
    with pytest.raises(MalformedError, match="where a name should be"):
        java_text(b"\xff\xfe")


@given(st.lists(st.binary(max_size=3000), max_size=4), st.integers(1, 700))
def test_several_compressed_streams_one_after_the_other_are_one(
    parts: list[bytes], cut: int
) -> None:
    stored = b"".join(zlib.compress(part) for part in parts)
    chunks = [stored[start : start + cut] for start in range(0, len(stored), cut)]
    assert b"".join(decompressed("gz", chunks)) == b"".join(parts)


def test_what_is_decompressed_comes_in_small_pieces() -> None:
    """A kilobyte can stand for a megabyte."""
    data = bytes(20_000_000)
    pieces = list(decompressed("gz", [zlib.compress(data)]))
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= PIECE_BYTES


@pytest.mark.parametrize("cut", [1, 5, 50])
def test_compressed_data_that_end_too_early_are_malformed(cut: int) -> None:
    stored = zlib.compress(bytes(range(256)) * 10)
    with pytest.raises(MalformedError, match="end too early"):
        list(decompressed("gz", [stored[:-cut]]))


def test_damaged_compressed_data_are_malformed() -> None:
    with pytest.raises(MalformedError, match="damaged"):
        list(decompressed("gz", [b"no zlib at all"]))


def test_a_codec_that_is_not_known_is_named_before_anything_is_read() -> None:
    with pytest.raises(UnknownCodecError, match="lzo"):
        decompressed("lzo", iter(()))
