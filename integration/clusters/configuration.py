"""Hadoop's configuration files, as the clusters here need them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

Properties = Mapping[str, object]

NODE_MEMORY_MIB = 8192
NODE_VCORES = 16

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
    # One copy of each block, however many DataNodes there are: the clusters here are thrown away.
    "dfs.replication": 1,
    "dfs.permissions.enabled": "true",
    "dfs.namenode.safemode.extension": 0,
    "dfs.namenode.edits.noeditlogchannelflush": "true",
    # A machine with a full disk is still good enough.
    "dfs.namenode.resource.du.reserved": 0,
    "dfs.datanode.du.reserved": 0,
}

YARN: Properties = {
    "yarn.scheduler.minimum-allocation-mb": 64,
    "yarn.log-aggregation-enable": "true",
    # Memory is really limited, and soon noticed; virtual memory says nothing.
    "yarn.nodemanager.pmem-check-enabled": "true",
    # Else Hadoop 3.3 and later leave it to cgroups, which are not there.
    "yarn.nodemanager.resource.memory.enforced": "false",
    "yarn.nodemanager.vmem-check-enabled": "false",
    "yarn.nodemanager.container-monitor.interval-ms": 1000,
    "yarn.nodemanager.resource.cpu-vcores": NODE_VCORES,
    "yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage": 100,
    "yarn.nodemanager.disk-health-checker.min-free-space-per-disk-mb": 0,
    # Lost nodes are noticed in ten to fifteen seconds instead of ten minutes.
    "yarn.nm.liveness-monitor.expiry-interval-ms": 10_000,
    # Also how long the ResourceManager suffers an Application Master that has reported its end and
    # still answers its clients, which knit's do for five minutes at most.
    "yarn.am.liveness-monitor.expiry-interval-ms": 330_000,
}

# What a cluster needs to know of the second format of aggregated logs; the first named is written.
IFILE: Properties = {
    "yarn.log-aggregation.file-formats": "IFile,TFile",
    "yarn.log-aggregation.file-controller.IFile.class": (
        "org.apache.hadoop.yarn.logaggregation.filecontroller.ifile"
        ".LogAggregationIndexedFileController"
    ),
}

# What Hadoop's own capacity-scheduler.xml says, but for the shares of the queues.
CAPACITY_SCHEDULER: Properties = {
    "yarn.scheduler.capacity.maximum-applications": 10000,
    # Several applications, and so several Application Masters, fit side by side.
    "yarn.scheduler.capacity.maximum-am-resource-percent": 0.8,
    "yarn.scheduler.capacity.resource-calculator": (
        "org.apache.hadoop.yarn.util.resource.DefaultResourceCalculator"
    ),
    "yarn.scheduler.capacity.node-locality-delay": 40,
    "yarn.scheduler.capacity.rack-locality-additional-delay": -1,
    "yarn.scheduler.capacity.root.queues": "default,small,stopped",
    "yarn.scheduler.capacity.root.default.capacity": 90,
    "yarn.scheduler.capacity.root.default.maximum-capacity": 100,
    # One user may take all there is.
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


def write_configuration(
    directory: Path,
    *,
    core: Properties,
    hdfs: Properties,
    yarn: Properties,
    capacity_scheduler: Properties | None = None,
) -> None:
    """Write a directory that Hadoop's daemons and clients take as ``HADOOP_CONF_DIR``."""
    directory.mkdir(parents=True, exist_ok=True)
    files = {"core-site": core, "hdfs-site": hdfs, "yarn-site": yarn}
    if capacity_scheduler is not None:
        files["capacity-scheduler"] = capacity_scheduler
    for name, properties in files.items():
        (directory / f"{name}.xml").write_text(_xml(properties), encoding="utf-8")
    (directory / "log4j.properties").write_text(LOG4J, encoding="utf-8")


def _xml(properties: Properties) -> str:
    lines = (
        f"  <property><name>{escape(name)}</name><value>{escape(str(value))}</value></property>\n"
        for name, value in properties.items()
    )
    return f'<?xml version="1.0"?>\n<configuration>\n{"".join(lines)}</configuration>\n'
