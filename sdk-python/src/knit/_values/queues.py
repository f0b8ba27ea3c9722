"""What YARN says of a queue."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import attrs

from knit._values.amounts import ResourceAmount


class QueueState(enum.Enum):
    """Whether a queue takes applications."""

    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    """It takes no new applications."""
    DRAINING = "DRAINING"
    """It takes no new ones, and is STOPPED when those that it has have ended."""
    UNKNOWN = "UNKNOWN"
    """A state that this version of knit does not know."""

    @classmethod
    def _missing_(cls, value: object) -> QueueState:
        return cls.UNKNOWN


class SchedulerType(enum.Enum):
    """Which of YARN's schedulers a cluster has."""

    CAPACITY = "capacity"
    FAIR = "fair"
    FIFO = "fifo"


@attrs.frozen(kw_only=True)
class QueuePartition:
    """What a queue has of the nodes with one label. What is not told is None."""

    label: str
    """The node label; empty for the default partition, the nodes without one."""
    absolute_capacity: float | None = None
    """What it is promised, as a share of those nodes."""
    absolute_max_capacity: float | None = None
    """What it may take, as a share of those nodes."""
    absolute_used_capacity: float | None = None
    """What it uses, as a share of those nodes."""
    used: ResourceAmount | None = None
    """What its containers on those nodes were granted. None for queues that hold others."""
    max_resources: ResourceAmount | None = None
    """What it may take, as many nodes as there are now. None before Hadoop 3."""
    am_limit: ResourceAmount | None = None
    """What all Application Masters there may have. None for queues that hold others."""


@attrs.frozen(kw_only=True)
class QueueReport:
    """
    A snapshot of a queue, from the ResourceManager.

    What the cluster's scheduler, or its version, does not tell is None. Shares are between 0 and
    1, and of the default partition, the nodes without a label.
    """

    path: str
    """From the root: `root.a.b`."""
    scheduler: SchedulerType = SchedulerType.CAPACITY
    """Which scheduler it is of, and so what can be told of it."""
    is_leaf: bool = True
    """Whether applications can be submitted to it; others only hold queues."""
    state: QueueState = QueueState.RUNNING
    """Whether it takes applications. The Fair scheduler has no others than RUNNING."""
    children: tuple[str, ...] = ()
    """The paths of the queues directly below it."""

    capacity: float | None = None
    """What it is promised, as a share of its parent. None for the Fair scheduler."""
    max_capacity: float | None = None
    """What it may take where others leave it, as a share of its parent. None for Fair."""
    used_capacity: float | None = None
    """What it uses of what it is promised; above 1 where others leave it more. None for Fair."""
    absolute_capacity: float | None = None
    """What it is promised, as a share of the cluster; for Fair what it is due now, by memory."""
    absolute_max_capacity: float | None = None
    """What it may take, as a share of the cluster; for Fair by memory."""
    absolute_used_capacity: float | None = None
    """What it uses, as a share of the cluster; for Fair by memory."""
    weight: float | None = None
    """Its weight beside its siblings, where the Capacity scheduler goes by weights."""

    used: ResourceAmount | None = None
    """What its containers were granted. None for FIFO."""
    min_resources: ResourceAmount | None = None
    """What it is promised, as large as the cluster is now. None for FIFO and before Hadoop 3."""
    max_resources: ResourceAmount | None = None
    """What it may take, as large as the cluster is now. None for FIFO and before Hadoop 3."""
    max_container: ResourceAmount | None = None
    """The most that one container of it may have. None where it is not told."""
    fair_share: ResourceAmount | None = None
    """What it is due now, among the queues that have anything to do. Fair only."""

    user_limit: float | None = None
    """
    The share of it that each of its users is left at least, once they are many. Capacity only.
    """
    user_limit_factor: float | None = None
    """How many times what it is promised one user may take; -1 for no limit. Capacity only."""
    am_limit: ResourceAmount | None = None
    """
    What all Application Masters in it may have together.

    An application beyond that waits in ACCEPTED. None for FIFO and for queues that hold others.
    """
    am_used: ResourceAmount | None = None
    """What they have. None likewise."""

    node_labels: tuple[str, ...] | None = None
    """The node labels it may use, sorted; `*` for all. None for Fair and FIFO."""
    partitions: tuple[QueuePartition, ...] = ()
    """The same by node label, the default partition first. Capacity only."""
    default_node_label: str | None = None
    """The label that applications get which ask for none. None: the default partition."""

    running_applications: int | None = None
    """How many applications in it run, or may: beyond the AM limit they do not. None for FIFO."""
    pending_applications: int | None = None
    """How many wait to be let in, by the AM limit or that of applications. None for FIFO."""
    max_applications: int | None = None
    """How many it takes, pending ones included; for Fair, how many run at a time."""
    containers: int | None = None
    """How many containers it holds. None where it is not told."""
    pending_containers: int | None = None
    """How many containers its applications wait for. None where it is not told."""

    default_priority: int | None = None
    """The priority of applications that are given none. Capacity only."""
    default_lifetime: timedelta | None = None
    """After how long YARN ends applications that name no lifetime. None: it does not."""
    max_lifetime: timedelta | None = None
    """After how long YARN ends them whatever they name. None: it does not."""
    makes_queues: bool = False
    """Whether the scheduler makes queues below it for applications that ask for them."""
    raw: Mapping[str, Any] = attrs.field(factory=dict, repr=False, eq=False)
    """All that the ResourceManager sent but for the queues below; names differ between versions."""

    @property
    def name(self) -> str:
        """The last part of the path. Not unique in every cluster."""
        return self.path.rpartition(".")[2]

    @property
    def parent(self) -> str | None:
        """The path of the queue above it; None for the root."""
        return self.path.rpartition(".")[0] or None

    @property
    def is_open(self) -> bool:
        """Whether applications can be submitted to it now."""
        return self.is_leaf and self.state is QueueState.RUNNING

    def is_called(self, name: str) -> bool:
        """Whether a user means this one: by its path, with or without `root.`, or its last part."""
        return name in (self.path, self.name) or f"root.{name}" == self.path
