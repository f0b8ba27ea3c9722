"""Tokens, their identifiers and their files, beside what Hadoop 3.4.2 wrote."""

from __future__ import annotations

import base64
import os
import stat
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knit._cluster.security.serialized import ByteCursor, MalformedTokenError, blob, vlong
from knit._cluster.security.token_file import LARGEST_FILE_BYTES, MOST_ENTRIES, Credentials
from knit._cluster.security.tokens import LARGEST_TOKEN_BYTES, Token, TokenIdentifier

# By DelegationTokenIdentifier, RMDelegationTokenIdentifier, Token and Credentials of Hadoop 3.4.2.
HDFS_IDENTIFIER = bytes.fromhex(
    "0005616c69636502726d056f6f7a69658a019ac4c1657b8a019ae8cde97b8d12d6872a"
)
HDFS_URL_STRING = (
    "IwAFYWxpY2UCcm0Fb296aWWKAZrEwWV7igGa6M3pe40S1ocqFDAxMjM0NTY3ODlhYmNkZWZnaGlqFUhERlNfREVMRUdB"
    "VElPTl9UT0tFTgpoYS1oZGZzOm5z"
)
RM_IDENTIFIER = bytes.fromhex(
    "0a11616c696365404558414d504c452e434f4d1202726d20fbca85a6ac3328fbd2b7c6ae3330073802"
)
RM_IDENTIFIER_BEFORE_2_6 = bytes.fromhex(
    "0011616c696365404558414d504c452e434f4d02726d008a019ac4c1657b8a019ae8cde97b0702"
)
RM_URL_STRING = (
    "KQoRYWxpY2VARVhBTVBMRS5DT00SAnJtIPvKhaasMyj70rfGrjMwBzgCBQD__j4_E1JNX0RFTEVHQVRJT05fVE9LRU4f"
    "MTI3LjAuMC4xOjIzNDQ0LDEyNy4wLjAuMToyNzE5Mg"
)
FILE_OF_WRITABLES = bytes.fromhex(
    "48445453000202726d290a11616c696365404558414d504c452e434f4d1202726d20fbca85a6ac3328fbd2b7c6ae33"
    "300738020500fffe3e3f13524d5f44454c45474154494f4e5f544f4b454e1f3132372e302e302e313a32333434342c"
    "3132372e302e302e313a32373139320a68612d686466733a6e73230005616c69636502726d056f6f7a69658a019ac4"
    "c1657b8a019ae8cde97b8d12d6872a14303132333435363738396162636465666768696a15484446535f44454c4547"
    "4154494f4e5f544f4b454e0a68612d686466733a6e7301076b6e69742ec3a9086120736563726574"
)
FILE_OF_PROTOBUF = bytes.fromhex(
    "4844545301f3010a6e0a02726d12680a290a11616c696365404558414d504c452e434f4d1202726d20fbca85a6ac33"
    "28fbd2b7c6ae3330073802120500fffe3e3f1a13524d5f44454c45474154494f4e5f544f4b454e221f3132372e302e"
    "302e313a32333434342c3132372e302e302e313a32373139320a6c0a0a68612d686466733a6e73125e0a230005616c"
    "69636502726d056f6f7a69658a019ac4c1657b8a019ae8cde97b8d12d6872a1214303132333435363738396162636465"
    "666768696a1a15484446535f44454c45474154494f4e5f544f4b454e220a68612d686466733a6e7312130a076b6e69"
    "742ec3a91a086120736563726574"
)
ISSUED = datetime(2025, 11, 27, 10, 0, 0, 123_000, timezone.utc)
HDFS_TOKEN = Token(HDFS_IDENTIFIER, b"0123456789abcdefghij", "HDFS_DELEGATION_TOKEN", "ha-hdfs:ns")
RM_TOKEN = Token(
    RM_IDENTIFIER,
    b"\x00\xff\xfe>?",
    "RM_DELEGATION_TOKEN",
    "127.0.0.1:23444,127.0.0.1:27192",
)

TOKENS = st.builds(
    Token, st.binary(max_size=300), st.binary(max_size=40), st.text(max_size=30), st.text()
)
LONGS = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("token", "text"), [(HDFS_TOKEN, HDFS_URL_STRING), (RM_TOKEN, RM_URL_STRING)]
)
def test_the_url_form_is_hadoops(token: Token, text: str) -> None:
    assert token.url_string() == text
    assert Token.from_url_string(text) == token


