"""Applications, containers, nodes and queues as JSON."""

from __future__ import annotations

import base64
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
        "ordinal": container.ordinal,
        "revision": container.revision,
        "is_ready": container.is_ready,
        "container_id": container.container_id,
        "application_attempt": container.application_attempt,
        "state": container.state.name,
        "node_id": container.node_id,
        "node_http_address": container.node_http_address,
        "memory_mib": container.resources.memory_mib,
        "vcores": container.resources.vcores,
        "request_time": jsonable(container.request_time),
        "start_time": jsonable(container.start_time),
        "ready_time": jsonable(container.ready_time),
        "restart_time": jsonable(container.restart_time),
        "kill_time": jsonable(container.kill_time),
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


def waiting_as_json(reason: knit.WaitingReason) -> dict[str, Any]:
    """For JSON: the fields of WaitingReason."""
    return {
        "service": reason.service_name,
        "count": reason.count,
        "cause": reason.cause.name,
        "explanation": reason.explanation,
        "since": jsonable(reason.since),
        "until": jsonable(reason.until),
        "source": reason.source.name,
        "is_certain": reason.is_certain,
        "facts": dict(reason.facts),
    }


def service_as_json(status: knit.ServiceStatus) -> dict[str, Any]:
    """For JSON: the fields of ServiceStatus but its specification, and that one's instances."""
    update = status.update
    return {
        "name": status.name,
        "condition": status.condition.name,
        "target": status.target,
        "ready_count": status.ready_count,
        "revision": status.revision,
        "counts": {state.name: count for state, count in sorted(status.counts.items())},
        "waiting_reasons": [waiting_as_json(reason) for reason in status.waiting_reasons],
        "accounts": [
            {"spent": each.spent, "forget_time": jsonable(each.forget_time)}
            for each in status.accounts
        ],
        "update": None
        if update is None
        else {
            "from_revision": update.from_revision,
            "to_revision": update.to_revision,
            "state": update.state.name,
            "updated_count": update.updated_count,
            "explanation": update.explanation,
        },
        "allocation_deadline": jsonable(status.allocation_deadline),
    }


def change_as_json(change: object) -> dict[str, Any]:
    """For JSON: a change, by its kind."""
    import knit

    match change:
        case knit.ApplicationStatus():
            return {
                "application": {
                    "application_id": change.application_id,
                    "attempt_number": change.attempt_number,
                    "state": change.state.name,
                    "outcome": jsonable(outcome_as_dict(change.outcome)),
                    "progress": change.progress,
                    "is_progress_reported": change.is_progress_reported,
                }
            }
        case knit.ServiceStatus():
            return {"service": service_as_json(change)}
        case knit.Container():
            return {"container": container_as_json(change)}
        case knit.NodeStanding():
            return {"node": jsonable(attrs.asdict(change))}
        case knit.KeyChange():
            return {"key": key_change_as_json(change)}
        case knit.Notice():
            return {"notice": jsonable(attrs.asdict(change))}
    return {}


def key_value_as_json(found: knit.KeyValue, *, with_value: bool = True) -> dict[str, Any]:
    """For JSON: the fields of KeyValue; key and value as text, or in Base64 what is no UTF-8."""
    return {
        **_text_or_base64("key", found.raw_key),
        **(_text_or_base64("value", found.value) if with_value else {}),
        "value_bytes": found.value_bytes,
        "create_revision": found.create_revision,
        "modify_revision": found.modify_revision,
        "version": found.version,
        "owner": None if found.owner is None else attrs.asdict(found.owner),
        "lease_id": found.lease_id,
    }


def key_change_as_json(change: knit.KeyChange, *, with_values: bool = False) -> dict[str, Any]:
    """For JSON: the fields of KeyChange."""
    return {
        **_text_or_base64("key", change.raw_key),
        "revision": change.revision,
        "current": None
        if change.current is None
        else key_value_as_json(change.current, with_value=with_values),
        "previous": None
        if change.previous is None
        else key_value_as_json(change.previous, with_value=with_values),
    }


def _text_or_base64(name: str, data: bytes) -> dict[str, str]:
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data).decode()}
