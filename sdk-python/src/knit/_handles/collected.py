"""What is known of an application whose Application Master has left, from what YARN collected."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from knit._handles.container import Container, Owner
from knit._handles.locating import has_left
from knit._handles.yarn import Archive, Yarn
from knit._values.containers import ContainerState
from knit._values.deadlines import Deadline, Pause, pauses
from knit.exceptions import (
    ApplicationNotFoundError,
    ClusterError,
    ConfigurationNotFoundError,
    ConnectionLostError,
    ContainerNotFoundError,
    KnitError,
    LogsNotFoundError,
    LogsUnavailableError,
)

if TYPE_CHECKING:
    from knit._cluster.logs import AggregatedLogs
    from knit._handles.events import Event
    from knit._values.events import EventKind
    from knit._values.references import Position

_log = logging.getLogger("knit")


class Collected:
    """
    What YARN has collected of one application.

    Args:
        yarn: The cluster.
        application_id: Whose it is.
        timeout: For a question to YARN.
    """

    def __init__(self, yarn: Yarn, application_id: str, timeout: timedelta) -> None:
        self._yarn = yarn
        self._application_id = application_id
        self._timeout = timeout
        self._lock = threading.Lock()
        # Guarded by _lock, as is all that is read from there.
        self._archive: Archive | None = None

    @contextlib.contextmanager
    def looking(self) -> Iterator[AggregatedLogs]:
        """
        What there is now, whether the application has ended or not, to be read within the block.

        What was opened before is not opened again, and for one thread at a time.

        Raises:
            KnitError: It cannot be had.
        """
        with self._lock:
            archive, self._archive = self._archive, None
            archive = archive or self._yarn.archive(self._application_id)
            logs = archive.look()
            yield logs
            # One that found nothing may have been told wrongly where to look.
            self._archive = archive if logs.containers else None

    def is_due(self, error: KnitError) -> bool:
        """Whether the Application Master has left, rather than being out of reach."""
        if not isinstance(error, ConnectionLostError):
            return True
        try:
            return has_left(self._yarn.report(self._application_id, self._timeout))
        except (ClusterError, ConfigurationNotFoundError):
            return False  # nobody knows, or there is nobody to ask

    def look(self, gone: KnitError, archive: Archive | None = None) -> AggregatedLogs:
        """
        What there is now.

        Args:
            gone: Why the Application Master cannot be asked; raised if its application still runs.
            archive: Where to look, to look there again.
        """
        try:
            logs = (archive or self._yarn.archive(self._application_id)).look()
        except LogsNotFoundError as error:
            if isinstance(gone, ApplicationNotFoundError):
                raise gone from error
            raise
        if not logs._has_ended:
            raise gone
        return logs

    def master_container_id(self, gone: KnitError) -> str:
        """
        The container of the last attempt's Application Master, as soon as YARN tells.

        Raises:
            ContainerNotFoundError: YARN has forgotten it, and nothing of it is collected.
        """
        logs = self.look(gone)
        if logs._masters:
            return logs._masters[-1]
        raise ContainerNotFoundError(
            f"Which container the Application Master of {self._application_id} ran in is not "
            f"known: {logs.incomplete_reason or 'YARN has forgotten it.'}"
        ) from gone

    def events(
        self,
        kinds: list[EventKind],
        services: list[str],
        *,
        after: Position | int,
        owner: Owner,
        deadline: Deadline,
        gone: KnitError,
        pause: Pause = time.sleep,
    ) -> Iterator[Event]:
        """The events as they were written down, once that is collected; see `past_events`."""
        from knit._handles.past_events import past_events

        logs = self._settled(deadline, gone, pause)
        return past_events(
            logs, owner=owner, after=after, kinds=kinds, services=services, gone=gone
        )

    def _settled(
        self, deadline: Deadline, gone: KnitError, pause: Pause = time.sleep
    ) -> AggregatedLogs:
        """What is collected, once what Application Masters wrote down is there."""
        archive, steps = self._yarn.archive(self._application_id), pauses(0.2, 2.0, 1.5)
        try:
            logs = self.look(gone, archive)
            while not (
                logs._is_settled
                or any(record.has_outcome for record in logs._records)
                or deadline.is_over
            ):
                pause(min(next(steps), deadline.remaining_seconds))
                logs = self.look(gone, archive)
        except LogsUnavailableError as error:
            raise type(gone)(f"{gone.message} {error.message}") from error
        return logs

    def containers(
        self,
        services: list[str],
        states: list[ContainerState],
        *,
        owner: Owner,
        deadline: Deadline,
        gone: KnitError,
    ) -> list[Container]:
        """The containers as they were written down, once that is collected."""
        logs = self._settled(deadline, gone)
        if not logs._records:
            why = logs.incomplete_reason or "Its Application Master left no record of them."
            raise type(gone)(f"{gone.message} Its containers are not known any more: {why}")
        if any(record.is_truncated for record in logs._records):
            _log.warning(
                "%s had more containers than its Application Master wrote down: some are missing.",
                self._application_id,
            )
        found = [
            Container._from_record(container, record.attempt_number, owner)
            for record in logs._records
            for container in record.containers
        ]
        known = {container.service for container in found}
        if unknown := ", ".join(sorted(set(services) - known)):
            raise ContainerNotFoundError(
                f"{self._application_id} had no containers of {unknown}. It had some of "
                f"{', '.join(sorted(known))}."
            )
        found.sort(key=lambda c: (c.service, c.rank, c.application_attempt or 0, c.attempt_number))
        return [
            container
            for container in found
            if (not services or container.service in services)
            and (not states or container.state in states)
        ]
