"""Hadoop's KMS, which keeps the keys of encryption zones: what makes a daemon of it."""

from __future__ import annotations

from pathlib import Path

from integration.clusters.configuration import Properties
from integration.clusters.security import REALM, Security, keytab_of, service

KMS = "kms"
"""The daemon's name."""
KMS_CLASS = "org.apache.hadoop.crypto.key.kms.server.KMSWebServer"

_ACTIONS = ("MANAGEMENT", "GENERATE_EEK", "DECRYPT_EEK", "READ")


def provider(security: Security, port: int) -> str:
    """What ``hadoop.security.key.provider.path`` says."""
    scheme = "https" if security.is_https else "http"
    return f"kms://{scheme}@localhost:{port}/kms"


def url(security: Security, port: int) -> str:
    """Of its web server, without a slash at its end."""
    scheme = "https" if security.is_https else "http"
    return f"{scheme}://localhost:{port}/kms"


def kms_properties(security: Security, home: Path, port: int, keytabs: Path) -> Properties:
    """For ``kms-site.xml``."""
    prefix = "hadoop.kms.authentication"
    properties: dict[str, object] = {
        "hadoop.kms.http.host": "localhost",
        "hadoop.kms.http.port": port,
        "hadoop.kms.ssl.enabled": str(security.is_https).lower(),
        "hadoop.kms.key.provider.uri": f"jceks://file{home / 'keys.jceks'}",
        f"{prefix}.type": "kerberos",
        f"{prefix}.kerberos.principal": f"{service('HTTP')}@{REALM}",
        f"{prefix}.kerberos.keytab": keytab_of(keytabs, "HTTP"),
        # For whom DataNodes write and read in an encryption zone, where that goes by WebHDFS.
        "hadoop.kms.proxyuser.dn.hosts": "*",
        "hadoop.kms.proxyuser.dn.users": "*",
    }
    if security.has_proxy_user_privileges:
        # Who fetches HDFS's new tokens is given the KMS's with them, or neither.
        properties |= {"hadoop.kms.proxyuser.rm.hosts": "*", "hadoop.kms.proxyuser.rm.users": "*"}
    lifetimes = security.lifetimes
    if lifetimes.renewal is not None:
        properties[f"{prefix}.delegation-token.renew-interval.sec"] = lifetimes.renewal
    if lifetimes.token is not None:
        properties[f"{prefix}.delegation-token.max-lifetime.sec"] = lifetimes.token
    return properties


def acl_properties() -> Properties:
    """For ``kms-acls.xml``: whoever has a name may do everything; without it nobody may."""
    return {f"default.key.acl.{action}": "*" for action in _ACTIONS}
