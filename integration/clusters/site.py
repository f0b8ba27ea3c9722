"""Where the daemons of an embedded cluster are, and what each of them reads."""

from __future__ import annotations

import dataclasses
import getpass
from collections.abc import Mapping, Sequence
from pathlib import Path

from integration.clusters import configuration, high_availability, kms, security
from integration.clusters.configuration import Properties
from integration.clusters.high_availability import NAME_NODE_IDS, NAME_SERVICE, RM_IDS
from integration.clusters.kdc import Kdc
from integration.clusters.kms import KMS
from integration.clusters.ports import Ports
from integration.clusters.security import USERS, Security
from integration.clusters.tls import Tls

NAME_NODE = "namenode"
DATA_NODE = "datanode"
RESOURCE_MANAGER = "resourcemanager"
NODE_MANAGER = "nodemanager"

_RM_ADDRESSES = ("address", "resource-tracker.address", "scheduler.address", "admin.address")
"""What a ResourceManager listens on beside its web server, as its properties end."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What an embedded cluster is asked to be."""

    yarn: Properties
    security: Security | None
    is_ha: bool
    node_memory_mib: int | None


class Site:
    """An embedded cluster's directory, ports and configuration."""

    def __init__(self, directory: Path, jars: Path, settings: Settings) -> None:
        self.directory = directory
        self.conf_dir = directory / "conf"
        self.ports = Ports()
        self.tls = Tls(directory / "tls")
        users = dict.fromkeys([getpass.getuser(), *USERS])
        self.users: Sequence[str] = list(users)
        self.security = secure = settings.security
        lifetimes = security.Lifetimes() if secure is None else secure.lifetimes
        self.kdc = Kdc(directory, port=self.ports["kdc"], users=self.users, lifetimes=lifetimes)
        self.jars = jars
        self._settings = settings
        self._is_https = secure is not None and secure.is_https
        self._scheme = "https" if self._is_https else "http"

    @property
    def name_nodes(self) -> Sequence[str]:
        """Their names as daemons."""
        return self._names(NAME_NODE)

    @property
    def resource_managers(self) -> Sequence[str]:
        """Their names as daemons."""
        return self._names(RESOURCE_MANAGER)

    def _names(self, kind: str) -> Sequence[str]:
        return [f"{kind}-1", f"{kind}-2"] if self._settings.is_ha else [kind]

    def url(self, name: str) -> str:
        """Of a NameNode's or a ResourceManager's web server, without a slash at its end."""
        return f"{self._scheme}://{self.ports.address(f'{name}.{self._scheme}')}"

    def name_directory(self, name: str) -> Path:
        """Where a NameNode keeps the file system's tree."""
        return self.directory / name / "name"

    # -- files

    def conf_dir_of(self, name: str) -> Path:
        """A daemon's own directory of configuration."""
        return self.directory / name / "conf"

    def write_for_clients(self) -> None:
        """Write the directory that clients and containers take."""
        self._write(self.conf_dir)

    def write_for_name_node(self, name: str) -> Path:
        """Write a NameNode's own directory, and return it."""
        own: dict[str, object] = {
            "dfs.namenode.name.dir": self.name_directory(name).as_uri(),
        }
        if self._settings.is_ha:
            number = self.name_nodes.index(name)
            own["dfs.nameservice.id"] = NAME_SERVICE
            own["dfs.ha.namenode.id"] = NAME_NODE_IDS[number]
        return self._write(self.conf_dir_of(name), hdfs=own)

    def write_for_resource_manager(self, name: str) -> Path:
        """Write a ResourceManager's own directory, and return it."""
        if not self._settings.is_ha:
            return self.conf_dir
        rm_id = RM_IDS[self.resource_managers.index(name)]
        own = {"yarn.resourcemanager.ha.id": rm_id}
        return self._write(self.conf_dir_of(name), yarn=own)

    def write_for_node_manager(self, name: str, logs: Path, memory_mib: int | None) -> Path:
        """Write a NodeManager's own directory, and return it."""
        home = self.directory / name
        memory_mib = memory_mib or self._settings.node_memory_mib
        own: dict[str, object] = {
            # Containers' logs are worth as much as the daemons' when something went wrong.
            "yarn.nodemanager.log-dirs": logs / f"{name}-containers",
            "yarn.nodemanager.local-dirs": home / "local",
        }
        if memory_mib:
            own["yarn.nodemanager.resource.memory-mb"] = memory_mib
        if self._settings.is_ha:
            own |= high_availability.node_properties(
                self.ports, home, name, is_https=self._is_https
            )
        return self._write(self.conf_dir_of(name), yarn=own)

    def write_for_kms(self) -> Path:
        """Write the KMS's own directory, and return it."""
        assert self.security is not None
        home = self.directory / KMS
        properties = kms.kms_properties(self.security, home, self.ports[KMS], self.kdc.keytabs)
        others = {"kms-site": properties, "kms-acls": kms.acl_properties()}
        return self._write(self.conf_dir_of(KMS), others=others)

    def _write(
        self,
        directory: Path,
        *,
        hdfs: Properties | None = None,
        yarn: Properties | None = None,
        others: Mapping[str, Properties] | None = None,
    ) -> Path:
        others = {"capacity-scheduler": self._capacity_scheduler(), **(others or {})}
        if self._is_https:
            others |= {"ssl-server": self.tls.server, "ssl-client": self.tls.client}
        configuration.write_configuration(
            directory,
            core=self._core(),
            hdfs={**self._hdfs(), **(hdfs or {})},
            yarn={**self._yarn(), **self._settings.yarn, **(yarn or {})},
            others=others,
        )
        return directory

    def _core(self) -> Properties:
        settings = self._settings
        actor, other = USERS
        properties: dict[str, object] = {
            "fs.defaultFS": f"hdfs://{NAME_SERVICE}"
            if settings.is_ha
            else f"hdfs://{self.ports.address(f'{NAME_NODE}.rpc')}",
            "hadoop.tmp.dir": self.directory / "tmp",
            f"hadoop.proxyuser.{actor}.hosts": "*",
            f"hadoop.proxyuser.{actor}.users": other,
        }
        if settings.is_ha:
            properties |= high_availability.core_properties(self.ports)
        if self.security is not None:
            properties |= security.core_properties(self.security, self.kdc.keytabs)
            if self.security.has_kms:
                path = kms.provider(self.security, self.ports[KMS])
                properties["hadoop.security.key.provider.path"] = path
        return properties

    def _hdfs(self) -> Properties:
        settings = self._settings
        properties: dict[str, object] = {
            **configuration.HDFS,
            "dfs.datanode.data.dir": (self.directory / DATA_NODE / "data").as_uri(),
            "dfs.datanode.hostname": "localhost",
            "dfs.datanode.address": "localhost:0",
            "dfs.datanode.http.address": "localhost:0",
            "dfs.datanode.https.address": "localhost:0",
            "dfs.datanode.ipc.address": "localhost:0",
        }
        for number, name in enumerate(self.name_nodes):
            suffix = f".{NAME_SERVICE}.{NAME_NODE_IDS[number]}" if settings.is_ha else ""
            for kind in ("rpc", self._scheme):
                key = f"dfs.namenode.{kind}-address{suffix}"
                properties[key] = self.ports.address(f"{name}.{kind}")
        if settings.is_ha:
            properties |= high_availability.hdfs_properties(self.directory)
        if self.security is not None:
            properties |= security.hdfs_properties(self.security, self.kdc.keytabs)
        return properties

    def _yarn(self) -> Properties:
        settings, web = self._settings, "webapp.https" if self._is_https else "webapp"
        properties: dict[str, object] = {
            **configuration.YARN,
            "yarn.resourcemanager.hostname": "localhost",
            "yarn.admin.acl": getpass.getuser(),
            # Several nodes on one host are told apart.
            "yarn.scheduler.include-port-in-node-name": "true",
            "yarn.nodemanager.address": "localhost:0",
            "yarn.nodemanager.localizer.address": "localhost:0",
            f"yarn.nodemanager.{web}.address": "localhost:0",
            "yarn.application.classpath": f"{self.conf_dir},{self.jars}/*",
        }
        for number, name in enumerate(self.resource_managers):
            suffix = f".{RM_IDS[number]}" if settings.is_ha else ""
            prefix = "yarn.resourcemanager"
            for kind in _RM_ADDRESSES:
                properties[f"{prefix}.{kind}{suffix}"] = self.ports.address(f"{name}.{kind}")
            address = self.ports.address(f"{name}.{self._scheme}")
            properties[f"{prefix}.{web}.address{suffix}"] = address
            if settings.is_ha:
                properties[f"{prefix}.hostname{suffix}"] = "localhost"
        if settings.is_ha:
            properties |= high_availability.yarn_properties(self.ports)
        if self.security is not None:
            properties |= security.yarn_properties(self.security, self.kdc.keytabs)
        return properties

    def _capacity_scheduler(self) -> Properties:
        administrator = "rm" if self.security is not None else getpass.getuser()
        return {
            **configuration.CAPACITY_SCHEDULER,
            # By default everybody administers every queue, and so each of its applications.
            "yarn.scheduler.capacity.root.acl_administer_queue": administrator,
        }
