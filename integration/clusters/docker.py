"""The dockerized cluster, as seen from its client, where the suite runs."""

from __future__ import annotations

import http.client
import json
import os
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from integration.clusters import rest
from integration.clusters.cluster import Cluster, NodeState
from integration.clusters.shared import USED_BY_OTHERS
from integration.waiting import wait_until

NODES = ("node-1", "node-2", "node-3")
HDFS_SUPERUSER = "hdfs"
YARN_ADMINISTRATOR = "yarn"
HADOOP = "/opt/hadoop/share/hadoop"
_SOCKET = "/var/run/docker.sock"


class DockerCluster(Cluster):
    """NameNode, DataNode, ResourceManager and three nodes, each in a container of its own."""

    name = "docker"

    @staticmethod
    def is_here() -> bool:
        """Whether this process runs in a client of the cluster."""
        return "KNIT_COMPOSE_PROJECT" in os.environ

    def __init__(self) -> None:
        self.conf_dir = Path(os.environ["HADOOP_CONF_DIR"])
        # Each worker is a user of its own, as on the embedded cluster.
        worker = os.environ.get("PYTEST_XDIST_WORKER", "")
        self.user = os.environ["HADOOP_USER_NAME"] + worker
        self.hadoop_version = os.environ["KNIT_HADOOP_VERSION"]
        self.resource_manager_url = "http://resourcemanager:8088"
        of_2 = self.hadoop_version.startswith("2.")
        self.name_node_url = f"http://namenode:{50070 if of_2 else 9870}"
        jars = (f"{HADOOP}/{part}/*" for part in ("common", "common/lib", "hdfs", "yarn"))
        self.hadoop_command = ["java", "-cp", ":".join(["$HADOOP_CONF_DIR", *jars])]
        self._engine = _Engine(os.environ["KNIT_COMPOSE_PROJECT"])

    @property
    def can_stop_nodes(self) -> bool:  # type: ignore[override]
        """Yes, but not while other workers use them."""
        assert "PYTEST_XDIST_WORKER" not in os.environ, USED_BY_OTHERS
        return True

    def __enter__(self) -> DockerCluster:
        wait_until(
            lambda: rest.name_node_is_ready(self.name_node_url, data_nodes=1),
            what="the NameNode did not leave safe mode with a DataNode",
            evidence=self.evidence,
        )
        wait_until(
            lambda: rest.resource_manager_is_ready(self.resource_manager_url, nodes=len(NODES)),
            what=f"the ResourceManager did not see {len(NODES)} NodeManagers",
            evidence=self.evidence,
        )
        rest.make_base_directories(
            rest.Session(HDFS_SUPERUSER), self.name_node_url, owner=HDFS_SUPERUSER
        )
        self.create_home(self.user)
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Leave the cluster to the host, which started it."""

    def create_home(self, user: str) -> None:
        rest.make_hdfs_directory(
            rest.Session(HDFS_SUPERUSER),
            self.name_node_url,
            f"/user/{user}",
            owner=user,
            permission="700",
        )

    def stop_node(self, node_id: str) -> None:
        self._engine.post(_service(node_id), "kill")

    def suspend_node(self, node_id: str) -> None:
        self._signal_node_manager(node_id, "STOP")

    def resume_node(self, node_id: str) -> None:
        self._signal_node_manager(node_id, "CONT")

    def start_node(self) -> None:
        stopped = next(node for node in NODES if not self._engine.is_running(node))
        self._engine.post(stopped, "start")
        wait_until(
            lambda: self.node_state(f"{stopped}:8041") is NodeState.RUNNING,
            what=f"{stopped} did not come back",
            timeout=timedelta(minutes=2),
            evidence=lambda: self._engine.logs(stopped),
        )

    def label_node(self, node_id: str, label: str | None) -> None:
        """
        Put a node into a partition, made if it is not there; None: into the default one.

        What runs on it is killed.
        """
        url = f"{self.resource_manager_url}/ws/v1/cluster"
        administrator = rest.Session(YARN_ADMINISTRATOR)
        labels = [label] if label is not None else []
        if label is not None:
            made = {"nodeLabelInfo": [{"name": label, "exclusivity": True}]}
            administrator.call("POST", f"{url}/add-node-labels", made)
        given = {"nodeToLabels": [{"nodeId": node_id, "labels": labels}]}
        administrator.call("POST", f"{url}/replace-node-to-labels", given)

    def evidence(self) -> str:
        daemons = ("namenode", "datanode", "resourcemanager", *NODES)
        return "\n".join(f"{each} said last:\n{self._engine.logs(each)}" for each in daemons)

    def _signal_node_manager(self, node_id: str, name: str) -> None:
        # Its main class is the last word of its command line; containers only mention it earlier.
        self._engine.execute(
            _service(node_id), ["pkill", f"-{name}", "-f", r"nodemanager\.NodeManager$"]
        )


def _service(node_id: str) -> str:
    return node_id.rpartition(":")[0]


class _Engine:
    """The few calls to the engine that failure tests need, over its socket."""

    def __init__(self, project: str) -> None:
        self._project = project

    def post(self, service: str, verb: str) -> None:
        self._call("POST", f"/containers/{self._container(service)['Id']}/{verb}")

    def is_running(self, service: str) -> bool:
        return bool(self._container(service)["State"] == "running")

    def execute(self, service: str, command: list[str]) -> None:
        path = f"/containers/{self._container(service)['Id']}/exec"
        # Attached, so that the answer to its start ends when the command does.
        attached = {"Cmd": command, "AttachStdout": True, "AttachStderr": True}
        created = json.loads(self._call("POST", path, attached))
        self._call("POST", f"/exec/{created['Id']}/start", {"Detach": False})
        exit_code = json.loads(self._call("GET", f"/exec/{created['Id']}/json"))["ExitCode"]
        assert exit_code == 0, f"{command} in {service} left with {exit_code}"

    def logs(self, service: str) -> str:
        path = f"/containers/{self._container(service)['Id']}/logs?stdout=1&stderr=1&tail=40"
        return _demultiplexed(self._call("GET", path)).decode(errors="replace")

    def _container(self, service: str) -> dict[str, Any]:
        labels = [
            f"com.docker.compose.project={self._project}",
            f"com.docker.compose.service={service}",
        ]
        filters = quote(json.dumps({"label": labels}))
        found: list[dict[str, Any]] = json.loads(
            self._call("GET", f"/containers/json?all=1&filters={filters}")
        )
        assert len(found) == 1, f"there are {len(found)} containers of {service}"
        return found[0]

    def _call(self, method: str, path: str, body: object = None) -> bytes:
        connection = _UnixConnection("localhost", timeout=60)
        try:
            headers = {"Content-Type": "application/json"}
            content = json.dumps(body) if body is not None else None
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            answer = response.read()
            assert response.status < 400, f"{method} {path}: {response.status} {answer!r}"
            return answer
        finally:
            connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(_SOCKET)


def _demultiplexed(stream: bytes) -> bytes:
    """The payloads of the engine's frames: a stream's number, three zeros, a length, the bytes."""
    payloads = []
    while stream:
        end = 8 + int.from_bytes(stream[4:8], "big")
        payloads.append(stream[8:end])
        stream = stream[end:]
    return b"".join(payloads)
