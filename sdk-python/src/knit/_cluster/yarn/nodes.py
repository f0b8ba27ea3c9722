"""What the ResourceManager says of itself and of its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from knit._cluster.yarn.json import (
    amount_in,
    int_in,
    number_in,
    object_in,
    objects_in,
    texts_in,
    to_time,
    told_int,
)
from knit._values.amounts import ResourceAmount
from knit._values.nodes import NodeReport, NodeState
from knit.exceptions import StandbyError

_PRESENT = (NodeState.RUNNING, NodeState.UNHEALTHY, NodeState.DECOMMISSIONING)


@attrs.frozen(kw_only=True)
class ClusterInfo:
    """What the RM says of itself."""

    url: str
    """The base URL that answered."""
    hadoop_version: str
    state: str
    ha_state: str
    """ACTIVE, STANDBY or INITIALIZING; ACTIVE too where there is no pair."""
    started_time: datetime | None
    server_time: datetime | None
    """The RM's clock, to the second."""

    @property
    def is_active(self) -> bool:
        """Whether it is in charge, and knows its applications."""
        return self.ha_state in ("ACTIVE", "")


@attrs.frozen(kw_only=True)
class ClusterMetrics:
    """Sums over all nodes."""

    active_nodes: int
    lost_nodes: int
    unhealthy_nodes: int
    available_mib: int
    available_vcores: int
    total_mib: int
    total_vcores: int


@attrs.frozen(kw_only=True)
class NewApplication:
    """An identifier for an application to be, and what one container may have at most."""

    application_id: str
    maximum_mib: int
    maximum_vcores: int
    maximum_others: Mapping[str, int] = attrs.field(factory=dict)
    """Of each resource that the cluster knows beside these two, by name; none before Hadoop 3."""


def starting_error(info: ClusterInfo, what: str) -> StandbyError:
    """The error for an RM that answers, and has not loaded its applications yet."""
    error = StandbyError(
        f"{what}: the ResourceManager at {info.url} is still starting, and does not know its "
        "applications yet. Try again in a moment.",
        url=info.url,
    )
    error._is_starting = True
    return error


def node_report(data: Mapping[str, Any]) -> NodeReport:
    """A node, as any version of the RM lists it."""
    used = ResourceAmount(int_in(data, "usedMemoryMB"), int_in(data, "usedVirtualCores"))
    free = ResourceAmount(int_in(data, "availMemoryMB"), int_in(data, "availableVirtualCores"))
    # What YARN knows of named resources it tells in later versions only, beside the other two.
    used = amount_in(data, "usedResource") or used
    free = amount_in(data, "availableResource") or free
    utilization = object_in(data, "resourceUtilization")
    state = NodeState(data.get("state"))
    # All zeros come from a node that has not measured yet, and one that is gone leaves its last.
    measured = told_int(utilization, "nodePhysicalMemoryMB") or None
    memory_used = measured if state in _PRESENT else None
    return NodeReport(
        node_id=str(data.get("id") or ""),
        state=state,
        http_address=str(data.get("nodeHTTPAddress") or "") or None,
        rack=str(data.get("rack") or ""),
        labels=texts_in(data, "nodeLabels"),
        attributes={
            f"{found.get('prefix', '')}/{found.get('name', '')}": str(found.get("value", ""))
            for found in objects_in(object_in(data, "nodeAttributesInfo"), "nodeAttributeInfo")
        },
        health_report=str(data.get("healthReport") or ""),
        last_health_update=to_time(data.get("lastHealthUpdate")),
        total=used + free,
        used=used,
        running_containers=int_in(data, "numContainers"),
        physical_memory_used_mib=memory_used,
        cores_used=None if memory_used is None else number_in(utilization, "nodeCPUUsage"),
        hadoop_version=str(data.get("version") or "") or None,
        raw=dict(data),
    )
