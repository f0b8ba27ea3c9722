"""
Clusters to run against: embedded, docker, external.

Each starts, waits until it is of use, stops, and says its ``HADOOP_CONF_DIR``. Nothing here needs
knit or anything else that is not in Python's standard library.
"""

from integration.clusters.cluster import Cluster, Node, NodeState

__all__ = ["Cluster", "Node", "NodeState"]
