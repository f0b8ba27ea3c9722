"""The bench's own way to the cluster: REST and nothing else, so that it favours nobody."""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from integration.bench.errors import ClusterFailedError, TooLateError
from integration.clusters.docker import DockerCluster
from integration.clusters.embedded import EmbeddedCluster

OF_A_DISTRIBUTION = ",".join(
    ["/etc/hadoop/conf", "/opt/hadoop"]
    + [f"/opt/hadoop/share/hadoop/{part}/*" for part in ("common", "hdfs", "yarn")]
    + [f"/opt/hadoop/share/hadoop/{part}/lib/*" for part in ("common", "hdfs", "yarn")]
)
"""The class path on the dockerized cluster, whose configuration names none on purpose."""
LIVE = "NEW,NEW_SAVING,SUBMITTED,ACCEPTED,RUNNING"
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def properties(conf_dir: Path) -> dict[str, str]:
    """The properties of core-site.xml, hdfs-site.xml and yarn-site.xml, as written."""
    found: dict[str, str] = {}
    for name in ("core-site.xml", "hdfs-site.xml", "yarn-site.xml"):
        path = conf_dir / name
        if path.exists():
            for node in ET.parse(path).getroot().iter("property"):
                found[node.findtext("name", "").strip()] = node.findtext("value", "").strip()
    return found


@attrs.frozen
class Yarn:
    """A ResourceManager and a NameNode, by the addresses of their web servers."""

    conf_dir: Path
    resource_manager: str
    name_node: str
    default_fs: str
    class_path: str
    user: str

    @classmethod
    def of(cls, cluster: EmbeddedCluster | DockerCluster) -> Yarn:
        found = properties(cluster.conf_dir)
        if "fs.defaultFS" not in found:
            raise ClusterFailedError(f"{cluster.conf_dir} sets no fs.defaultFS")
        return cls(
            conf_dir=cluster.conf_dir,
            resource_manager=cluster.resource_manager_url,
            name_node=cluster.name_node_url,
            default_fs=found["fs.defaultFS"],
            class_path=found.get("yarn.application.classpath", OF_A_DISTRIBUTION),
            user=cluster.user,
        )

    def jars(self) -> list[str]:
        """The jars of the class path, as they lie on this machine too."""
        globs = [Path(each) for each in self.class_path.split(",") if each.endswith("/*")]
        return sorted(str(jar) for each in globs for jar in each.parent.glob("*.jar"))

    def with_class_path(self, directory: Path) -> Path:
        """A copy of the configuration that names the class path."""
        shutil.copytree(self.conf_dir, directory, dirs_exist_ok=True)
        path = directory / "yarn-site.xml"
        tree = ET.parse(path)
        named = [node.findtext("name", "").strip() for node in tree.getroot().iter("property")]
        if "yarn.application.classpath" not in named:
            node = ET.SubElement(tree.getroot(), "property")
            ET.SubElement(node, "name").text = "yarn.application.classpath"
            ET.SubElement(node, "value").text = self.class_path
            tree.write(path)
        return directory

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One request to the ResourceManager's REST API, and its answer."""
        url = f"{self.resource_manager}/ws/v1/cluster/{path}"
        url += f"{'&' if '?' in path else '?'}user.name={self.user}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            url,
            data,
            {"Content-Type": "application/json", "Accept": "application/json"},
            method=method,
        )
        try:
            with _NO_PROXY.open(request, timeout=30) as answer:
                text = answer.read()
        except OSError as error:
            words = (
                error.read().decode("utf-8", "replace")[:500]
                if isinstance(error, urllib.error.HTTPError)
                else ""
            )
            raise ClusterFailedError(f"{method} {url}: {error} {words}") from error
        return json.loads(text) if text else {}

    def report(self, application_id: str) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = self.call("GET", f"apps/{application_id}")["app"]
        return answer

    def live_applications(self) -> list[str]:
        apps = self.call("GET", f"apps?states={LIVE}")["apps"] or {"app": []}
        return [app["id"] for app in apps["app"]]

    def nodes(self) -> list[str]:
        """What the scheduler calls the nodes that run: the names to use in requests."""
        nodes = self.call("GET", "nodes?states=RUNNING")["nodes"] or {"node": []}
        with_ports = properties(self.conf_dir).get("yarn.scheduler.include-port-in-node-name")
        key = "id" if with_ports == "true" else "nodeHostName"
        return [node[key] for node in nodes["node"]]

    def kill(self, application_id: str) -> None:
        self.call("PUT", f"apps/{application_id}/state", {"state": "KILLED"})

    def quiesce(self, timeout_seconds: float = 60, settle_seconds: float = 1.5) -> None:
        """Kill what lives, wait until no node holds a container, and let the dust settle."""
        for application_id in self.live_applications():
            self.kill(application_id)
        self.wait_until_idle(timeout_seconds)
        time.sleep(settle_seconds)

    def wait_until_idle(self, timeout_seconds: float = 60) -> None:
        """Wait until no application lives and no node holds a container."""
        deadline = time.monotonic() + timeout_seconds
        while (live := self.live_applications()) or self._held():
            if time.monotonic() > deadline:
                raise TooLateError(
                    f"The cluster is not idle after {timeout_seconds:g} s: "
                    f"{self._held()} containers are held, live applications: {live}"
                )
            time.sleep(0.2)

    def _held(self) -> int:
        nodes = self.call("GET", "nodes?states=RUNNING")["nodes"] or {"node": []}
        return sum(node["numContainers"] for node in nodes["node"])

    def store(self, path: str, data: bytes) -> int:
        """Write a file to HDFS; return its modification time in milliseconds."""
        base = f"{self.name_node}/webhdfs/v1{path}"
        who = f"user.name={self.user}"
        create = urllib.request.Request(
            f"{base}?op=CREATE&overwrite=true&noredirect=true&{who}", method="PUT"
        )
        try:
            with _NO_PROXY.open(create, timeout=30) as answer:
                location = json.loads(answer.read())["Location"]
            put = urllib.request.Request(
                location, data, {"Content-Type": "application/octet-stream"}, method="PUT"
            )
            _NO_PROXY.open(put, timeout=60).close()
            with _NO_PROXY.open(f"{base}?op=GETFILESTATUS&{who}", timeout=30) as answer:
                modified: int = json.loads(answer.read())["FileStatus"]["modificationTime"]
        except OSError as error:
            raise ClusterFailedError(f"Writing {path} to HDFS: {error}") from error
        return modified
