"""Transactions of the key-value store: what is compared, and what is then done."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

import attrs

from knit._values.kv import Key, KeyValue, key_range, key_to_bytes, range_of, value_to_bytes
from knit._values.references import ContainerRef
from knit.exceptions import InvalidRequestError

if TYPE_CHECKING:
    from knit.v1 import key_value_pb2, key_value_service_pb2

MOST_OPERATIONS = 1024
"""In one transaction, and as many comparisons, by the contract."""


class Unchanged(enum.Enum):
    """The type of `UNCHANGED`."""

    UNCHANGED = "UNCHANGED"

    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED: Final = Unchanged.UNCHANGED
"""What is left as it is."""


class HasRef(Protocol):
    """A container that was listed."""

    @property
    def ref(self) -> ContainerRef:
        """How it is named in the store."""


class HasLeaseId(Protocol):
    """A lease that was granted."""

    @property
    def lease_id(self) -> int:
        """Its number."""


OwnerLike: TypeAlias = ContainerRef | HasRef | None
"""A container, or nobody."""
LeaseLike: TypeAlias = HasLeaseId | int | None
"""A lease, its number, or none."""


def ref_of(owner: ContainerRef | HasRef) -> ContainerRef:
    return owner if isinstance(owner, ContainerRef) else owner.ref


def lease_id_of(lease: LeaseLike) -> int:
    """The number of a lease; 0 for none."""
    if lease is None:
        return 0
    return lease if isinstance(lease, int) else lease.lease_id


Target = Literal[
    "value", "modify_revision", "create_revision", "version", "owner", "lease_id", "exists"
]
Operator = Literal["EQUAL", "NOT_EQUAL", "LESS", "LESS_OR_EQUAL", "GREATER", "GREATER_OR_EQUAL"]


@attrs.frozen
class Comparison:
    """A question about one key, which the Application Master answers."""

    key: Key
    """Which key."""
    target: Target
    """What of it is compared."""
    operator: Operator
    """How what is there is compared with `operand`."""
    operand: bytes | int | bool | ContainerRef | None
    """What it is compared with. None: nobody's."""

    def __bool__(self) -> bool:
        # `a and b`, `not a` and `1 < a < 3` would be decided here and now, and wrongly.
        raise TypeError(
            "A comparison is decided by the Application Master, within a transaction: give "
            "several as a list, and the opposite by the opposite operator."
        )

    def _to_proto(self) -> key_value_service_pb2.Comparison:
        from knit.v1 import key_value_service_pb2 as pb

        message = pb.Comparison(
            key=key_to_bytes(self.key),
            operator=pb.CompareOperator.Value(f"COMPARE_OPERATOR_{self.operator}"),
        )
        if self.target == "owner":
            message.owner.SetInParent()
            if isinstance(self.operand, ContainerRef):
                message.owner.CopyFrom(self.operand._to_proto())
        else:
            setattr(message, self.target, self.operand)
        return message


@attrs.frozen(eq=False)
class _Subject:
    _key: Key
    _target: Target

    def _compared(
        self, operator: Operator, operand: bytes | int | ContainerRef | None
    ) -> Comparison:
        return Comparison(self._key, self._target, operator, operand)


@attrs.frozen(eq=False)
class ValueOf(_Subject):
    """The value of a key, to be compared with bytes: as unsigned bytes, from the left."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: bytes) -> Comparison:  # type: ignore[override]
        return self._compared("EQUAL", value_to_bytes(other))

    def __ne__(self, other: bytes) -> Comparison:  # type: ignore[override]
        return self._compared("NOT_EQUAL", value_to_bytes(other))

    def __lt__(self, other: bytes) -> Comparison:
        return self._compared("LESS", value_to_bytes(other))

    def __le__(self, other: bytes) -> Comparison:
        return self._compared("LESS_OR_EQUAL", value_to_bytes(other))

    def __gt__(self, other: bytes) -> Comparison:
        return self._compared("GREATER", value_to_bytes(other))

    def __ge__(self, other: bytes) -> Comparison:
        return self._compared("GREATER_OR_EQUAL", value_to_bytes(other))


@attrs.frozen(eq=False)
class NumberOf(_Subject):
    """A number of a key, to be compared with another one: 0 where the key is not there."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: int) -> Comparison:  # type: ignore[override]
        return self._compared("EQUAL", other)

    def __ne__(self, other: int) -> Comparison:  # type: ignore[override]
        return self._compared("NOT_EQUAL", other)

    def __lt__(self, other: int) -> Comparison:
        return self._compared("LESS", other)

    def __le__(self, other: int) -> Comparison:
        return self._compared("LESS_OR_EQUAL", other)

    def __gt__(self, other: int) -> Comparison:
        return self._compared("GREATER", other)

    def __ge__(self, other: int) -> Comparison:
        return self._compared("GREATER_OR_EQUAL", other)


