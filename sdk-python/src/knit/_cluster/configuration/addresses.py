"""Where a cluster's daemons answer, by its properties."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlsplit

from knit._cluster.configuration.variables import VARIABLE
from knit.exceptions import ConfigurationError

_RM_RPC_PORT = 8032
_NN_RPC_PORT = 8020
_RM_PORTS = {"http": 8088, "https": 8090}
# Hadoop 3's port first, then the one of Hadoop 2.
_NN_PORTS = {"http": (9870, 50070), "https": (9871, 50470)}
_ANY_ADDRESS = (
    "0.0.0.0",  # noqa: S104  (recognised, never bound)
    "::",
    "[::]",
    "0:0:0:0:0:0:0:0",
)

RM_URL_PROPERTY = "knit.resourcemanager.url"
WEBHDFS_URL_PROPERTY = "knit.webhdfs.url"
NAME_NODE_PROPERTIES = (
    "dfs.namenode.http-address",
    "dfs.namenode.https-address",
    "dfs.namenode.rpc-address",
)


class Properties(Protocol):
    """Hadoop's properties, as far as addresses need them."""

    @property
    def where(self) -> str:
        """Where they come from, for messages."""

    @property
    def default_fs(self) -> str:
        """The cluster's file system; see `ClusterConfig.default_fs`."""

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value of one."""

    def get_list(self, name: str) -> list[str]:
        """The parts of a comma-separated one."""

    def get_bool(self, name: str) -> bool:
        """Whether one is true."""


def name_nodes(properties: Properties) -> tuple[str, ...]:
    """See `ClusterConfig.name_nodes`."""
    override = _urls(properties, WEBHDFS_URL_PROPERTY, strip="/webhdfs/v1")
    if override:
        return override
    scheme = _scheme(properties, "dfs.http.policy")
    key = f"dfs.namenode.{scheme}-address"
    authority = urlsplit(properties.default_fs).netloc
    members = properties.get_list(f"dfs.ha.namenodes.{authority}")
    found: list[str] = []
    for suffix in [f".{authority}.{member}" for member in members]:
        found += _name_node(properties, scheme, key, suffix, None)
    if not members:
        # With federation the properties of a nameservice carry its name.
        nameservice = next(
            (
                name
                for name in properties.get_list("dfs.nameservices")
                if name == authority
                or properties.get(f"dfs.namenode.rpc-address.{name}") == authority
            ),
            None,
        )
        if nameservice is not None and properties.get(f"{key}.{nameservice}"):
            found = _name_node(properties, scheme, key, f".{nameservice}", authority)
        else:
            found = _name_node(properties, scheme, key, "", authority)
    return tuple(dict.fromkeys(found))


def _name_node(
    properties: Properties, scheme: str, key: str, suffix: str, authority: str | None
) -> list[str]:
    rpc = properties.get(f"dfs.namenode.rpc-address{suffix}") or authority
    host, port = _address(properties, f"{key}{suffix}")
    if host and not _is_any(host) and port:
        return [f"{scheme}://{_bracketed(host)}:{port}"]
    fallback_host = _host_and_port(rpc or "")[0]
    if host and not _is_any(host):
        fallback_host = host
    if not fallback_host:
        raise ConfigurationError(
            f"{key}{suffix} is not set in {properties.where}, nor is "
            f"dfs.namenode.rpc-address{suffix}, so the NameNode's web address is unknown. "
            f"Set one of them, or {WEBHDFS_URL_PROPERTY}."
        )
    if _is_any(fallback_host):
        fallback_host = "localhost"
    ports = (port,) if port else _NN_PORTS[scheme]
    return [f"{scheme}://{_bracketed(fallback_host)}:{number}" for number in ports]


def resource_managers(properties: Properties) -> tuple[str, ...]:
    """See `ClusterConfig.resource_managers`."""
    override = _urls(properties, RM_URL_PROPERTY, strip="/ws/v1/cluster")
    if override:
        return override
    scheme = _scheme(properties, "yarn.http.policy")
    urls = [_resource_manager(properties, scheme, suffix) for suffix in _suffixes(properties)]
    return tuple(dict.fromkeys(urls))


def _suffixes(properties: Properties) -> list[str]:
    """What the names of the properties of each ResourceManager end in; at least one."""
    if not properties.get_bool("yarn.resourcemanager.ha.enabled"):
        return [""]
    members = properties.get_list("yarn.resourcemanager.ha.rm-ids")
    # A daemon's own file may say which one it is, and no more.
    members = members or properties.get_list("yarn.resourcemanager.ha.id")
    if not members:
        raise ConfigurationError(
            f"yarn.resourcemanager.ha.enabled is true in {properties.where}, but "
            "yarn.resourcemanager.ha.rm-ids names no ResourceManager. Set it, or "
            f"{RM_URL_PROPERTY}."
        )
    return [f".{member}" for member in members]


def _resource_manager(properties: Properties, scheme: str, suffix: str) -> str:
    prefix = "yarn.resourcemanager.webapp" + (".https" if scheme == "https" else "")
    host, port = _address(properties, f"{prefix}.address{suffix}")
    if not host or _is_any(host):
        host = _resource_manager_host(properties, suffix, host)
    return f"{scheme}://{_bracketed(host)}:{port or _RM_PORTS[scheme]}"


def _resource_manager_host(properties: Properties, suffix: str, given: str = "") -> str:
    """The host of a ResourceManager by the properties that are there for all its addresses."""
    hosts = [
        _address(properties, f"yarn.resourcemanager.hostname{suffix}")[0],
        _address(properties, f"yarn.resourcemanager.address{suffix}")[0],
    ]
    if suffix and not given and not any(hosts):
        raise ConfigurationError(
            f"The ResourceManager {suffix[1:]!r} of yarn.resourcemanager.ha.rm-ids has no "
            f"address in {properties.where}. Set yarn.resourcemanager.hostname{suffix}, or "
            f"{RM_URL_PROPERTY}."
        )
    # Hadoop's own default is "on every interface", which from here means this machine.
    return next((host for host in hosts if host and not _is_any(host)), "localhost")


def resource_manager_rpc(properties: Properties) -> tuple[tuple[str, int], ...]:
    """
    Where clients speak to the RM by RPC: host and port, of an HA pair in the order of `rm-ids`.

    In this order tokens for the pair name their services. Nothing is resolved.

    Raises:
        ConfigurationError: A member has no address, or one is none.
    """
    found = []
    for suffix in _suffixes(properties):
        host, port = _address(properties, f"yarn.resourcemanager.address{suffix}")
        if not host or _is_any(host):
            host = _resource_manager_host(properties, suffix, host)
        found.append((host, port or _RM_RPC_PORT))
    return tuple(found)


def name_node_rpc(properties: Properties, authority: str) -> tuple[tuple[str, int], ...]:
    """
    Where clients speak to the NameNode of a file system by RPC, of an HA pair all of them.

    Args:
        properties: The cluster's.
        authority: `host:port`, `host` or a nameservice, as in `hdfs://…`.

    Raises:
        ConfigurationError: A member of the nameservice has no address, or one is none.
    """
    members = properties.get_list(f"dfs.ha.namenodes.{authority}")
    suffixes = [f".{authority}.{member}" for member in members]
    if not members and authority in properties.get_list("dfs.nameservices"):
        suffixes = [f".{authority}"]
    if not suffixes:
        host, port = _host_and_port(authority)
        if not host:
            raise ConfigurationError(
                f"{authority!r} is no address of a NameNode. Give it as HOST:PORT."
            )
        return ((host, port or _NN_RPC_PORT),)
    found = []
    for suffix in suffixes:
        name = f"dfs.namenode.rpc-address{suffix}"
        host, port = _address(properties, name)
        if not host:
            raise ConfigurationError(
                f"{name} is not set in {properties.where}, so a NameNode of {authority} cannot be "
                "found. Set it, as in the cluster's hdfs-site.xml."
            )
        found.append(("localhost" if _is_any(host) else host, port or _NN_RPC_PORT))
    return tuple(found)


def resource_manager_name(properties: Properties) -> str:
    """See `ClusterConfig.resource_manager_name`."""
    found = []
    for suffix in _suffixes(properties):
        address = properties.get(f"yarn.resourcemanager.address{suffix}")
        host = properties.get(f"yarn.resourcemanager.hostname{suffix}")
        if address:
            # Hadoop adds the port, too, where there is none.
            found.append(address if ":" in address else f"{address}:{_RM_RPC_PORT}")
        elif host and not _is_any(host):
            found.append(f"{host}:{_RM_RPC_PORT}")
    if not found:
        found = [urlsplit(url).netloc for url in resource_managers(properties)]
    return ",".join(sorted({address.lower() for address in found}))


def _address(properties: Properties, name: str) -> tuple[str, int | None]:
    """
    Host and port that a property names; empty and None where it is not set.

    Raises:
        ConfigurationError: It is none, or built upon a property that nobody has set.
    """
    value = properties.get(name) or ""
    if (unknown := VARIABLE.search(value)) is not None:
        raise ConfigurationError(
            f"{name} is {value!r} in {properties.where}, and nobody has set {unknown[1]}. Set it, "
            "or write the address out."
        )
    return _host_and_port(value)


def _scheme(properties: Properties, policy: str) -> str:
    return "https" if (properties.get(policy) or "").upper() == "HTTPS_ONLY" else "http"


def _urls(properties: Properties, name: str, strip: str) -> tuple[str, ...]:
    urls = []
    for value in properties.get_list(name):
        url = value.rstrip("/")
        url = url[: -len(strip)] if url.endswith(strip) else url
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(
                f"{name} is {value!r}, which is not a base URL. "
                "Give it as http://HOST:PORT or https://HOST:PORT/PATH."
            )
        urls.append(url)
    return tuple(urls)


def is_on(file_system: str, url: str) -> bool:
    """
    Whether a URL or path lies on a file system such as `hdfs://host:port`.

    As Hadoop sees it: without an authority the default one is meant, host names have no case, and
    a port that is left out is the usual one.
    """
    parts, own = urlsplit(url), urlsplit(file_system)
    if not parts.scheme:
        return not parts.netloc
    return parts.scheme == own.scheme and (
        not parts.netloc or _authority(parts.netloc) == _authority(own.netloc)
    )


def _authority(netloc: str) -> tuple[str, int]:
    try:
        host, port = _host_and_port(netloc)
    except ConfigurationError:
        return netloc, 0
    return host.lower(), port or _NN_RPC_PORT


def _host_and_port(address: str) -> tuple[str, int | None]:
    """The parts of `host:port`, `host`, `[::1]:port` or a URL."""
    if not address:
        return "", None
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(
            f"{address!r} is not an address of the form HOST:PORT. Correct the configuration."
        ) from error
    return parts.hostname or "", port or None


def _is_any(host: str) -> bool:
    return host in _ANY_ADDRESS


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
