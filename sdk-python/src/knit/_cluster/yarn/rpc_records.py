"""
What the ResourceManager says by RPC, in the words of its REST API.

Applications and nodes become what REST would have sent, and are read as that: so there is one
reader for both, and `raw` has the same names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from knit._cluster.yarn import rpc_messages as rpc
from knit._cluster.yarn.applications import application_report
from knit._cluster.yarn.nodes import node_report
from knit._values.amounts import ResourceAmount
from knit._values.nodes import NodeReport
from knit._values.queues import QueuePartition, QueueReport, QueueState, SchedulerType
from knit._values.reports import ApplicationReport

_UNLIMITED = 2**63 - 1
_COUNTED_APART = ("memory-mb", "vcores")
_DEFAULT_PARTITION = "<DEFAULT_PARTITION>"
_EPOCH_BITS = 40
_SCHEDULERS = {"FairScheduler": SchedulerType.FAIR, "FifoScheduler": SchedulerType.FIFO}
_NO_LIMIT = 2**31 - 1


def application_id_of(message: Any) -> str:
    """YARN's identifier."""
    return f"application_{message.cluster_timestamp}_{message.id:04}"


def container_id_of(message: Any) -> str:
    """YARN's identifier; the number has the RM's epoch in its upper bits."""
    attempt = message.attempt_id
    application = attempt.application_id
    epoch, number = message.id >> _EPOCH_BITS, message.id & (1 << _EPOCH_BITS) - 1
    prefix = f"container_e{epoch:02}" if epoch else "container"
    return (
        f"{prefix}_{application.cluster_timestamp}_{application.id:04}_{attempt.id:02}_{number:06}"
    )


def application(message: Any) -> ApplicationReport:
    """The report that a message is. Attempts are told by number here, and by a URL in REST."""
    report = application_report(_application(message))
    number = message.attempt_id.id if message.HasField("attempt_id") else None
    return attrs.evolve(report, attempt_number=number if number and number > 0 else None)


def _application(message: Any) -> dict[str, Any]:
    usage = message.usage
    return {
        "id": application_id_of(message.application_id),
        "user": message.user,
        "name": message.name,
        "queue": message.queue,
        "applicationType": message.type,
        "applicationTags": ",".join(message.tags),
        "state": rpc.name_of(message.state, rpc.APPLICATION_STATES),
        "finalStatus": _final_status(message.final_status),
        "progress": message.progress * 100,
        "diagnostics": message.diagnostics,
        "startedTime": message.start_time,
        "launchTime": message.launch_time,
        "finishedTime": message.finish_time,
        "amRPCAddress": f"{message.host}:{message.rpc_port}",
        "trackingUrl": message.tracking_url,
        "logAggregationStatus": rpc.name_of(message.log_aggregation, rpc.LOG_AGGREGATION),
        "priority": message.priority.priority if message.HasField("priority") else None,
        "appNodeLabelExpression": _label(message.node_label),
        "amNodeLabelExpression": _label(message.am_node_label),
        "timeouts": {
            "timeout": [
                {"type": "LIFETIME", "expiryTime": named.timeout.expire_time}
                for named in message.timeouts
                if named.type == rpc.LIFETIME
            ]
        },
        "allocatedMB": usage.used.memory,
        "allocatedVCores": usage.used.vcores,
        "runningContainers": usage.used_containers,
        "reservedMB": usage.reserved.memory,
        "reservedVCores": usage.reserved.vcores,
        "memorySeconds": usage.memory_seconds,
        "vcoreSeconds": usage.vcore_seconds,
        "queueUsagePercentage": usage.queue_share,
        "clusterUsagePercentage": usage.cluster_share,
        "resourceSecondsMap": {
            "entry": [{"key": one.key, "value": one.value} for one in usage.resource_seconds]
        },
        "resourceInfo": {"resourceUsagesByPartition": [{"used": _resource(usage.used)}]},
    }


def node(message: Any) -> NodeReport:
    """The report that a message is."""
    used = _resource(message.used)
    free = _amount(message.capability) - _amount(message.used)
    return node_report(
        {
            "id": f"{message.id.host}:{message.id.port}",
            "state": rpc.name_of(message.state, rpc.NODE_STATES),
            "nodeHTTPAddress": message.http_address,
            "rack": message.rack,
            "nodeLabels": [label for label in message.labels if label],
            "nodeAttributesInfo": {
                "nodeAttributeInfo": [
                    {
                        "prefix": attribute.key.prefix or "rm.yarn.io",
                        "name": attribute.key.name,
                        "value": attribute.value,
                    }
                    for attribute in message.attributes
                ]
            },
            "healthReport": message.health_report,
            "lastHealthUpdate": message.last_health_report,
            "usedResource": used,
            "availableResource": _written(free),
            "numContainers": message.containers,
            "resourceUtilization": {
                "nodePhysicalMemoryMB": message.utilization.pmem,
                "nodeCPUUsage": message.utilization.cpu,
            },
        }
    )


def queues(message: Any, above: str = "") -> list[QueueReport]:
    """
    A queue and all below it, parents before their children.

    What the scheduler's page has beside this stays unknown. Whether queues are made for
    applications that ask for others is not told, so where it may be it is said to be.
    """
    return list(_queues(message, above))


