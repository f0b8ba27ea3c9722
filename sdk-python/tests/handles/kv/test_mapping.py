"""The store as a mapping: keys, ranges, entries, compare and swap."""

from __future__ import annotations

import threading

import pytest

from knit import (
    InvalidRequestError,
    KeyNotFoundError,
    KeyValueStore,
    StoreLimitError,
    kv,
)
from knit.testing import FakeApplicationMaster, _kv_service


def test_it_is_a_mapping(store: KeyValueStore) -> None:
    assert not list(store)
    store["b"], store["a"], store[b"\xff"] = b"2", b"1", b"3"
    assert list(store) == ["a", "b", "\udcff"]
    assert list(reversed(store)) == ["\udcff", "b", "a"]
    assert list(store.items()) == [("a", b"1"), ("b", b"2"), ("\udcff", b"3")]
    assert list(store.values()) == [b"1", b"2", b"3"]
    assert (len(store), len(store.keys())) == (3, 3)
    raw: object = b"\xff"
    assert ("a" in store, raw in store, "x" in store, "" in store) == (True, True, False, False)
    assert ("a", b"1") in store.items()
    assert b"3" in store.values()
    assert (store["\udcff"], store[b"a"], store.get("x"), store.get("x", b"-")) == (
        *(b"3", b"1", None, b"-"),
    )
    del store["a"]
    with pytest.raises(KeyError):
        del store["a"]
    with pytest.raises(KeyNotFoundError) as caught:
        store["a"]
    assert caught.value.reason == "NO_SUCH_KEY"
    assert (store.pop("b"), store.pop("b", b"-")) == (b"2", b"-")
    with pytest.raises(KeyError):
        store.pop("b")
    assert (store.setdefault("c", b"4"), store.setdefault("c", b"5")) == (b"4", b"4")
    assert store.popitem() == ("c", b"4")
    assert store.popitem() == ("\udcff", b"3")
    with pytest.raises(KeyError):
        store.popitem()
    store.update({"a": b"1"}, b=b"2")
    store.update([("c", b"3")])
    assert len(store) == 3
    store.clear()
    assert not len(store)
    assert bool(store)


def test_what_makes_no_sense_is_refused(store: KeyValueStore) -> None:
    with pytest.raises(InvalidRequestError, match="1 byte at least"):
        store[""]
    with pytest.raises(TypeError, match="encode"):
        store["a"] = "text"  # type: ignore[assignment]
    with pytest.raises(TypeError, match="A condition is made with"):
        store.transaction([True])  # type: ignore[list-item]
    with pytest.raises(InvalidRequestError, match="same key twice"):
        store.transaction([], [kv.put("a", b"1"), kv.put("a", b"2")])
    with pytest.raises(InvalidRequestError, match="not both"):
        store.watch("a", prefix="b")
    assert not len(store)


def test_limits_answer_with_their_numbers(store: KeyValueStore) -> None:
    store["k" * 1024] = b""
    with pytest.raises(StoreLimitError) as caught:
        store["k" * 1025] = b""
    assert caught.value.reason == "KEY_TOO_LARGE"
    assert (caught.value.facts["bytes"], caught.value.facts["max_bytes"]) == ("1025", "1024")
    store["v"] = bytes(8 << 20)
    with pytest.raises(StoreLimitError) as caught:
        store["w"] = bytes((8 << 20) + 1)
    assert caught.value.reason == "VALUE_TOO_LARGE"
    for number in range(6):
        store[f"v{number}"] = bytes(8 << 20)
    with pytest.raises(StoreLimitError) as caught:
        store["last"] = bytes(8 << 20)
    assert caught.value.reason == "STORE_FULL"
    assert int(caught.value.facts["bytes"]) > int(caught.value.facts["max_bytes"])
    with pytest.raises(InvalidRequestError, match="1,024"):
        store.transaction([], [kv.get("a")] * 1025)


