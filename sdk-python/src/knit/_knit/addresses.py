"""Which cluster `Knit` means: what it is given, and what a Hadoop configuration says."""

from __future__ import annotations

from urllib.parse import urlsplit

import attrs

from knit._cluster.configuration.config import ClusterConfig
from knit.exceptions import ConfigurationError, ConfigurationNotFoundError, HDFSConfigException

HDFS_PORT = 8020


class _DefaultText(str):
    """A default that can be told from the same text given by hand."""

    __slots__ = ()


class _DefaultNumber(int):
    """Likewise."""


DEFAULT_NN = _DefaultText("localhost")
DEFAULT_NN_PORT = _DefaultNumber(HDFS_PORT)
DEFAULT_RM = _DefaultText("localhost")
DEFAULT_RM_PORT = _DefaultNumber(8088)


def _port(value: int | str) -> int:
    if isinstance(value, _DefaultNumber):
        return value
    text = str(value).strip()
    if isinstance(value, bool) or not text.isdecimal() or not 0 < int(text) < 65536:
        raise HDFSConfigException(f"The port {value!r} is not one: give a number, such as 8088.")
    return int(text)


def _host(value: str) -> str:
    if not isinstance(value, str) or not value.strip() or set(value) & set("/:@ "):
        raise HDFSConfigException(
            f"The host {value!r} is not one: give its name or IP address, without a port."
        )
    return value


@attrs.frozen
class Addresses:
    """Where the NameNode and the ResourceManager are."""

    nn: str
    nn_port: int
    rm: str
    rm_port: int

    @classmethod
    def given(cls, nn: str, nn_port: int | str, rm: str, rm_port: int | str) -> Addresses:
        """
        As a user gave them.

        Raises:
            HDFSConfigException: One is no host, or no port.
        """
        return cls(_host(nn), _port(nn_port), _host(rm), _port(rm_port))

    @classmethod
    def of(cls, config: ClusterConfig) -> Addresses:
        """As a configuration has them; of an HA pair, the first."""
        (nn, nn_port), (rm, rm_port) = _name_nodes(config)[0], _resource_managers(config)[0]
        return cls(nn, nn_port, rm, rm_port)

    def configuration(self, *, autodetect: bool, validate: bool) -> ClusterConfig:
        """
        The configuration of the cluster at these addresses.

        Raises:
            HDFSConfigException: They are to agree with the one that is there, and do not.
            ConfigurationError: One is needed, and missing or malformed.
        """
        if autodetect:
            return ClusterConfig.from_environment()
        try:
            detected = ClusterConfig.from_environment()
        except ConfigurationNotFoundError:
            return ClusterConfig.from_properties({**self._nn_properties(), **self._rm_properties()})
        changes: dict[str, object] = {}
        if not self._fits("NameNode", self.nn, self.nn_port, detected, validate=validate):
            changes |= self._nn_properties()
        if not self._fits("ResourceManager", self.rm, self.rm_port, detected, validate=validate):
            changes |= self._rm_properties()
        return detected.with_properties(changes)

    def _fits(
        self, daemon: str, host: str, port: int, config: ClusterConfig, *, validate: bool
    ) -> bool:
        """Whether the configuration means the same daemon; what was not given fits anything."""
        try:
            known = _name_nodes(config) if daemon == "NameNode" else _resource_managers(config)
        except ConfigurationError:
            return False  # it does not say, so what is given holds
        for known_host, known_port in known:
            if (isinstance(host, _DefaultText) or host == known_host) and (
                isinstance(port, _DefaultNumber) or port == known_port
            ):
                return True
        if validate:
            there = " or ".join(f"{known_host}:{known_port}" for known_host, known_port in known)
            raise HDFSConfigException(
                f"The {daemon} was given as {host}:{port}, but the configuration in "
                f"{config.where} says {there}. Give that, or nothing, or validate=False if you "
                "mean another cluster."
            )
        return False

    def _nn_properties(self) -> dict[str, object]:
        return {
            "fs.defaultFS": f"hdfs://{self.nn}:{self.nn_port}",
            # Another cluster's: the usual ports are tried instead.
            "dfs.namenode.http-address": "",
            "dfs.namenode.https-address": "",
            "dfs.namenode.rpc-address": "",
            "knit.webhdfs.url": "",
        }

    def _rm_properties(self) -> dict[str, object]:
        address = f"{self.rm}:{self.rm_port}"
        return {
            "yarn.resourcemanager.ha.enabled": False,
            "yarn.resourcemanager.webapp.address": address,
            "yarn.resourcemanager.webapp.https.address": address,
            # What the configuration says of RPC is another cluster's, too.
            "yarn.resourcemanager.hostname": self.rm,
            "yarn.resourcemanager.address": "",
            "knit.resourcemanager.url": "",
        }


def _name_nodes(config: ClusterConfig) -> list[tuple[str, int]]:
    """The nameservice, and the RPC addresses behind it."""
    authority = urlsplit(config.default_fs).netloc
    found = [_split(authority, HDFS_PORT)]
    for member in config.get_list(f"dfs.ha.namenodes.{authority}"):
        address = config.get(f"dfs.namenode.rpc-address.{authority}.{member}")
        if address:
            found.append(_split(address, HDFS_PORT))
    return found


def _resource_managers(config: ClusterConfig) -> list[tuple[str, int]]:
    return [
        _split(urlsplit(url).netloc, 443 if url.startswith("https:") else 80)
        for url in config.resource_managers
    ]


def _split(authority: str, default_port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{authority}")
    return parts.hostname or "", parts.port or default_port