def _queues(message: Any, above: str) -> Iterator[QueueReport]:
    scheduler = _scheduler(message)
    # The Fair scheduler calls queues by their paths, and so do all in Hadoop 3.3 and later.
    path = message.path or message.name
    if above and not path.startswith(f"{above}."):
        path = f"{above}.{path}"
    elif not above and path != "root":  # FIFO has one queue, and no root
        scheduler, path = SchedulerType.FIFO, f"root.{path}"
    below = [list(_queues(child, path)) for child in message.children]
    is_leaf = not below and path != "root"
    statistics = message.statistics if message.HasField("statistics") else None
    partitions = [_partition(one) for one in message.configurations]
    default = next((one for one in partitions if not one.label), QueuePartition(label=""))
    is_fair = scheduler is SchedulerType.FAIR
    yield QueueReport(
        path=path,
        scheduler=scheduler,
        is_leaf=is_leaf,
        state=QueueState(rpc.name_of(message.state, rpc.QUEUE_STATES) or "RUNNING"),
        children=tuple(reports[0].path for reports in below),
        capacity=None if is_fair else _share(message.capacity),
        max_capacity=None if is_fair else _share(message.max_capacity),
        used_capacity=None if is_fair else _share(message.used_capacity),
        absolute_capacity=default.absolute_capacity,
        absolute_max_capacity=default.absolute_max_capacity,
        weight=message.weight if message.HasField("weight") and message.weight >= 0 else None,
        used=None
        if statistics is None
        else ResourceAmount(max(0, statistics.memory_mib), max(0, statistics.vcores)),
        min_resources=ResourceAmount(message.fair_min_memory, message.fair_min_vcores)
        if is_fair and message.HasField("fair_min_memory")
        else _effective(message, "effective_min"),
        max_resources=ResourceAmount(message.fair_max_memory, message.fair_max_vcores)
        if is_fair and message.HasField("fair_max_memory")
        else default.max_resources,
        node_labels=tuple(sorted(label for label in message.node_labels if label)),
        partitions=tuple(sorted(partitions, key=lambda one: one.label)),
        default_node_label=message.default_node_label.strip() or None,
        running_applications=None if statistics is None else statistics.running,
        pending_applications=None if statistics is None else statistics.pending,
        max_applications=_fair_limit(message) if is_fair else None,
        containers=None if statistics is None else statistics.containers,
        pending_containers=None if statistics is None else statistics.pending_containers,
        makes_queues=scheduler is not SchedulerType.FIFO and not is_leaf,
    )
    for reports in below:
        yield from reports


def _scheduler(message: Any) -> SchedulerType:
    if message.scheduler:
        return _SCHEDULERS.get(message.scheduler, SchedulerType.CAPACITY)
    # Before Hadoop 3.4 it is not named, but the Capacity scheduler alone tells of partitions, and
    # of one at least. FIFO tells of none either, and is known by its queue's name.
    return SchedulerType.CAPACITY if message.configurations else SchedulerType.FAIR


def _partition(named: Any) -> QueuePartition:
    found = named.configuration
    label = "" if named.partition == _DEFAULT_PARTITION else named.partition
    return QueuePartition(
        label=label,
        absolute_capacity=_share(found.absolute_capacity),
        absolute_max_capacity=_share(found.absolute_max_capacity),
        max_resources=_amount(found.effective_max) if found.HasField("effective_max") else None,
    )


def _effective(message: Any, name: str) -> ResourceAmount | None:
    for named in message.configurations:
        if named.partition in ("", _DEFAULT_PARTITION) and named.configuration.HasField(name):
            return _amount(getattr(named.configuration, name))
    return None


def _fair_limit(message: Any) -> int | None:
    told = message.HasField("fair_max_running") and message.fair_max_running != _NO_LIMIT
    return message.fair_max_running if told else None


def _amount(message: Any) -> ResourceAmount:
    return ResourceAmount(max(0, message.memory), max(0, message.vcores), others_of(message))


def others_of(message: Any) -> dict[str, int]:
    """What a resource has beside memory and vcores, without those that have no limit."""
    return {
        other.key: other.value
        for other in message.others
        if other.key not in _COUNTED_APART and other.value < _UNLIMITED
    }


def _resource(message: Any) -> dict[str, Any]:
    return _written(_amount(message))


def _written(amount: ResourceAmount) -> dict[str, Any]:
    """An amount as REST has it."""
    named: Mapping[str, int] = amount.named
    return {
        "memory": amount.memory_mib,
        "vCores": amount.vcores,
        "resourceInformations": {
            "resourceInformation": [{"name": name, "value": value} for name, value in named.items()]
        },
    }


def _final_status(number: int) -> str:
    among = rpc.FINAL_STATUSES
    return among[number] if 0 <= number < len(among) else "UNDEFINED"


def _label(text: str) -> str | None:
    return None if text == _DEFAULT_PARTITION else text


def _share(part: float) -> float | None:
    """A part of 1; below 0 is what is not told."""
    return part if part >= 0 else None
