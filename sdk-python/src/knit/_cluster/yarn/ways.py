"""The ways to a ResourceManager, as a cluster's configuration has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from knit._cluster.configuration.addresses import RM_URL_PROPERTY
from knit._cluster.doors import Choice, Doors
from knit._cluster.rest.daemons import RESOURCE_MANAGER
from knit._cluster.yarn.rest_door import RestDoor

if TYPE_CHECKING:
    from knit._cluster.configuration.config import ClusterConfig
    from knit._cluster.rest.client import HttpClient
    from knit._cluster.rpc.sasl import Identity
    from knit._cluster.yarn.door import ResourceManagerDoor


def resource_manager_doors(
    config: ClusterConfig, http: HttpClient, identity: Callable[[], Identity]
) -> Doors[ResourceManagerDoor]:
    """
    Both ways to the cluster's ResourceManager.

    Args:
        config: The cluster's.
        http: The connections to its web servers.
        identity: Who we are by RPC.

    Raises:
        ConfigurationError: `knit.door` is none.
    """

    def rest() -> ResourceManagerDoor:
        return RestDoor(http, config.resource_managers)

    def rpc() -> ResourceManagerDoor:
        # Imported as it is needed: most clusters never need it.
        from knit._cluster.rpc.endpoints import resource_manager_client
        from knit._cluster.yarn.rpc_door import RpcDoor
        from knit._cluster.yarn.rpc_messages import PROTOCOL

        return RpcDoor(resource_manager_client(config, PROTOCOL, identity()))

    forced = None if config.door == "auto" else config.door
    if forced is None and config.get(RM_URL_PROPERTY):
        forced = "rest"
    choice = Choice(
        daemon=RESOURCE_MANAGER,
        forced=forced,
        kerberos=config.kerberos,
        base_urls=lambda: config.resource_managers,
    )
    return Doors(choice, http, rest=rest, rpc=rpc)
