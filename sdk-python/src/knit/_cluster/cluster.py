"""One cluster and everything that talks to it, made from its configuration as it is needed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

import attrs

from knit._cluster.configuration.addresses import ADDRESSES_OF_DEFAULT, WEBHDFS_URL_PROPERTY, is_on
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
from knit._cluster.rest.by_token import TokenAuthentication
from knit._cluster.rest.client import HttpClient
from knit._cluster.rest.gateway import gateway_of
from knit._cluster.rest.negotiate import KerberosAuthentication
from knit._cluster.rest.trust import trust_of
from knit._cluster.security.held_tokens import TOKEN_FILE_VARIABLE, HeldTokens
from knit._cluster.security.tickets import Tickets
from knit._cluster.yarn.resource_manager import ResourceManager
from knit._cluster.yarn.ways import resource_manager_doors
from knit.exceptions import (
    ConfigurationError,
    KerberosError,
    KerberosRequiredError,
    SpecError,
)

if TYPE_CHECKING:
    from types import TracebackType

    from knit._cluster.rpc.sasl import Identity
    from knit._cluster.security.tokens import Token

DEFAULT_TIMEOUT = timedelta(seconds=30)


@attrs.frozen
class Place:
    """Where a file is."""

    files: FileSystem
    file_system: str
    """Its address, `hdfs://…`."""
    path: str

    @property
    def url(self) -> str:
        """The whole, for nodes."""
        return self.file_system + quote(self.path)


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
        if gateway_of(config) is not None:  # which knows us, and is known to the cluster
            self._begin(config, timeout, None, None, proxied_user(user))
            return
        tickets = Tickets(keytab=keytab, principal=principal) if config.kerberos else None
        acting_for = proxied_user(user) if tickets else None
        claimed = None if tickets else SimpleAuthentication.from_environment(user)
        # Whoever names a keytab, or acts for another one, means tickets.
        named = keytab or principal or acting_for
        held = None if tickets is None or named else held_instead(tickets)
        self._begin(config, timeout, None if held else tickets, claimed, acting_for, held)

    def _begin(
        self,
        config: ClusterConfig,
        timeout: timedelta,
        tickets: Tickets | None,
        claimed: SimpleAuthentication | None,
        acting_for: str | None,
        held: HeldTokens | None = None,
    ) -> None:
        self.config = config
        self.timeout = timeout
        self.tickets = tickets
        """Whose tickets are used; None on a cluster without Kerberos, and with `held`."""
        self.held = held
        """The tokens of the container that this process runs in, where it has no ticket."""
        self._claimed = claimed
        self._lock = threading.Lock()
        self._others: dict[str, FileSystem] = {}
        self._authentication: Authentication
        gateway = gateway_of(config)
        if gateway is not None:
            if acting_for not in (None, gateway.user):
                raise ConfigurationError(
                    f"Through a gateway one is who it says, {gateway.user}, and acts for nobody "
                    "else. Leave out user= and HADOOP_PROXY_USER, or change knit.gateway.user."
                )
            self._authentication = gateway
        elif tickets is not None:
            kerberos = KerberosAuthentication(
                tickets,
                acting_for=acting_for,
                proof_required=wants_proof(config),
                short_name=lambda: short_name(config, self._http, kerberos, timeout=timeout),
            )
            self._authentication = kerberos
        elif held is not None:
            self._authentication = TokenAuthentication(
                held.owner,
                lambda: self.config.resource_managers,
                lambda: held.of_resource_manager(self.config),
            )
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

    def _identity(self, token: Callable[[], Token] | None = None) -> Identity:
        """Who we are to a daemon that is spoken to by RPC, and to which we may hold a token."""
        from knit._cluster.rpc.sasl import Identity

        return Identity(
            user=self.claimed_name,
            tickets=self.tickets,
            token=None if token is None else token(),
            proxied_user=self._authentication.acting_for,
        )

    def _file_system(self, config: ClusterConfig) -> FileSystem:
        token: Callable[[], Token] | None = None
        if (held := self.held) is not None:
            token = partial(held.of_file_system, config, config.default_fs)
        return file_system(
            config,
            self._http,
            partial(self._identity, token),
            timeout=self.timeout,
            held=token,
        )

    @cached_property
    def resource_manager(self) -> ResourceManager:
        """YARN. The first use may raise ConfigurationError."""
        token: Callable[[], Token] | None = None
        if (held := self.held) is not None:
            token = partial(held.of_resource_manager, self.config)
        doors = resource_manager_doors(self.config, self._http, partial(self._identity, token))
        return ResourceManager(doors, timeout=self.timeout)

    @cached_property
    def files(self) -> FileSystem:
        """The file system. The first call may raise ConfigurationError."""
        return self._file_system(self.config)

    def file_system(self, url: str, *, past_gateway: bool = False) -> FileSystem:
        """
        Any file system by its address, `hdfs://host:port` or `hdfs://nameservice`.

        Args:
            url: Its address; without a path.
            past_gateway: Whether to leave `knit.webhdfs.url` out, which is for the cluster's own.

        Its first call raises ConfigurationError where its NameNode's address is not known.
        """
        if url == self.config.default_fs and not past_gateway:
            return self.files
        key = f"{url} {past_gateway}"
        with self._lock:
            if key not in self._others:
                changed = {"fs.defaultFS": url, WEBHDFS_URL_PROPERTY: ""}
                if not is_on(self.config.default_fs, url):
                    # Without a nameservice's name these are the own NameNode's.
                    changed |= dict.fromkeys(ADDRESSES_OF_DEFAULT, "")
                self._others[key] = self._file_system(self.config.with_properties(changed))
            return self._others[key]

    def files_of(self, url: str) -> Place:
        """
        The file system that a file is on, and where it is there.

        Args:
            url: `hdfs://…` or `viewfs://…`, or a path on `fs.defaultFS`.

        Raises:
            SpecError: It is on none that knit can look at.
            ConfigurationError: No link of the mount table leads there, or an address is missing.
        """
        own = self.config.default_fs
        found = self.config.resolved(url)
        parts = urlsplit(found)
        if is_on(own, found):
            return Place(self.files, own, unquote(parts.path))
        if parts.scheme != "hdfs" or not parts.netloc:
            raise SpecError(
                f"The file {url} is not on HDFS, as this cluster's file system {own} is, so its "
                "size and time cannot be known. Copy it there, or give a local path."
            )
        other = f"hdfs://{parts.netloc}"
        return Place(self.file_system(other), other, unquote(parts.path))

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
        """Closes the connections, and gives back the tokens that were fetched for them."""
        # Those that were never used are not made to be closed.
        for name in ("resource_manager", "files"):
            if (used := self.__dict__.get(name)) is not None:
                used.close()
        for other in self._others.values():
            other.close()
        self._http.close()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def held_instead(tickets: Tickets) -> HeldTokens | None:
    """
    The tokens to do with where there is no ticket; None where there is one, or no tokens.

    Raises:
        ConfigurationError: The container's file of tokens cannot be read.
    """
    if not os.environ.get(TOKEN_FILE_VARIABLE):
        return None
    try:
        tickets.credentials("Looking for a ticket")
    except (KerberosError, KerberosRequiredError):
        return HeldTokens.of_environment()
    return None