def test_the_other_alphabet_and_padding_are_read_as_hadoop_does() -> None:
    text = base64.b64encode(RM_TOKEN.to_bytes()).decode()
    assert "+" in text or "/" in text
    assert Token.from_url_string(text) == RM_TOKEN


@given(TOKENS)
def test_a_token_comes_back_from_its_url_form(token: Token) -> None:
    assert Token.from_url_string(token.url_string()) == token


@given(st.text(alphabet="AQgw_-/=", max_size=80) | st.text(max_size=80))
def test_what_is_no_token_is_told_apart_and_not_shown(text: str) -> None:
    said = ""
    try:
        token = Token.from_url_string(text)
    except MalformedTokenError as error:
        said = str(error)
    else:
        assert Token.from_url_string(token.url_string()) == token
    assert len(text) < 5 or text not in said


def test_a_token_that_is_cut_anywhere_is_malformed() -> None:
    data = HDFS_TOKEN.to_bytes()
    for end in range(len(data)):
        with pytest.raises(MalformedTokenError):
            Token.from_bytes(data[:end])
    with pytest.raises(MalformedTokenError, match="1 bytes follow"):
        Token.from_bytes(data + b"\0")


@pytest.mark.parametrize("size", [LARGEST_TOKEN_BYTES + 1, 50 * 1024 * 1024])
def test_a_token_has_a_largest_size(size: int) -> None:
    with pytest.raises(MalformedTokenError, match="more than the 65536"):
        Token.from_bytes(b"\0" * size)
    with pytest.raises(MalformedTokenError, match="more than the 65536"):
        Token.from_url_string("A" * (size * 4 // 3 + 2))


def test_an_announced_size_is_not_believed() -> None:
    for size in (2**62, 2**31, -1):
        with pytest.raises(MalformedTokenError, match="announces"):
            Token.from_bytes(vlong(size))


def test_neither_half_of_the_secret_is_shown() -> None:
    shown = f"{HDFS_TOKEN!r} {HDFS_TOKEN} {Credentials({'a': HDFS_TOKEN}, {'s': b'hidden'})!r}"
    assert "ha-hdfs:ns" in shown
    assert "alice" not in shown
    assert "0123456789" not in shown
    assert "hidden" not in shown


@pytest.mark.parametrize(
    ("token", "owner", "real_user", "sequence_number", "key"),
    [
        (HDFS_TOKEN, "alice", "oozie", 1234567, 42),
        (HDFS_TOKEN.replace(kind="SWEBHDFS delegation"), "alice", "oozie", 1234567, 42),
        (HDFS_TOKEN.replace(kind="kms-dt"), "alice", "oozie", 1234567, 42),
        (RM_TOKEN, "alice@EXAMPLE.COM", "", 7, 2),
        (
            Token(RM_IDENTIFIER_BEFORE_2_6, b"", "RM_DELEGATION_TOKEN", ""),
            "alice@EXAMPLE.COM",
            "",
            7,
            2,
        ),
    ],
)
def test_a_token_says_whose_it_is_and_when_it_ends(
    token: Token, owner: str, real_user: str, sequence_number: int, key: int
) -> None:
    assert TokenIdentifier.of(token) == TokenIdentifier(
        owner=owner,
        renewer="rm",
        real_user=real_user,
        issue_time=ISSUED,
        max_time=ISSUED + timedelta(days=7),
        sequence_number=sequence_number,
        master_key_id=key,
    )


def test_of_an_unknown_kind_nothing_is_guessed() -> None:
    assert TokenIdentifier.of(HDFS_TOKEN.replace(kind="S3ADelegationToken/Session")) is None


@given(LONGS, LONGS)
def test_times_that_no_calendar_has_are_not_known(issued: int, ends: int) -> None:
    data = b"\0" + blob(b"a") + blob(b"") + blob(b"") + vlong(issued) + vlong(ends) + b"\1\1"
    found = TokenIdentifier.of(Token(data, b"", "HDFS_DELEGATION_TOKEN", ""))
    assert found is not None
    for milliseconds, time in ((issued, found.issue_time), (ends, found.max_time)):
        known = 0 < milliseconds < 253402300800000  # the year 10000
        assert (time is not None) == known
        if time is not None:
            assert (time - datetime(1970, 1, 1, tzinfo=timezone.utc)) / timedelta(
                milliseconds=1
            ) == pytest.approx(milliseconds)


@given(st.binary(max_size=120), st.sampled_from(["HDFS_DELEGATION_TOKEN", "RM_DELEGATION_TOKEN"]))
def test_any_identifier_is_read_or_malformed(data: bytes, kind: str) -> None:
    for start in (b"", b"\0", b"\x0a"):
        try:
            found = TokenIdentifier.of(Token(start + data, b"", kind, ""))
        except MalformedTokenError:
            continue
        assert found is not None


@given(LONGS)
def test_a_number_is_read_as_it_was_written(number: int) -> None:
    cursor = ByteCursor(vlong(number) + b"rest")
    assert cursor.vlong() == number
    assert cursor.read(4) == b"rest"


@pytest.mark.parametrize(
    ("number", "written"),
    # By WritableUtils.writeVLong of Hadoop 3.4.2.
    [
        (0, "00"),
        (127, "7f"),
        (-112, "90"),
        (-113, "8770"),
        (128, "8f80"),
        (255, "8fff"),
        (256, "8e0100"),
        (-1, "ff"),
        (-256, "87ff"),
        (-257, "860100"),
        (1764237600123, "8a019ac4c1657b"),
        (2**63 - 1, "887fffffffffffffff"),
        (-(2**63), "807fffffffffffffff"),
    ],
)
def test_numbers_are_written_as_hadoop_does(number: int, written: str) -> None:
    assert vlong(number).hex() == written
    assert ByteCursor(bytes.fromhex(written)).vlong() == number


@pytest.mark.parametrize("data", [FILE_OF_WRITABLES, FILE_OF_PROTOBUF])
def test_a_token_file_of_either_form_is_read(data: bytes) -> None:
    found = Credentials.from_bytes(data)
    assert found.tokens == {"ha-hdfs:ns": HDFS_TOKEN, "rm": RM_TOKEN}
    assert found.secrets == {"knit.é": b"a secret"}
    assert found.of_kind("RM_DELEGATION_TOKEN") == [RM_TOKEN]


def test_a_token_file_is_written_as_hadoop_does() -> None:
    written = Credentials({"rm": RM_TOKEN, "ha-hdfs:ns": HDFS_TOKEN}, {"knit.é": b"a secret"})
    assert written.to_bytes() == FILE_OF_WRITABLES


@given(st.dictionaries(st.text(), TOKENS, max_size=4), st.dictionaries(st.text(), st.binary()))
def test_a_token_file_comes_back(tokens: dict[str, Token], secrets: dict[str, bytes]) -> None:
    credentials = Credentials(tokens, secrets)
    assert Credentials.from_bytes(credentials.to_bytes()) == credentials


@pytest.mark.parametrize("data", [FILE_OF_WRITABLES, FILE_OF_PROTOBUF])
def test_a_token_file_that_is_cut_or_longer_is_malformed(data: bytes) -> None:
    for end in range(len(data)):
        with pytest.raises(MalformedTokenError):
            Credentials.from_bytes(data[:end])
    with pytest.raises(MalformedTokenError, match="follow it"):
        Credentials.from_bytes(data + b"\0")


@given(st.binary(max_size=200), st.sampled_from([b"", b"HDTS\0", b"HDTS\1", b"HDTS\0\1"]))
def test_any_file_is_read_or_malformed(data: bytes, start: bytes) -> None:
    try:
        found = Credentials.from_bytes(start + data)
    except MalformedTokenError:
        return
    assert Credentials.from_bytes(found.to_bytes()) == found


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"HDTS\2", "its form is 2"),
        (b"hdts\0", "does not begin with HDTS"),
        (b"HDTS\0" + vlong(MOST_ENTRIES + 1), "announces 10001 entries"),
        (b"HDTS\0" + vlong(-1), "announces -1 entries"),
        (b"H" * (LARGEST_FILE_BYTES + 1), "more than 33554432 bytes"),
        (b"HDTS\1\4" + bytes.fromhex("0a02120a"), "announces"),
        (b"HDTS\1\4" + bytes.fromhex("0a021200"), "lacks a field"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(data: bytes, said: str) -> None:
    with pytest.raises(MalformedTokenError, match=said):
        Credentials.from_bytes(data)


def test_a_written_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_bytes(b"older, and open to all")
    path.chmod(0o644)
    Credentials({"rm": RM_TOKEN}).to_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Credentials.from_file(path).tokens == {"rm": RM_TOKEN}
    assert [found.name for found in tmp_path.iterdir()] == ["tokens"]


def test_a_file_that_has_no_end_is_not_read_for_ever() -> None:
    with pytest.raises(MalformedTokenError, match="more than"):
        Credentials.from_file(Path("/dev/zero"))


def varint(value: int) -> bytes:
    """As protobuf writes a number, negative ones in 64 bits."""
    value &= (1 << 64) - 1
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*data, value))


