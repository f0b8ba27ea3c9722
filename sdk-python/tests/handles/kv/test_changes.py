"""Transactions, and changes that are done once however often they are sent."""

from __future__ import annotations

import pytest

from knit import (
    HistoryLostError,
    KeyValueStore,
    LeaseEndedError,
    StoreLimitError,
    kv,
)
from knit.testing import FakeApplicationMaster, Fault


def test_a_transaction_does_one_list_or_the_other(store: KeyValueStore) -> None:
    store.update({"a": b"1", "b": b"2"})
    done = store.transaction(
        [kv.value("a") == b"1", kv.missing("c")],
        [kv.put("c", b"3", return_previous=True), kv.get_range(), kv.delete_range("a", "c")],
        [kv.get("a")],
    )
    assert done
    put, read, deleted = done.results
    assert (put.key_value, put.value) == (None, None)
    assert [each.key for each in read.key_values] == ["a", "b", "c"]
    assert (deleted.count, deleted.key_values) == (2, ())
    assert list(store.items()) == [("c", b"3")]
    other = store.transaction([kv.exists("a")], [kv.put("c", b"4")], [kv.get("c")])
    assert not other.succeeded
    assert other.results[0].value == b"3"
    assert other.revision == done.revision


def test_a_transaction_that_is_refused_leaves_all_as_it_was(store: KeyValueStore) -> None:
    store["a"] = b"1"
    with pytest.raises(StoreLimitError):
        store.transaction([], [kv.put("a", b"2"), kv.delete("a"), kv.put("b", bytes(9 << 20))])
    with pytest.raises(LeaseEndedError):
        store.transaction([], [kv.put("c", b"2"), kv.put("b", b"", lease=77)])
    assert dict(store.items()) == {"a": b"1"}


def test_a_change_is_done_once_however_often_it_is_sent(
    fake: FakeApplicationMaster, store: KeyValueStore
) -> None:
    for call, do in (
        ("Put", lambda: store.put("k", b"1")),
        ("Commit", lambda: store.transaction([], [kv.put("k", b"1")])),
        ("Delete", lambda: store.delete("k")),
    ):
        before = store.entry("k")
        fake.fail_next(Fault(status="UNAVAILABLE", call=call, done_first=True))
        assert do()
        after = store.entry("k")
        if call != "Delete":
            assert after is not None
            assert after.version == (before.version if before is not None else 0) + 1


def test_a_change_is_not_done_again_by_another_application_master(
    fake: FakeApplicationMaster, store: KeyValueStore
) -> None:
    store["k"] = b"1"
    fake.fail_next(Fault(status="UNAVAILABLE", call="Put", done_first=True, restarts=True))
    with pytest.raises(HistoryLostError, match="List what there is now, then decide"):
        store["k"] = b"2"
    assert "k" not in store
    store["k"] = b"3"  # who has been told goes on
    assert store["k"] == b"3"


def test_one_that_was_replaced_before_is_no_obstacle(
    fake: FakeApplicationMaster, store: KeyValueStore
) -> None:
    """The change was never sent to the one before, so nothing can be done twice."""
    store["k"] = b"1"
    fake.begin_anew()
    store["k"] = b"2"
    assert store["k"] == b"2"


# Owners
