"""Who we are on a cluster with Kerberos: the short name that it makes of our principal."""

from __future__ import annotations

import logging
from datetime import timedelta

from knit._cluster.configuration.config import ClusterConfig
from knit._cluster.configuration.principals import NN_PRINCIPAL_PROPERTY, RM_PRINCIPAL_PROPERTY
from knit._cluster.hdfs.webhdfs import WebHdfs
from knit._cluster.rest.client import HttpClient
from knit._cluster.rest.negotiate import KerberosAuthentication
from knit._cluster.security.name_rules import RULES_PROPERTY
from knit._cluster.security.short_names import ShortNames
from knit._cluster.yarn.rest_door import RestDoor
from knit._values.deadlines import Deadline
from knit.exceptions import (
    ClusterError,
    ConfigurationError,
    KerberosError,
    ServerIdentityError,
)

_log = logging.getLogger("knit")


def short_name(
    config: ClusterConfig,
    http: HttpClient,
    authentication: KerberosAuthentication,
    *,
    timeout: timedelta,
) -> str:
    """
    Asks the file system, then the ResourceManager (Hadoop 3.4), for both apply the cluster's own
    `auth_to_local`. Only what has proved itself by Kerberos knows who we are. Where nothing has,
    the rules in our own configuration say it.

    Raises:
        KerberosError: There is no ticket.
        ConfigurationError: Our own rules make no name of the principal.
    """
    principal = authentication.tickets.principal()
    for ask in (_by_home_directory, _by_user_info):
        try:
            name = ask(config, http, authentication, timeout)
        except (ClusterError, ConfigurationError) as error:
            if isinstance(error, KerberosError) and not isinstance(error, ServerIdentityError):
                raise
            _log.debug("who we are was not told: %s", error)
            continue
        if name:
            return name
    return own_rules(config, principal).of(principal)


def own_rules(config: ClusterConfig, principal: str) -> ShortNames:
    """
    The rules in the configuration. The default realm is the cluster's: that of its daemons.

    Users may be of another one, which it trusts, and which DEFAULT is not for.
    """
    daemons = (config.get(name) or "" for name in (RM_PRINCIPAL_PROPERTY, NN_PRINCIPAL_PROPERTY))
    realms = (each.rpartition("@")[2] for each in (*daemons, principal) if "@" in each)
    return ShortNames(
        config.get(RULES_PROPERTY) or "DEFAULT",
        realm=next(filter(None, realms), None),
        mechanism=(config.get("hadoop.security.auth_to_local.mechanism") or "hadoop").lower(),
    )


def _by_home_directory(
    config: ClusterConfig,
    http: HttpClient,
    authentication: KerberosAuthentication,
    timeout: timedelta,
) -> str | None:
    files = WebHdfs(http, config.name_nodes, timeout=timeout)
    home = files.home_directory()
    if not authentication.has_proved(files.daemon.active_url):
        return None
    return home.rstrip("/").rpartition("/")[2] or None


def _by_user_info(
    config: ClusterConfig,
    http: HttpClient,
    authentication: KerberosAuthentication,
    timeout: timedelta,
) -> str | None:
    door = RestDoor(http, config.resource_managers)
    name = door.requested_user(Deadline.after(timeout))
    return name if authentication.has_proved(door.address) else None
