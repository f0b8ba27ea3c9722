"""Names of what an application has and is: containers, and moments in its history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from knit.v1 import event_service_pb2, key_value_pb2


@attrs.frozen(order=True)
class ContainerRef:
    """Names one container of an application, also before YARN has granted it."""

    service: str
    """Its service."""
    ordinal: int
    """Which container of its service it is, counted from 0 and never given again."""

    def __str__(self) -> str:
        return f"{self.service}#{self.ordinal}"

    @classmethod
    def _from_proto(cls, message: key_value_pb2.ContainerRef) -> ContainerRef:
        return cls(message.service_name, message.ordinal)

    def _to_proto(self) -> key_value_pb2.ContainerRef:
        from knit.v1 import key_value_pb2

        return key_value_pb2.ContainerRef(service_name=self.service, ordinal=self.ordinal)


@attrs.frozen
class Position:
    """A moment of an application, from which what changed later can be watched."""

    sequence: int
    """The number of the last change before it."""
    history_id: str = ""
    """Which Application Master counts so; see `HistoryLostError`."""

    @classmethod
    def _from_proto(cls, message: event_service_pb2.EventPosition) -> Position:
        return cls(message.sequence, message.history_id)
