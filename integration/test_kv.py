"""The key-value store of a real Application Master."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import knit
import pytest
from knit import ContainerState, kv

from integration.applications import PATIENCE, Applications, program, wait_for_states

pytestmark = pytest.mark.topology("the Application Master is elsewhere")


@pytest.fixture(scope="module")
def app(module_applications: Applications) -> knit.Application:
    """An application of two containers that wait."""
    gate = module_applications.gate()
    app = module_applications.submit(program("wait", instances=2, environment=gate.environment))
    wait_for_states(app, 2, ContainerState.RUNNING)
    return app


@pytest.fixture
def store(app: knit.Application) -> Iterator[knit.KeyValueStore]:
    app.kv.clear()
    yield app.kv
    app.kv.clear()


def test_it_is_a_mapping_in_the_order_of_bytes(store: knit.KeyValueStore) -> None:
    keys = [b"a", b"a\xff", b"a\xff\xff", b"b", b"\xf4\x8f\xbf\xbf!", b"\xff", b"\xff\xff"]
    store.update({key.decode("utf-8", "surrogateescape"): key for key in reversed(keys)})
    assert [each.raw_key for each in store.range()] == keys
    assert [each.raw_key for each in store.range(descending=True)] == keys[::-1]
    assert list(store.values()) == keys
    assert len(store) == 7
    for prefix in (b"a", b"a\xff", b"\xff", b"\xf4\x8f\xbf\xbf", b""):
        expected = [key for key in keys if key.startswith(prefix)]
        assert [each.raw_key for each in store.range(prefix=prefix)] == expected
        assert store.count(prefix=prefix) == len(expected)
    assert store.pop("a") == b"a"
    assert "a" not in store
    with pytest.raises(KeyError):
        store["a"]
    assert store.setdefault("n", b"1") == store.setdefault("n", b"2") == b"1"
    assert store.delete_range(prefix=b"\xff") == 2
    assert store.compare_and_swap("n", b"1", b"2")
    assert not store.compare_and_swap("n", b"1", b"3")
    assert store.swap("n", b"4") is not None


def test_the_longest_key_and_the_largest_value_come_back(store: knit.KeyValueStore) -> None:
    longest = b"\xff" * 1024
    store[longest.decode("utf-8", "surrogateescape")] = bytes(8 << 20)
    entry = store.entry(longest)
    assert entry is not None
    assert entry.value_bytes == len(entry.value) == 8 << 20
    assert longest.decode("utf-8", "surrogateescape") in store
    assert store.delete(longest)
    for key, value, reason in (
        (b"k" * 1025, b"", "KEY_TOO_LARGE"),
        (b"k", bytes((8 << 20) + 1), "VALUE_TOO_LARGE"),
    ):
        with pytest.raises(knit.StoreLimitError) as caught:
            store.put(key, value)
        assert caught.value.reason == reason
        assert any(number.isdigit() for number in caught.value.facts.values())


def test_a_large_range_comes_in_pages(store: knit.KeyValueStore) -> None:
    for start in range(40):
        store.update({f"{start:02}/{n:03}": bytes(4096) for n in range(100)})
    assert sum(1 for _ in store.range()) == store.count() == 4000
    assert [each.key for each in store.range(prefix="07/", limit=3, keys_only=True)] == [
        f"07/00{n}" for n in range(3)
    ]


def test_a_transaction_is_all_or_nothing(store: knit.KeyValueStore) -> None:
    store.update({"a": b"1", "b": b"2"})
    done = store.transaction(
        [kv.value("a") == b"1", kv.version("a") == 1, kv.missing("c")],
        [kv.put("c", b"3"), kv.get_range(), kv.delete("a")],
        [kv.get("a")],
    )
    assert done
    assert [each.key for each in done.results[1].key_values] == ["a", "b", "c"]
    assert not store.transaction([kv.exists("a")], [kv.delete("b")], [kv.get("b")])
    with pytest.raises(knit.LeaseEndedError):
        store.transaction([], [kv.put("d", b""), kv.put("e", b"", lease=999_999)])
    assert dict(store.items()) == {"b": b"2", "c": b"3"}


def test_waiting_watches(store: knit.KeyValueStore) -> None:
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(store.wait("k", timeout=PATIENCE)))
    thread.start()
    time.sleep(0.2)
    store["k"] = b"there"
    thread.join()
    assert found == [b"there"]
    with pytest.raises(knit.WaitTimeoutError):
        store.wait("nobody", timeout=timedelta(seconds=1))


def test_a_watch_is_resumed_and_tells_what_was_before(store: knit.KeyValueStore) -> None:
    with store.watch(prefix="k/", timeout=PATIENCE) as watch:
        store.update({"k/1": b"1", "other": b"", "k/2": b"2"})
        first, second = next(watch), next(watch)
        assert first.revision == second.revision
        assert watch._call is not None
        watch._call.cancel()  # as when the connection breaks
        store["k/1"] = b"3"
        third = next(watch)
        assert third.previous is not None
        assert third.current is not None
        assert (third.previous.value, third.current.value) == (b"1", b"3")
    with store.watch(prefix="k/", after=first.revision, timeout=PATIENCE) as watch:
        assert next(watch).revision == third.revision


def test_a_lease_is_kept_and_ends(store: knit.KeyValueStore) -> None:
    with store.lease(timedelta(seconds=2)) as lease:
        store.put("alive", b"", lease=lease)
        time.sleep(4)
        assert "alive" in store
    assert "alive" not in store
    forgotten = store.lease(timedelta(seconds=1))
    store.put("alive", b"", lease=forgotten)
    with store.watch("alive", timeout=PATIENCE) as watch:
        assert next(watch).is_deletion


def test_keys_go_with_their_owner_in_its_own_turn(
    app: knit.Application, store: knit.KeyValueStore
) -> None:
    """Last, for it stops a container."""
    first, second = app.containers()
    store.put("mine", b"1", owner=first)
    store.put("others", b"2", owner=second)
    assert store.transaction([kv.owner("mine") == first, kv.owner("others") > first])
    seen = app.describe().position
    first.stop()
    for event in app.events(
        after=seen, kinds=[knit.EventKind.KEY, knit.EventKind.CONTAINER], timeout=PATIENCE
    ):
        keys = [change for change in event.changes if isinstance(change, knit.KeyChange)]
        if keys:
            assert [(change.key, change.is_deletion) for change in keys] == [("mine", True)]
            assert [c.state for c in event.containers] == [ContainerState.STOPPING]
            break
    assert list(store) == ["others"]
    with pytest.raises(knit.WrongStateError) as caught:
        store.put("mine", b"1", owner=first)
    assert caught.value.reason == "CONTAINER_ENDED"
