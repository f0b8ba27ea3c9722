"""The dockerized cluster, as seen from its client, where the suite runs."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from integration.clusters import rest, spnego
from integration.clusters.cluster import Cluster, NodeState
from integration.clusters.docker_secure import DOMAIN, KEYTABS, SUPERUSER, USERS, host
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
    _superuser = rest.Session(HDFS_SUPERUSER)
    _superuser_name = HDFS_SUPERUSER
    _any_user = rest.ANYBODY

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
            lambda: rest.name_node_is_ready(
                self.name_node_url, data_nodes=1, session=self._superuser
            ),
            what="the NameNode did not leave safe mode with a DataNode",
            evidence=self.evidence,
        )
        wait_until(
            lambda: rest.resource_manager_is_ready(
                self.resource_manager_url, nodes=len(NODES), session=self._any_user
            ),
            what=f"the ResourceManager did not see {len(NODES)} NodeManagers",
            evidence=self.evidence,
        )
        rest.make_base_directories(self._superuser, self.name_node_url, owner=self._superuser_name)
        self.create_home(self.user)
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Leave the cluster to the host, which started it."""

    def create_home(self, user: str) -> None:
        rest.make_hdfs_directory(
            self._superuser,
            self.name_node_url,
            f"/user/{user}",
            owner=user,
            permission="700",
        )

    def _resource_manager(self) -> tuple[str, rest.Session]:
        return self.resource_manager_url, self._any_user

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


class SecureDockerCluster(DockerCluster):
    """The same with Kerberos: MIT's KDC, and principals of whole host names."""

    name = "docker-secure"

    def __init__(self) -> None:
        super().__init__()
        self.user = USERS[0]
        self.resource_manager_url = f"http://{host('resourcemanager')}:8088"
        self.name_node_url = f"http://{host('namenode')}:9870"
        self._superuser_name = SUPERUSER
        self._superuser = self.session(SUPERUSER)
        self._any_user = self.session(self.user)

    def __enter__(self) -> SecureDockerCluster:
        super().__enter__()
        for user in USERS:
            self.create_home(user)
        # Where the nodes put the logs of everybody, and whose the first would else be.
        rest.make_hdfs_directory(
            self._superuser, self.name_node_url, "/tmp/logs", owner="nm", permission="1777"
        )
        return self

    def keytab(self, user: str) -> Path:
        """A user's keytab."""
        return Path(KEYTABS, f"{user}.keytab")

    def environment(self, user: str) -> Mapping[str, str]:
        """The variables that make a process this user's, by keytab."""
        return {
            "HADOOP_CONF_DIR": str(self.conf_dir),
            "KRB5_CLIENT_KTNAME": f"FILE:{self.keytab(user)}",
            "KRB5CCNAME": f"FILE:/tmp/ticket-cache-{user}",
        }

    def on_host(
        self,
        service: str,
        command: list[str],
        *,
        user: str,
        env: Mapping[str, str] | None = None,
    ) -> bytes:
        """What a command says that a user of the operating system runs on one of the hosts."""
        return self._engine.execute(service, command, user=user, env=env)

    def session(self, user: str) -> rest.Session:
        """HTTP as this user."""
        environment = self.environment(user)
        return rest.Session(negotiate=lambda server: spnego.negotiate(server, environment))


def _service(node_id: str) -> str:
    return node_id.rpartition(":")[0].removeprefix("knit-").removesuffix(f".{DOMAIN}")


class _Engine:
    """The few calls to the engine that failure tests need, over its socket."""

    def __init__(self, project: str) -> None:
        self._project = project

    def post(self, service: str, verb: str) -> None:
        self._call("POST", f"/containers/{self._container(service)['Id']}/{verb}")

    def is_running(self, service: str) -> bool:
        return bool(self._container(service)["State"] == "running")

    def execute(
        self,
        service: str,
        command: list[str],
        *,
        user: str = "",
        env: Mapping[str, str] | None = None,
    ) -> bytes:
        """Run a command, as the service's own user by default, and return what it said."""
        path = f"/containers/{self._container(service)['Id']}/exec"
        # Attached, so that the answer to its start ends when the command does.
        attached: dict[str, object] = {"Cmd": command, "AttachStdout": True, "AttachStderr": True}
        given = [f"{name}={value}" for name, value in (env or {}).items()]
        created = json.loads(self._call("POST", path, {**attached, "User": user, "Env": given}))
        said = _demultiplexed(self._call("POST", f"/exec/{created['Id']}/start", {"Detach": False}))
        exit_code = json.loads(self._call("GET", f"/exec/{created['Id']}/json"))["ExitCode"]
        # Its last word, and not what it was given.
        assert exit_code == 0, f"{command[0]} in {service} left with {exit_code}: {said[-500:]!r}"
        return said

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
