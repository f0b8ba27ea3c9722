"""Who we are to the cluster."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import attrs

from knit.exceptions import ConfigurationError, KerberosRequiredError

if TYPE_CHECKING:
    from knit._cluster.configuration.config import ClusterConfig


class Authentication(Protocol):
    """Adds to each request what proves who sends it."""

    @property
    def user(self) -> str:
        """The name the cluster will know us by."""
        ...

    def query(self) -> Mapping[str, str]:
        """Parameters for the URL's query."""
        ...

    def headers(self, url: str) -> Mapping[str, str]:
        """Headers for a request to this URL."""
        ...


@attrs.frozen
class SimpleAuthentication:
    """Hadoop's `simple` authentication: the cluster believes the name it is given."""

    user: str = attrs.field()
    """The name, without a realm."""

    @user.validator
    def _not_empty(self, _: object, value: str) -> None:
        if not value.strip():
            raise ConfigurationError("The user name is empty. Set HADOOP_USER_NAME, or give user=.")

    @classmethod
    def from_environment(cls, user: str | None = None) -> SimpleAuthentication:
        """
        As Hadoop's own client finds it: `user`, else `$HADOOP_USER_NAME`, else the system's.

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
        return cls(name)

    def query(self) -> Mapping[str, str]:
        return {"user.name": self.user}

    def headers(self, url: str) -> Mapping[str, str]:
        return {}


@attrs.frozen
class KerberosAuthentication:
    """The door for SPNEGO. Closed as yet: making one says so."""

    principal: str | None = None

    def __attrs_post_init__(self) -> None:
        raise KerberosRequiredError(
            "This cluster authenticates with Kerberos (hadoop.security.authentication is "
            "kerberos), which this version of knit cannot do. Use a cluster with simple "
            "authentication, or a gateway such as Knox that does Kerberos for you, named by "
            "knit.resourcemanager.url and knit.webhdfs.url with "
            "hadoop.security.authentication=simple."
        )


def authentication_for(config: ClusterConfig, user: str | None = None) -> Authentication:
    """
    What this cluster wants.

    Raises:
        KerberosRequiredError: It wants Kerberos.
        ConfigurationError: The user's name is not known.
    """
    if config.kerberos:
        KerberosAuthentication()
    return SimpleAuthentication.from_environment(user)