@attrs.frozen(eq=False)
class OwnerOf(_Subject):
    """The owner of a key, to be compared with a container: by service, then ordinal."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: OwnerLike) -> Comparison:  # type: ignore[override]
        return self._compared("EQUAL", None if other is None else ref_of(other))

    def __ne__(self, other: OwnerLike) -> Comparison:  # type: ignore[override]
        return self._compared("NOT_EQUAL", None if other is None else ref_of(other))

    def __lt__(self, other: ContainerRef | HasRef) -> Comparison:
        return self._compared("LESS", ref_of(other))

    def __le__(self, other: ContainerRef | HasRef) -> Comparison:
        return self._compared("LESS_OR_EQUAL", ref_of(other))

    def __gt__(self, other: ContainerRef | HasRef) -> Comparison:
        return self._compared("GREATER", ref_of(other))

    def __ge__(self, other: ContainerRef | HasRef) -> Comparison:
        return self._compared("GREATER_OR_EQUAL", ref_of(other))


def value(key: Key) -> ValueOf:
    """The value of a key: `value("leader") == b"worker-0"`."""
    return ValueOf(key, "value")


def version(key: Key) -> NumberOf:
    """How often a key was written since it was created: `version("a") == 1`."""
    return NumberOf(key, "version")


def modified(key: Key) -> NumberOf:
    """The revision at which a key was last written: `modified("a") == seen.modify_revision`."""
    return NumberOf(key, "modify_revision")


def created(key: Key) -> NumberOf:
    """The revision at which a key was created."""
    return NumberOf(key, "create_revision")


def owner(key: Key) -> OwnerOf:
    """The owner of a key: `owner("lock") == None` of one that is nobody's."""
    return OwnerOf(key, "owner")


def lease(key: Key) -> NumberOf:
    """The number of a key's lease; 0 where it has none."""
    return NumberOf(key, "lease_id")


def exists(key: Key) -> Comparison:
    """Whether a key is there."""
    return Comparison(key, "exists", "EQUAL", True)


def missing(key: Key) -> Comparison:
    """Whether a key is not there."""
    return Comparison(key, "exists", "EQUAL", False)


@attrs.frozen(kw_only=True)
class Put:
    """Writes one key; see `put`."""

    key: Key
    value: bytes | Unchanged = UNCHANGED
    owner: OwnerLike | Unchanged = UNCHANGED
    lease: LeaseLike | Unchanged = UNCHANGED
    return_previous: bool = False

    def message(self) -> key_value_service_pb2.PutOperation:
        """For the contract."""
        from knit.v1 import key_value_service_pb2 as pb

        message = pb.PutOperation(key=key_to_bytes(self.key), return_previous=self.return_previous)
        if not isinstance(self.value, Unchanged):
            message.value = value_to_bytes(self.value)
        if self.owner is None:
            message.no_owner = True
        elif not isinstance(self.owner, Unchanged):
            message.owner.CopyFrom(ref_of(self.owner)._to_proto())
        if not isinstance(self.lease, Unchanged):
            message.lease_id = lease_id_of(self.lease)
        return message

    def _to_proto(self) -> key_value_service_pb2.Operation:
        from knit.v1 import key_value_service_pb2 as pb

        return pb.Operation(put=self.message())


