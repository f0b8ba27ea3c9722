"""The few REST calls the clusters need; a proxy of the environment has no say in them."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_COOKIE = "hadoop.auth"


class Session:
    """
    HTTP as one user.

    Args:
        user: the name to claim, where servers believe names; None claims none.
        ca_file: the authority of servers that speak TLS.
        negotiate: makes a Negotiate token for a host, for servers that ask for one.
    """

    def __init__(
        self,
        user: str | None = None,
        *,
        ca_file: Path | None = None,
        negotiate: Callable[[str], str] | None = None,
    ) -> None:
        self._user = user
        self._negotiate = negotiate
        self._cookies: dict[str, str] = {}
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if ca_file is not None:
            context = ssl.create_default_context(cafile=str(ca_file))
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)

    def get(self, url: str, *, timeout_seconds: float = 30) -> Any:
        """GET a JSON document."""
        return self.call("GET", url, timeout_seconds=timeout_seconds)

    def call(
        self, method: str, url: str, body: object = None, *, timeout_seconds: float = 60
    ) -> Any:
        """Send a request, with a JSON body if there is one, and return the JSON answer, or None."""
        request = urllib.request.Request(
            self.claimed(url), method=method, headers={"Accept": "application/json"}
        )
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with self.open(request, timeout_seconds=timeout_seconds) as response:
            content = response.read()
        return json.loads(content) if content else None

    def claimed(self, url: str) -> str:
        """The URL with the name that is claimed, where one is."""
        if self._user is None:
            return url
        return f"{url}{'&' if '?' in url else '?'}user.name={self._user}"

    def open(self, request: urllib.request.Request, *, timeout_seconds: float = 60) -> Any:
        """
        Send a request and return the open answer; where the server asks for it, prove who asks.

        A Negotiate token is good for one request. What the server gives in exchange is kept, by
        server: servers on one host do not believe each other's.
        """
        server = urlsplit(request.full_url).netloc
        if server in self._cookies:
            request.add_header("Cookie", f'{_COOKIE}="{self._cookies[server]}"')
        try:
            return self._opener.open(request, timeout=timeout_seconds)
        except urllib.error.HTTPError as error:
            asked = "Negotiate" in (error.headers.get("WWW-Authenticate") or "")
            if error.code != 401 or not asked or self._negotiate is None:
                raise
            error.close()
        token = self._negotiate(server.rpartition(":")[0])
        request.remove_header("Cookie")
        request.add_unredirected_header("Authorization", f"Negotiate {token}")
        response = self._opener.open(request, timeout=timeout_seconds)
        for each in response.headers.get_all("Set-Cookie", []):
            name, _, value = each.partition(";")[0].partition("=")
            if name.strip() == _COOKIE and value.strip('"'):
                self._cookies[server] = value.strip('"')
        return response


ANYBODY = Session()
"""Who has no name, and asks servers that want none."""


def answers(url: str, *, session: Session = ANYBODY) -> bool:
    """Whether there is a JSON document at a URL."""
    try:
        session.get(url, timeout_seconds=10)
    except (OSError, ValueError):
        return False
    return True


def name_node_is_ready(url: str, *, data_nodes: int, session: Session = ANYBODY) -> bool:
    """Whether a NameNode is active, out of safe mode, and has that many live DataNodes."""
    query = f"{url}/jmx?qry=Hadoop:service=NameNode,name="
    try:
        info = session.get(query + "NameNodeInfo")["beans"]
        state = session.get(query + "FSNamesystemState")["beans"]
        status = session.get(query + "NameNodeStatus")["beans"]
    except (OSError, ValueError):
        return False
    return bool(
        info
        and state
        and status
        and status[0]["State"] == "active"
        and not info[0]["Safemode"]
        and state[0]["NumLiveDataNodes"] >= data_nodes
    )


def name_node_state(url: str, *, session: Session = ANYBODY) -> str | None:
    """``active`` or ``standby``; None where it does not answer."""
    try:
        beans = session.get(f"{url}/jmx?qry=Hadoop:service=NameNode,name=NameNodeStatus")["beans"]
    except (OSError, ValueError):
        return None
    return str(beans[0]["State"]) if beans else None


def resource_manager_state(url: str, *, session: Session = ANYBODY) -> str | None:
    """``ACTIVE``, ``STANDBY`` or ``INITIALIZING``; None where it does not answer."""
    try:
        info = session.get(f"{url}/ws/v1/cluster/info", timeout_seconds=10)["clusterInfo"]
    except (OSError, ValueError):
        return None
    return str(info.get("haState", "ACTIVE"))


def resource_manager_is_ready(url: str, *, nodes: int, session: Session = ANYBODY) -> bool:
    """Whether a ResourceManager is active, which it becomes after its web server, with nodes."""
    if resource_manager_state(url, session=session) != "ACTIVE":
        return False
    try:
        metrics = session.get(f"{url}/ws/v1/cluster/metrics")["clusterMetrics"]
    except (OSError, ValueError):
        return False
    return int(metrics["activeNodes"]) >= nodes


def make_hdfs_directory(
    session: Session, name_node_url: str, path: str, *, owner: str, permission: str
) -> None:
    """Make a directory in HDFS, if it is not there, with that owner and permission."""
    base = f"{name_node_url}/webhdfs/v1{path}?op="
    session.call("PUT", f"{base}MKDIRS&permission={permission}")
    session.call("PUT", f"{base}SETOWNER&owner={owner}")
    session.call("PUT", f"{base}SETPERMISSION&permission={permission}")


def make_base_directories(session: Session, name_node_url: str, *, owner: str) -> None:
    """Make what every user of HDFS expects: ``/tmp`` for all, ``/user`` for the homes."""
    for path, permission in (("/tmp", "1777"), ("/user", "755")):
        make_hdfs_directory(session, name_node_url, path, owner=owner, permission=permission)
