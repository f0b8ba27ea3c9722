"""A cluster that several pytest workers use at once; their controller has started it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from integration.clusters import rest
from integration.clusters.cluster import Cluster

USED_BY_OTHERS = "Other workers use the nodes of this cluster: mark the test `alone`."

_LINES = 40


@dataclasses.dataclass(frozen=True)
class ClusterAddress:
    """What a process needs to use a cluster that another one has started; as plain values."""

    name: str
    hadoop_version: str
    superuser: str
    conf_dir: str
    logs_dir: str
    name_node_url: str
    resource_manager_url: str
    hadoop_command: Sequence[str] | None

    def to_plain(self) -> Mapping[str, Any]:
        command = self.hadoop_command
        return {**dataclasses.asdict(self), "hadoop_command": command and list(command)}


class SharedCluster(Cluster):
    """
    The cluster of another process.

    Workers have HDFS and YARN users of their own, so that caches, staging directories, sweeps and
    lists of applications never meet.
    """

    def __init__(self, address: ClusterAddress, worker: str) -> None:
        self._address = address
        self.name = address.name
        self.hadoop_version = address.hadoop_version
        self.user = f"tester-{worker}"
        self.conf_dir = Path(address.conf_dir)
        self.resource_manager_url = address.resource_manager_url
        self.hadoop_command = address.hadoop_command

    def __enter__(self) -> SharedCluster:
        self.create_home(self.user)
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Leave the cluster to who started it."""

    @property
    def can_stop_nodes(self) -> bool:  # type: ignore[override]
        # Not False: a test that asks would be skipped, and run nowhere.
        raise AssertionError(USED_BY_OTHERS)

    def create_home(self, user: str) -> None:
        rest.make_hdfs_directory(
            rest.Session(self._address.superuser),
            self._address.name_node_url,
            f"/user/{user}",
            owner=user,
            permission="700",
        )

    def stop_node(self, node_id: str) -> None:
        raise AssertionError(USED_BY_OTHERS)

    suspend_node = resume_node = stop_node

    def start_node(self) -> None:
        raise AssertionError(USED_BY_OTHERS)

    def evidence(self) -> str:
        logs = sorted(Path(self._address.logs_dir).glob("*.log"))
        return "\n".join(f"Last lines of {log}:\n{_tail(log)}" for log in logs)


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-_LINES:])
