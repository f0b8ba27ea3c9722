"""The key-value store against a fake Application Master, over real gRPC."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from knit import (
    Application,
    ApplicationNotRunningError,
    ApplicationSpec,
    Container,
    ContainerNotFoundError,
    EventsForgottenError,
    HistoryLostError,
    InvalidRequestError,
    KeyChange,
    KeyNotFoundError,
    KeyValueStore,
    LeaseEndedError,
    Service,
    StoreLimitError,
    WaitTimeoutError,
    WrongStateError,
    kv,
)
from knit.testing import FakeApplicationMaster, Fault, _kv_service

PATIENCE = timedelta(seconds=60)


@pytest.fixture
def fake() -> Iterator[FakeApplicationMaster]:
    spec = ApplicationSpec("demo", {"worker": Service("work", instances=2)})
    with FakeApplicationMaster(spec, kept_events=50) as fake:
        yield fake


@pytest.fixture
def app(fake: FakeApplicationMaster) -> Application:
    return fake.application(timeout=PATIENCE)


@pytest.fixture
def store(app: Application) -> KeyValueStore:
    return app.kv


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


def worker(app: Application) -> Container:
    return app.containers()[0]


def test_a_key_lives_and_dies_with_its_owner(app: Application, store: KeyValueStore) -> None:
    first, second = app.containers()
    store.put("mine", b"1", owner=first)
    store.put("others", b"2", owner=second.ref)
    store.put("free", b"3", owner=first)
    store.put("free", owner=None)
    entry = store.entry("mine")
    assert entry is not None
    assert entry.owner == first.ref
    watch = store.watch(prefix="", timeout=PATIENCE)
    first.stop()
    gone = next(watch)
    assert (gone.key, gone.is_deletion) == ("mine", True)
    assert gone.previous is not None
    assert gone.previous.value == b"1"
    assert list(store) == ["free", "others"]
    with pytest.raises(WrongStateError) as caught:
        store.put("mine", b"1", owner=first)
    assert caught.value.reason == "CONTAINER_ENDED"


def test_owners_are_compared(app: Application, store: KeyValueStore) -> None:
    first, second = app.containers()
    store.put("k", b"", owner=second)
    assert store.transaction([kv.owner("k") == second, kv.owner("k") > first])
    assert store.transaction([kv.owner("k") != None])  # noqa: E711
    assert not store.transaction([kv.owner("k") == None])  # noqa: E711
    assert store.transaction([kv.owner("nobody") == None])  # noqa: E711
    with pytest.raises(ContainerNotFoundError):
        store.put("k", owner=type(first.ref)("worker", 99))


# Leases


def test_a_lease_is_kept_within_its_block_and_ends_with_it(
    fake: FakeApplicationMaster, store: KeyValueStore
) -> None:
    with store.lease(timedelta(seconds=1)) as lease:
        store.put("alive", b"", lease=lease)
        entry = store.entry("alive")
        assert entry is not None
        assert entry.lease_id == lease.lease_id
        end = time.monotonic() + 60
        while fake.calls.count("KeepLease") < 4:  # more than its time to live
            assert time.monotonic() < end, fake.calls
            time.sleep(0.05)
        assert "alive" in store
        lease.check()
    assert "alive" not in store


def test_a_lease_that_is_not_kept_takes_its_keys_along(store: KeyValueStore) -> None:
    lease = store.lease(timedelta(seconds=1))
    store.put("alive", b"", lease=lease)
    with store.watch("alive", timeout=PATIENCE) as watch:
        assert next(watch).is_deletion
    assert lease.is_lost
    with pytest.raises(LeaseEndedError):
        lease.keep()
    with pytest.raises(LeaseEndedError, match="Ask for another lease"):
        lease.check()
    with pytest.raises(LeaseEndedError):
        store.put("alive", b"", lease=lease)
    assert lease.revoke() == 0


def test_a_lease_that_is_lost_within_its_block_is_told(
    store: KeyValueStore, caplog: pytest.LogCaptureFixture
) -> None:
    with store.lease(timedelta(seconds=1)) as lease:
        assert lease.revoke() == 0
    with store.lease(timedelta(seconds=1)) as lease:
        store.revoke_lease(lease.lease_id)
        end = time.monotonic() + 60
        while not caplog.records:
            assert time.monotonic() < end
            time.sleep(0.05)
    assert "has ended" in caplog.records[0].message
    with pytest.raises(InvalidRequestError, match="1 s to 1 day"):
        store.lease(timedelta(milliseconds=1))


# Waiting and watching


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
