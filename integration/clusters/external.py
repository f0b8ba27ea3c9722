"""A cluster of your own: that of ``$HADOOP_CONF_DIR``."""

from __future__ import annotations

import getpass
import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from integration.clusters import rest
from integration.clusters.cluster import Cluster


class ExternalCluster(Cluster):
    """A cluster that was there before and is there afterwards; its nodes are left in peace."""

    name = "external"
    can_stop_nodes = False

    def __init__(self) -> None:
        if not os.environ.get("HADOOP_CONF_DIR"):
            raise LookupError("--cluster=external takes the cluster of HADOOP_CONF_DIR: set it.")
        self.conf_dir = Path(os.environ["HADOOP_CONF_DIR"])
        self.user = os.environ.get("HADOOP_USER_NAME") or getpass.getuser()
        self.resource_manager_url = self._resource_manager_url()

    def __enter__(self) -> ExternalCluster:
        info = rest.ANYBODY.get(f"{self.resource_manager_url}/ws/v1/cluster/info")["clusterInfo"]
        self.hadoop_version = info["hadoopVersion"]
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Leave the cluster as it is."""

    def create_home(self, user: str) -> None:
        raise NotImplementedError("Homes in a cluster of your own are made by its administrators.")

    def stop_node(self, node_id: str) -> None:
        raise NotImplementedError("Nodes of a cluster of your own are not stopped by tests.")

    suspend_node = resume_node = stop_node

    def start_node(self) -> None:
        raise NotImplementedError("Nodes of a cluster of your own are not started by tests.")

    def evidence(self) -> str:
        return f"The logs of this cluster's daemons are its own: {self.resource_manager_url}/logs"

    def _resource_manager_url(self) -> str:
        yarn = self.conf_dir / "yarn-site.xml"
        properties = {
            each.findtext("name", ""): each.findtext("value", "")
            for each in ElementTree.parse(yarn).iter("property")
        }
        ids = [
            each.strip() for each in properties.get("yarn.resourcemanager.ha.rm-ids", "").split(",")
        ]
        secure = properties.get("yarn.http.policy") == "HTTPS_ONLY"
        scheme, key, port = ("https", "webapp.https", 8090) if secure else ("http", "webapp", 8088)
        prefix, suffix = "yarn.resourcemanager", f".{ids[0]}" if ids[0] else ""
        host = properties.get(f"{prefix}.hostname{suffix}", "localhost")
        address = properties.get(f"{prefix}.{key}.address{suffix}", f"{host}:{port}")
        return f"{scheme}://{address.replace('${yarn.resourcemanager.hostname}', host)}"
