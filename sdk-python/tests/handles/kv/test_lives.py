"""Keys that live and die with a container or a lease."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from knit import (
    Application,
    Container,
    ContainerNotFoundError,
    InvalidRequestError,
    KeyValueStore,
    LeaseEndedError,
    WrongStateError,
    kv,
)
from knit._handles.session import Session
from knit.testing import FakeApplicationMaster

PATIENCE = timedelta(seconds=60)


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


def test_a_lease_is_counted_from_when_it_was_asked_for(
    store: KeyValueStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer may lie on its way for longer than the lease lasts."""
    ask, monotonic = Session.call, time.monotonic

    def late(*arguments: Any) -> Any:
        found = ask(*arguments)
        monkeypatch.setattr(time, "monotonic", lambda: monotonic() + 60)
        return found

    monkeypatch.setattr(Session, "call", late)
    assert store.lease(timedelta(seconds=50)).is_lost


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
