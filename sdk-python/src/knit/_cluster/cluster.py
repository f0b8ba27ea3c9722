"""One cluster and everything that talks to it, made from its configuration as it is needed."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import attrs

from knit._cluster.configuration.addresses import (
    NAME_NODE_PROPERTIES,
    WEBHDFS_URL_PROPERTY,
    is_on,
)
from knit._cluster.configuration.config import ClusterConfig
from knit._cluster.hdfs.file_system import FileSystem
from knit._cluster.hdfs.key_provider import KeyManagementServer
from knit._cluster.hdfs.ways import file_system
from knit._cluster.identity import short_name
from knit._cluster.rest.authentication import (
    Authentication,
    SimpleAuthentication,
    proxied_user,
    wants_proof,
)
from knit._cluster.rest.client import HttpClient
from knit._cluster.rest.negotiate import KerberosAuthentication
from knit._cluster.rest.trust import trust_of
from knit._cluster.security.tickets import Tickets
from knit._cluster.yarn.resource_manager import ResourceManager
from knit._cluster.yarn.ways import resource_manager_doors

if TYPE_CHECKING:
    from types import TracebackType

    from knit._cluster.rpc.sasl import Identity

DEFAULT_TIMEOUT = timedelta(seconds=30)


class Cluster:
    """
    The doors of one cluster, with one pool of connections behind them. Threads may share it.

    Nothing is asked before a door is used.

    Args:
        config: Where the cluster is.
        user: Without Kerberos, who we are; default: `$HADOOP_USER_NAME`, else the system's user.
            With Kerberos nobody is believed, and it is whom to act for; default:
            `$HADOOP_PROXY_USER`, else nobody. The cluster has to allow that.
        keytab: With Kerberos, a keytab's file. Default: the cache that kinit fills, or the keytab
            that `$KRB5_CLIENT_KTNAME` names.
        principal: With Kerberos, whose ticket. Default: whose the cache is; the keytab's first.
        timeout: For each call that is given no deadline of its own.

    Raises:
        ConfigurationError: The user is not known, or `knit.tls.ca-file` cannot be read.
    """

    def __init__(
        self,
        config: ClusterConfig,
        *,
        user: str | None = None,
        keytab: str | os.PathLike[str] | None = None,
        principal: str | None = None,
        timeout: timedelta = DEFAULT_TIMEOUT,
    ) -> None:
        tickets = Tickets(keytab=keytab, principal=principal) if config.kerberos else None
        acting_for = proxied_user(user) if tickets else None
        claimed = None if tickets else SimpleAuthentication.from_environment(user)
        self._begin(config, timeout, tickets, claimed, acting_for)

    def _begin(
        self,
        config: ClusterConfig,
        timeout: timedelta,
        tickets: Tickets | None,
        claimed: SimpleAuthentication | None,
        acting_for: str | None,
    ) -> None:
        self.config = config
        self.timeout = timeout
        self.tickets = tickets
        """Whose tickets are used; None on a cluster without Kerberos."""
        self._claimed = claimed
        self._lock = threading.Lock()
        self._others: dict[str, FileSystem] = {}
        self._authentication: Authentication
        if tickets is not None:
            kerberos = KerberosAuthentication(
                tickets,
                acting_for=acting_for,
                proof_required=wants_proof(config),
                short_name=lambda: short_name(config, self._http, kerberos, timeout=timeout),
            )
            self._authentication = kerberos
        elif claimed is not None:
            self._authentication = claimed
        self._http = HttpClient(self._authentication, trust=trust_of(config))

    @property
    def user(self) -> str:
        """
        The short name the cluster knows us by, or that of whom we act for.

        With Kerberos the cluster is asked for it once, at the first use.

        Raises:
            KerberosError: There is no ticket.
            ClusterError: The cluster does not answer.
        """
        return self._authentication.user

    @property
    def acting_for(self) -> str | None:
        """The user we act for by the cluster's leave; None where we are ourselves."""
        return self._authentication.acting_for

    @property
    def claimed_name(self) -> str | None:
        """Who we say that we are where names are believed; None with Kerberos."""
        return None if self._claimed is None else self._claimed.name

    def acting_as(self, user: str) -> Cluster:
        """The same cluster, as it is for a user we act for. It has connections of its own."""
        other = Cluster.__new__(Cluster)
        claimed = self._claimed and attrs.evolve(self._claimed, acting_for=user)
        other._begin(self.config, self.timeout, self.tickets, claimed, user)
        return other

    def _identity(self) -> Identity:
        """Who we are to a daemon that is spoken to by RPC."""
        from knit._cluster.rpc.sasl import Identity

        return Identity(
            user=self.claimed_name,
            tickets=self.tickets,
            proxied_user=self._authentication.acting_for,
        )

    @cached_property
    def resource_manager(self) -> ResourceManager:
        """YARN. The first use may raise ConfigurationError."""
        doors = resource_manager_doors(self.config, self._http, self._identity)
        return ResourceManager(doors, timeout=self.timeout)

    @cached_property
    def files(self) -> FileSystem:
        """The file system. The first use may raise ConfigurationError."""
        return file_system(self.config, self._http, self._identity, timeout=self.timeout)

    def file_system(self, url: str, *, past_gateway: bool = False) -> FileSystem:
        """
        Any file system by its address, `hdfs://host:port` or `hdfs://nameservice`.

        Args:
            url: Its address; without a path.
            past_gateway: Whether to leave `knit.webhdfs.url` out, which is for the cluster's own.

        Raises:
            ConfigurationError: Its NameNode's address is not known.
        """
        if url == self.config.default_fs and not past_gateway:
            return self.files
        key = f"{url} {past_gateway}"
        with self._lock:
            if key not in self._others:
                changed = {"fs.defaultFS": url, WEBHDFS_URL_PROPERTY: ""}
                if not is_on(self.config.default_fs, url):
                    # Without a nameservice's name these are the own NameNode's.
                    changed |= dict.fromkeys(NAME_NODE_PROPERTIES, "")
                config = self.config.with_properties(changed)
                self._others[key] = file_system(
                    config, self._http, self._identity, timeout=self.timeout
                )
            return self._others[key]

    def key_management_server(self, uri: str) -> KeyManagementServer:
        """
        What keeps the keys of encryption zones.

        Args:
            uri: Where, `kms://https@host:port/kms`.

        Raises:
            ConfigurationError: It is not of this form.
        """
        return KeyManagementServer(self._http, uri, timeout=self.timeout)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()
        # Those that were never used are not made to be closed.
        for name in ("resource_manager", "files"):
            if (used := self.__dict__.get(name)) is not None:
                used.close()
        for other in self._others.values():
            other.close()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
