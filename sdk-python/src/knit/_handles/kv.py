"""The key-value store of an application."""

from __future__ import annotations

import time
from collections.abc import (
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
)
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar, overload

from knit._handles.key_views import Items, Keys, Ranges, Values
from knit._handles.key_watching import KeyWatching
from knit._handles.lease import Lease
from knit._handles.session import Session
from knit._values.kv import Key, KeyValue, key_range, range_of, value_to_bytes
from knit._values.transactions import (
    MOST_OPERATIONS,
    UNCHANGED,
    Comparison,
    Delete,
    LeaseLike,
    Operation,
    OwnerLike,
    Put,
    Read,
    TransactionResult,
    Unchanged,
    exists,
    missing,
    modified,
    value,
)
from knit._wire.calls import kv as calls
from knit.exceptions import (
    KeyNotFoundError,
)

if TYPE_CHECKING:
    pass

_T = TypeVar("_T")
_MISSING = object()

DEFAULT_LEASE = timedelta(seconds=30)


class KeyValueStore(Ranges, KeyWatching, MutableMapping[str, bytes]):
    """
    A small store of keys and values that an application's containers and clients share.

    It is a mapping of text to bytes, ordered by key. Keys are bytes to the Application Master;
    here they are text in UTF-8, and bytes that are none come as lone surrogates, as
    `os.fsdecode` has it, so every key can be read and handed back. Wherever a key is taken,
    `bytes` are, too. Values are bytes: what they mean is the programs' own business.

    What is written is there for everybody from the same moment on, with the application's own
    sequence number as its revision. It lives in the Application Master's memory: it is gone with
    the application, and where an Application Master is started anew (`HistoryLostError`).

    Iterating reads keys as it goes, a page at a time, so that a large store is no strain; what
    is written meanwhile may be seen or not. `items()` and `values()` bring the values along.

    At most: 1 KiB a key, 8 MiB a value, 64 MiB or a tenth of the Application Master's heap in
    all. Beyond it is StoreLimitError, with the numbers.

    Threads may share it. Each method waits as the handle's other calls do.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def __repr__(self) -> str:
        return f"KeyValueStore({self._session.application_id!r})"

    # As a mapping

    def __getitem__(self, key: Key) -> bytes:
        return self._get(key, None).value

    def __setitem__(self, key: Key, value: bytes) -> None:
        self.put(key, value)

    def __delitem__(self, key: Key) -> None:
        if not self.delete(key):
            raise self._no_such(key)

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, (str, bytes)) or not key:
            return False
        return self._page(range_of(key), count_only=True).count > 0

    def __iter__(self) -> Iterator[str]:
        return (found.key for found in self.range(keys_only=True))

    def __reversed__(self) -> Iterator[str]:
        return (found.key for found in self.range(keys_only=True, descending=True))

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        return True  # the store is there, whether or not it holds anything

    def keys(self) -> Keys:
        """The keys, as they are when looked at."""
        return Keys(self)

    def items(self) -> Items:
        """The keys with their values, as they are when looked at."""
        return Items(self)

    def values(self) -> Values:
        """The values, in the order of their keys, as they are when looked at."""
        return Values(self)

    @overload
    def get(self, key: Key, default: None = None) -> bytes | None: ...
    @overload
    def get(self, key: Key, default: bytes | _T) -> bytes | _T: ...
    def get(self, key: Key, default: object = None) -> object:
        """Returns the value of a key, or `default` if it is not there."""
        try:
            return self[key]
        except KeyNotFoundError:
            return default

    @overload
    def pop(self, key: Key) -> bytes: ...
    @overload
    def pop(self, key: Key, default: bytes | _T) -> bytes | _T: ...
    def pop(self, key: Key, default: object = _MISSING) -> object:
        """Deletes a key and returns its last value, in one step that nobody comes between."""
        deleted = self._delete(Delete(range=range_of(key), return_previous=True), None)
        if deleted.previous:
            return deleted.previous[0].value
        if default is _MISSING:
            raise self._no_such(key)
        return default

    def popitem(self) -> tuple[str, bytes]:
        """Deletes the first key and returns it with its value, in one step."""
        while True:
            page = self._page(key_range(), page_size=1)
            if not page.key_values:
                raise KeyNotFoundError(f"The store of {self._session.application_id} is empty.")
            first = page.key_values[0]
            taken = self.transaction(
                [modified(first.raw_key) == first.modify_revision],
                [Delete(range=range_of(first.raw_key))],
            )
            if taken.succeeded:
                return first.key, first.value

    def setdefault(self, key: Key, default: bytes = b"") -> bytes:
        """Returns the value of a key, after it was given this one if it was not there."""
        result = self.transaction(
            [missing(key)],
            [Put(key=key, value=default)],
            [Read(range=range_of(key))],
        )
        if result.succeeded:
            return value_to_bytes(default)
        return result.results[0].value or b""

    def clear(self) -> None:
        """Deletes all keys, in one step."""
        self.delete_range()

    def update(  # type: ignore[override]
        self, other: Mapping[str, bytes] | Iterable[tuple[str, bytes]] = (), /, **more: bytes
    ) -> None:
        """
        Writes several keys: up to 1,024 all or none, in one revision; more in steps of so many.
        """
        values = dict(other, **more)
        puts = [Put(key=key, value=value) for key, value in values.items()]
        for start in range(0, len(puts), MOST_OPERATIONS):
            self.transaction([], puts[start : start + MOST_OPERATIONS])

    # Single keys

    def entry(self, key: Key, *, timeout: timedelta | None = None) -> KeyValue | None:
        """Returns a key with its value, revisions, owner and lease. None if it is not there."""
        try:
            return self._get(key, timeout)
        except KeyNotFoundError:
            return None

    def put(
        self,
        key: Key,
        value: bytes | Unchanged = UNCHANGED,
        *,
        owner: OwnerLike | Unchanged = UNCHANGED,
        lease: LeaseLike | Unchanged = UNCHANGED,
        timeout: timedelta | None = None,
    ) -> int:
        """
        Writes a key. What is not given stays as it is; of a key that is not there, it is nothing.

        Args:
            key: The key.
            value: The new value.
            owner: The container it lives and dies with from now on. None: nobody's.
            lease: The lease it lives and dies with. None: none.
            timeout: Default: the client's.

        Returns:
            The revision.

        Raises:
            StoreLimitError: The key, the value or the store would be too large.
            ContainerNotFoundError: The owner never was.
            WrongStateError: The owner has ended.
            LeaseEndedError: The lease has.
            NotPermittedError: The key is another container's.
            HistoryLostError: The Application Master was replaced, after it may have written it.
        """
        return self._put(Put(key=key, value=value, owner=owner, lease=lease), timeout)[0]

    def swap(
        self,
        key: Key,
        value: bytes | Unchanged = UNCHANGED,
        *,
        owner: OwnerLike | Unchanged = UNCHANGED,
        lease: LeaseLike | Unchanged = UNCHANGED,
        timeout: timedelta | None = None,
    ) -> KeyValue | None:
        """Writes a key as `put` does, and returns what was there before, in one step."""
        operation = Put(key=key, value=value, owner=owner, lease=lease, return_previous=True)
        return self._put(operation, timeout)[1]

    def compare_and_swap(
        self,
        key: Key,
        expected: bytes | KeyValue | None,
        new: bytes | None,
        *,
        timeout: timedelta | None = None,
    ) -> bool:
        """
        Writes a key only if it is as expected, in one step. Returns whether it was.

        Args:
            key: The key.
            expected: The value it has to have; an entry, which nobody may have written since; or
                None, if it may not be there.
            new: The new value. None: it is deleted.
            timeout: Default: the client's.
        """
        if expected is None:
            condition = missing(key)
        elif isinstance(expected, KeyValue):
            condition = modified(key) == expected.modify_revision
        else:
            condition = value(key) == expected
        step = Delete(range=range_of(key)) if new is None else Put(key=key, value=new)
        # An empty value is what a key that is not there is compared with, too.
        conditions = [condition] if expected is None else [condition, exists(key)]
        return self.transaction(conditions, [step], timeout=timeout).succeeded

    def delete(self, key: Key, *, timeout: timedelta | None = None) -> bool:
        """Deletes a key. Returns whether it was there."""
        return self._delete(Delete(range=range_of(key)), timeout).count > 0

    # Many keys

    def delete_range(
        self,
        start: Key | None = None,
        end: Key | None = None,
        *,
        prefix: Key | None = None,
        timeout: timedelta | None = None,
    ) -> int:
        """
        Deletes the keys from `start` to before `end`, or all that begin with `prefix`, in one
        step. Returns how many there were.
        """
        return self._delete(Delete(range=key_range(start, end, prefix)), timeout).count

    def pop_range(
        self,
        start: Key | None = None,
        end: Key | None = None,
        *,
        prefix: Key | None = None,
        timeout: timedelta | None = None,
    ) -> list[KeyValue]:
        """Deletes keys as `delete_range` does, and returns them; beyond 4 MiB without values."""
        operation = Delete(range=key_range(start, end, prefix), return_previous=True)
        return list(self._delete(operation, timeout).previous)

    def transaction(
        self,
        conditions: Iterable[Comparison] = (),
        on_success: Iterable[Operation] = (),
        on_failure: Iterable[Operation] = (),
        *,
        timeout: timedelta | None = None,
    ) -> TransactionResult:
        """
        Does one list of steps if all conditions are true, else the other: all of it or nothing,
        in one revision that nobody comes between.

        Args:
            conditions: As made by `knit.kv`: `kv.value("a") == b"1"`, `kv.missing("b")`.
            on_success: `kv.put("b", b"2")`, `kv.delete_range(prefix="c/")`, `kv.get("a")`…
            on_failure: Likewise.
            timeout: Default: the client's.

        Raises:
            InvalidRequestError: One list writes the same key twice, or has more than 1,024 steps.
            StoreLimitError: A key, a value or the store would be too large; nothing was done.
            NotPermittedError: A key is another container's; nothing was done.
            HistoryLostError: The Application Master was replaced, after it may have done it.
        """
        compared, done, otherwise = list(conditions), list(on_success), list(on_failure)
        if any(not isinstance(each, Comparison) for each in compared):
            raise TypeError(
                "A condition is made with knit.kv: kv.value(key) == b'…', kv.exists(key)."
            )
        return self._session.change(
            lambda history_id: calls.commit(
                self._session.application_id, compared, done, otherwise, history_id=history_id
            ),
            timeout,
        )

    # Leases

    def lease(
        self, time_to_live: timedelta = DEFAULT_LEASE, *, timeout: timedelta | None = None
    ) -> Lease:
        """
        Makes a lease, which keys can live and die with:

            with app.kv.lease(timedelta(seconds=10)) as lease:
                app.kv.put("alive/me", b"", lease=lease)

        Args:
            time_to_live: How long it lasts without being kept, 1 s to 1 day.
            timeout: Default: the client's.

        Raises:
            InvalidRequestError: The time to live is out of range.
            ResourceExhaustedError: There are 100,000 leases.
        """
        call = calls.grant_lease(self._session.application_id, time_to_live)
        asked_at = time.monotonic()
        return Lease(self, self._session.call(call, timeout), time_to_live, asked_at=asked_at)

    def keep_lease(self, lease_id: int, *, timeout: timedelta | None = None) -> timedelta:
        """
        Keeps a lease for another time to live, and returns how long it lasts from now.

        Raises:
            LeaseEndedError: It has ended, and its keys are gone.
        """
        return self._session.call(calls.keep_lease(self._session.application_id, lease_id), timeout)

    def revoke_lease(self, lease_id: int, *, timeout: timedelta | None = None) -> int:
        """Ends a lease, and returns how many keys went with it. Calling it again is safe."""
        return self._session.call(
            calls.revoke_lease(self._session.application_id, lease_id), timeout
        )

    # Calls

    def _get(self, key: Key, timeout: timedelta | None) -> KeyValue:
        range_of(key)  # refuses an empty one
        return self._session.call(calls.get(self._session.application_id, key), timeout)

    def _put(self, operation: Put, timeout: timedelta | None) -> tuple[int, KeyValue | None]:
        return self._session.change(
            lambda history_id: calls.put(
                self._session.application_id, operation, history_id=history_id
            ),
            timeout,
        )

    def _delete(self, operation: Delete, timeout: timedelta | None) -> calls.Deleted:
        return self._session.change(
            lambda history_id: calls.delete(
                self._session.application_id, operation, history_id=history_id
            ),
            timeout,
        )

    def _no_such(self, key: Key) -> KeyNotFoundError:
        return KeyNotFoundError(f"The store of {self._session.application_id} has no key {key!r}.")
