"""What can change in an application, beside the records that are listed too."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import attrs

from knit._values.containers import to_datetime
from knit._values.enums import OpenEnum

if TYPE_CHECKING:
    from knit.v1 import event_service_pb2


class EventKind(OpenEnum):
    """What a change is about."""

    UNKNOWN = 0
    """A kind newer than this SDK."""
    APPLICATION = 1
    """The application itself: its state, outcome, attempt, progress."""
    SERVICE = 2
    """A service."""
    CONTAINER = 3
    """A container."""
    NODE = 4
    """A node that failed often, or was forgiven."""
    KEY = 5
    """A key of the store."""
    NOTICE = 6
    """Something that people should know."""


class NoticeSeverity(OpenEnum):
    """How much a notice matters."""

    UNKNOWN = 0
    """A severity newer than this SDK."""
    INFO = 1
    """Good to know."""
    WARNING = 2
    """It may become a failure."""


@attrs.frozen(kw_only=True)
class Notice:
    """Something that people should know."""

    severity: NoticeSeverity
    """How much it matters."""
    service: str | None = None
    """The service it is about. None: the application."""
    text: str
    """A sentence."""

    @classmethod
    def _from_proto(cls, message: event_service_pb2.Notice) -> Notice:
        return cls(
            severity=NoticeSeverity(message.severity),
            service=message.service_name or None,
            text=message.text,
        )


@attrs.frozen(kw_only=True)
class NodeStanding:
    """What speaks against a node."""

    node_id: str
    """The node, `host:port`."""
    failures: int
    """How many failures count against it now."""
    is_avoided: bool
    """Whether no more containers are asked for there, as long as there are others."""
    forgive_time: datetime | None = None
    """When the next failure is forgiven. None: none counts."""

    @classmethod
    def _from_proto(cls, message: event_service_pb2.NodeStanding) -> NodeStanding:
        return cls(
            node_id=message.node_id,
            failures=message.failures,
            is_avoided=message.is_avoided,
            forgive_time=to_datetime(message, "forgive_time"),
        )
