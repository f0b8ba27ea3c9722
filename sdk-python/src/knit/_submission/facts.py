"""What the checks of a submission ask the cluster, each question once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

import attrs

from knit._cluster.cluster import Cluster
from knit._cluster.hdfs.file_system import FileSystem
from knit._cluster.patience import Patience, may_lack_nodes
from knit._cluster.yarn.nodes import (
    ClusterInfo,
    ClusterMetrics,
    NewApplication,
    starting_error,
)
from knit._values.nodes import NodeReport
from knit._values.queues import QueueReport
from knit.exceptions import ClusterError

_T = TypeVar("_T")


@attrs.frozen(kw_only=True)
class ResourceRequest:
    """What one container is to have, and who asks for it."""

    what: str
    """For messages: "service worker", "the Application Master"."""
    memory_mib: int
    vcores: int
    others: Mapping[str, int] = attrs.field(factory=dict)


class ClusterFacts:
    """What the checks ask the cluster, each question once. Threads may share it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._locks = {
            name: threading.Lock()
            for name in ("info", "metrics", "nodes", "queues", "home", "labels")
        }
        self._known: dict[str, object] = {}

    def _once(self, name: str, ask: Callable[[], _T]) -> _T:
        with self._locks[name]:
            if name not in self._known:
                self._known[name] = ask()
            found: _T = self._known[name]  # type: ignore[assignment]
            return found

    def forget(self, *names: str) -> None:
        """These questions are asked again when next the answer is wanted."""
        for name in names:
            with self._locks[name]:
                self._known.pop(name, None)

    @property
    def info(self) -> ClusterInfo:
        """Of one that is starting it is waited for that it has started: it knows nothing before."""
        return self._once("info", self._started_info)

    def _started_info(self) -> ClusterInfo:
        manager = self._cluster.resource_manager
        deadline = manager.deadline(None)

        def ask() -> ClusterInfo:
            info = manager.cluster_info(timeout=deadline.remaining)
            if info.ha_state == "INITIALIZING":
                raise starting_error(info, "Asking the ResourceManager who it is")
            return info

        return Patience(members=1).insist(ask, deadline)

    @property
    def nodes_may_return(self) -> bool:
        """Whether the ResourceManager was started so short a time ago that nodes may yet come."""
        return may_lack_nodes(self.info.started_time, self.info.server_time)

    @property
    def is_pair(self) -> bool:
        """Whether there are several ResourceManagers, of which one is active."""
        return self._cluster.config.get_bool("yarn.resourcemanager.ha.enabled")

    @property
    def metrics(self) -> ClusterMetrics:
        return self._once("metrics", self._cluster.resource_manager.metrics)

    def new_application(self) -> NewApplication:
        """Another one each time."""
        return self._cluster.resource_manager.new_application()

    @property
    def makes_queues(self) -> bool:
        """Whether the scheduler makes queues for applications that ask for others."""
        return any(queue.makes_queues for queue in self.queues)

    @property
    def nodes(self) -> list[NodeReport]:
        return self._once("nodes", self._cluster.resource_manager.nodes)

    @property
    def queues(self) -> list[QueueReport]:
        return self._once("queues", self._cluster.resource_manager.queues)

    @property
    def labels(self) -> list[str]:
        return self._once("labels", self._cluster.resource_manager.node_labels)

    def configured(self, name: str) -> str | None:
        """What the ResourceManager's own configuration says. None: nothing, or it does not tell."""
        try:
            return self._cluster.resource_manager.configured(name)
        except ClusterError:
            return None

    @property
    def home(self) -> str:
        return self._once("home", self._cluster.files.home_directory)

    @property
    def files(self) -> FileSystem:
        """The file system itself, for questions about single paths."""
        return self._cluster.files
