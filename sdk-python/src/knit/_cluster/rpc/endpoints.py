"""Where the cluster's daemons answer by RPC, and how they are spoken to there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knit._cluster.configuration.addresses import name_node_rpc, resource_manager_rpc
from knit._cluster.configuration.principals import (
    ServerPrincipal,
    name_node_principal,
    resource_manager_principal,
)
from knit._cluster.rest.daemons import NAME_NODE, RESOURCE_MANAGER, Daemon
from knit._cluster.rpc.client import Protocol, RpcClient
from knit._cluster.rpc.connection import Endpoint
from knit._cluster.rpc.protection import protections_of
from knit._cluster.rpc.sasl import Identity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knit._cluster.configuration.config import ClusterConfig


def resource_manager_client(
    config: ClusterConfig, protocol: Protocol, identity: Identity
) -> RpcClient:
    """
    The ResourceManager, of an HA pair both.

    Raises:
        ConfigurationError: An address or, with tickets, the principal is missing.
    """
    principal = resource_manager_principal(config) if identity.tickets else None
    addresses = resource_manager_rpc(config)
    return _client(config, RESOURCE_MANAGER, addresses, principal, protocol, identity)


def name_node_client(
    config: ClusterConfig, authority: str, protocol: Protocol, identity: Identity
) -> RpcClient:
    """
    The NameNode of a file system, of an HA pair all of them.

    Args:
        config: The cluster's.
        authority: As in `hdfs://…`.
        protocol: What is spoken there.
        identity: Who we are.

    Raises:
        ConfigurationError: Likewise.
    """
    principal = name_node_principal(config) if identity.tickets else None
    addresses = name_node_rpc(config, authority)
    return _client(config, NAME_NODE, addresses, principal, protocol, identity)


def _client(
    config: ClusterConfig,
    daemon: Daemon,
    addresses: Sequence[tuple[str, int]],
    principal: ServerPrincipal | None,
    protocol: Protocol,
    identity: Identity,
) -> RpcClient:
    protections = protections_of(config)
    endpoints = [
        Endpoint(
            host=host,
            port=port,
            daemon=daemon,
            protocol=protocol.name,
            principal=principal,
            protections=protections,
        )
        for host, port in addresses
    ]
    return RpcClient(endpoints, protocol, identity)
