"""Clusters with Kerberos: what kinds there are, and what makes a daemon of one."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from integration.clusters.configuration import Properties

REALM = "EXAMPLE.COM"
SERVICES = ("nn", "dn", "rm", "nm", "HTTP")
"""The daemons' principals, each with ``/localhost`` after it."""
USERS = ("alice", "bob")
"""Users of every embedded cluster; the first may act for the second."""


class Web(enum.Enum):
    """How web servers learn who asks."""

    KERBEROS = "kerberos"
    """SPNEGO at every one of them."""
    DEFAULT = "default"
    """
    As Hadoop has it if nobody says anything, and a great many clusters with it: HDFS and the nodes
    believe the name that is claimed, and the ResourceManager takes everybody for dr.who.
    """
    SIMPLE = "simple"
    """Every one of them believes the name that is claimed."""


@dataclasses.dataclass(frozen=True)
class Lifetimes:
    """How long things are good, in seconds; None is Hadoop's default."""

    ticket: int | None = None
    """A user's ticket. The daemons' own live for hours, for Hadoop renews none within a minute."""
    renewal: int | None = None
    """After how long a delegation token has to be renewed, of HDFS and of the ResourceManager."""
    token: int | None = None
    """How long such a token can be renewed at all."""
    cookie: int | None = None
    """What a web server gives in exchange for a Negotiate token."""
    key_roll: int | None = None
    """
    Between two keys for the tokens of Application Masters, nodes and containers. YARN wants more
    than three times the time after which a silent node or Application Master counts as lost, which
    is therefore set to ten seconds.
    """
    is_block_token_short: bool = False
    """Whether HDFS's tokens for blocks are good for a minute instead of ten hours."""


@dataclasses.dataclass(frozen=True)
class Security:
    """What a secure cluster is like."""

    web: Web = Web.KERBEROS
    is_https: bool = True
    """Every web server speaks TLS, with a certificate of an authority of the cluster's own."""
    rpc_protection: str = "authentication"
    """``hadoop.rpc.protection``: what the servers offer, separated by commas."""
    has_proxy_user_privileges: bool = False
    """Whether the ResourceManager may fetch new HDFS tokens where those of the submission end."""
    has_kms: bool = False
    """Whether a KMS keeps keys, so that there can be encryption zones."""
    lifetimes: Lifetimes = Lifetimes()


def service(name: str) -> str:
    """A daemon's principal, without its realm."""
    return f"{name}/localhost"


def core_properties(security: Security, keytabs: Path) -> Properties:
    """For ``core-site.xml``."""
    properties: dict[str, object] = {
        "hadoop.security.authentication": "kerberos",
        "hadoop.security.authorization": "true",
        "hadoop.rpc.protection": security.rpc_protection,
    }
    if security.web is not Web.DEFAULT:
        prefix = "hadoop.http.authentication"
        properties |= {
            "hadoop.http.filter.initializers": (
                "org.apache.hadoop.security.AuthenticationFilterInitializer"
            ),
            f"{prefix}.type": security.web.value,
            f"{prefix}.simple.anonymous.allowed": "false",
            f"{prefix}.kerberos.principal": f"HTTP/_HOST@{REALM}",
            f"{prefix}.kerberos.keytab": keytab_of(keytabs, "HTTP"),
        }
        if security.lifetimes.cookie is not None:
            properties[f"{prefix}.token.validity"] = security.lifetimes.cookie
    if security.has_proxy_user_privileges:
        properties |= {"hadoop.proxyuser.rm.hosts": "*", "hadoop.proxyuser.rm.users": "*"}
    return properties


