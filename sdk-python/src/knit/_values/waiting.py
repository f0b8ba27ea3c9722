"""Why containers that are wanted have not been granted, as far as it can be told."""

from __future__ import annotations

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


@attrs.frozen(kw_only=True)
class WaitingReason:
    """Why containers of one service and size have not been granted."""

    service_name: str
    """The service whose containers wait."""
    count: int
    """How many of them."""
    resources: Resources
    """The size they wait with."""
    cause: WaitingCause
    """What they wait for."""
    explanation: str
    """The same in a sentence for people, with the numbers that are known and what to do."""
    since: datetime | None = None
    """Since when they have been waiting for this. None where that is not known."""

    @classmethod
    def _from_proto(cls, message: waiting_pb2.WaitingReason) -> WaitingReason:
        return cls(
            service_name=message.service_name,
            count=message.count,
            resources=Resources._from_proto(message.resource),
            cause=WaitingCause(message.cause),
            explanation=message.explanation,
            since=to_datetime(message, "since_time"),
        )

    def _to_proto(self) -> waiting_pb2.WaitingReason:
        from knit.v1 import waiting_pb2

        message = waiting_pb2.WaitingReason(
            service_name=self.service_name,
            count=self.count,
            resource=self.resources._to_proto(),
            cause=waiting_pb2.WaitingCause.ValueType(self.cause),
            explanation=self.explanation,
        )
        if self.since is not None:
            message.since_time.FromDatetime(self.since)
        return message
