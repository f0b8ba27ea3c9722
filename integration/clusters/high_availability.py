"""What two of a daemon need to be one service: properties, and who is active."""

from __future__ import annotations

from pathlib import Path

from integration.clusters.configuration import Properties
from integration.clusters.ports import Ports

NAME_SERVICE = "ns"
NAME_NODE_IDS = ("nn1", "nn2")
RM_IDS = ("rm1", "rm2")
ZOOKEEPER = "zookeeper"
"""The daemon's name."""
ZOOKEEPER_CLASS = "org.apache.zookeeper.server.ZooKeeperServerMain"
HDFS_ADMINISTRATION = "org.apache.hadoop.hdfs.tools.DFSHAAdmin"

_ZOOKEEPER_SECONDS = 4
"""After so long without a word an active ResourceManager counts as gone; ten by default."""


def core_properties(ports: Ports) -> Properties:
    """For ``core-site.xml``."""
    return {
        "hadoop.zk.address": ports.address(ZOOKEEPER),
        "hadoop.zk.timeout-ms": _ZOOKEEPER_SECONDS * 1000,
    }


def hdfs_properties(directory: Path) -> Properties:
    """For ``hdfs-site.xml``: two NameNodes that share their edits in a directory."""
    return {
        "dfs.nameservices": NAME_SERVICE,
        f"dfs.ha.namenodes.{NAME_SERVICE}": ",".join(NAME_NODE_IDS),
        f"dfs.client.failover.proxy.provider.{NAME_SERVICE}": (
            "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider"
        ),
        "dfs.namenode.shared.edits.dir": (directory / "shared-edits").as_uri(),
        # Who is active is said by hand, for two more daemons would only say the same. The one that
        # was is dead by then, and needs no fence.
        "dfs.ha.automatic-failover.enabled": "false",
        "dfs.ha.fencing.methods": "shell(/bin/true)",
        # The standby knows within a second or ten what the active one did, instead of in minutes.
        "dfs.ha.tail-edits.period": 1,
        "dfs.ha.log-roll.period": 10,
        # One that comes back does not wait for half a minute after the last block was reported.
        "dfs.namenode.safemode.extension": 0,
    }


def yarn_properties(ports: Ports) -> Properties:
    """For ``yarn-site.xml``: two ResourceManagers that settle by ZooKeeper who is active."""
    prefix = "yarn.resourcemanager"
    return {
        f"{prefix}.ha.enabled": "true",
        f"{prefix}.ha.rm-ids": ",".join(RM_IDS),
        f"{prefix}.cluster-id": "knit",
        f"{prefix}.recovery.enabled": "true",
        f"{prefix}.store.class": (
            "org.apache.hadoop.yarn.server.resourcemanager.recovery.ZKRMStateStore"
        ),
        # Hadoop 2's names for what core-site.xml says.
        f"{prefix}.zk-address": ports.address(ZOOKEEPER),
        f"{prefix}.zk-timeout-ms": _ZOOKEEPER_SECONDS * 1000,
        # One that takes over grants after two seconds instead of ten, and is found as soon.
        f"{prefix}.work-preserving-recovery.scheduling-wait-ms": 2_000,
        f"{prefix}.connect.retry-interval.ms": 500,
        "yarn.client.failover-sleep-base-ms": 100,
        "yarn.client.failover-sleep-max-ms": 500,
    }


def node_properties(ports: Ports, home: Path, name: str, *, is_https: bool) -> Properties:
    """For a NodeManager's ``yarn-site.xml``: it finds its containers again after it was away."""
    prefix = "yarn.nodemanager"
    web = "webapp.https" if is_https else "webapp"
    return {
        f"{prefix}.recovery.enabled": "true",
        f"{prefix}.recovery.supervised": "true",
        f"{prefix}.recovery.dir": home / "recovery",
        # It has to come back where it was.
        f"{prefix}.address": ports.address(f"{name}.rpc"),
        f"{prefix}.localizer.address": ports.address(f"{name}.localizer"),
        f"{prefix}.{web}.address": ports.address(f"{name}.web"),
    }