@given(LONGS, st.integers(-(2**31), 2**31 - 1))
def test_numbers_of_an_identifier_have_the_width_that_java_gives_them(date: int, key: int) -> None:
    """Either way it is written; a date beyond the calendar is none."""
    protobuf = b"\x0a\x01a" + b"".join(
        varint(number << 3) + varint(value) for number, value in ((4, date), (6, key), (7, key))
    )
    writable = b"\0" + blob(b"a") + blob(b"") * 2 + vlong(date) + vlong(0) + vlong(key) * 2
    for identifier in (protobuf, writable):
        found = TokenIdentifier.of(Token(identifier, b"", "RM_DELEGATION_TOKEN", ""))
        assert found is not None
        assert (found.sequence_number, found.master_key_id, found.max_time) == (key, key, None)
        in_calendar = 0 < date < 253_402_300_800_000
        assert (found.issue_time is not None) == in_calendar
        if found.issue_time is not None:
            assert (found.issue_time - datetime(1970, 1, 1, tzinfo=timezone.utc)) / timedelta(
                milliseconds=1
            ) == date


@given(LONGS)
def test_a_number_is_read_as_hadoop_writes_it_and_to_its_end(value: int) -> None:
    cursor = ByteCursor(vlong(value) + b"rest")
    assert cursor.vlong() == value
    assert cursor.read(4) == b"rest"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff", "beyond 64 bits"),
        (b"\x88\x80\0\0\0\0\0\0\0", "beyond 64 bits"),
        (b"\x88\0\0", "announces 8 bytes where 2 are left"),
        (b"", "announces 1 bytes where 0 are left"),
    ],
)
def test_a_number_that_is_none_of_64_bits_is_malformed(data: bytes, words: str) -> None:
    with pytest.raises(MalformedTokenError, match=words):
        ByteCursor(data).vlong()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x00\x01", "field with the number 0"),
        (b"\x0b", "unknown type 3"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "beyond 64 bits"),
        (b"\x08" + b"\x80" * 9 + b"\x02", "beyond 64 bits"),
        (b"\x08" + b"\x80" * 10 + b"\x01", "beyond 64 bits"),
        (b"\x09\0\0", "announces 8 bytes"),
        (b"\x0d\0\0", "announces 4 bytes"),
        (b"\x0a\x7f", "announces 127 bytes"),
    ],
)
def test_what_is_no_protobuf_is_malformed(data: bytes, words: str) -> None:
    with pytest.raises(MalformedTokenError, match=words):
        list(ByteCursor(data).fields())


