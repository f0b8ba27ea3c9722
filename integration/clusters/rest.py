"""The few REST calls the clusters need; a proxy of the environment has no say in them."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url: str, *, timeout_seconds: float = 30) -> Any:
    """GET a JSON document."""
    return call("GET", url, timeout_seconds=timeout_seconds)


def call(method: str, url: str, body: object = None, *, timeout_seconds: float = 60) -> Any:
    """Send a request, with a JSON body if there is one, and return the JSON answer, or None."""
    request = urllib.request.Request(url, method=method, headers={"Accept": "application/json"})
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    with _opener.open(request, timeout=timeout_seconds) as response:
        content = response.read()
    return json.loads(content) if content else None


def name_node_is_ready(url: str, *, data_nodes: int) -> bool:
    """Whether a NameNode is out of safe mode and has that many live DataNodes."""
    query = f"{url}/jmx?qry=Hadoop:service=NameNode,name="
    try:
        info = get(query + "NameNodeInfo")["beans"]
        state = get(query + "FSNamesystemState")["beans"]
    except (OSError, ValueError):
        return False
    return bool(
        info and state and not info[0]["Safemode"] and state[0]["NumLiveDataNodes"] >= data_nodes
    )


def resource_manager_is_ready(url: str, *, nodes: int) -> bool:
    """Whether a ResourceManager is active, which it becomes after its web server, with nodes."""
    try:
        state = get(f"{url}/ws/v1/cluster/info")["clusterInfo"].get("haState", "ACTIVE")
        metrics = get(f"{url}/ws/v1/cluster/metrics")["clusterMetrics"]
    except (OSError, ValueError):
        return False
    return state == "ACTIVE" and int(metrics["activeNodes"]) >= nodes


def make_hdfs_directory(
    name_node_url: str, path: str, *, superuser: str, owner: str, permission: str
) -> None:
    """Make a directory in HDFS, if it is not there, with that owner and permission."""
    base = f"{name_node_url}/webhdfs/v1{path}?user.name={superuser}&op="
    call("PUT", f"{base}MKDIRS&permission={permission}")
    call("PUT", f"{base}SETOWNER&owner={owner}")
    call("PUT", f"{base}SETPERMISSION&permission={permission}")


def make_base_directories(name_node_url: str, *, superuser: str) -> None:
    """Make what every user of HDFS expects: ``/tmp`` for all, ``/user`` for the homes."""
    for path, permission in (("/tmp", "1777"), ("/user", "755")):
        make_hdfs_directory(
            name_node_url, path, superuser=superuser, owner=superuser, permission=permission
        )
