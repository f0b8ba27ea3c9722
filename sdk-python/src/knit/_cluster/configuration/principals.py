"""
Who a cluster's daemons are to Kerberos, by its properties, as Hadoop's own clients work it out.

`_HOST` in a principal stands for the daemon's host, and for two different names of it: whoever
connects by RPC takes what the address resolves back to, and whoever names a renewer takes the host
that stands in the configuration.
"""

from __future__ import annotations

import ipaddress
import re
import socket

import attrs

from knit._cluster.configuration.addresses import Properties, resource_manager_rpc
from knit.exceptions import ConfigurationError

RM_PRINCIPAL_PROPERTY = "yarn.resourcemanager.principal"
NN_PRINCIPAL_PROPERTY = "dfs.namenode.kerberos.principal"
_HOST = "_HOST"
_SEPARATORS = re.compile("[/@]")


@attrs.frozen
class ServerPrincipal:
    """Which principal a daemon has to have that is connected to by RPC."""

    property: str
    """The property that says so, for messages."""
    configured: str
    """Its value, `service/host@REALM`; the host may be `_HOST`."""
    pattern: str = ""
    """What is taken in its place, if set: a glob with `*`, `?` and `{a,b}` (`….pattern`)."""

    def at(self, address: str) -> str:
        """
        The principal of the daemon at an address.

        Args:
            address: The other end of the connection, an IP address. It is looked up only where the
                principal has `_HOST`, and may then take as long as the resolver does.
        """
        parts = _with_host(self.configured)
        return self.configured if parts is None else _filled(parts, canonical_host_name(address))

    def fits(self, principal: str, address: str) -> bool:
        """Whether a daemon that says it is this principal is the one that is meant."""
        if self.pattern:
            return _glob(self.pattern).fullmatch(principal) is not None
        return principal == self.at(address)


def resource_manager_principal(properties: Properties) -> ServerPrincipal:
    """
    Who the RM is.

    Raises:
        ConfigurationError: It is not set, or has no host or no realm.
    """
    return _principal(properties, RM_PRINCIPAL_PROPERTY)


def name_node_principal(properties: Properties) -> ServerPrincipal:
    """
    Who the NameNode is.

    Raises:
        ConfigurationError: It is not set, or has no host or no realm.
    """
    return _principal(properties, NN_PRINCIPAL_PROPERTY)


def renewer(properties: Properties) -> str:
    """
    The whole principal that tokens for YARN name as their renewer: the RM's.

    Of an HA pair it is the first one's, or `yarn.resourcemanager.ha.id`'s where that is set; who
    issues a token keeps the short name, which is the same for both.

    Raises:
        ConfigurationError: The RM has no principal, or no address.
    """
    configured = _principal(properties, RM_PRINCIPAL_PROPERTY).configured
    parts = _with_host(configured)
    if parts is None:
        return configured
    addresses = resource_manager_rpc(properties)
    index = 0
    if properties.get_bool("yarn.resourcemanager.ha.enabled"):
        members = properties.get_list("yarn.resourcemanager.ha.rm-ids")
        own = properties.get("yarn.resourcemanager.ha.id")
        index = members.index(own) if own in members else 0
    host = addresses[index][0]
    return _filled(parts, canonical_host_name(host) if _is_address(host) else host)


def canonical_host_name(address: str) -> str:
    """
    What an IP address resolves back to, in lower case; the address itself where it has no name.

    Java looks whether the name leads to the address again, and asks the name server once more if
    it does not, which comes to the same.
    """
    try:
        name = socket.getnameinfo((address, 0), socket.NI_NAMEREQD)[0]
    except (OSError, UnicodeError):
        name = address
    return name.rstrip(".").lower()


def _principal(properties: Properties, name: str) -> ServerPrincipal:
    configured = properties.get(name) or ""
    if not configured:
        usual = "nn" if name.startswith("dfs.") else "rm"
        raise ConfigurationError(
            f"{name} is not set in {properties.where}, and with Kerberos a client has to know who "
            "the daemon is that it speaks to. Set it as in the cluster's own files, such as "
            f"{usual}/_HOST@REALM."
        )
    parts = _SEPARATORS.split(configured)
    if len(parts) != 3 or not all(parts):
        raise ConfigurationError(
            f"{name} is {configured!r} in {properties.where}, which is not of the form "
            "SERVICE/HOST@REALM. Correct it; HOST may be _HOST."
        )
    return ServerPrincipal(name, configured, properties.get(f"{name}.pattern") or "")


def _with_host(principal: str) -> tuple[str, str] | None:
    """Service and realm where the host is to be filled in; None where it is written out."""
    service, host, realm = _SEPARATORS.split(principal)
    return (service, realm) if host == _HOST else None


def _filled(parts: tuple[str, str], host: str) -> str:
    service, realm = parts
    return f"{service}/{host.rstrip('.').lower()}@{realm}"


def _glob(pattern: str) -> re.Pattern[str]:
    found, depth = "", 0
    for character in pattern:
        if character == "{":
            depth, piece = depth + 1, "(?:"
        elif character == "}" and depth:
            depth, piece = depth - 1, ")"
        elif character == "," and depth:
            piece = "|"
        else:
            piece = {"*": ".*", "?": "."}.get(character) or re.escape(character)
        found += piece
    return re.compile(found + ")" * depth)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