@attrs.frozen(kw_only=True)
class Delete:
    """Deletes keys; see `delete` and `delete_range`."""

    range: key_value_pb2.KeyRange
    return_previous: bool = False
    keys_only: bool = False

    def message(self) -> key_value_service_pb2.DeleteOperation:
        """For the contract."""
        from knit.v1 import key_value_service_pb2 as pb

        return pb.DeleteOperation(
            range=self.range, return_previous=self.return_previous, keys_only=self.keys_only
        )

    def _to_proto(self) -> key_value_service_pb2.Operation:
        from knit.v1 import key_value_service_pb2 as pb

        return pb.Operation(delete=self.message())


@attrs.frozen(kw_only=True)
class Read:
    """Reads keys; see `get` and `get_range`."""

    range: key_value_pb2.KeyRange
    keys_only: bool = False
    limit: int = 0

    def _to_proto(self) -> key_value_service_pb2.Operation:
        from knit.v1 import key_value_service_pb2 as pb

        return pb.Operation(
            range=pb.RangeOperation(range=self.range, keys_only=self.keys_only, limit=self.limit)
        )


Operation: TypeAlias = Put | Delete | Read
"""A step of a transaction."""


def put(
    key: Key,
    value: bytes | Unchanged = UNCHANGED,
    *,
    owner: OwnerLike | Unchanged = UNCHANGED,
    lease: LeaseLike | Unchanged = UNCHANGED,
    return_previous: bool = False,
) -> Put:
    """
    Writes a key. What is not given stays as it is; of a key that is not there, it is nothing.

    Args:
        key: The key.
        value: The new value.
        owner: The container the key lives and dies with from now on. None: nobody's.
        lease: The lease it lives and dies with. None: none.
        return_previous: Whether the result is to hold what was there before.
    """
    return Put(key=key, value=value, owner=owner, lease=lease, return_previous=return_previous)


def delete(key: Key, *, return_previous: bool = False) -> Delete:
    """Deletes a key; one that is not there is no error."""
    return Delete(range=range_of(key), return_previous=return_previous)


def delete_range(
    start: Key | None = None,
    end: Key | None = None,
    *,
    prefix: Key | None = None,
    return_previous: bool = False,
    keys_only: bool = False,
) -> Delete:
    """Deletes the keys from `start` to before `end`, or all that begin with `prefix`."""
    return Delete(
        range=key_range(start, end, prefix), return_previous=return_previous, keys_only=keys_only
    )


def get(key: Key) -> Read:
    """Reads a key, as it is after the steps before this one."""
    return Read(range=range_of(key))


def get_range(
    start: Key | None = None,
    end: Key | None = None,
    *,
    prefix: Key | None = None,
    keys_only: bool = False,
    limit: int = 0,
) -> Read:
    """Reads the keys from `start` to before `end`, or all that begin with `prefix`."""
    if limit < 0:
        raise InvalidRequestError(f"limit is {limit}: give a number, or 0 for all.")
    return Read(range=key_range(start, end, prefix), keys_only=keys_only, limit=limit)


@attrs.frozen(kw_only=True)
class OperationResult:
    """What came of a step of a transaction."""

    key_values: tuple[KeyValue, ...] = ()
    """Of a put, what was there before, if that was asked for; of the others, the keys."""
    count: int = 0
    """Of a delete or a read, how many keys there were."""

    @property
    def key_value(self) -> KeyValue | None:
        """The first of them, or None."""
        return self.key_values[0] if self.key_values else None

    @property
    def value(self) -> bytes | None:
        """The value of the first of them, or None."""
        return self.key_values[0].value if self.key_values else None

    @classmethod
    def _from_proto(cls, message: key_value_service_pb2.OperationResult) -> OperationResult:
        found = tuple(map(KeyValue._from_proto, message.key_values))
        return cls(key_values=found, count=message.count)


@attrs.frozen(kw_only=True)
class TransactionResult:
    """What came of a transaction. It is true if its conditions were."""

    succeeded: bool
    """Whether all conditions were true."""
    results: tuple[OperationResult, ...] = ()
    """One for each step that was done, in order."""
    revision: int = 0
    """The sequence number of what was written; the last one if nothing was."""

    def __bool__(self) -> bool:
        return self.succeeded

    @classmethod
    def _from_proto(cls, message: key_value_service_pb2.CommitResponse) -> TransactionResult:
        return cls(
            succeeded=message.succeeded,
            results=tuple(map(OperationResult._from_proto, message.results)),
            revision=message.revision,
        )
