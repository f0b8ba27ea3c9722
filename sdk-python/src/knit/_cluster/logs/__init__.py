"""
The logs that YARN collects from the nodes when an application has ended, read over WebHDFS.

Nothing of Hadoop is needed for it. Of a node's file only what is asked for is read, and nothing
is held in memory but what is being handed on.
"""

from knit._cluster.logs.archive import LogArchive
from knit._cluster.logs.completeness import wait_until_settled
from knit._cluster.logs.container_logs import AggregatedLogs, ContainerLogs

__all__ = ["AggregatedLogs", "ContainerLogs", "LogArchive", "wait_until_settled"]
