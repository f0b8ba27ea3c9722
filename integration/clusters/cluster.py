"""What the clusters have in common."""

from __future__ import annotations

import abc
import dataclasses
import enum
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from integration.clusters import rest


class NodeState(enum.Enum):
    """What the ResourceManager thinks of a node."""

    NEW = "NEW"
    RUNNING = "RUNNING"
    UNHEALTHY = "UNHEALTHY"
    DECOMMISSIONING = "DECOMMISSIONING"
    DECOMMISSIONED = "DECOMMISSIONED"
    LOST = "LOST"
    REBOOTED = "REBOOTED"
    SHUTDOWN = "SHUTDOWN"


@dataclasses.dataclass(frozen=True)
class Node:
    """A NodeManager, as the ResourceManager sees it."""

    node_id: str
    """``host:port``, YARN's name for it."""

    http_address: str
    """``host:port`` of its web server; empty where the node is gone."""

    state: NodeState

    memory_mib: int
    """What it offers, used or not."""

    vcores: int


class Cluster(abc.ABC):
    """A running Hadoop cluster."""

    name: str
    """``embedded``, ``docker`` or ``external``."""

    conf_dir: Path
    """What a client takes as ``HADOOP_CONF_DIR``."""

    hadoop_version: str
    """Such as ``3.4.2``."""

    user: str
    """Whom the tests act as; has a home in HDFS."""

    can_stop_nodes: bool
    """Whether ``stop_node``, ``suspend_node`` and ``start_node`` may be called."""

    resource_manager_url: str
    """Of the ResourceManager's web server, without a slash at its end."""

    def nodes(self, *states: NodeState) -> Sequence[Node]:
        """The nodes in these states, by default ``RUNNING``, in the order of their ids."""
        wanted = ",".join(state.value for state in states or (NodeState.RUNNING,))
        url, session = self._resource_manager()
        answer = session.get(f"{url}/ws/v1/cluster/nodes?states={wanted}")
        found = (answer["nodes"] or {}).get("node", [])
        return sorted((_node(each) for each in found), key=lambda node: node.node_id)

    def node_state(self, node_id: str) -> NodeState:
        """The state of one node; ``NEW`` if the ResourceManager does not know it."""
        known = {node.node_id: node.state for node in self.nodes(*NodeState)}
        return known.get(node_id, NodeState.NEW)

    def _resource_manager(self) -> tuple[str, rest.Session]:
        """The URL of the ResourceManager to ask, and as whom."""
        return self.resource_manager_url, rest.ANYBODY

    hadoop_command: Sequence[str] | None = None
    """
    What runs a class of the cluster's own Hadoop, up to the name of that class; it takes the
    configuration from ``$HADOOP_CONF_DIR``. None where that is not known.
    """

    @abc.abstractmethod
    def create_home(self, user: str) -> None:
        """Make a home in HDFS for a user, if there is none."""

    @abc.abstractmethod
    def stop_node(self, node_id: str) -> None:
        """Let a node vanish, all its containers included, as if its power had gone."""

    @abc.abstractmethod
    def suspend_node(self, node_id: str) -> None:
        """Make a NodeManager hang; its containers run on."""

    @abc.abstractmethod
    def resume_node(self, node_id: str) -> None:
        """Let a suspended NodeManager go on."""

    @abc.abstractmethod
    def start_node(self) -> None:
        """Start a node, one that was stopped where there is such, and wait until it is RUNNING."""

    @abc.abstractmethod
    def evidence(self) -> str:
        """What the daemons said last, for a person who has to find out what went wrong."""


def _node(answer: dict[str, Any]) -> Node:
    return Node(
        node_id=answer["id"],
        http_address=answer.get("nodeHTTPAddress", ""),
        state=NodeState(answer["state"]),
        memory_mib=answer["usedMemoryMB"] + answer["availMemoryMB"],
        vcores=answer["usedVirtualCores"] + answer["availableVirtualCores"],
    )
