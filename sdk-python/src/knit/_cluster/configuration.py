"""Where the cluster is and how it wants to be spoken to, from Hadoop's configuration files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

import attrs

from knit._cluster.hadoop_xml import VARIABLE, Properties, substitute
from knit._values.paths import is_directory, is_file
from knit.exceptions import ConfigurationError, ConfigurationNotFoundError

SITE_FILES = ("core-site.xml", "hdfs-site.xml", "yarn-site.xml")

#: What Hadoop assumes where the site files say nothing, as far as knit looks at it.
DEFAULTS: Mapping[str, str] = MappingProxyType(
    {
        "hadoop.security.authentication": "simple",
        "dfs.http.policy": "HTTP_ONLY",
        "yarn.http.policy": "HTTP_ONLY",
        "yarn.resourcemanager.ha.enabled": "false",
        # Site files build upon these, so their variables have to be known.
        "yarn.resourcemanager.hostname": "0.0.0.0",  # noqa: S104  (every interface: this machine)
        "yarn.nodemanager.hostname": "0.0.0.0",  # noqa: S104
        "hadoop.tmp.dir": "/tmp/hadoop-${user.name}",  # noqa: S108
        "yarn.application.classpath": ",".join(
            (
                "$HADOOP_CONF_DIR",
                "$HADOOP_COMMON_HOME/share/hadoop/common/*",
                "$HADOOP_COMMON_HOME/share/hadoop/common/lib/*",
                "$HADOOP_HDFS_HOME/share/hadoop/hdfs/*",
                "$HADOOP_HDFS_HOME/share/hadoop/hdfs/lib/*",
                "$HADOOP_YARN_HOME/share/hadoop/yarn/*",
                "$HADOOP_YARN_HOME/share/hadoop/yarn/lib/*",
            )
        ),
    }
)

_RM_PORT = "8032"
_RPC_PORT = 8020
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
CA_FILE_PROPERTY = "knit.tls.ca-file"


def _read_only(values: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(values))


@attrs.frozen
class ClusterConfig:
    """
    The configuration of one cluster.

    Values are read with their variables replaced and without surrounding white space.
    Beside Hadoop's own properties knit reads a few of its own:

    * `knit.resourcemanager.url`: base URLs of the RM, comma-separated, in place of what the
      `yarn.resourcemanager.*` properties say; for gateways such as Knox.
    * `knit.webhdfs.url`: the same for WebHDFS or HttpFS, without the `/webhdfs/v1`.
    * `knit.tls.ca-file`: a PEM file with the authorities that sign the cluster's https
      certificates. Default: those this machine trusts.
    """

    _properties: Mapping[str, str] = attrs.field(converter=_read_only, repr=False, hash=False)
    sources: tuple[str, ...] = ()
    """The files it was read from, in order; empty if it was given in code."""

    def __reduce__(self) -> tuple[object, ...]:
        # A read-only view cannot be pickled; what it shows can.
        return ClusterConfig, (dict(self._properties), self.sources)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> ClusterConfig:
        """
        Reads what the environment points at.

        That is `$HADOOP_CONF_DIR`, `$YARN_CONF_DIR` (for the files the first one lacks), else
        `$HADOOP_HOME/etc/hadoop`, else `$HADOOP_INSTALL/hadoop/conf`, else `/etc/hadoop/conf`.

        Raises:
            ConfigurationNotFoundError: None of them holds a configuration.
            ConfigurationError: A file is malformed.
        """
        environment = os.environ if environment is None else environment
        named = [
            (variable, Path(environment[variable]))
            for variable in ("HADOOP_CONF_DIR", "YARN_CONF_DIR")
            if environment.get(variable)
        ]
        for variable, directory in named:
            if not _is_directory(directory):
                raise ConfigurationNotFoundError(
                    f"{variable} names {directory}, which is not a directory. "
                    f"Set it to the directory that holds {SITE_FILES[0]} and {SITE_FILES[2]}."
                )
        if named:
            return cls._from_directories([directory for _, directory in named])
        usual = [Path("/etc/hadoop/conf"), Path("/etc/hadoop")]
        if environment.get("HADOOP_INSTALL"):  # as knit 0.1.1 looked
            usual.insert(0, Path(environment["HADOOP_INSTALL"], "hadoop", "conf"))
        if environment.get("HADOOP_HOME"):
            usual.insert(0, Path(environment["HADOOP_HOME"], "etc", "hadoop"))
        for directory in usual:
            if any(_is_file(directory / name) for name in SITE_FILES):
                return cls._from_directories([directory])
        raise ConfigurationNotFoundError(
            "No Hadoop configuration was found: neither HADOOP_CONF_DIR nor YARN_CONF_DIR is set, "
            f"and there is none in {', '.join(map(str, usual))}. Set HADOOP_CONF_DIR to the "
            f"directory that holds the cluster's {SITE_FILES[0]} and {SITE_FILES[2]}, "
            "or give the properties in code."
        )

    @classmethod
    def from_directory(cls, directory: str | os.PathLike[str]) -> ClusterConfig:
        """
        Reads `core-site.xml`, `hdfs-site.xml` and `yarn-site.xml` of one directory.

        Raises:
            ConfigurationNotFoundError: It holds none of them.
            ConfigurationError: A file is malformed.
        """
        return cls._from_directories([Path(directory)])

    @classmethod
    def _from_directories(cls, directories: list[Path]) -> ClusterConfig:
        properties = Properties()
        sources = []
        for name in SITE_FILES:
            path = next((d / name for d in directories if _is_file(d / name)), None)
            if path is not None:
                properties.add_file(path)
                sources.append(str(path))
        if not sources:
            raise ConfigurationNotFoundError(
                f"{' and '.join(map(str, directories))} has no Hadoop configuration: none of "
                f"{', '.join(SITE_FILES)} is there. Name the directory that holds them."
            )
        return cls(properties.values, tuple(sources))

    @classmethod
    def from_properties(cls, properties: Mapping[str, object]) -> ClusterConfig:
        """Takes the properties as they are; True and False as Hadoop's `true` and `false`."""
        collected = Properties()
        for name, value in properties.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            collected.add(name, text.strip())
        return cls(collected.values)

    def with_properties(self, properties: Mapping[str, object]) -> ClusterConfig:
        """This configuration with some properties set or replaced, final or not."""
        more = ClusterConfig.from_properties(properties)
        return attrs.evolve(self, properties={**self._properties, **more._properties})

    def get(self, name: str, default: str | None = None) -> str | None:
        """
        The value of a property, or Hadoop's default for it where knit knows one.

        Raises:
            ConfigurationError: Its variables lead in a circle.
        """
        for values in (self._properties, DEFAULTS):
            if name in values:
                known = {**DEFAULTS, **self._properties}
                return substitute(name, known).strip()
        return default

    def get_list(self, name: str) -> list[str]:
        """The parts of a comma-separated value, without the empty ones."""
        return _split(self.get(name))

    def get_bool(self, name: str) -> bool:
        """True only where the value is `true`."""
        return (self.get(name) or "").lower() == "true"

    @property
    def where(self) -> str:
        """Where it comes from, for messages."""
        directories = dict.fromkeys(str(Path(source).parent) for source in self.sources)
        return " and ".join(directories) or "the properties given in code"

    @property
    def kerberos(self) -> bool:
        """Whether the cluster authenticates with Kerberos."""
        return (self.get("hadoop.security.authentication") or "").lower() == "kerberos"

    @property
    def application_classpath(self) -> tuple[str, ...]:
        """Where a node finds Hadoop's jars, in its own variables."""
        return tuple(self.get_list("yarn.application.classpath"))

    @property
    def ca_file(self) -> str | None:
        """A PEM file with the authorities behind the cluster's https, if not the system's."""
        return self.get(CA_FILE_PROPERTY) or None

    @property
    def default_fs(self) -> str:
        """
        The cluster's file system, `hdfs://host:port` or `hdfs://nameservice`.

        Raises:
            ConfigurationError: It is not set, or not HDFS.
        """
        value = (self.get("fs.defaultFS") or "").rstrip("/")
        scheme = urlsplit(value).scheme
        if not value:
            raise ConfigurationError(
                f"fs.defaultFS is not set in {self.where}. knit stages files on the cluster's "
                "HDFS; set it to hdfs://HOST:PORT, as in the cluster's core-site.xml."
            )
        if scheme == "viewfs":
            raise ConfigurationError(
                f"fs.defaultFS is {value}, a view over several file systems, which knit cannot "
                "resolve. Set it to the hdfs:// one that holds your home directory, in code or in "
                "a configuration directory of your own."
            )
        if scheme != "hdfs" or not urlsplit(value).netloc:
            raise ConfigurationError(
                f"fs.defaultFS is {value}, in {self.where}. knit stages files on HDFS; "
                "set it to hdfs://HOST:PORT, in code or in a configuration directory of your own."
            )
        return value

    @property
    def name_nodes(self) -> tuple[str, ...]:
        """
        Base URLs at which a NameNode's web server may answer, likeliest first.

        Raises:
            ConfigurationError: fs.defaultFS is not set, or not HDFS.
        """
        override = self._urls(WEBHDFS_URL_PROPERTY, strip="/webhdfs/v1")
        if override:
            return override
        scheme = self._scheme("dfs.http.policy")
        key = f"dfs.namenode.{scheme}-address"
        authority = urlsplit(self.default_fs).netloc
        members = self.get_list(f"dfs.ha.namenodes.{authority}")
        found: list[str] = []
        for suffix in [f".{authority}.{member}" for member in members]:
            found += self._name_node(scheme, key, suffix, None)
        if not members:
            # With federation the properties of a nameservice carry its name.
            nameservice = next(
                (
                    name
                    for name in self.get_list("dfs.nameservices")
                    if name == authority
                    or self.get(f"dfs.namenode.rpc-address.{name}") == authority
                ),
                None,
            )
            if nameservice is not None and self.get(f"{key}.{nameservice}"):
                found = self._name_node(scheme, key, f".{nameservice}", authority)
            else:
                found = self._name_node(scheme, key, "", authority)
        return tuple(dict.fromkeys(found))

    def _name_node(self, scheme: str, key: str, suffix: str, authority: str | None) -> list[str]:
        rpc = self.get(f"dfs.namenode.rpc-address{suffix}") or authority
        host, port = self._address(f"{key}{suffix}")
        if host and not _is_any(host) and port:
            return [f"{scheme}://{_bracketed(host)}:{port}"]
        fallback_host = _host_and_port(rpc or "")[0]
        if host and not _is_any(host):
            fallback_host = host
        if not fallback_host:
            raise ConfigurationError(
                f"{key}{suffix} is not set in {self.where}, nor is "
                f"dfs.namenode.rpc-address{suffix}, so the NameNode's web address is unknown. "
                f"Set one of them, or {WEBHDFS_URL_PROPERTY}."
            )
        if _is_any(fallback_host):
            fallback_host = "localhost"
        ports = (port,) if port else _NN_PORTS[scheme]
        return [f"{scheme}://{_bracketed(fallback_host)}:{number}" for number in ports]

    @property
    def resource_managers(self) -> tuple[str, ...]:
        """Base URLs of the RM's web server, one for each member of an HA pair."""
        override = self._urls(RM_URL_PROPERTY, strip="/ws/v1/cluster")
        if override:
            return override
        scheme = self._scheme("yarn.http.policy")
        suffixes = [""]
        if self.get_bool("yarn.resourcemanager.ha.enabled"):
            suffixes = [f".{member}" for member in self.get_list("yarn.resourcemanager.ha.rm-ids")]
            if not suffixes:
                raise ConfigurationError(
                    f"yarn.resourcemanager.ha.enabled is true in {self.where}, but "
                    "yarn.resourcemanager.ha.rm-ids names no ResourceManager. Set it, or "
                    f"{RM_URL_PROPERTY}."
                )
        urls = [self._resource_manager(scheme, suffix) for suffix in suffixes]
        return tuple(dict.fromkeys(urls))

    def _resource_manager(self, scheme: str, suffix: str) -> str:
        prefix = "yarn.resourcemanager.webapp" + (".https" if scheme == "https" else "")
        host, port = self._address(f"{prefix}.address{suffix}")
        hosts = [
            host,
            self._address(f"yarn.resourcemanager.hostname{suffix}")[0],
            self._address(f"yarn.resourcemanager.address{suffix}")[0],
        ]
        if suffix and not any(hosts):
            raise ConfigurationError(
                f"The ResourceManager {suffix[1:]!r} of yarn.resourcemanager.ha.rm-ids has no "
                f"address in {self.where}. Set yarn.resourcemanager.hostname{suffix}, or "
                f"{RM_URL_PROPERTY}."
            )
        # Hadoop's own default is "on every interface", which from here means this machine.
        host = next((host for host in hosts if host and not _is_any(host)), "localhost")
        return f"{scheme}://{_bracketed(host)}:{port or _RM_PORTS[scheme]}"

    @property
    def resource_manager_name(self) -> str:
        """
        What tells this cluster's ResourceManager from another one's over the same file system.

        The addresses of `yarn.resourcemanager.address`, of an HA pair both, sorted and separated
        by commas. Without any, where its REST API is, in the same form.
        """
        suffixes = [""]
        if self.get_bool("yarn.resourcemanager.ha.enabled"):
            suffixes = [f".{member}" for member in self.get_list("yarn.resourcemanager.ha.rm-ids")]
        found = []
        for suffix in suffixes:
            address = self.get(f"yarn.resourcemanager.address{suffix}")
            host = self.get(f"yarn.resourcemanager.hostname{suffix}")
            if address:
                # Hadoop adds the port, too, where there is none.
                found.append(address if ":" in address else f"{address}:{_RM_PORT}")
            elif host and not _is_any(host):
                found.append(f"{host}:{_RM_PORT}")
        if not found:
            found = [urlsplit(url).netloc for url in self.resource_managers]
        return ",".join(sorted({address.lower() for address in found}))

    def _address(self, name: str) -> tuple[str, int | None]:
        """
        Host and port that a property names; empty and None where it is not set.

        Raises:
            ConfigurationError: It is none, or built upon a property that nobody has set.
        """
        value = self.get(name) or ""
        if (unknown := VARIABLE.search(value)) is not None:
            raise ConfigurationError(
                f"{name} is {value!r} in {self.where}, and nobody has set {unknown[1]}. Set it, or "
                "write the address out."
            )
        return _host_and_port(value)

    def _scheme(self, policy: str) -> str:
        return "https" if (self.get(policy) or "").upper() == "HTTPS_ONLY" else "http"

    def _urls(self, name: str, strip: str) -> tuple[str, ...]:
        urls = []
        for value in self.get_list(name):
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
    return host.lower(), port or _RPC_PORT


def _is_file(path: Path) -> bool:
    return is_file(path, what="Hadoop configuration", error=ConfigurationError)


def _is_directory(path: Path) -> bool:
    return is_directory(path, what="Hadoop configuration", error=ConfigurationError)


def _split(value: str | None) -> list[str]:
    return [part.strip() for part in (value or "").split(",") if part.strip()]


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
