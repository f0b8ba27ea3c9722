"""Who we are to the cluster."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import attrs
from urllib3 import HTTPHeaderDict

from knit._cluster.rest.daemons import Daemon
from knit.exceptions import ConfigurationError

if TYPE_CHECKING:
    from knit._cluster.configuration.config import ClusterConfig


class Exchange(Protocol):
    """One request: what proves who sends it, and what its answer says to that."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers for the request. Good for this one only."""
        ...

    def answered(self, status: int, headers: HTTPHeaderDict) -> bool:
        """
        Takes note of the answer.

        Returns:
            Whether the request is to be sent again, with an exchange of its own.

        Raises:
            KerberosError: Who answered is not who was asked.
        """
        ...

    def close(self) -> None:
        """Gives back what it holds."""
        ...


class Authentication(Protocol):
    """Adds to each request what proves who sends it."""

    @property
    def user(self) -> str:
        """The name the cluster knows us by, which may have to be asked for."""
        ...

    @property
    def acting_for(self) -> str | None:
        """The user to act for; None for nobody else."""
        ...

    def query(self, daemon: Daemon) -> Mapping[str, str]:
        """Parameters for the URL's query."""
        ...

    def needs_greeting(self, url: str, *, only_once: bool) -> bool:
        """
        Whether the server ought to know us before it is sent a request with a body.

        Args:
            url: Where it goes.
            only_once: Whether the body can be sent only once, so that a 401 must not come.
        """
        ...

    def exchange(self, url: str, what: str) -> Exchange:
        """
        For one request to this URL.

        Args:
            url: Where it goes.
            what: What is tried, for messages.
        """
        ...


@attrs.frozen
class SimpleAuthentication:
    """Hadoop's `simple` authentication: the cluster believes the name it is given."""

    name: str = attrs.field()
    """Who we say that we are, without a realm."""
    acting_for: str | None = None
    """The user to act for; the cluster has to allow it."""

    @property
    def user(self) -> str:
        return self.acting_for or self.name

    @name.validator
    def _not_empty(self, _: object, value: str) -> None:
        if not value.strip():
            raise ConfigurationError("The user name is empty. Set HADOOP_USER_NAME, or give user=.")

    @classmethod
    def from_environment(cls, user: str | None = None) -> SimpleAuthentication:
        """
        As Hadoop's own client finds it: `user`, else `$HADOOP_USER_NAME`, else the system's.

        It acts for `$HADOOP_PROXY_USER` where that is set, and no `user` is given.

        Raises:
            ConfigurationError: None of them is known.
        """
        name = user or os.environ.get("HADOOP_USER_NAME")
        if not name:
            try:
                name = getpass.getuser()
            except (OSError, KeyError) as error:
                raise ConfigurationError(
                    "This process runs under a user ID without a name, so the cluster cannot be "
                    "told who is asking. Set HADOOP_USER_NAME, or give user=."
                ) from error
        return cls(name, None if user else proxied_user())

    def query(self, daemon: Daemon) -> Mapping[str, str]:
        if self.acting_for is None:
            return {"user.name": self.name}
        return {"user.name": self.name, daemon.acting_for: self.acting_for}

    def needs_greeting(self, url: str, *, only_once: bool) -> bool:
        return False

    def exchange(self, url: str, what: str) -> Exchange:
        return _NOTHING


class _NoExchange:
    """Where the query says all."""

    headers: Mapping[str, str] = MappingProxyType({})

    def answered(self, status: int, headers: HTTPHeaderDict) -> bool:
        return False

    def close(self) -> None:
        pass


_NOTHING = _NoExchange()


def proxied_user(user: str | None = None) -> str | None:
    """Whom to act for where that has to be allowed: `user`, else `$HADOOP_PROXY_USER`."""
    return user or os.environ.get("HADOOP_PROXY_USER") or None


def wants_proof(config: ClusterConfig) -> bool:
    """Whether the configuration says that all web servers have to prove who they are."""
    filters = config.get("hadoop.http.filter.initializers") or ""
    return (
        (config.get("hadoop.http.authentication.type") or "").strip().lower() == "kerberos"
    ) and any(name.strip().rpartition(".")[2] in _AUTHENTICATING for name in filters.split(","))


_AUTHENTICATING = ("AuthenticationFilterInitializer", "ProxyUserAuthenticationFilterInitializer")
