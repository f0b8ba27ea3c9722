"""Services and what changes in an application, in words for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knit.cli._terminal.words import count_states, human_duration

if TYPE_CHECKING:
    import knit


def state_of(status: knit.ServiceStatus) -> str:
    """How many of how many are ready."""
    return f"{status.ready_count}/{status.target}"


def update_words(status: knit.ServiceStatus) -> str | None:
    """Where its update stands."""
    update = status.update
    if update is None:
        return None
    said = f"{update.state.name.lower().replace('_', ' ')}, {update.from_revision} to "
    said += f"{update.to_revision}, {update.updated_count} done"
    return f"{said}: {update.explanation}" if update.explanation else said


def service_sentence(status: knit.ServiceStatus) -> str:
    """How a service does, in a line."""
    said = f"{status.name}: {status.condition}, {state_of(status)} ready"
    if counts := count_states(status.counts):
        said += f" ({counts})"
    if update := update_words(status):
        said += f"; {update}"
    return said


def change_words(change: object) -> str:
    """What has changed, in a line."""
    import knit

    match change:
        case knit.ApplicationStatus():
            return _application(change)
        case knit.ServiceStatus():
            waits = "; ".join(reason.explanation for reason in change.waiting_reasons)
            return service_sentence(change) + (f"; waits: {waits}" if waits else "")
        case knit.Container():
            return _container(change)
        case knit.NodeStanding():
            verdict = "is avoided" if change.is_avoided else "is asked again"
            return f"node {change.node_id} {verdict}: {change.failures} failures count against it"
        case knit.KeyChange():
            return _key(change)
        case knit.Notice():
            about = f"{change.service}: " if change.service else ""
            return f"{change.severity.name.lower()}: {about}{change.text}"
    return ""


def _application(change: knit.ApplicationStatus) -> str:
    said = f"application {change.state}, {change.progress:.0%}"
    if change.outcome is not None:
        said += f", {change.outcome.final_status.name}"
        if change.outcome.diagnostics:
            said += f": {change.outcome.diagnostics}"
    return said


def _container(change: knit.Container) -> str:
    said = f"{change.service}/{change.rank} attempt {change.attempt_number} {change.state}"
    if change.is_ready:
        said += ", ready"
    if change.exit is not None:
        exit_ = change.exit
        said += f": {exit_.reason.name.lower().replace('_', ' ')}"
        if exit_.exit_code is not None:
            said += f", exit code {exit_.exit_code}"
    elif change.restart_time is not None and change.request_time is not None:
        rest = change.restart_time - change.request_time
        said += f", rests for {human_duration(rest)}"
    elif change.node_id and change.state.name == "LAUNCHING":
        said += f" on {change.node_id}"
    return said


def _key(change: knit.KeyChange) -> str:
    if change.current is None:
        return f"key {change.key!r} is gone"
    return f"key {change.key!r} written, {change.current.value_bytes} bytes"
