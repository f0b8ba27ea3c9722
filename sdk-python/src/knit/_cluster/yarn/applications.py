"""Applications, as any version of the ResourceManager sends them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from knit._cluster.yarn.json import (
    amount_in,
    int_in,
    number_in,
    object_in,
    objects_in,
    share_in,
    to_time,
    told_int,
)
from knit._values.identifiers import attempt_of
from knit._values.reports import ApplicationReport
from knit._values.states import FinalStatus, YarnState

_UNAVAILABLE = "N/A"
"""Where the RM has nothing to say, or does not say it."""


def application_report(data: Mapping[str, Any]) -> ApplicationReport:
    """Reads what any version of the RM sends; what is missing keeps its default."""
    logs = _text(data.get("amContainerLogs"))
    preempted = [
        told_int(data, name) for name in ("numNonAMContainerPreempted", "numAMContainerPreempted")
    ]
    priority = number_in(data, "priority")
    return ApplicationReport(
        application_id=str(data.get("id", "")),
        name=_text(data.get("name")) or "",
        user=_text(data.get("user")) or "",
        queue=_text(data.get("queue")) or "",
        application_type=_text(data.get("applicationType")) or "",
        state=YarnState(data.get("state")),
        final_status=FinalStatus(data.get("finalStatus", "UNDEFINED")),
        progress=share_in(data, "progress") or 0.0,
        diagnostics=_text(data.get("diagnostics")) or "",
        start_time=to_time(data.get("startedTime")),
        finish_time=to_time(data.get("finishedTime")),
        am_address=_address(data.get("amRPCAddress")),
        tracking_url=_text(data.get("trackingUrl")),
        tags=tuple(sorted(filter(None, str(data.get("applicationTags") or "").split(",")))),
        memory_mib=max(0, int_in(data, "allocatedMB")),
        vcores=max(0, int_in(data, "allocatedVCores")),
        running_containers=max(0, int_in(data, "runningContainers")),
        attempt_number=attempt_of(logs),
        am_logs_url=logs,
        priority=None if priority is None else int(priority),
        launch_time=to_time(data.get("launchTime")),
        expiry_time=_expiry(data),
        node_label=_label(data.get("appNodeLabelExpression")),
        am_node_label=_label(data.get("amNodeLabelExpression")),
        am_node_id=_text(data.get("masterNodeId")),
        am_node_http_address=_text(data.get("amHostHttpAddress")),
        named_resources=_named_resources(data),
        reserved_memory_mib=max(0, int_in(data, "reservedMB")),
        reserved_vcores=max(0, int_in(data, "reservedVCores")),
        memory_mib_seconds=told_int(data, "memorySeconds"),
        vcore_seconds=told_int(data, "vcoreSeconds"),
        named_resource_seconds={
            str(entry.get("key")): int_in(entry, "value")
            for entry in objects_in(object_in(data, "resourceSecondsMap"), "entry")
            if entry.get("key") not in ("memory-mb", "vcores")
        },
        preempted_containers=sum(count or 0 for count in preempted)
        if any(count is not None for count in preempted)
        else None,
        queue_share=share_in(data, "queueUsagePercentage"),
        cluster_share=share_in(data, "clusterUsagePercentage"),
        log_aggregation=_text(data.get("logAggregationStatus")),
        raw=dict(data),
    )


def is_withheld(report: ApplicationReport) -> bool:
    """
    Whether the RM keeps to itself what only those may know who may view the application.

    Where its ACLs act, others are told its name, user, queue and state, and by REST no start; by
    RPC the texts stand for nothing, where its viewers are always given a page of YARN's own.
    """
    if "startedTime" not in report.raw:
        return False
    by_rest = not report.raw["startedTime"]
    return by_rest or (
        report.raw.get("diagnostics") == _UNAVAILABLE
        and report.raw.get("trackingUrl") == _UNAVAILABLE
    )


def _named_resources(data: Mapping[str, Any]) -> dict[str, int]:
    held: dict[str, int] = {}
    partitions = objects_in(object_in(data, "resourceInfo"), "resourceUsagesByPartition")
    for partition in partitions:
        used = amount_in(partition, "used")
        for name, amount in used.named.items() if used else ():
            held[name] = held.get(name, 0) + amount
    return {name: amount for name, amount in held.items() if amount}


def _expiry(data: Mapping[str, Any]) -> datetime | None:
    for timeout in objects_in(object_in(data, "timeouts"), "timeout"):
        if timeout.get("type") == "LIFETIME":
            # ISO 8601 with an offset such as +0000, or UNLIMITED.
            with contextlib.suppress(ValueError):
                text = str(timeout.get("expiryTime"))
                return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z").astimezone(timezone.utc)
    return None


def _label(value: object) -> str | None:
    # Where none was asked for Hadoop 3 writes nothing and Hadoop 2 this.
    return None if value == "<Not set>" else _text(value)


def _text(value: object) -> str | None:
    return str(value) if value not in (None, "", _UNAVAILABLE, "UNASSIGNED") else None


def _address(value: object) -> str | None:
    """`host:port`, unless the Application Master has not registered: then `N/A:-1` or the like."""
    host, _, port = str(value or "").rpartition(":")
    if not host or host == _UNAVAILABLE or not port.isdigit() or int(port) == 0:
        return None
    return f"{host}:{port}"
