"""
For whom tokens are good, as Hadoop's own clients look for them.

A client finds a token by the name of its service, letter by letter, so these names are made as
`SecurityUtil`, `HAUtilClient` and `ClientRMProxy` make them.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from knit._cluster.configuration.addresses import (
    Properties,
    name_node_rpc,
    resource_manager_rpc,
)
from knit.exceptions import ConfigurationError

USE_IP_PROPERTY = "hadoop.security.token.service.use_ip"
#: With it a pair is known by one address of its own, and not by the name of the nameservice.
_BY_ADDRESS = "IPFailoverProxyProvider"


def resource_manager_service(properties: Properties) -> str:
    """
    For whom a ResourceManager's token is good: the address of its RPC, of an HA pair both.

    Raises:
        ConfigurationError: An address is missing, or not known here by its name.
    """
    addresses = resource_manager_rpc(properties)
    return ",".join(address_service(properties, host, port) for host, port in addresses)


def file_system_service(properties: Properties, url: str) -> str:
    """
    For whom a token of a file system `hdfs://…` is good.

    Raises:
        ConfigurationError: Its host is not known here by its name.
    """
    authority = urlsplit(url).netloc
    provider = properties.get(f"dfs.client.failover.proxy.provider.{authority}") or ""
    is_pair = bool(provider or properties.get_list(f"dfs.ha.namenodes.{authority}"))
    if is_pair and not provider.endswith(_BY_ADDRESS):
        return f"ha-hdfs:{authority}"
    host, port = name_node_rpc(properties, authority)[0]
    return address_service(properties, host, port)


def address_service(properties: Properties, host: str, port: int) -> str:
    """
    An address as the name of a service: by IP address, unless the configuration says otherwise.

    Raises:
        ConfigurationError: The host is not known here.
    """
    if (properties.get(USE_IP_PROPERTY) or "").lower() == "false":
        return f"{host.lower()}:{port}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        said = getattr(error, "strerror", None) or error
        raise ConfigurationError(
            f"The host {host} is not known here ({said}), and delegation tokens are found by its "
            f"IP address. Make the name resolvable on this machine, or set {USE_IP_PROPERTY} to "
            "false, here and on the cluster."
        ) from None
    addresses = [str(entry[4][0]) for entry in found]
    # Java takes the first of the older kind, unless it is told otherwise.
    chosen = next((a for a in addresses if ":" not in a), addresses[0])
    return f"{_as_java_writes(chosen)}:{port}"


def _as_java_writes(address: str) -> str:
    """An IP address; one of the newer kind with each of its eight parts, without leading zeros."""
    plain = address.partition("%")[0]
    if ":" not in plain:
        return plain
    return ":".join(f"{int(p, 16):x}" for p in ipaddress.ip_address(plain).exploded.split(":"))