def hdfs_properties(security: Security, keytabs: Path) -> Properties:
    """For ``hdfs-site.xml``."""
    properties: dict[str, object] = {
        "dfs.namenode.kerberos.principal": f"nn/_HOST@{REALM}",
        "dfs.namenode.keytab.file": keytab_of(keytabs, "nn"),
        "dfs.datanode.kerberos.principal": f"{service('dn')}@{REALM}",
        "dfs.datanode.keytab.file": keytab_of(keytabs, "dn"),
        "dfs.web.authentication.kerberos.principal": f"HTTP/_HOST@{REALM}",
        "dfs.web.authentication.kerberos.keytab": keytab_of(keytabs, "HTTP"),
        "dfs.block.access.token.enable": "true",
    }
    # A DataNode proves who it is by ports that only root can have, or by SASL, which it takes
    # together with TLS alone.
    if security.is_https:
        properties["dfs.http.policy"] = "HTTPS_ONLY"
        properties["dfs.data.transfer.protection"] = "authentication"
    else:
        properties["ignore.secure.ports.for.testing"] = "true"
    lifetimes, prefix = security.lifetimes, "dfs.namenode.delegation"
    if lifetimes.renewal is not None:
        properties[f"{prefix}.token.renew-interval"] = lifetimes.renewal * 1000
    if lifetimes.token is not None:
        properties[f"{prefix}.token.max-lifetime"] = lifetimes.token * 1000
    if lifetimes.is_block_token_short:
        properties["dfs.block.access.token.lifetime"] = 1  # minutes, as is the other
        properties["dfs.block.access.key.update.interval"] = 1
    return properties


def yarn_properties(security: Security, keytabs: Path) -> Properties:
    """For ``yarn-site.xml``."""
    rm, nm = "yarn.resourcemanager", "yarn.nodemanager"
    properties: dict[str, object] = {
        f"{rm}.principal": f"rm/_HOST@{REALM}",
        f"{rm}.keytab": keytab_of(keytabs, "rm"),
        # Where other daemons put the host they listen on, this one puts the machine's own name.
        f"{nm}.principal": f"{service('nm')}@{REALM}",
        f"{nm}.keytab": keytab_of(keytabs, "nm"),
        # Java looks for krb5.conf at /etc, and there it is on nodes; here containers are told.
        f"{nm}.env-whitelist": (
            "JAVA_HOME,HADOOP_COMMON_HOME,HADOOP_HDFS_HOME,HADOOP_CONF_DIR,HADOOP_YARN_HOME,"
            "HADOOP_HOME,PATH,LANG,TZ,KRB5_CONFIG,JAVA_TOOL_OPTIONS"
        ),
        "yarn.admin.acl": "rm,nm",
        f"{rm}.proxy-user-privileges.enabled": str(security.has_proxy_user_privileges).lower(),
    }
    for prefix in (rm, nm):
        properties[f"{prefix}.webapp.spnego-principal"] = f"HTTP/_HOST@{REALM}"
        properties[f"{prefix}.webapp.spnego-keytab-file"] = keytab_of(keytabs, "HTTP")
    if security.is_https:
        properties["yarn.http.policy"] = "HTTPS_ONLY"
    lifetimes = security.lifetimes
    if lifetimes.renewal is not None:
        properties[f"{rm}.delegation.token.renew-interval"] = lifetimes.renewal * 1000
    if lifetimes.token is not None:
        properties[f"{rm}.delegation.token.max-lifetime"] = lifetimes.token * 1000
    if lifetimes.key_roll is not None:
        properties["yarn.am.liveness-monitor.expiry-interval-ms"] = 10_000
        properties["yarn.nm.liveness-monitor.expiry-interval-ms"] = 10_000
        for kind in ("am-rm", "nm", "container"):
            properties[f"{rm}.{kind}-tokens.master-key-rolling-interval-secs"] = lifetimes.key_roll
    return properties


def keytab_of(keytabs: Path, name: str) -> Path:
    """Of one of ``SERVICES``."""
    return keytabs / f"{service(name).replace('/', '_')}.keytab"


def keytab_options(
    security: Security | None, user: str, keytab: Callable[[str], Path]
) -> Mapping[str, Any]:
    """What a client, and a submission, is given of who we are: nothing without Kerberos."""
    if security is None:
        return {}
    return {"keytab": keytab(user), "principal": f"{user}@{REALM}"}