def test_prefixes_of_any_bytes_find_all_that_begin_so(store: KeyValueStore) -> None:
    """Also at the end of Unicode's and of all bytes' ranges, where no next prefix is."""
    keys = [
        b"a",
        b"a\xff",
        b"a\xff\xff",
        b"b",
        b"\xf4\x8f\xbf\xbf!",
        b"\xff",
        b"\xff\xff",
        b"\xff\xffx",
    ]
    store.update({key.decode("utf-8", "surrogateescape"): b"" for key in keys})
    for prefix in (b"a", b"a\xff", b"\xff", b"\xff\xff", b"\xf4\x8f\xbf\xbf", b"", b"c"):
        expected = [key for key in sorted(keys) if key.startswith(prefix)]
        assert [each.raw_key for each in store.range(prefix=prefix)] == expected
        assert store.count(prefix=prefix) == len(expected)
    assert [e.raw_key for e in store.range(prefix="\U0010ffff")] == [b"\xf4\x8f\xbf\xbf!"]
    assert store.delete_range(prefix=b"\xff") == 3


def test_a_large_range_comes_in_pages_and_only_as_far_as_it_is_read(
    fake: FakeApplicationMaster, store: KeyValueStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_kv_service, "PAGE_KEYS", 10)
    names = [f"{n:04}" for n in range(95)]
    store.update({name: name.encode() for name in names})
    before = fake.calls.count("Range")
    found = store.range()
    assert [next(found).key for _ in range(11)] == names[:11]
    assert fake.calls.count("Range") - before == 2
    assert [each.key for each in found] == names[11:]
    assert [each.key for each in store.range(descending=True)] == names[::-1]
    assert [each.key for each in store.range("0010", "0030", limit=15)] == names[10:25]
    assert [each.value for each in store.range("0090", keys_only=True)] == [b""] * 5


def test_a_page_ends_before_4_mib_and_a_larger_value_comes_alone(store: KeyValueStore) -> None:
    sizes = {"a": 3 << 20, "b": 3 << 20, "c": 8 << 20, "d": 1}
    for key, size in sizes.items():
        store[key] = bytes(size)
    assert {key: len(value) for key, value in store.items()} == sizes


def test_an_entry_tells_revisions_that_grow(store: KeyValueStore) -> None:
    first = store.put("k", b"1")
    second = store.put("k", b"22")
    entry = store.entry("k")
    assert entry is not None
    assert (entry.create_revision, entry.modify_revision) == (first, second)
    assert (entry.version, entry.value_bytes, entry.value) == (2, 2, b"22")
    assert second > first
    assert store.entry("x") is None
    before = store.swap("k", b"3")
    assert before == entry
    assert store.swap("y", b"") is None
    assert store.delete("k")
    assert not store.delete("k")


@pytest.mark.parametrize(
    ("expected", "new", "done"),
    [
        (b"1", b"2", True),
        (b"0", b"2", False),
        (None, b"2", False),
        (b"1", None, True),
        (b"", b"2", False),
    ],
)
def test_compare_and_swap(
    store: KeyValueStore, expected: bytes | None, new: bytes | None, done: bool
) -> None:
    store["k"] = b"1"
    assert store.compare_and_swap("k", expected, new) is done
    assert store.get("k") == (new if done else b"1")


def test_compare_and_swap_with_what_is_not_there_or_was_seen(store: KeyValueStore) -> None:
    assert not store.compare_and_swap("k", b"", b"1")
    assert store.compare_and_swap("k", None, b"1")
    seen = store.entry("k")
    store["k"] = b"1"  # the same value, and another revision
    assert not store.compare_and_swap("k", seen, b"2")
    assert store.compare_and_swap("k", store.entry("k"), b"2")


def test_counting_up_from_many_threads_loses_nothing(store: KeyValueStore) -> None:
    store["n"] = b"0"

    def count() -> None:
        for _ in range(10):
            while True:
                seen = store.entry("n")
                assert seen is not None
                if store.compare_and_swap("n", seen, b"%d" % (int(seen.value) + 1)):
                    break

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store["n"] == b"40"
