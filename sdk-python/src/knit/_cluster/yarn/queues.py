"""Queues, as each of YARN's schedulers lists them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from knit._cluster.yarn.json import (
    amount_in,
    int_in,
    number_in,
    object_in,
    objects_in,
    share_in,
    texts_in,
    told_int,
)
from knit._values.amounts import ResourceAmount
from knit._values.queues import QueuePartition, QueueReport, QueueState, SchedulerType

_NO_LIMIT = 2**31 - 1
"""What YARN writes where a number of applications has no limit."""
_LONGEST_SECONDS = 10**10
"""Three hundred years: no limit either."""


def queues_of(scheduler: Mapping[str, Any]) -> list[QueueReport]:
    """All queues of a scheduler, parents before their children; none of one that is not known."""
    if "rootQueue" in scheduler:
        return list(_fair_queues(object_in(scheduler, "rootQueue")))
    kind = str(scheduler.get("type", ""))
    if kind.startswith("capacityScheduler"):
        return list(_capacity_queues(scheduler, "root"))
    # Others than Hadoop's own are taken for FIFO, which has one queue, called default.
    return [_fifo_queue(scheduler)] if scheduler else []


def _capacity_queues(queue: Mapping[str, Any], path: str) -> Iterator[QueueReport]:
    path = str(queue.get("queuePath") or path)
    children = objects_in(object_in(queue, "queues"), "queue")
    below = [
        list(_capacity_queues(child, f"{path}.{child.get('queueName', '')}")) for child in children
    ]
    is_leaf = queue.get("type") == "capacitySchedulerLeafQueueInfo" or (
        not children and path != "root"
    )
    # Of the root, shares of the cluster stand here alone.
    capacities = objects_in(object_in(queue, "capacities"), "queueCapacitiesByPartition")
    partition: dict[str, Any] = next((c for c in capacities if not c.get("partitionName")), {})
    shares = {**partition, **queue}
    used = amount_in(queue, "resourcesUsed")
    if used is None and below:
        # The root does not tell; all that is used is used in some queue below it.
        known = [reports[0].used for reports in below]
        used = sum((part for part in known if part), start=ResourceAmount())
    weight = number_in(queue, "weight")
    yield QueueReport(
        path=path,
        scheduler=SchedulerType.CAPACITY,
        is_leaf=is_leaf,
        # The root of a cluster has none in some versions, and is never closed by itself.
        state=QueueState(queue.get("state") or "RUNNING"),
        children=tuple(reports[0].path for reports in below),
        capacity=share_in(shares, "capacity"),
        max_capacity=share_in(shares, "maxCapacity"),
        used_capacity=share_in(shares, "usedCapacity"),
        absolute_capacity=share_in(shares, "absoluteCapacity"),
        absolute_max_capacity=share_in(shares, "absoluteMaxCapacity"),
        absolute_used_capacity=share_in(shares, "absoluteUsedCapacity"),
        weight=weight if weight is not None and weight >= 0 else None,
        used=used,
        min_resources=amount_in(queue, "minEffectiveCapacity")
        or amount_in(partition, "effectiveMinResource"),
        max_resources=amount_in(queue, "maxEffectiveCapacity")
        or amount_in(partition, "effectiveMaxResource"),
        max_container=amount_in(queue, "maximumAllocation"),
        user_limit=share_in(queue, "userLimit"),
        user_limit_factor=number_in(queue, "userLimitFactor"),
        am_limit=amount_in(queue, "AMResourceLimit"),
        am_used=amount_in(queue, "usedAMResource"),
        # In these labels is also the default partition, as an empty name.
        node_labels=tuple(sorted(texts_in(queue, "nodeLabels")))
        if is_leaf or "nodeLabels" in queue
        else None,
        partitions=tuple(_partitions(queue, capacities)),
        default_node_label=str(queue.get("defaultNodeLabelExpression") or "").strip() or None,
        running_applications=_applications(
            queue, "numActiveApplications", below, "running_applications"
        ),
        pending_applications=_applications(
            queue, "numPendingApplications", below, "pending_applications"
        ),
        max_applications=told_int(queue, "maxApplications"),
        containers=_containers(queue, "allocatedContainers", "numContainers"),
        pending_containers=told_int(queue, "pendingContainers"),
        default_priority=told_int(queue, "defaultPriority"),
        default_lifetime=_lifetime(queue, "defaultApplicationLifetime"),
        max_lifetime=_lifetime(queue, "maxApplicationLifetime"),
        makes_queues=str(queue.get("autoCreationEligibility") or "off") != "off"
        or queue.get("autoCreateChildQueueEnabled") is True,
        raw={name: value for name, value in queue.items() if name != "queues"},
    )
    for reports in below:
        yield from reports


def _partitions(
    queue: Mapping[str, Any], capacities: Iterable[Mapping[str, Any]]
) -> Iterator[QueuePartition]:
    usages: dict[str, Mapping[str, Any]] = {
        str(usage.get("partitionName") or ""): usage
        for usage in objects_in(object_in(queue, "resources"), "resourceUsagesByPartition")
    }
    by_label = {str(found.get("partitionName") or ""): found for found in capacities}
    for label, found in sorted(by_label.items()):
        usage = usages.get(label, {})
        yield QueuePartition(
            label=label,
            absolute_capacity=share_in(found, "absoluteCapacity"),
            absolute_max_capacity=share_in(found, "absoluteMaxCapacity"),
            absolute_used_capacity=share_in(found, "absoluteUsedCapacity"),
            used=amount_in(usage, "used"),
            max_resources=amount_in(found, "effectiveMaxResource"),
            am_limit=amount_in(usage, "amLimit"),
        )


def _applications(
    queue: Mapping[str, Any], told_as: str, below: list[list[QueueReport]], field: str
) -> int | None:
    """How many applications; of a queue that holds others, where only leaves tell, their sum."""
    told = told_int(queue, told_as)
    if told is not None or not below:
        return told
    return sum(getattr(reports[0], field) or 0 for reports in below)


def _containers(queue: Mapping[str, Any], *names: str) -> int | None:
    return next(
        (told for told in (told_int(queue, name) for name in names) if told is not None), None
    )


def _lifetime(queue: Mapping[str, Any], name: str) -> timedelta | None:
    seconds = int_in(queue, name)
    return timedelta(seconds=seconds) if 0 < seconds <= _LONGEST_SECONDS else None


def _fair_queues(queue: Mapping[str, Any]) -> Iterator[QueueReport]:
    children: Any = queue.get("childQueues") or {}
    # Hadoop 2 lists them without the wrapping of later versions.
    found = objects_in(children if isinstance(children, Mapping) else {"queue": children}, "queue")
    below = [list(_fair_queues(child)) for child in found]
    cluster = amount_in(queue, "clusterResources")
    steady = amount_in(queue, "steadyFairResources") or amount_in(queue, "fairResources")
    limit = amount_in(queue, "maxResources")
    used = amount_in(queue, "usedResources")
    # It is counted only while something runs, and nothing is no limit that anybody sets.
    am_limit = amount_in(queue, "amMaxResources")
    max_applications = told_int(queue, "maxApps")
    yield QueueReport(
        path=str(queue.get("queueName", "root")),
        scheduler=SchedulerType.FAIR,
        is_leaf=queue.get("type") == "fairSchedulerLeafQueueInfo",
        children=tuple(reports[0].path for reports in below),
        absolute_capacity=_memory_share(steady, cluster),
        absolute_max_capacity=_memory_share(limit, cluster),
        absolute_used_capacity=_memory_share(used, cluster),
        used=used,
        min_resources=amount_in(queue, "minResources"),
        max_resources=limit,
        max_container=amount_in(queue, "maxContainerAllocation"),
        fair_share=amount_in(queue, "fairResources"),
        am_limit=am_limit if am_limit is not None and am_limit.memory_mib else None,
        am_used=amount_in(queue, "amUsedResources"),
        running_applications=_applications(queue, "numActiveApps", below, "running_applications"),
        pending_applications=_applications(queue, "numPendingApps", below, "pending_applications"),
        max_applications=None if max_applications == _NO_LIMIT else max_applications,
        containers=told_int(queue, "allocatedContainers"),
        pending_containers=told_int(queue, "pendingContainers"),
        # By its placement rules, and by default for whatever is asked for.
        makes_queues=True,
        raw={name: value for name, value in queue.items() if name != "childQueues"},
    )
    for reports in below:
        yield from reports


def _memory_share(part: ResourceAmount | None, cluster: ResourceAmount | None) -> float | None:
    if part is None or cluster is None or not cluster.memory_mib:
        return None
    return part.memory_mib / cluster.memory_mib


def _fifo_queue(scheduler: Mapping[str, Any]) -> QueueReport:
    return QueueReport(
        path="root.default",
        scheduler=SchedulerType.FIFO,
        state=QueueState(scheduler.get("qstate") or "RUNNING"),
        # FIFO writes parts of 1 where the others write percent.
        capacity=number_in(scheduler, "capacity"),
        used_capacity=number_in(scheduler, "usedCapacity"),
        absolute_capacity=number_in(scheduler, "capacity"),
        absolute_used_capacity=number_in(scheduler, "usedCapacity"),
        containers=told_int(scheduler, "numContainers"),
        raw=dict(scheduler),
    )