def test_fields_that_nobody_knows_are_passed_over() -> None:
    """Of any width: a later Hadoop may add them."""
    later = b"\x79" + bytes(8) + b"\x7d" + bytes(4) + b"\x72\x03abc"
    found = TokenIdentifier.of(RM_TOKEN.replace())
    assert TokenIdentifier.of(Token(later + RM_IDENTIFIER, b"", RM_TOKEN.kind, "")) == found


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        (b"", "identifier is empty"),
        (b"\x08\x05", "a number where bytes should be"),
        (b"\x22\x01a", "bytes where a number should be"),
        (b"\x0a\x01\xff", "not UTF-8"),
    ],
)
def test_an_identifier_of_another_form_is_told(identifier: bytes, words: str) -> None:
    with pytest.raises(MalformedTokenError, match=words):
        TokenIdentifier.of(Token(identifier, b"", "HDFS_DELEGATION_TOKEN", ""))


def test_a_file_that_cannot_be_written_leaves_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens" / "x").touch()
    with pytest.raises(OSError, match="tokens"):
        Credentials({"a": HDFS_TOKEN}).to_file(tmp_path / "tokens")
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"]


def test_what_an_earlier_writing_left_behind_is_no_hindrance(tmp_path: Path) -> None:
    left = tmp_path / f".tokens.{os.getpid()}.part"
    left.write_bytes(b"half")
    Credentials({"a": HDFS_TOKEN}).to_file(tmp_path / "tokens")
    assert Credentials.from_file(tmp_path / "tokens").tokens == {"a": HDFS_TOKEN}
    assert not left.exists()
