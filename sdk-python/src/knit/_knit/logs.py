"""The logs of an application as `Knit.logs` returns them: all of them, as text, by container."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from knit._cluster.configuration.config import ClusterConfig

if TYPE_CHECKING:
    from knit._cluster.configuration.config import ClusterConfig
    from knit._cluster.logs import ContainerLogs as AggregatedContainerLogs
    from knit._handles.application import Application

FILES = ("stdout", "stderr")
COLLECTION_TIME = timedelta(minutes=2)
"""How long YARN may take to collect the logs of an application that has ended."""


def live_logs(app: Application, *, to_the_end: bool = False) -> dict[str, ContainerLogs]:
    """
    What its containers have written so far, from the Application Master.

    Args:
        app: One that has an Application Master.
        to_the_end: Whether all containers have ended, and every byte is wanted.

    Raises:
        ApplicationNotRunningError: It has left.
    """
    listed = app._list([], [], app._within(None))
    nodes = {c.container_id: c.node_id for c in listed if c.container_id is not None}
    written = {container_id: {name: bytearray() for name in FILES} for container_id in nodes}
    with app.logs(files=FILES, follow=to_the_end) as stream:
        for chunk in stream.chunks():
            files = written.setdefault(chunk.container_id, {name: bytearray() for name in FILES})
            files[chunk.file] += chunk.data
    return {
        container_id: {
            "nodeId": nodes.get(container_id) or "",
            **{name: data.decode(errors="replace") for name, data in files.items()},
        }
        for container_id, files in written.items()
    }


def collected_logs(app: Application) -> dict[str, ContainerLogs]:
    """
    What its containers have written, as YARN has collected it; waits for that.

    Where some may be missing, a warning says why.
    """
    collected = app.aggregated_logs(wait=COLLECTION_TIME)
    if collected.incomplete_reason is not None:
        warnings.warn(collected.incomplete_reason, stacklevel=3)
    of_service = {
        container_id: logs
        for container_id, logs in collected.containers.items()
        if not logs.is_application_master
    }
    return _as_text(of_service)


def shell_logs(
    app: Application, config: ClusterConfig, user: str | None, acting_for: str | None
) -> dict[str, ContainerLogs]:
    """The same with the Application Master's own, by the `yarn` command where there is one."""
    from knit._cluster.logs.yarn_command import logs_by_yarn

    # First, so that the command, which does not wait, finds all of them too.
    collected = app.aggregated_logs(wait=COLLECTION_TIME)
    containers: Mapping[str, AggregatedContainerLogs] | None = None
    if config.sources:  # else the command would not know of this cluster
        directory = Path(config.sources[0]).parent
        containers = logs_by_yarn(
            app.application_id,
            timeout=COLLECTION_TIME,
            conf_dir=directory,
            user=user,
            acting_for=acting_for,
        )
    if containers is None:
        containers = collected.containers
    return _as_text(containers)


def _as_text(containers: Mapping[str, AggregatedContainerLogs]) -> dict[str, ContainerLogs]:
    found: dict[str, ContainerLogs] = {}
    for container_id, logs in containers.items():
        there = {file.name for file in logs.files}
        found[container_id] = {"nodeId": logs.node_id} | {
            name: logs.read(name).decode(errors="replace") if name in there else ""
            for name in FILES
        }
    return found


ContainerLogs = dict[str, str]
"""`nodeId`, and the text of `stdout` and of `stderr`."""
