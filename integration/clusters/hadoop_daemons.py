"""Hadoop's daemons as programs of Java's: what is started, with what, and in how much memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from integration.clusters.daemon_java import kerberos_flags
from integration.clusters.high_availability import ZOOKEEPER, ZOOKEEPER_CLASS
from integration.clusters.jars import kms_jars
from integration.clusters.java_classes import node_classes
from integration.clusters.kms import KMS, KMS_CLASS
from integration.clusters.site import DATA_NODE, NAME_NODE, NODE_MANAGER, RESOURCE_MANAGER, Site

MAIN_CLASSES = {
    NAME_NODE: "org.apache.hadoop.hdfs.server.namenode.NameNode",
    DATA_NODE: "org.apache.hadoop.hdfs.server.datanode.DataNode",
    RESOURCE_MANAGER: "org.apache.hadoop.yarn.server.resourcemanager.ResourceManager",
    NODE_MANAGER: "org.apache.hadoop.yarn.server.nodemanager.NodeManager",
    ZOOKEEPER: ZOOKEEPER_CLASS,
    KMS: KMS_CLASS,
}
_HEAPS = {
    NAME_NODE: "-Xmx128m",
    DATA_NODE: "-Xmx128m",
    RESOURCE_MANAGER: "-Xmx256m",
    NODE_MANAGER: "-Xmx192m",
    ZOOKEEPER: "-Xmx64m",
    KMS: "-Xmx96m",
}


@dataclasses.dataclass(frozen=True)
class Launch:
    """What Java is told beside the class."""

    class_path: Sequence[str]
    flags: Sequence[str]
    environment: Mapping[str, str]


def launch_of(kind: str, site: Site, java: Path, version: str, conf_dir: Path) -> Launch:
    """
    What a daemon of this kind is started with.

    Args:
        kind: one of ``MAIN_CLASSES``.
        site: whose daemon it is.
        java: the JDK.
        version: of Hadoop.
        conf_dir: what the daemon reads.

    Raises:
        ToolchainError: jars are missing, and not to be had.
    """
    # The daemons of HDFS want these in a directory, not in a jar.
    webapps = site.directory / "webapps"
    for webapp in ("hdfs", "datanode"):
        (webapps / "webapps" / webapp).mkdir(parents=True, exist_ok=True)
    class_path = [str(conf_dir), str(webapps), f"{site.jars}/*"]
    flags = [_HEAPS[kind]]
    environment: dict[str, str] = {}
    if kind == ZOOKEEPER:
        flags.append("-Dzookeeper.admin.enableServer=false")
    if kind == KMS:
        class_path.append(f"{kms_jars(version)}/*")
        flags += [f"-Dkms.config.dir={conf_dir}", "-Dlog4j.configuration=log4j.properties"]
    if site.security is not None:
        kdc = site.kdc
        of_kerberos = kerberos_flags(java, version)
        flags += [f"-Djava.security.krb5.conf={kdc.daemons_krb5_conf}", *of_kerberos]
        if kind == NODE_MANAGER:
            class_path.insert(0, str(node_classes(site.jars)))
            # For containers, which are not the daemon's, and know no flags of its.
            environment = {
                "KRB5_CONFIG": str(kdc.krb5_conf),
                "JAVA_TOOL_OPTIONS": " ".join(
                    [f"-Djava.security.krb5.conf={kdc.krb5_conf}", *of_kerberos]
                ),
            }
    return Launch(class_path, flags, environment)
