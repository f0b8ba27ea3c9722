"""Calls to the key-value store of an application."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

import attrs

from knit._values.kv import Key, KeyValue, key_to_bytes
from knit._values.transactions import (
    Comparison,
    Delete,
    Operation,
    Put,
    TransactionResult,
)
from knit._wire.calls.call import Call, new_request_id

if TYPE_CHECKING:
    from knit.v1 import key_value_pb2


@attrs.frozen(kw_only=True)
class KeyPage:
    """A part of a range of keys."""

    key_values: tuple[KeyValue, ...]
    """In order."""
    count: int
    """How many there are in the whole range."""
    next_page_token: str
    """Where the next part begins. Empty: this was the last one."""
    sequence: int
    """The sequence number of the application."""
    history_id: str
    """What it belongs to."""


@attrs.frozen(kw_only=True)
class Deleted:
    """What was deleted."""

    revision: int
    """The sequence number; the last one if nothing was deleted."""
    count: int
    """How many keys."""
    previous: tuple[KeyValue, ...]
    """They, if asked for."""


def get(application_id: str, key: Key) -> Call[KeyValue]:
    """Reads one key."""
    from knit.v1 import key_value_service_pb2 as pb

    return Call(
        service="kv",
        method="Get",
        request=pb.GetRequest(key=key_to_bytes(key)),
        what=f"Reading the key {_shown(key)} of {application_id}",
        read=lambda response: KeyValue._from_proto(response.key_value),
    )


def read_range(
    application_id: str,
    keys: key_value_pb2.KeyRange,
    *,
    keys_only: bool = False,
    count_only: bool = False,
    descending: bool = False,
    page_size: int = 0,
    page_token: str = "",
) -> Call[KeyPage]:
    """Reads a part of a range."""
    from knit.v1 import key_value_service_pb2 as pb

    def read(response: pb.RangeResponse) -> KeyPage:
        return KeyPage(
            key_values=tuple(map(KeyValue._from_proto, response.key_values)),
            count=response.count,
            next_page_token=response.next_page_token,
            sequence=response.sequence,
            history_id=response.history_id,
        )

    return Call(
        service="kv",
        method="Range",
        request=pb.RangeRequest(
            range=keys,
            keys_only=keys_only,
            count_only=count_only,
            is_descending=descending,
            page_size=page_size,
            page_token=page_token,
        ),
        what=f"Reading keys of {application_id}",
        read=read,
    )


def put(
    application_id: str, operation: Put, *, history_id: str
) -> Call[tuple[int, KeyValue | None]]:
    """Writes one key: the revision, and what was there before, if that was asked for."""
    from knit.v1 import key_value_service_pb2 as pb

    def read(response: pb.PutResponse) -> tuple[int, KeyValue | None]:
        had = response.HasField("previous")
        return response.revision, KeyValue._from_proto(response.previous) if had else None

    return Call(
        service="kv",
        method="Put",
        request=pb.PutRequest(
            put=operation.message(), request_id=new_request_id(), history_id=history_id
        ),
        what=f"Writing the key {_shown(operation.key)} of {application_id}",
        read=read,
    )


def delete(application_id: str, operation: Delete, *, history_id: str) -> Call[Deleted]:
    """Deletes keys."""
    from knit.v1 import key_value_service_pb2 as pb

    def read(response: pb.DeleteResponse) -> Deleted:
        return Deleted(
            revision=response.revision,
            count=response.count,
            previous=tuple(map(KeyValue._from_proto, response.previous)),
        )

    return Call(
        service="kv",
        method="Delete",
        request=pb.DeleteRequest(
            delete=operation.message(), request_id=new_request_id(), history_id=history_id
        ),
        what=f"Deleting keys of {application_id}",
        read=read,
    )


def commit(
    application_id: str,
    comparisons: Iterable[Comparison],
    on_success: Iterable[Operation],
    on_failure: Iterable[Operation],
    *,
    history_id: str,
) -> Call[TransactionResult]:
    """Compares, then does one list of operations or the other."""
    from knit.v1 import key_value_service_pb2 as pb

    return Call(
        service="kv",
        method="Commit",
        request=pb.CommitRequest(
            comparisons=[comparison._to_proto() for comparison in comparisons],
            on_success=[operation._to_proto() for operation in on_success],
            on_failure=[operation._to_proto() for operation in on_failure],
            request_id=new_request_id(),
            history_id=history_id,
        ),
        what=f"A transaction on the keys of {application_id}",
        read=TransactionResult._from_proto,
    )


def grant_lease(application_id: str, time_to_live: timedelta) -> Call[int]:
    """Makes a lease, and returns its number."""
    from google.protobuf import duration_pb2

    from knit.v1 import key_value_service_pb2 as pb

    duration = duration_pb2.Duration()
    duration.FromTimedelta(time_to_live)
    return Call(
        service="kv",
        method="GrantLease",
        request=pb.GrantLeaseRequest(time_to_live=duration, request_id=new_request_id()),
        what=f"Asking {application_id} for a lease",
        read=lambda response: int(response.lease_id),
    )


def keep_lease(application_id: str, lease_id: int) -> Call[timedelta]:
    """Keeps a lease, and returns how long it lasts from now."""
    from knit.v1 import key_value_service_pb2 as pb

    def read(response: pb.KeepLeaseResponse) -> timedelta:
        left: timedelta = response.time_to_live.ToTimedelta()
        return left

    return Call(
        service="kv",
        method="KeepLease",
        request=pb.KeepLeaseRequest(lease_id=lease_id),
        what=f"Keeping the lease {lease_id} of {application_id}",
        read=read,
    )


def revoke_lease(application_id: str, lease_id: int) -> Call[int]:
    """Ends a lease, and returns how many keys went with it."""
    from knit.v1 import key_value_service_pb2 as pb

    return Call(
        service="kv",
        method="RevokeLease",
        request=pb.RevokeLeaseRequest(lease_id=lease_id),
        what=f"Ending the lease {lease_id} of {application_id}",
        read=lambda response: int(response.count),
    )


def _shown(key: Key) -> str:
    text = repr(key)
    return text if len(text) <= 60 else f"{text[:57]}…"
