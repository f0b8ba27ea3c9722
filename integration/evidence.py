"""What is known of an application when something did not happen, for whoever asks why."""

from __future__ import annotations

import re
import urllib.request
from datetime import timedelta
from urllib.parse import urlsplit

import knit

from integration.clusters import rest

_TAIL_BYTES = 6000
_CONTAINERS_SHOWN = 6


class _Nodes:
    """How the web servers of nodes are asked."""

    session = rest.ANYBODY
    scheme = "http"


def ask_nodes(session: rest.Session, scheme: str) -> None:
    """From here on ask the web servers of nodes in this way."""
    _Nodes.session, _Nodes.scheme = session, scheme


def of(app: knit.Application) -> str:
    """YARN's report, the containers, the end of the Application Master's log and of theirs."""
    parts = [f"--- {app.application_id}"]
    try:
        report = app.report()
        parts.append(
            f"YARN: {report.state.name} {report.final_status.name}, AM at {report.am_address}, "
            f"attempt {report.attempt_number}: {report.diagnostics}"
        )
    except Exception as error:
        return "\n".join([*parts, f"YARN gives no report: {error!r}"])
    try:
        containers = app.containers(timeout=timedelta(seconds=5))
        parts += [f"  {container}" for container in containers]
    except Exception as error:
        containers = []
        parts.append(f"  its containers cannot be listed: {error!r}")
    for file in ("stderr", "stdout"):
        parts += [f"--- Application Master, {file}", application_master_log(report, file)]
    for container in containers[:_CONTAINERS_SHOWN]:
        for file in ("stdout", "stderr"):
            if container.container_id and container.node_http_address:
                text = container_log(container.node_http_address, container.container_id, file)
                parts += [f"--- {container.service}/{container.rank}, {file}", text]
    return "\n".join(parts)


def application_master_log(
    report: knit.ApplicationReport, file: str = "stderr", tail_bytes: int = _TAIL_BYTES
) -> str:
    """The end of the Application Master's log, from its node; a sentence where that fails."""
    container = re.search(r"container_\w+", report.am_logs_url or "")
    if container is None or report.am_logs_url is None:
        return "(it has not been started)"
    return container_log(urlsplit(report.am_logs_url).netloc, container[0], file, tail_bytes)


def container_log(
    node_http_address: str, container_id: str, file: str, tail_bytes: int = _TAIL_BYTES
) -> str:
    """The end of a container's log, from its node; a sentence where that fails."""
    url = f"{_Nodes.scheme}://{node_http_address}/ws/v1/node/containers/{container_id}/logs/{file}"
    request = urllib.request.Request(_Nodes.session.claimed(f"{url}?size=-{tail_bytes}"))
    try:
        with _Nodes.session.open(request, timeout_seconds=5) as response:
            return str(response.read().decode(errors="replace"))
    except OSError as error:
        return f"(not to be had: {error})"
