"""Applications, containers, nodes and queues as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from knit.cli._terminal.words import jsonable

if TYPE_CHECKING:
    import knit


def outcome_as_dict(outcome: knit.ApplicationOutcome | None) -> dict[str, Any] | None:
    """For JSON."""
    if outcome is None:
        return None
    return {
        "final_status": outcome.final_status.name,
        "exit_code": outcome.exit_code,
        "diagnostics": outcome.diagnostics,
    }


def report_as_json(report: knit.ApplicationReport) -> dict[str, Any]:
    """For JSON: the fields of ApplicationReport, and its run time in seconds."""
    return {**_without_raw(report), "run_time": jsonable(report.run_time)}


def node_as_json(node: knit.NodeReport) -> dict[str, Any]:
    """For JSON: the fields of NodeReport, and what is left."""
    value = _without_raw(node)
    value["available"] = jsonable(attrs.asdict(node.available))
    return value


def queue_as_json(queue: knit.QueueReport) -> dict[str, Any]:
    """For JSON: the fields of QueueReport, its name and its parent."""
    return {**_without_raw(queue), "name": queue.name, "parent": queue.parent}


def _without_raw(report: attrs.AttrsInstance) -> dict[str, Any]:
    value: dict[str, Any] = jsonable(
        attrs.asdict(report, filter=lambda attribute, _: attribute.name != "raw")
    )
    return value


def container_as_json(container: knit.Container) -> dict[str, Any]:
    """For JSON: the fields of Container."""
    exit_ = container.exit
    return {
        "service": container.service,
        "rank": container.rank,
        "attempt_number": container.attempt_number,
        "container_id": container.container_id,
        "application_attempt": container.application_attempt,
        "state": container.state.name,
        "node_id": container.node_id,
        "node_http_address": container.node_http_address,
        "memory_mib": container.resources.memory_mib,
        "vcores": container.resources.vcores,
        "request_time": jsonable(container.request_time),
        "start_time": jsonable(container.start_time),
        "run_time": jsonable(container.run_time),
        "exit": None
        if exit_ is None
        else {
            "reason": exit_.reason.name,
            "exit_code": exit_.exit_code,
            "signal": exit_.signal,
            "finish_time": jsonable(exit_.finish_time),
            "diagnostics": exit_.diagnostics,
        },
    }
