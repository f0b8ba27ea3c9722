"""Files that Hadoop itself has written, of both formats. data/README.md says how."""

from __future__ import annotations

import contextlib
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knit._cluster.logs.ifile import IFile
from knit._cluster.logs.java_objects import deserialize
from knit._cluster.logs.node_file import NodeFile
from knit._cluster.logs.places import Place, parse
from knit._cluster.logs.reading import MalformedError
from knit._cluster.logs.tfile import TFile
from knit.exceptions import LogFormatError
from tests.cluster.logs.files import BY_HADOOP, ROLLING, MemoryFile, contents, fixture, open_fixture

NUMBERS = b"".join(b"%d\n" % number for number in range(1, 3001))
TEN = b"".join(b"%d\n" % number for number in range(1, 11))
EACH = bytes(range(256))
EVERY_BYTE = EACH * 64 + EACH[::-1] * 64 + b"\r\n\r\x00\xff\xfe\xf0\x9f\x8e" * 100
EVERY_BYTE += b"no newline at the end"
TIME_FIELDS = (b"lastModifiedTime", b"lastModificatedTime")
IFILES = [name for name in BY_HADOOP if name.startswith("ifile")]


def number_of(container_id: str) -> int:
    return int(container_id.rpartition("_")[2])


@pytest.mark.parametrize("name", BY_HADOOP)
def test_all_that_hadoop_wrote_is_read(name: str) -> None:
    """Also which container was which, as the Application Master has written it down."""
    logs = contents(open_fixture(name))
    assert sorted(map(number_of, logs)) == [1, 2, 3, 4, 5]
    [master] = [container_id for container_id in logs if number_of(container_id) == 1]
    places = parse([logs[master]["containers.jsonl"]])
    assert set(places) == set(logs) - {master}
    found = {
        (places[key].service, places[key].rank): files
        for key, files in logs.items()
        if key != master
    }
    assert found["numbers", 0] == found["numbers", 1]
    assert found["numbers", 1]["stdout"] == NUMBERS
    assert found["numbers", 1]["stderr"] == TEN
    assert found["binary", 0]["stdout"] == EVERY_BYTE
    assert found["silent", 0]["stdout"] == found["silent", 0]["stderr"] == b""
    assert b"ApplicationMaster: Registered" in logs[master]["stderr"]


@pytest.mark.parametrize("name", BY_HADOOP)
def test_the_node_is_known(name: str) -> None:
    node = open_fixture(name)
    node.container_ids()
    assert node.node_id.startswith("localhost:")
    assert not node.is_rolling


@pytest.mark.parametrize("name", ROLLING)
def test_what_was_collected_bit_by_bit_is_put_together(name: str) -> None:
    """TFiles come one a time, while an IFile is appended to; each has parts of the same log."""
    application_id, files = fixture(name)
    rolled = stdout = b""
    count = 0
    for file, data in files.items():
        source = MemoryFile(data, f"/logs/{file}")
        is_tfile = name.startswith("tfile")
        node: NodeFile = TFile(source) if is_tfile else IFile(source, application_id)
        assert node.is_rolling
        for container_id in node.container_ids():
            if number_of(container_id) == 2:
                for piece in node.pieces(container_id):
                    content = b"".join(piece.data.pieces())
                    count += piece.name == "rolled.log"
                    rolled += content if piece.name == "rolled.log" else b""
                    stdout += content if piece.name == "stdout" else b""
    assert rolled == b"".join(b"%d\n" % number for number in range(100, 400))
    assert stdout == b"done\n"
    assert count == 3


@settings(deadline=None)
@given(st.sampled_from(BY_HADOOP), st.floats(0, 1, exclude_max=True))
def test_a_file_that_is_cut_off_anywhere_is_an_error(name: str, part: float) -> None:
    node = open_fixture(name, lambda data: data[: int(len(data) * part)])
    with pytest.raises(LogFormatError, match="cannot be read"):
        contents(node)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(BY_HADOOP), st.integers(0), st.integers(1, 255))
def test_a_damaged_file_is_read_or_is_an_error_but_nothing_else(
    name: str, place: int, change: int
) -> None:
    def damage(data: bytes) -> bytes:
        changed = bytearray(data)
        # The indexes, where most can go wrong, are at the end.
        changed[-1 - place % min(len(changed), 3000)] ^= change
        return bytes(changed)

    with contextlib.suppress(LogFormatError):
        contents(open_fixture(name, damage))


