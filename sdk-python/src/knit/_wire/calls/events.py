"""What is wanted of an application's events, from which an `EventCursor` makes its requests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from knit._values.events import EventKind

if TYPE_CHECKING:
    from knit.v1 import event_service_pb2, key_value_pb2


def watch_events(
    *,
    kinds: Iterable[EventKind] = (),
    services: Iterable[str] = (),
    key_ranges: Iterable[key_value_pb2.KeyRange] = (),
    with_values: bool = False,
) -> event_service_pb2.WatchEventsRequest:
    """
    What is wanted.

    Args:
        kinds: Only changes of these. Empty: of all but keys.
        services: Of services and containers, only of these. Empty: of all.
        key_ranges: Of keys, only of these. Empty: of all.
        with_values: Whether changes of keys bring the values, now and before.
    """
    from knit.v1 import event_service_pb2 as pb

    return pb.WatchEventsRequest(
        kinds=[pb.EventKind.ValueType(kind) for kind in kinds],
        service_names=services,
        key_ranges=key_ranges,
        with_values=with_values,
    )
