"""Queues, as each of YARN's schedulers lists them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from knit._cluster.yarn.json import int_in, object_in, objects_in


@attrs.frozen(kw_only=True)
class Queue:
    """A queue of the scheduler."""

    path: str
    """From the root: `root.a.b`."""
    is_leaf: bool
    """Whether applications can be submitted to it; others only hold queues."""
    state: str = "RUNNING"
    """RUNNING, STOPPED or DRAINING."""
    maximum_mib: int | None = None
    """The most that one container of this queue may have, where it says so."""
    maximum_vcores: int | None = None
    capacity_mib: int | None = None
    """The most that all containers of it may have together now, where it says so."""
    capacity_vcores: int | None = None
    makes_others: bool = False
    """Whether the scheduler makes queues below it for applications that ask for them."""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]

    def is_called(self, name: str) -> bool:
        """Whether a user means this one, by its path or by its last part."""
        return name in (self.path, self.name) or f"root.{name}" == self.path


def capacity_queues(queue: Mapping[str, Any], path: str) -> Iterable[Queue]:
    children = objects_in(object_in(queue, "queues"), "queue")
    is_leaf = queue.get("type") == "capacitySchedulerLeafQueueInfo" or (
        not children and path != "root"
    )
    maximum = object_in(queue, "maximumAllocation")
    capacity = object_in(queue, "maxEffectiveCapacity") or next(
        (
            object_in(partition, "effectiveMaxResource")
            for partition in objects_in(
                object_in(queue, "capacities"), "queueCapacitiesByPartition"
            )
            if not partition.get("partitionName")
        ),
        {},
    )
    yield Queue(
        path=str(queue.get("queuePath") or path),
        is_leaf=is_leaf,
        state=str(queue.get("state") or "RUNNING"),
        maximum_mib=int_in(maximum, "memory") or None,
        maximum_vcores=int_in(maximum, "vCores") or None,
        capacity_mib=int_in(capacity, "memory") or None,
        capacity_vcores=int_in(capacity, "vCores") or None,
        makes_others=str(queue.get("autoCreationEligibility") or "off") != "off",
    )
    for child in children:
        yield from capacity_queues(child, f"{path}.{child.get('queueName', '')}")


def fair_queues(queue: Mapping[str, Any]) -> Iterable[Queue]:
    children: Any = queue.get("childQueues") or {}
    if isinstance(children, Mapping):
        children = children.get("queue") or []
    if isinstance(children, Mapping):
        children = [children]
    maximum = object_in(queue, "maxContainerAllocation")
    capacity = object_in(queue, "maxResources")
    yield Queue(
        path=str(queue.get("queueName", "root")),
        is_leaf=queue.get("type") == "fairSchedulerLeafQueueInfo",
        maximum_mib=int_in(maximum, "memory") or None,
        maximum_vcores=int_in(maximum, "vCores") or None,
        capacity_mib=int_in(capacity, "memory") or None,
        capacity_vcores=int_in(capacity, "vCores") or None,
        # By its placement rules, and by default for whatever is asked for.
        makes_others=True,
    )
    for child in children:
        yield from fair_queues(child)
