"""What Kerberos adds to the dockerized cluster: principals, and who may what."""

from __future__ import annotations

from collections.abc import Mapping

from integration.clusters.configuration import Properties

DOMAIN = "knit.test"
REALM = "KNIT.TEST"
CORPORATE_REALM = "CORP.TEST"
"""Where people are, and no daemon is. ``REALM`` trusts it, and not the other way."""
RULES = r"""
RULE:[1:$1@$0](b\.builder@CORP\.TEST)s/.*/bob/
RULE:[1:$1@$0](.*@CORP\.TEST)s/@.*//
DEFAULT
"""
"""For principals of one part; ``etl/batch@CORP.TEST`` is nobody to the cluster."""
KEYTABS = "/etc/security/keytabs"
USERS = ("alice", "bob")
"""With a home in HDFS and a keytab; the first may act for the second. carol has neither."""
SUPERUSER = "hdfs-admin"
"""Of HDFS, for the suite; the NameNode itself is ``nn``."""


def host(service: str) -> str:
    """The whole name of the host that a service runs on."""
    return f"knit-{service}.{DOMAIN}"


def secure(core: Properties, hdfs: Properties, yarn: Properties) -> Mapping[str, Properties]:
    """The properties of core-site, hdfs-site and yarn-site, from those of the plain cluster."""
    return {
        "core": {
            **core,
            "fs.defaultFS": f"hdfs://{host('namenode')}:8020",
            "hadoop.security.authentication": "kerberos",
            "hadoop.security.authorization": "true",
            # Clients take the first, and those that ship a keytab the second.
            "hadoop.rpc.protection": "authentication,privacy",
            "hadoop.security.auth_to_local": RULES,
            # Web servers, too, ask for a ticket.
            "hadoop.http.filter.initializers": (
                "org.apache.hadoop.security.AuthenticationFilterInitializer"
            ),
            "hadoop.http.authentication.type": "kerberos",
            "hadoop.http.authentication.simple.anonymous.allowed": "false",
            # One configuration for every host: each finds its own keytab under its own name.
            "hadoop.http.authentication.kerberos.principal": f"HTTP/_HOST@{REALM}",
            "hadoop.http.authentication.kerberos.keytab": f"{KEYTABS}/${{env.KNIT_ROLE}}.keytab",
            # alice may act for bob, and for nobody else.
            "hadoop.proxyuser.alice.hosts": "*",
            "hadoop.proxyuser.alice.users": "bob",
            "hadoop.proxyuser.rm.hosts": "*",
            "hadoop.proxyuser.rm.users": "*",
        },
        "hdfs": {
            **hdfs,
            "dfs.namenode.kerberos.principal": f"nn/_HOST@{REALM}",
            "dfs.namenode.keytab.file": f"{KEYTABS}/namenode.keytab",
            "dfs.datanode.kerberos.principal": f"dn/_HOST@{REALM}",
            "dfs.datanode.keytab.file": f"{KEYTABS}/datanode.keytab",
            "dfs.datanode.hostname": host("datanode"),
            "dfs.web.authentication.kerberos.principal": f"HTTP/_HOST@{REALM}",
            "dfs.web.authentication.kerberos.keytab": f"{KEYTABS}/${{env.KNIT_ROLE}}.keytab",
            "dfs.block.access.token.enable": "true",
            # Real ones listen on ports below 1024, as root, or speak https: the embedded secure
            # cluster does that.
            "ignore.secure.ports.for.testing": "true",
            "dfs.permissions.superusergroup": SUPERUSER,
        },
        "yarn": {
            **yarn,
            "yarn.resourcemanager.hostname": host("resourcemanager"),
            "yarn.resourcemanager.principal": f"rm/_HOST@{REALM}",
            "yarn.resourcemanager.keytab": f"{KEYTABS}/resourcemanager.keytab",
            "yarn.nodemanager.principal": f"nm/_HOST@{REALM}",
            "yarn.nodemanager.keytab": f"{KEYTABS}/${{env.KNIT_ROLE}}.keytab",
            "yarn.resourcemanager.webapp.spnego-principal": f"HTTP/_HOST@{REALM}",
            "yarn.resourcemanager.webapp.spnego-keytab-file": f"{KEYTABS}/resourcemanager.keytab",
            "yarn.nodemanager.webapp.spnego-principal": f"HTTP/_HOST@{REALM}",
            "yarn.nodemanager.webapp.spnego-keytab-file": f"{KEYTABS}/${{env.KNIT_ROLE}}.keytab",
            "yarn.acl.enable": "true",
            "yarn.admin.acl": "rm,nm",
        },
    }
