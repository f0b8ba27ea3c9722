"""Waiting for keys, and watching them."""

from __future__ import annotations

import random
import threading
import time
from datetime import timedelta

import pytest

from knit import (
    ApplicationNotRunningError,
    EventsForgottenError,
    HistoryLostError,
    KeyChange,
    KeyValueStore,
    WaitTimeoutError,
    kv,
)
from knit.testing import FakeApplicationMaster, Fault

PATIENCE = timedelta(seconds=60)


def wait_for_a_watch(fake: FakeApplicationMaster) -> None:
    end = time.monotonic() + 60
    while not fake.open_watches:
        assert time.monotonic() < end, fake.calls
        time.sleep(0.01)


def test_waiting_for_a_key_asks_once_and_then_watches(
    fake: FakeApplicationMaster, store: KeyValueStore
) -> None:
    store["there"] = b"1"
    assert store.wait("there", timeout=PATIENCE) == b"1"
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(store.wait("later", timeout=PATIENCE)))
    thread.start()
    wait_for_a_watch(fake)
    ranges = fake.calls.count("Range")
    fake.application().kv["later"] = b"2"
    thread.join()
    assert found == [b"2"]
    assert fake.calls.count("Range") == ranges


def test_a_key_that_comes_between_looking_and_watching_is_not_missed(
    fake: FakeApplicationMaster, store: KeyValueStore
) -> None:
    fake.fail_next(Fault(call="WatchEvents", delay=timedelta(seconds=0.5)))
    other = fake.application().kv
    thread = threading.Timer(0.2, lambda: other.put("k", b"1"))
    thread.start()
    assert store.wait("k", timeout=PATIENCE) == b"1"
    thread.join()  # else the fake may be gone before it has answered


def test_waiting_outlives_a_lost_history(fake: FakeApplicationMaster, store: KeyValueStore) -> None:
    def write() -> None:
        wait_for_a_watch(fake)
        fake.begin_anew()
        wait_for_a_watch(fake)
        fake.application().kv["k"] = b"1"

    thread = threading.Thread(target=write)
    thread.start()
    assert store.wait("k", timeout=PATIENCE) == b"1"
    thread.join()
    assert fake.calls.count("Range") == 2


def test_waiting_in_vain_ends(fake: FakeApplicationMaster, store: KeyValueStore) -> None:
    with pytest.raises(WaitTimeoutError, match="nobody wrote it"):
        store.wait("k", timeout=timedelta(seconds=0.2))
    threading.Timer(0.2, fake.end).start()
    with pytest.raises(ApplicationNotRunningError, match="nobody had written"):
        store.wait("k", timeout=PATIENCE)


def test_a_watch_tells_each_change_once_whatever_breaks(
    fake: FakeApplicationMaster, store: KeyValueStore
) -> None:
    watch = store.watch(prefix="k/", timeout=PATIENCE)
    dice = random.Random(7)
    expected = []
    for number in range(20):
        expected.append(f"k/{number}")
        store.update({expected[-1]: b"1", f"other/{number}": b"2"})
        fake.fail_next(
            Fault(status="UNAVAILABLE", call="WatchEvents", after_events=dice.randrange(3))
        )
    assert [next(watch).key for _ in expected] == expected
    assert fake.calls.count("WatchEvents") > 5
    fake.restart()
    store["k/last"] = b""
    assert next(watch).key == "k/last"


def test_changes_of_one_transaction_have_one_revision(store: KeyValueStore) -> None:
    store["k"] = b"0"
    watch = store.watch(timeout=PATIENCE)
    done = store.transaction([], [kv.put("a", b"1"), kv.put("k", b"2"), kv.delete("k")])
    changes = [next(watch) for _ in range(3)]
    assert {change.revision for change in changes} == {done.revision}
    assert [(change.key, change.is_deletion) for change in changes] == [
        *(("a", False), ("k", False), ("k", True)),
    ]
    assert changes[1].previous is not None
    assert changes[1].previous.value == b"0"


def test_a_watch_goes_on_from_a_revision_or_a_position(store: KeyValueStore) -> None:
    first = store.put("k", b"1")
    store.put("k", b"2")
    watch = store.watch("k", after=first, timeout=PATIENCE)
    assert next(watch).revision == first + 1
    position = watch.position
    assert position is not None
    watch.close()
    assert next(watch, None) is None
    store.put("k", b"3")
    again = store.watch("k", after=position, with_values=False, timeout=PATIENCE)
    change: KeyChange = next(again)
    assert change.current is not None
    assert (change.current.value, change.current.value_bytes) == (b"", 1)


def test_who_falls_behind_is_told_and_how_to_go_on(store: KeyValueStore) -> None:
    store["k"] = b"1"
    watch = store.watch("k", after=1, timeout=PATIENCE)
    for number in range(60):  # more than the fake keeps
        store["k"] = b"%d" % number
    with pytest.raises(EventsForgottenError, match="List again") as caught:
        next(watch)
    assert caught.value.reason == "EVENTS_FORGOTTEN"
    assert "after_sequence" in caught.value.facts


def test_a_watch_of_another_history_is_told(
    fake: FakeApplicationMaster, store: KeyValueStore
) -> None:
    watch = store.watch(timeout=PATIENCE)
    fake.begin_anew()
    with pytest.raises(HistoryLostError, match="began anew"):
        next(watch)


def test_a_watch_has_a_deadline_and_can_be_closed(store: KeyValueStore) -> None:
    with pytest.raises(WaitTimeoutError):
        next(store.watch(timeout=timedelta(seconds=0.2)))
    watch = store.watch()
    threading.Timer(0.2, watch.close).start()
    assert next(watch, None) is None


def test_a_watch_ends_with_the_application(
    fake: FakeApplicationMaster, store: KeyValueStore
) -> None:
    watch = store.watch(timeout=PATIENCE)
    store["k"] = b"1"
    fake.end()
    assert [change.key for change in watch] == ["k"]
