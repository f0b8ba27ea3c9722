"""What the ResourceManager says of itself and of its nodes."""

from __future__ import annotations

from datetime import datetime

import attrs


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
class Node:
    """A node of the cluster and what it has."""

    node_id: str
    """`host:port`."""
    state: str
    rack: str
    http_address: str
    used_mib: int
    available_mib: int
    used_vcores: int
    available_vcores: int
    containers: int
    health_report: str

    @property
    def total_mib(self) -> int:
        return self.used_mib + self.available_mib

    @property
    def total_vcores(self) -> int:
        return self.used_vcores + self.available_vcores

    @property
    def is_running(self) -> bool:
        return self.state == "RUNNING"


@attrs.frozen(kw_only=True)
class NewApplication:
    """An identifier for an application to be, and what one container may have at most."""

    application_id: str
    maximum_mib: int
    maximum_vcores: int