@pytest.mark.parametrize("name", IFILES)
def test_an_ifile_of_another_codec_is_an_error_that_names_it(name: str) -> None:
    codec = name.partition("-")[2].encode()
    other = b"lzo"[: len(codec)].ljust(len(codec), b"!")
    length = len(codec).to_bytes(2, "big")

    def change(data: bytes) -> bytes:
        assert data.count(b"t" + length + codec) == 1
        return data.replace(b"t" + length + codec, b"t" + length + other)

    with pytest.raises(LogFormatError, match="compressed with") as caught:
        open_fixture(name, change).container_ids()
    assert caught.value.codec == other.decode()


@pytest.mark.parametrize("name", IFILES)
def test_an_ifile_of_hadoop_2_names_a_field_otherwise(name: str) -> None:
    """As read off a file of Hadoop 2.10.2; 3.3.6 has the other name."""
    new, old = ((len(text).to_bytes(2, "big") + text) for text in TIME_FIELDS)

    def change(data: bytes) -> bytes:
        assert data.count(new) == 1
        size = int.from_bytes(data[-36:-32], "big") + len(old) - len(new)
        return data[:-36].replace(new, old) + size.to_bytes(4, "big") + data[-32:]

    assert contents(open_fixture(name, change)) == contents(open_fixture(name))


@pytest.mark.parametrize("name", IFILES)
def test_an_ifile_that_is_being_appended_to_is_read_up_to_its_last_good_index(name: str) -> None:
    application_id, files = fixture(name)
    [data] = files.values()
    source = MemoryFile(data + b"\nhalf of a log")
    assert contents(IFile(source, application_id, len(data))) == contents(open_fixture(name))
    with pytest.raises(LogFormatError, match="mark of its application"):
        IFile(source, application_id).container_ids()


@pytest.mark.parametrize("name", IFILES)
def test_an_ifile_of_another_application_is_an_error(name: str) -> None:
    _, files = fixture(name)
    [data] = files.values()
    with pytest.raises(LogFormatError, match="mark of its application"):
        IFile(MemoryFile(data), "application_1_0001").container_ids()


def test_reading_one_container_of_an_ifile_leaves_the_others_alone() -> None:
    application_id, files = fixture("ifile-none")
    [data] = files.values()
    source = MemoryFile(data)
    node = IFile(source, application_id)
    [wanted] = [each for each in node.container_ids() if number_of(each) == 5]
    before = source.bytes_read
    for piece in node.pieces(wanted):
        list(piece.data.pieces())
    assert source.bytes_read - before <= len(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xac\xed\x00\x05",
        b"\xac\xed\x00\x06p",
        b"\xac\xed\x00\x05q\x00\x7e\x00\x00",  # a reference to nothing
        b"\xac\xed\x00\x05" + b"sr" * 3,
        b"\xac\xed\x00\x05y",
        b"\xac\xed\x00\x05t\x00\x05abc",
        b"\xac\xed\x00\x05sp",
    ],
)
def test_what_is_no_java_object_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        deserialize(data)


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_of_java_objects_fail_otherwise(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        deserialize(b"\xac\xed\x00\x05" + data)


def test_a_java_text_and_null_are_read() -> None:
    assert deserialize(b"\xac\xed\x00\x05t\x00\x02\xc3\xa9") == "é"
    assert deserialize(b"\xac\xed\x00\x05p") is None


def test_records_of_containers_are_read_as_far_as_they_are_whole() -> None:
    lines = [
        b'{"container_id":"c_2","service":"worker","rank":3,"attempt_number":2,"node_id":"n:1"}\n',
        b'{"container_id":"c_3","service":"worker","rank":4,"more":[1]}\n',
        b"no json\n",
        b'"a text"\n',
        b'{"service":"worker","rank":4}\n',
        b'{"container_id":"c_4","service":"wor',
    ]
    expected = {"c_2": Place("worker", 3, 2, "n:1"), "c_3": Place("worker", 4, 1)}
    assert parse(lines) == expected
    whole = b"".join(lines)
    assert parse(whole[start : start + 7] for start in range(0, len(whole), 7)) == expected


def test_fixtures_are_compressed_as_their_names_say() -> None:
    """Else they would test the same thing twice."""
    for name, is_small in (("tfile-none", False), ("tfile-gz", True), ("ifile-gz", True)):
        [data] = fixture(name)[1].values()
        assert (len(data) < 20_000) is is_small
        assert (zlib.compress(NUMBERS)[:2] in data) or not is_small
