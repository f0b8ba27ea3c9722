"""
Hadoop's configuration files, as the clusters here need them.

The clusters run with Hadoop's own defaults, for that is what users have: virtual memory is
checked, for one. This file is the one place that sets anything else, each with its reason; a
cluster itself adds only where its daemons listen, keep their files and find each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

Properties = Mapping[str, object]

LOG4J = """\
log4j.rootLogger=INFO,stderr
log4j.appender.stderr=org.apache.log4j.ConsoleAppender
log4j.appender.stderr.target=System.err
log4j.appender.stderr.layout=org.apache.log4j.PatternLayout
log4j.appender.stderr.layout.ConversionPattern=%d{ISO8601} %-5p %c{1}: %m%n
log4j.logger.SecurityLogger=WARN
log4j.logger.org.apache.hadoop.hdfs.StateChange=WARN
log4j.logger.BlockStateChange=WARN
log4j.logger.http.requests=WARN
"""

HDFS: Properties = {
    # A machine with a full disk is still good enough.
    "dfs.namenode.resource.du.reserved": 0,
}

YARN: Properties = {
    # Many containers fit on one machine, and the smallest are the hard case for what a program
    # needs beside its heap: the limit of virtual memory is 2.1 times the container's size.
    "yarn.scheduler.minimum-allocation-mb": 64,
    # Off by default, and on wherever anybody wants to see logs.
    "yarn.log-aggregation-enable": "true",
    # With Hadoop's default, 3.3 and later leave memory to cgroups alone, which need root and the
    # LinuxContainerExecutor; without them nothing is checked, whatever else is set. So the checks
    # of physical and virtual memory, both on by default, would never act.
    "yarn.nodemanager.resource.memory.enforced": "false",
    # Again: a machine with a full disk is still good enough.
    "yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage": 100,
    "yarn.nodemanager.disk-health-checker.min-free-space-per-disk-mb": 0,
    # By default every application has the same.
    "yarn.cluster.max-application-priority": 10,
    # Lost nodes are noticed in ten to fifteen seconds instead of ten minutes.
    "yarn.nm.liveness-monitor.expiry-interval-ms": 10_000,
    # As on clusters that several teams share. By default everybody may see and do everything.
    "yarn.acl.enable": "true",
}

# What a cluster needs to know of the second format of aggregated logs; the first named is written.
IFILE: Properties = {
    "yarn.log-aggregation.file-formats": "IFile,TFile",
    "yarn.log-aggregation.file-controller.IFile.class": (
        "org.apache.hadoop.yarn.logaggregation.filecontroller.ifile"
        ".LogAggregationIndexedFileController"
    ),
}

# What Hadoop's own capacity-scheduler.xml says, but for the queues and the share of applications.
CAPACITY_SCHEDULER: Properties = {
    "yarn.scheduler.capacity.maximum-applications": 10000,
    # Several Application Masters fit side by side; by default a tenth of a queue is for them.
    "yarn.scheduler.capacity.maximum-am-resource-percent": 0.8,
    "yarn.scheduler.capacity.resource-calculator": (
        "org.apache.hadoop.yarn.util.resource.DefaultResourceCalculator"
    ),
    "yarn.scheduler.capacity.node-locality-delay": 40,
    "yarn.scheduler.capacity.rack-locality-additional-delay": -1,
    # Two more queues than by default: a small one, and one that is closed.
    "yarn.scheduler.capacity.root.queues": "default,small,stopped",
    "yarn.scheduler.capacity.root.default.capacity": 90,
    "yarn.scheduler.capacity.root.default.maximum-capacity": 100,
    # One user may take all there is, as with the one queue of the default.
    "yarn.scheduler.capacity.root.default.user-limit-factor": 2,
    "yarn.scheduler.capacity.root.default.state": "RUNNING",
    # No more than a tenth of the cluster, and no large containers.
    "yarn.scheduler.capacity.root.small.capacity": 10,
    "yarn.scheduler.capacity.root.small.maximum-capacity": 10,
    "yarn.scheduler.capacity.root.small.maximum-allocation-mb": 1024,
    "yarn.scheduler.capacity.root.small.maximum-allocation-vcores": 4,
    "yarn.scheduler.capacity.root.stopped.capacity": 0,
    "yarn.scheduler.capacity.root.stopped.maximum-capacity": 10,
    "yarn.scheduler.capacity.root.stopped.state": "STOPPED",
}

# What clusters for several teams have, on the dockerized one: a partition, and preemption.
LABEL = "special"
"""A node label that there is, and that no node has until a test gives it to one."""

PARTITIONS: Properties = {
    "yarn.node-labels.enabled": "true",
    "yarn.node-labels.fs-store.root-dir": "file:///var/lib/hadoop/yarn/labels",
}
PARTITIONED_QUEUES: Properties = {
    "yarn.scheduler.capacity.root.accessible-node-labels": LABEL,
    f"yarn.scheduler.capacity.root.accessible-node-labels.{LABEL}.capacity": 100,
    "yarn.scheduler.capacity.root.default.accessible-node-labels": LABEL,
    f"yarn.scheduler.capacity.root.default.accessible-node-labels.{LABEL}.capacity": 100,
    # Only the one queue has it.
    "yarn.scheduler.capacity.root.small.accessible-node-labels": " ",
    "yarn.scheduler.capacity.root.stopped.accessible-node-labels": " ",
}
PREEMPTION: Properties = {
    "yarn.resourcemanager.scheduler.monitor.enable": "true",
    # What a queue is owed, it gets within seconds instead of a minute.
    "yarn.resourcemanager.monitor.capacity.preemption.monitoring_interval": 1_000,
    "yarn.resourcemanager.monitor.capacity.preemption.max_wait_before_kill": 1_000,
    "yarn.resourcemanager.monitor.capacity.preemption.total_preemption_per_round": 1.0,
    "yarn.resourcemanager.monitor.capacity.preemption.natural_termination_factor": 1.0,
    # To the last container; by default a queue may keep a tenth of what is its own beyond that.
    "yarn.resourcemanager.monitor.capacity.preemption.max_ignored_over_capacity": 0.0,
}


def write_configuration(
    directory: Path,
    *,
    core: Properties,
    hdfs: Properties,
    yarn: Properties,
    others: Mapping[str, Properties] | None = None,
) -> None:
    """
    Write a directory that Hadoop's daemons and clients take as ``HADOOP_CONF_DIR``.

    ``others`` are files by their names without ``.xml``, such as ``capacity-scheduler``.
    """
    directory.mkdir(parents=True, exist_ok=True)
    files = {"core-site": core, "hdfs-site": hdfs, "yarn-site": yarn, **(others or {})}
    for name, properties in files.items():
        (directory / f"{name}.xml").write_text(_xml(properties), encoding="utf-8")
    (directory / "log4j.properties").write_text(LOG4J, encoding="utf-8")


def _xml(properties: Properties) -> str:
    lines = (
        f"  <property><name>{escape(name)}</name><value>{escape(str(value))}</value></property>\n"
        for name, value in properties.items()
    )
    return f'<?xml version="1.0"?>\n<configuration>\n{"".join(lines)}</configuration>\n'
