"""The key-value store of a fake's application, by the contract's rules."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import attrs

from knit.testing._clock import FakeClock
from knit.testing._refusals import Refusal, invalid
from knit.v1 import event_service_pb2, key_value_pb2
from knit.v1 import key_value_service_pb2 as pb

LARGEST_KEY_BYTES = 1024
LARGEST_VALUE_BYTES = 8 * 1024 * 1024
LARGEST_STORE_BYTES = 64 * 1024 * 1024
MOST_OPERATIONS = 1024
BYTES_OF_A_KEY = 128
_SHORTEST_LEASE, _LONGEST_LEASE = timedelta(seconds=1), timedelta(days=1)

Owners = Callable[[key_value_pb2.ContainerRef], None]
"""Refuses a container that can own nothing."""


@attrs.define
class _Lease:
    time_to_live: timedelta
    ends_at: float


class Store:
    """
    Keys in order. Not for several threads at once: its state's lock guards it.

    Args:
        check_owner: Refuses a container that cannot own a key.
        clock: When leases end.
    """

    def __init__(self, check_owner: Owners, clock: FakeClock) -> None:
        self._check_owner = check_owner
        self._clock = clock
        self._by_key: dict[bytes, key_value_pb2.KeyValue] = {}
        self._keys: list[bytes] = []
        self._bytes = 0
        self._leases: dict[int, _Lease] = {}
        self._lease_ids = itertools.count(1)
        self.changes: list[event_service_pb2.KeyChange] = []
        """What the turn has changed so far."""

    # Reading

    def find(self, key: bytes) -> key_value_pb2.KeyValue | None:
        """The key itself; None if it is not there."""
        return self._by_key.get(key)

    def within(self, keys: key_value_pb2.KeyRange) -> list[key_value_pb2.KeyValue]:
        """Those within a range, in order."""
        check_range(keys)
        prefix = keys.prefix if keys.HasField("prefix") else None
        start = bisect.bisect_left(self._keys, keys.start if prefix is None else prefix)
        found = []
        for key in itertools.islice(self._keys, start, None):
            if (prefix is not None and not key.startswith(prefix)) or (
                prefix is None and keys.end and key >= keys.end
            ):
                break
            found.append(self._by_key[key])
        return found

    # Transactions

    def commit(
        self,
        request: pb.CommitRequest,
        revision: int,
        writer: key_value_pb2.ContainerRef | None = None,
    ) -> pb.CommitResponse:
        """
        Compares, then does one list or the other; a refusal leaves all as it was.

        Args:
            request: What is to be compared and done.
            revision: What the keys that change get.
            writer: The container that may write no other's keys. None: somebody who may.
        """
        for steps in (request.on_success, request.on_failure):
            if len(steps) > MOST_OPERATIONS or len(request.comparisons) > MOST_OPERATIONS:
                raise invalid("There are more than 1,024 of them.")
            _check_steps(steps)
        succeeded = all(map(self._is_true, request.comparisons))
        steps = request.on_success if succeeded else request.on_failure
        changed = len(self.changes)
        try:
            results = [self._do(step, revision, writer) for step in steps]
        except Refusal:
            self._undo(changed)
            raise
        return pb.CommitResponse(succeeded=succeeded, results=results)

    def _undo(self, changed: int) -> None:
        """Takes back what was changed after so many changes."""
        while len(self.changes) > changed:
            change = self.changes.pop()
            before = change.previous if change.HasField("previous") else None
            self._set(change.key, before)

    def _set(self, key: bytes, new: key_value_pb2.KeyValue | None) -> None:
        previous = self._by_key.pop(key, None)
        self._bytes -= _size(previous) if previous is not None else 0
        if new is not None:
            self._by_key[key] = new
            self._bytes += _size(new)
        place = bisect.bisect_left(self._keys, key)
        if previous is None and new is not None:
            self._keys.insert(place, key)
        elif previous is not None and new is None:
            del self._keys[place]

    def _is_true(self, comparison: pb.Comparison) -> bool:
        check_key(comparison.key)
        there = self._by_key.get(comparison.key)
        target = comparison.WhichOneof("target")
        if target is None:
            raise invalid("A comparison compares nothing.")
        operator = comparison.operator or pb.COMPARE_OPERATOR_EQUAL
        left: object
        right: object = getattr(comparison, target)
        nothing = there is None
        if target == "exists":
            left = there is not None
            nothing = False
        elif target == "owner":
            left = _owner_key(there.owner) if there is not None else ("", 0)
            right = _owner_key(comparison.owner)
            nothing = not left[0]
        elif target == "value":
            left = there.value if there is not None else None
        else:
            left = getattr(there, target) if there is not None else 0
            nothing = target == "lease_id" and not left
        if operator == pb.COMPARE_OPERATOR_EQUAL:
            return left == right
        if operator == pb.COMPARE_OPERATOR_NOT_EQUAL:
            return left != right
        if nothing or left is None:
            return False
        if operator == pb.COMPARE_OPERATOR_LESS:
            return left < right  # type: ignore[operator]
        if operator == pb.COMPARE_OPERATOR_LESS_OR_EQUAL:
            return left <= right  # type: ignore[operator]
        if operator == pb.COMPARE_OPERATOR_GREATER:
            return left > right  # type: ignore[operator]
        return left >= right  # type: ignore[operator]

    def _do(
        self, step: pb.Operation, revision: int, writer: key_value_pb2.ContainerRef | None
    ) -> pb.OperationResult:
        kind = step.WhichOneof("operation")
        if kind == "put":
            previous = self._put(step.put, revision, writer)
            wanted = [previous] if previous is not None and step.put.return_previous else []
            return pb.OperationResult(key_values=wanted)
        if kind == "delete":
            gone = self.within(step.delete.range)
            for each in gone:
                _refuse_anothers(each, writer)
                self._change(each.key, None)
            shown = gone if step.delete.return_previous else []
            return pb.OperationResult(
                key_values=_stripped(shown, step.delete.keys_only), count=len(gone)
            )
        if kind == "range":
            found = self.within(step.range.range)
            shown = found[: step.range.limit] if step.range.limit else found
            return pb.OperationResult(
                key_values=_stripped(shown, step.range.keys_only), count=len(found)
            )
        raise invalid("An operation is none.")

    def _put(
        self,
        put: pb.PutOperation,
        revision: int,
        writer: key_value_pb2.ContainerRef | None,
    ) -> key_value_pb2.KeyValue | None:
        check_key(put.key)
        if len(put.value) > LARGEST_VALUE_BYTES:
            raise Refusal(
                "RESOURCE_EXHAUSTED",
                "VALUE_TOO_LARGE",
                f"The value has {len(put.value):,} bytes, and may have {LARGEST_VALUE_BYTES:,}.",
                {"bytes": len(put.value), "max_bytes": LARGEST_VALUE_BYTES},
            )
        previous = self._by_key.get(put.key)
        new = key_value_pb2.KeyValue(key=put.key, create_revision=revision)
        if previous is not None:
            _refuse_anothers(previous, writer)
            new.CopyFrom(previous)
        if put.HasField("value"):
            new.value = put.value
        new.value_bytes, new.modify_revision, new.version = (
            len(new.value),
            revision,
            new.version + 1,
        )
        if put.WhichOneof("ownership") == "owner":
            if writer is not None and _owner_key(put.owner) != _owner_key(writer):
                raise Refusal(
                    "PERMISSION_DENIED",
                    "PERMISSION_DENIED",
                    "A container gives no key to another. Give it to yourself or nobody.",
                )
            self._check_owner(put.owner)
            new.owner.CopyFrom(put.owner)
        elif put.no_owner:
            new.ClearField("owner")
        if put.HasField("lease_id"):
            if put.lease_id and put.lease_id not in self._leases:
                raise Refusal(
                    "FAILED_PRECONDITION",
                    "NO_SUCH_LEASE",
                    f"The lease {put.lease_id} has ended.",
                    {"lease_id": put.lease_id},
                )
            new.lease_id = put.lease_id
        size = self._bytes + _size(new) - (_size(previous) if previous is not None else 0)
        if size > LARGEST_STORE_BYTES:
            raise Refusal(
                "RESOURCE_EXHAUSTED",
                "STORE_FULL",
                f"The store would have {size:,} bytes, and may have {LARGEST_STORE_BYTES:,}.",
                {"bytes": size, "max_bytes": LARGEST_STORE_BYTES},
            )
        self._change(put.key, new)
        return previous

    def _change(self, key: bytes, new: key_value_pb2.KeyValue | None) -> None:
        previous = self._by_key.get(key)
        self._set(key, new)
        self.changes.append(event_service_pb2.KeyChange(key=key, current=new, previous=previous))

    # Owners and leases

    def drop_owned(self, service: str, ordinal: int) -> None:
        """Deletes the keys of a container."""
        owned = [
            key
            for key, each in self._by_key.items()
            if each.HasField("owner") and _owner_key(each.owner) == (service, ordinal)
        ]
        for key in owned:
            self._change(key, None)

    def grant_lease(self, time_to_live: timedelta) -> int:
        """A new lease."""
        if not _SHORTEST_LEASE <= time_to_live <= _LONGEST_LEASE:
            raise invalid("time_to_live is not 1 s to 1 day.")
        lease_id = next(self._lease_ids)
        ends_at = self._clock.monotonic() + time_to_live.total_seconds()
        self._leases[lease_id] = _Lease(time_to_live, ends_at)
        return lease_id

    def keep_lease(self, lease_id: int) -> timedelta:
        """Keeps it for another time to live."""
        lease = self._leases.get(lease_id)
        if lease is None:
            raise Refusal(
                "NOT_FOUND",
                "NO_SUCH_LEASE",
                f"The lease {lease_id} has ended.",
                {"lease_id": lease_id},
            )
        lease.ends_at = self._clock.monotonic() + lease.time_to_live.total_seconds()
        return lease.time_to_live

    def revoke_lease(self, lease_id: int) -> int:
        """Ends it, and returns how many keys went with it."""
        if self._leases.pop(lease_id, None) is None:
            return 0
        gone = [key for key, each in self._by_key.items() if each.lease_id == lease_id]
        for key in gone:
            self._change(key, None)
        return len(gone)

    def overdue(self) -> Iterator[int]:
        """The leases that were not kept in time."""
        now = self._clock.monotonic()
        return (lease_id for lease_id, each in list(self._leases.items()) if each.ends_at <= now)


def check_key(key: bytes) -> None:
    """Refuses what is no key."""
    if not key:
        raise invalid("The key is empty.")
    if len(key) > LARGEST_KEY_BYTES:
        raise Refusal(
            "RESOURCE_EXHAUSTED",
            "KEY_TOO_LARGE",
            f"The key has {len(key):,} bytes, and may have {LARGEST_KEY_BYTES:,}.",
            {"bytes": len(key), "max_bytes": LARGEST_KEY_BYTES},
        )


def check_range(keys: key_value_pb2.KeyRange) -> None:
    """Refuses what is no range."""
    if keys.HasField("prefix") and (keys.start or keys.end):
        raise invalid("The range names both a prefix and an end.")


def _check_steps(steps: Sequence[pb.Operation]) -> None:
    written: set[bytes] = set()
    for step in steps:
        if step.HasField("put"):
            if step.put.key in written:
                raise invalid("One list writes the same key twice.")
            written.add(step.put.key)


def _size(key_value: key_value_pb2.KeyValue) -> int:
    return len(key_value.key) + len(key_value.value) + BYTES_OF_A_KEY


def _refuse_anothers(
    there: key_value_pb2.KeyValue, writer: key_value_pb2.ContainerRef | None
) -> None:
    owner = there.owner
    if writer is None or not there.HasField("owner") or _owner_key(owner) == _owner_key(writer):
        return
    raise Refusal(
        "PERMISSION_DENIED",
        "PERMISSION_DENIED",
        f"{there.key!r} belongs to {owner.service_name}#{owner.ordinal}, and a container writes "
        "and deletes no key of another's. Use a key of your own.",
        {"service_name": owner.service_name, "ordinal": owner.ordinal},
    )


def _owner_key(owner: key_value_pb2.ContainerRef) -> tuple[str, int]:
    return owner.service_name, owner.ordinal


def _stripped(
    found: Sequence[key_value_pb2.KeyValue], keys_only: bool
) -> list[key_value_pb2.KeyValue]:
    return [without_value(each) if keys_only else each for each in found]


def without_value(key_value: key_value_pb2.KeyValue) -> key_value_pb2.KeyValue:
    """A copy that says how long its value is, and not which."""
    copy = key_value_pb2.KeyValue()
    copy.CopyFrom(key_value)
    copy.ClearField("value")
    return copy
