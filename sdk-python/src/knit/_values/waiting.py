"""Why something that is wanted is not there yet, as far as it can be told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import attrs

from knit._values.containers import to_datetime
from knit._values.enums import OpenEnum
from knit._values.resources import Resources

if TYPE_CHECKING:
    from knit.v1 import waiting_pb2


class WaitingCause(OpenEnum):
    """What containers wait for."""

    UNKNOWN = 0
    """A cause newer than this SDK."""
    CAPACITY = 1
    """Room: in the queue, within the user's limit, or on a node. YARN does not say which."""
    TOO_LARGE = 2
    """A node that is large enough: no live one is, so YARN is not asked until one comes."""
    REFUSED = 3
    """YARN refuses the request, in the words of the explanation; it is tried again now and then."""
    RESOURCE_MANAGER = 4
    """The ResourceManager, which does not answer its Application Master."""
    QUEUE_FULL = 5
    """Room in the queue: it uses what it may."""
    USER_LIMIT = 6
    """The user's share of the queue."""
    LABEL = 7
    """A node with the label asked for: there is no live one."""
    PLACEMENT = 8
    """The named nodes or racks, or a node without a container of the same service."""
    BACK_OFF = 9
    """The time at which a rank that failed is filled again."""
    DEPENDENCY = 10
    """Another service."""
    GANG = 11
    """The others of their service, to start together."""
    TURN = 12
    """Its turn: more sizes are wanted than are asked for at a time."""


class ReasonSource(OpenEnum):
    """Where a reason is known from."""

    UNKNOWN = 0
    """A source newer than this SDK, or not said."""
    APPLICATION_MASTER = 1
    """The Application Master's own decision."""
    HEARTBEAT = 2
    """The ResourceManager's answers to heartbeats."""
    NODE_REPORT = 3
    """Its report of the nodes."""
    QUEUE_REPORT = 4
    """Its report of the queue."""
    REFUSAL = 5
    """Its words, as it refused."""


@attrs.frozen(kw_only=True)
class WaitingReason:
    """Why containers of one service and size are not there yet."""

    service_name: str
    """The service whose containers wait."""
    count: int
    """How many of them."""
    resources: Resources | None = None
    """The size they wait with. None where that does not matter."""
    cause: WaitingCause
    """What they wait for."""
    explanation: str
    """The same in a sentence for people, with the numbers that are known and what to do."""
    since: datetime | None = None
    """Since when they have been waiting for this. None where that is not known."""
    until: datetime | None = None
    """Until when, where that is known: the end of a back-off."""
    source: ReasonSource = ReasonSource.UNKNOWN
    """Where it is known from."""
    is_certain: bool = False
    """Whether it follows from what is known for certain, or is the likeliest of several."""
    facts: Mapping[str, str] = attrs.field(factory=dict)
    """The numbers, by name: `queue`, `used_memory_mib`, `limit_memory_mib`, `label`…"""

    @classmethod
    def _from_proto(cls, message: waiting_pb2.WaitingReason) -> WaitingReason:
        return cls(
            service_name=message.service_name,
            count=message.count,
            resources=(
                Resources._from_proto(message.resource) if message.HasField("resource") else None
            ),
            cause=WaitingCause(message.cause),
            explanation=message.explanation,
            since=to_datetime(message, "since_time"),
            until=to_datetime(message, "until_time"),
            source=ReasonSource(message.source),
            is_certain=message.is_certain,
            facts=dict(message.facts),
        )

    def _to_proto(self) -> waiting_pb2.WaitingReason:
        from knit.v1 import waiting_pb2

        message = waiting_pb2.WaitingReason(
            service_name=self.service_name,
            count=self.count,
            resource=self.resources._to_proto() if self.resources is not None else None,
            cause=waiting_pb2.WaitingCause.ValueType(self.cause),
            explanation=self.explanation,
            source=waiting_pb2.ReasonSource.ValueType(self.source),
            is_certain=self.is_certain,
            facts=self.facts,
        )
        if self.since is not None:
            message.since_time.FromDatetime(self.since)
        if self.until is not None:
            message.until_time.FromDatetime(self.until)
        return message
