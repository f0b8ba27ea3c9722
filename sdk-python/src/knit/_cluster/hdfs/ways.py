"""The way to a file system, as a cluster's configuration has it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from knit._cluster.configuration.addresses import WEBHDFS_URL_PROPERTY, name_node_rpc
from knit._cluster.doors import Choice, Doors
from knit._cluster.hdfs.files import Files
from knit._cluster.hdfs.transfer import DataNodes
from knit._cluster.hdfs.webhdfs import WebHdfs
from knit._cluster.rest.daemons import NAME_NODE

if TYPE_CHECKING:
    from knit._cluster.configuration.config import ClusterConfig
    from knit._cluster.hdfs.file_system import FileSystem, NameNodeDoor
    from knit._cluster.rest.client import HttpClient
    from knit._cluster.rpc.sasl import Identity
    from knit._cluster.security.tokens import Token


def file_system(
    config: ClusterConfig,
    http: HttpClient,
    identity: Callable[[], Identity],
    *,
    timeout: timedelta,
    held: Callable[[], Token] | None = None,
) -> FileSystem:
    """
    The file system that `fs.defaultFS` names, by both ways to it.

    Args:
        config: The cluster's.
        http: The connections to its web servers.
        identity: Who we are by RPC.
        timeout: For each call that is given no deadline of its own.
        held: The token that a container holds for it, in place of those that are fetched.

    Raises:
        ConfigurationError: An address is missing, or `knit.door` is none.
    """

    def rest() -> NameNodeDoor:
        return WebHdfs(
            http,
            config.name_nodes,
            timeout=timeout,
            by_token=config.kerberos,
            home_prefix=config.home_prefix,
            held=held,
        )

    def rpc() -> NameNodeDoor:
        # Imported as it is needed: most clusters never need it.
        from knit._cluster.hdfs.rpc_files import FileSystemPlace, RpcFiles
        from knit._cluster.hdfs.rpc_messages import PROTOCOL
        from knit._cluster.rpc.endpoints import name_node_client

        authority = urlsplit(config.default_fs).netloc
        who = identity()
        claimed = None
        if who.user is not None:
            claimed = [("user.name", who.user)]
            if who.proxied_user is not None:
                claimed.append(("doas", who.proxied_user))
        is_nameservice = bool(config.get_list(f"dfs.ha.namenodes.{authority}"))
        host, port = name_node_rpc(config, authority)[0]
        place = FileSystemPlace(
            name=authority if is_nameservice else f"{host}:{port}",
            https=(config.get("dfs.http.policy") or "").upper() == "HTTPS_ONLY",
            home_prefix=config.home_prefix or config.get("dfs.user.home.dir.prefix") or "/user",
        )
        return RpcFiles(
            name_node_client(config, authority, PROTOCOL, who),
            DataNodes(http),
            place,
            user=lambda: http.authentication.user,
            claimed=claimed,
            timeout=timeout,
            held=held,
        )

    forced = None if config.door == "auto" else config.door
    if forced is None and config.get(WEBHDFS_URL_PROPERTY):
        forced = "rest"
    choice = Choice(
        daemon=NAME_NODE,
        forced=forced,
        kerberos=config.kerberos,
        base_urls=lambda: config.name_nodes,
    )
    doors = Doors(choice, http, rest=rest, rpc=rpc)
    return Files(doors, DataNodes(http), timeout=timeout)
