"""What YARN says of a node."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from knit._values.amounts import ResourceAmount


class NodeState(enum.Enum):
    """What the ResourceManager thinks of a node."""

    NEW = "NEW"
    """It has registered, and nothing more is known."""
    RUNNING = "RUNNING"
    UNHEALTHY = "UNHEALTHY"
    """It says of itself that it is not well, as `health_report` has it, and gets no containers."""
    DECOMMISSIONING = "DECOMMISSIONING"
    """Administrators are taking it out: what runs there may end, and nothing new begins."""
    DECOMMISSIONED = "DECOMMISSIONED"
    LOST = "LOST"
    """It has not been heard of for too long, and its containers are given up."""
    REBOOTED = "REBOOTED"
    SHUTDOWN = "SHUTDOWN"
    """It was stopped in order, and said so."""
    UNKNOWN = "UNKNOWN"
    """A state that this version of knit does not know."""

    @classmethod
    def _missing_(cls, value: object) -> NodeState:
        return cls.UNKNOWN


@attrs.frozen(kw_only=True)
class NodeReport:
    """A snapshot of a node, from the ResourceManager."""

    node_id: str
    """`host:port`, YARN's name for it."""
    state: NodeState = NodeState.UNKNOWN
    """Whether it takes containers: only where RUNNING."""
    http_address: str | None = None
    """`host:port` of its web server. None where it has gone."""
    rack: str = ""
    """The rack it stands in, such as `/default-rack`."""
    labels: tuple[str, ...] = ()
    """Its node label, or none: then it is in the default partition. YARN gives one at most."""
    attributes: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    """Its node attributes, `prefix/name` and value. Empty before Hadoop 3.2."""
    health_report: str = ""
    """Why it is UNHEALTHY, in its own words; may be empty."""
    last_health_update: datetime | None = None
    """
    When it last looked after its own health, by its own clock.

    The time of its last heartbeat is not told by YARN's REST API; a node that stops sending them
    becomes LOST after `yarn.nm.liveness-monitor.expiry-interval-ms`, by default ten minutes.
    """
    total: ResourceAmount = attrs.field(factory=ResourceAmount)
    """What it offers to containers. Nothing where it has gone."""
    used: ResourceAmount = attrs.field(factory=ResourceAmount)
    """What its containers were granted, used or not."""
    running_containers: int = 0
    """How many containers were granted there and have not ended."""
    physical_memory_used_mib: int | None = None
    """What all its processes use. None where the node does not tell."""
    cores_used: float | None = None
    """How many cores all its processes keep busy. None where the node does not tell."""
    hadoop_version: str | None = None
    """Of its NodeManager. None where it has not told."""
    raw: Mapping[str, Any] = attrs.field(factory=dict, repr=False, eq=False)
    """All that the ResourceManager sent, under its own names; they differ between versions."""

    @property
    def host(self) -> str:
        """Its host, without the port."""
        return self.node_id.rpartition(":")[0] or self.node_id

    @property
    def available(self) -> ResourceAmount:
        """
        What is left for containers.

        Below nothing where its total was made smaller while containers were running.
        """
        return self.total - self.used

    @property
    def is_running(self) -> bool:
        """Whether it takes containers."""
        return self.state is NodeState.RUNNING
