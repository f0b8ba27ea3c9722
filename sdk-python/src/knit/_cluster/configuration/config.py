"""Where the cluster is and how it wants to be spoken to, from Hadoop's configuration files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

import attrs

from knit._cluster.configuration import addresses, viewfs
from knit._cluster.configuration.hadoop_xml import Properties
from knit._cluster.configuration.old_names import current_name
from knit._cluster.configuration.ssl_client import (
    SSL_CLIENT_PROPERTY,
    Truststore,
    truststore_of,
)
from knit._cluster.configuration.variables import VARIABLE, substitute
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

CA_FILE_PROPERTY = "knit.tls.ca-file"
DOOR_PROPERTY = "knit.door"
CLASS_ARCHIVE_PROPERTY = "knit.am.class-archive"


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
    * `knit.door`: `rest` or `rpc`, how to speak to the RM and the NameNode. Default: `auto`, which
      is what the cluster lets us in by: REST, and where that is closed, or answers everybody
      though the cluster has Kerberos, Hadoop's RPC.
    * `knit.tls.ca-file`: a PEM file with the authorities that sign the cluster's https
      certificates. Default: those this machine trusts.
    * `knit.am.class-archive`: `false` has nodes keep no archive of classes beside the Application
      Master's jar, with which it starts in half the time. Default: true.
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
        properties = Properties(directories)
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
            ConfigurationError: Its variables lead in a circle, or beyond all bounds.
        """
        name = current_name(name)
        for values in (self._properties, DEFAULTS):
            if name in values:
                known = {**DEFAULTS, **self._properties}
                return substitute(name, known).strip()
        return default

    def names(self, prefix: str) -> list[str]:
        """The properties that are set whose names begin so."""
        return [name for name in self._properties if name.startswith(prefix)]

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
    def door(self) -> str:
        """
        `auto`, `rest` or `rpc`.

        Raises:
            ConfigurationError: It is something else.
        """
        value = (self.get(DOOR_PROPERTY) or "auto").lower()
        if value not in ("auto", "rest", "rpc"):
            raise ConfigurationError(
                f"{DOOR_PROPERTY} is {value!r} in {self.where}. It is auto, rest or rpc."
            )
        return value

    @property
    def class_archive(self) -> bool:
        """Whether a node may keep an archive of classes for the next Application Masters."""
        return (self.get(CLASS_ARCHIVE_PROPERTY) or "").lower() != "false"

    @property
    def truststore(self) -> Truststore | None:
        """
        The truststore of Hadoop's own clients, if one is named.

        Raises:
            ConfigurationError: The file that names it is malformed, or cannot be read.
        """
        directories = dict.fromkeys(Path(source).parent for source in self.sources)
        name = self.get(SSL_CLIENT_PROPERTY) or ""
        return truststore_of({**DEFAULTS, **self._properties}, name, directories)

    @property
    def ca_file(self) -> str | None:
        """A PEM file with the authorities behind the cluster's https, if not the system's."""
        return self.get(CA_FILE_PROPERTY) or None

    @property
    def default_fs(self) -> str:
        """
        The cluster's file system, `hdfs://host:port` or `hdfs://nameservice`.

        Of a `viewfs://` it is the one with the home directories, where files are staged.

        Raises:
            ConfigurationError: It is not set, or not HDFS.
        """
        value = self.get("fs.defaultFS") or ""
        if (unknown := VARIABLE.search(value)) is not None:
            raise ConfigurationError(
                f"fs.defaultFS is {value!r} in {self.where}, and nothing has set {unknown[1]}. Set "
                "it, or write the address out."
            )
        if value and value != "local" and "/" not in value:
            value = f"hdfs://{value}"  # as Hadoop still reads the form of its first versions
        parts = urlsplit(value)
        scheme = parts.scheme
        if not value:
            raise ConfigurationError(
                f"fs.defaultFS is not set in {self.where}. knit stages files on the cluster's "
                "HDFS; set it to hdfs://HOST:PORT, as in the cluster's core-site.xml."
            )
        if scheme == "viewfs":
            table = viewfs.mount_table(self, parts.netloc)
            value = table.resolve(table.home_prefix)
            parts = urlsplit(value)
            scheme = parts.scheme
        if scheme != "hdfs" or not parts.netloc:
            raise ConfigurationError(
                f"fs.defaultFS is {value}, in {self.where}. knit stages files on HDFS; "
                "set it to hdfs://HOST:PORT, in code or in a configuration directory of your own."
            )
        return f"hdfs://{parts.netloc}"  # a path in it means nothing

    @property
    def home_prefix(self) -> str | None:
        """
        Where on it home directories are, if a mount table says so; None where the NameNode does.

        Raises:
            ConfigurationError: No link of the mount table leads to them.
        """
        table = viewfs.default_table(self)
        return None if table is None else urlsplit(table.resolve(table.home_prefix)).path or "/"

    @property
    def mounted_file_systems(self) -> tuple[str, ...]:
        """See `viewfs.mounted_file_systems`."""
        return viewfs.mounted_file_systems(self)

    def resolved(self, url: str) -> str:
        """See `viewfs.resolved`."""
        return viewfs.resolved(self, url)

    @property
    def name_nodes(self) -> tuple[str, ...]:
        """
        Base URLs at which a NameNode's web server may answer, likeliest first.

        Raises:
            ConfigurationError: fs.defaultFS is not set, or not HDFS.
        """
        return addresses.name_nodes(self)

    @property
    def resource_managers(self) -> tuple[str, ...]:
        """Base URLs of the RM's web server, one for each member of an HA pair."""
        return addresses.resource_managers(self)

    @property
    def resource_manager_name(self) -> str:
        """
        What tells this cluster's ResourceManager from another one's over the same file system.

        The addresses of `yarn.resourcemanager.address`, of an HA pair both, sorted and separated
        by commas. Without any, where its REST API is, in the same form.
        """
        return addresses.resource_manager_name(self)


def _is_file(path: Path) -> bool:
    return is_file(path, what="Hadoop configuration", error=ConfigurationError)


def _is_directory(path: Path) -> bool:
    return is_directory(path, what="Hadoop configuration", error=ConfigurationError)


def _split(value: str | None) -> list[str]:
    return [part.strip() for part in (value or "").split(",") if part.strip()]
