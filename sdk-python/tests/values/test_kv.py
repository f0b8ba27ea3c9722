"""Keys, values and transactions as users write them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from knit import ContainerRef, InvalidRequestError, kv
from knit._values.kv import key_range, key_to_bytes, key_to_text, range_of, value_to_bytes
from knit._values.transactions import Comparison
from knit.v1 import key_value_service_pb2 as pb


def test_every_key_of_bytes_survives_as_text() -> None:
    dice = random.Random(7)
    for _ in range(2000):
        key = dice.randbytes(dice.randrange(1, 40))
        assert key_to_bytes(key_to_text(key)) == key
    for key in (b"\xff", b"\xf4\x8f\xbf\xbf", b"\xed\xa0\x80", b"\x00", "grüße".encode()):
        assert key_to_bytes(key_to_text(key)) == key


def test_text_is_utf_8_and_bytes_are_themselves() -> None:
    assert key_to_bytes("grüße") == "grüße".encode()
    assert key_to_bytes(b"\xff") == b"\xff"
    assert key_to_text("\U0010ffff".encode()) == "\U0010ffff"


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="stands for no bytes"):
        key_to_bytes("\ud800")
    with pytest.raises(TypeError, match="text or bytes"):
        key_to_bytes(5)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError, match="1 byte at least"):
        range_of("")


def test_values_are_bytes() -> None:
    assert value_to_bytes(bytearray(b"x")) == value_to_bytes(memoryview(b"x")) == b"x"
    with pytest.raises(TypeError, match=r"text.encode\(\)"):
        value_to_bytes("x")
    with pytest.raises(TypeError, match="not int"):
        value_to_bytes(5)


def test_a_range_is_a_prefix_or_has_bounds() -> None:
    found = key_range("a", b"b")
    assert (found.start, found.end, found.HasField("prefix")) == (b"a", b"b", False)
    everything = key_range(prefix="")
    assert everything.HasField("prefix")
    one = range_of("k")
    assert (one.start, one.end) == (b"k", b"k\0")
    with pytest.raises(InvalidRequestError, match="not both"):
        key_range("a", prefix="b")


REF = ContainerRef("worker", 3)


@pytest.mark.parametrize(
    ("comparison", "operator", "target", "operand"),
    [
        (kv.value("k") == b"1", "EQUAL", "value", b"1"),
        (kv.value("k") != b"1", "NOT_EQUAL", "value", b"1"),
        (kv.value("k") < b"1", "LESS", "value", b"1"),
        (kv.value("k") <= b"1", "LESS_OR_EQUAL", "value", b"1"),
        (kv.value("k") > b"1", "GREATER", "value", b"1"),
        (kv.value("k") >= b"1", "GREATER_OR_EQUAL", "value", b"1"),
        (kv.version("k") == 2, "EQUAL", "version", 2),
        (kv.version("k") != 2, "NOT_EQUAL", "version", 2),
        (kv.modified("k") < 2, "LESS", "modify_revision", 2),
        (kv.modified("k") <= 2, "LESS_OR_EQUAL", "modify_revision", 2),
        (kv.created("k") > 0, "GREATER", "create_revision", 0),
        (kv.lease("k") >= 1, "GREATER_OR_EQUAL", "lease_id", 1),
        (kv.owner("k") == REF, "EQUAL", "owner", REF),
        (kv.owner("k") != None, "NOT_EQUAL", "owner", None),  # noqa: E711
        (kv.owner("k") < REF, "LESS", "owner", REF),
        (kv.owner("k") <= REF, "LESS_OR_EQUAL", "owner", REF),
        (kv.owner("k") > REF, "GREATER", "owner", REF),
        (kv.owner("k") >= REF, "GREATER_OR_EQUAL", "owner", REF),
        (kv.exists("k"), "EQUAL", "exists", True),
        (kv.missing("k"), "EQUAL", "exists", False),
    ],
)
def test_conditions_read_as_they_are_sent(
    comparison: Comparison, operator: str, target: str, operand: Any
) -> None:
    message = comparison._to_proto()
    assert message.key == b"k"
    assert message.operator == pb.CompareOperator.Value(f"COMPARE_OPERATOR_{operator}")
    assert message.WhichOneof("target") == target
    sent = getattr(message, target)
    if target == "owner":
        assert (sent.service_name, sent.ordinal) == (("worker", 3) if operand else ("", 0))
    else:
        assert sent == operand


def test_conditions_are_not_decided_here() -> None:
    with pytest.raises(TypeError, match="decided by the Application Master"):
        bool(kv.value("a") == b"1")
    with pytest.raises(TypeError):
        assert not kv.exists("a")
    with pytest.raises(TypeError):
        assert 1 < kv.version("a") < 3


def test_what_a_put_leaves_out_stays() -> None:
    plain = kv.put("k")._to_proto().put
    assert not plain.HasField("value")
    assert plain.WhichOneof("ownership") is None
    assert not plain.HasField("lease_id")
    full = kv.put("k", b"", owner=REF, lease=5, return_previous=True)._to_proto().put
    assert full.HasField("value")
    assert (full.owner.service_name, full.owner.ordinal, full.lease_id) == ("worker", 3, 5)
    nobodys = kv.put("k", owner=None, lease=None)._to_proto().put
    assert nobodys.no_owner
    assert (nobodys.HasField("lease_id"), nobodys.lease_id) == (True, 0)


def test_steps_say_which_keys() -> None:
    assert kv.delete("k")._to_proto().delete.range.end == b"k\0"
    assert kv.delete_range(prefix="k/")._to_proto().delete.range.prefix == b"k/"
    read = kv.get_range("a", "b", keys_only=True, limit=3)._to_proto().range
    assert (read.range.start, read.keys_only, read.limit) == (b"a", True, 3)
    with pytest.raises(InvalidRequestError, match="limit"):
        kv.get_range(limit=-1)
