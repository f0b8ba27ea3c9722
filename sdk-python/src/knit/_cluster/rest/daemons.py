"""The cluster's daemons, and what people need to know to find them."""

from __future__ import annotations

import attrs


@attrs.frozen
class Daemon:
    """One of the cluster's daemons, and what people need to know to find it."""

    name: str
    """As Hadoop calls it."""
    web_ports: str
    """The usual ports of its web server, in words."""
    property: str
    """The properties that say where it is."""
    rpc_port: str = ""
    """The usual port of its RPC."""
    rpc_property: str = ""
    """The properties that say where its RPC is."""
    acting_for: str = "doAs"
    """The parameter that names the user to act for."""
    greeting: str = "/webhdfs/v1/?op=GETHOMEDIRECTORY"
    """What can be asked at no cost, to find out who answers before more is sent."""


RESOURCE_MANAGER = Daemon(
    "ResourceManager",
    "8088, or 8090 with https",
    "yarn.resourcemanager.webapp.address (or knit.resourcemanager.url)",
    rpc_port="8032",
    rpc_property="yarn.resourcemanager.address",
    greeting="/ws/v1/cluster/info",
)
NAME_NODE = Daemon(
    "NameNode",
    "9870, or 9871 with https; 50070 on Hadoop 2",
    "dfs.namenode.http-address (or knit.webhdfs.url)",
    rpc_port="8020",
    rpc_property="dfs.namenode.rpc-address (or fs.defaultFS)",
    acting_for="doas",
)
DATA_NODE = Daemon(
    "DataNode", "9864, or 9865 with https", "dfs.datanode.http.address", acting_for="doas"
)
KEY_MANAGEMENT_SERVER = Daemon(
    "KMS",
    "9600",
    "hadoop.security.key.provider.path (or dfs.encryption.key.provider.uri)",
)
