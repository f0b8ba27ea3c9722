"""Which log files a container has: on its node, among what YARN has collected, or on both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from knit._handles.collected import Collected
from knit._values.logs import LogFile, LogFiles, is_rolled
from knit.exceptions import (
    ApplicationNotFoundError,
    ContainerNotFoundError,
    KnitError,
    LogsNotFoundError,
)

if TYPE_CHECKING:
    from knit._cluster.logs import AggregatedLogs, ContainerLogs


def with_collected(collected: Collected, container_id: str, on_node: Iterable[LogFile]) -> LogFiles:
    """
    The files on a node, and what was collected of the container while the application runs.

    The node was asked first: what it removes in between is then among what is collected.
    """
    on_node = list(on_node)
    try:
        with collected.looking() as logs:
            found = logs.containers.get(container_id)
            files = on_node if found is None else _merged(on_node, found)
    except KnitError as error:  # what is live is told, also where nothing leads to the cluster
        return LogFiles(on_node, f"What YARN has collected could not be read: {error.message}")
    return LogFiles(files, logs._problems[0].message if logs._problems else None)


def collected_only(collected: Collected, container_id: str, unseen: KnitError) -> LogFiles:
    """
    What was collected of a container whose node does not tell, while the application runs.

    Of one that the Application Master has forgotten, as it ended long ago, it is all.

    Raises:
        KnitError: That is nothing; it is `unseen`, why nobody tells.
    """
    try:
        with collected.looking() as logs:
            found = logs.containers[container_id].files
    except (KnitError, KeyError):
        raise unseen from None
    is_all = isinstance(unseen, ContainerNotFoundError)
    return LogFiles(found, None if is_all else unseen.message)


def archived(collected: Collected, container_id: str, what: str, gone: KnitError) -> LogFiles:
    """
    What was collected of a container whose application has ended.

    Args:
        collected: Where to look.
        container_id: The container.
        what: What is tried, as the beginning of a sentence.
        gone: Why the Application Master cannot be asked; raised if its application still runs.

    Raises:
        ContainerNotFoundError: The application never held it, or nothing is known of it.
        LogsUnavailableError: Its logs cannot be had.
    """
    try:
        with collected.looking() as logs:
            if not logs._has_ended:
                raise gone
            files = files_of(logs, container_id)
    except LogsNotFoundError as error:
        if isinstance(gone, ApplicationNotFoundError):
            raise gone from error
        raise
    if files is None:
        why = logs.incomplete_reason or "Check the ID."
        raise ContainerNotFoundError(f"{what}: YARN has no logs of it. {why}") from gone
    return files


def files_of(logs: AggregatedLogs, container_id: str) -> LogFiles | None:
    """What was collected of a container. None: nothing is known of it."""
    if container_id in logs.containers:
        found = logs.containers[container_id]
        is_final = logs._is_settled or found._is_final
        return LogFiles(found.files, None if is_final else logs.incomplete_reason)
    if container_id in logs._silent:
        return LogFiles()
    if container_id in logs._missing:
        lost = logs.incomplete_reason or "YARN has collected no logs of this container."
        return LogFiles((), lost)
    return None


def _merged(on_node: Iterable[LogFile], collected: ContainerLogs) -> list[LogFile]:
    """Each file once, with the length of all that `logs` reads of it."""
    sizes = {file.name: file.size_bytes for file in on_node}
    pieces: dict[str, list[int]] = {}
    for piece in collected._pieces():
        pieces.setdefault(piece.name, []).append(piece.size_bytes)
    for name, collected_sizes in pieces.items():
        total, there = sum(collected_sizes), sizes.get(name, 0)
        # A rotation that gives a name again has put another file in the place of what was
        # collected; anything else is the same file, and about to be removed.
        is_another = is_rolled(name) and there not in (0, collected_sizes[-1])
        sizes[name] = total + there if is_another else max(total, there)
    return [LogFile(name, size) for name, size in sorted(sizes.items())]
