"""What an application's containers wrote: which files, and what is in them."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from knit._cluster.logs.places import may_be_application_master
from knit._handles.collected import Collected
from knit._handles.container import ContainerLike, Owner, id_of, to_containers
from knit._handles.locating import Locator
from knit._handles.log_files import archived, collected_only, with_collected
from knit._handles.log_stream import LogStream
from knit._handles.rolled_logs import Listing
from knit._handles.services import several
from knit._handles.session import Session
from knit._handles.yarn import Yarn
from knit._values.deadlines import Deadline
from knit._values.identifiers import attempt_of
from knit._values.logs import STANDARD_FILES, LogFiles
from knit._wire.calls.application import get_application
from knit._wire.calls.containers import list_containers
from knit._wire.calls.logs import list_log_files, stream_logs
from knit.exceptions import (
    ApplicationNotFoundError,
    ApplicationNotRunningError,
    ConnectionLostError,
    ContainerNotFoundError,
    LogsNeedKerberosError,
)

if TYPE_CHECKING:
    from knit._cluster.logs import AggregatedLogs
    from knit._values.logs import Identity
    from knit.v1 import log_service_pb2

DRIVER_FILES = ("driver.stdout", "driver.stderr")


class LogControl(Owner):
    """The part of `Application` that is about logs."""

    _session: Session
    _yarn: Yarn
    _locator: Locator
    _collected: Collected

    def master_container_id(self, *, timeout: timedelta | None = None) -> str:
        """
        Returns YARN's identifier of the Application Master's own container, `container_…`.

        It names the Application Master's logs, and those of a driver, which runs beside it: for
        `log_files`, and for `logs`, which finds a driver's by itself. After the end it is that of
        the last attempt.

        Raises:
            ContainerNotFoundError: It has ended, and YARN does not know it any more.
            LogsUnavailableError: Likewise, and its logs cannot be had.
        """
        application_id = self._session.application_id
        try:
            return self._session.call(get_application(application_id), timeout).master_container_id
        except (ApplicationNotRunningError, ApplicationNotFoundError, ConnectionLostError) as error:
            if not self._collected.is_due(error):
                raise
            return self._collected.master_container_id(error)

    def log_files(self, container: ContainerLike, *, timeout: timedelta | None = None) -> LogFiles:
        """
        Returns the log files of a container and their lengths, by name: those that `logs` reads.

        They are those that its node has, and those that YARN has collected of it: nodes may
        collect, and remove, the files of containers that have ended, and those whose names end in
        `.rolled` while their program runs. After the application's end they are those that are
        collected by then. Each is there once, with all its length. Where there may be more, as
        when the node or the cluster's file system cannot be asked, `incomplete_reason` of the list
        says why.

        The first time it may have to read all that was collected of the container, though not
        into memory.

        Raises:
            ContainerNotFoundError: The application never held it, or YARN has no logs of it.
            ConnectionLostError: The Application Master or the container's node does not answer, or
                the node has its logs no more, and YARN has collected none of it.
            LogsNeedKerberosError: The node shows logs only to who has a Kerberos ticket, and YARN
                has collected none of it.
            LogsUnavailableError: The application has ended, and its logs cannot be had.
        """
        container_id = id_of(container)
        call = list_log_files(container_id)
        try:
            live = self._session.call(call, timeout)
        except (LogsNeedKerberosError, ContainerNotFoundError) as error:
            return collected_only(self._collected, container_id, error)
        except (ApplicationNotRunningError, ApplicationNotFoundError, ConnectionLostError) as error:
            if not self._collected.is_due(error):
                return collected_only(self._collected, container_id, error)
            return archived(self._collected, container_id, call.what, error)
        return with_collected(self._collected, container_id, live)

    def logs(
        self,
        *,
        follow: bool = False,
        services: Iterable[str] | None = None,
        containers: ContainerLike | Iterable[ContainerLike] | None = None,
        files: Iterable[str] | None = None,
        driver: bool = False,
        tail_lines: int | None = None,
        timeout: timedelta | None = None,
    ) -> LogStream:
        """
        Reads log files, of an application that runs or of one that has ended.

        Nothing is sent before the stream is iterated, but to learn where a `driver` runs. The
        Application Master's own logs are read only if its container is named.

        Args:
            follow: Whether to go on with what is written later. A file then ends with its
                container, and the stream with the last file; without `containers`, with the
                application, and containers that start later are included.
            services: Only of these. Default: of all.
            containers: Only of these. Default: of all that `services` allows. One that the
                Application Master has forgotten, for it ended long ago, is found by its ID.
            files: The names of the files. Default: stdout and stderr; of a driver, its own two.
                One that ends in `.rolled` nodes may collect and remove while its program runs: it
                is then read from what is collected, and what the node has of that name after it.
            driver: Whether those of the driver are read, and of nothing else. They lie in the
                Application Master's container as `driver.stdout` and `driver.stderr`.
            tail_lines: Begin with so many of the last lines of each file. Default: at its start.
            timeout: For the whole stream. Default: none, as it may last for days; an Application
                Master that no longer answers is noticed within a minute, and looked for as long
                as the application lives.

        Raises:
            ApplicationNotRunningError: A container in `containers` has not been granted yet.
            ContainerNotFoundError: With `driver`: as by `master_container_id`.
        """
        if driver:
            if services is not None or containers is not None:
                raise ValueError("driver is for itself: leave out services and containers.")
            containers = self.master_container_id(timeout=timeout)
        if files is None:
            files = DRIVER_FILES if driver else STANDARD_FILES
        request = stream_logs(
            container_ids=[id_of(c) for c in to_containers(containers or ())],
            services=several("services", services),
            files=several("files", files),
            follow=follow,
            tail_lines=tail_lines,
        )
        application_id = self._session.application_id
        what = f"Reading the logs of {application_id}"
        deadline = Deadline.never() if timeout is None else Deadline.after(timeout)
        return LogStream(
            self._session.opener("logs", "StreamLogs", what=what, deadline=deadline),
            request,
            what=what,
            deadline=deadline,
            archive=functools.partial(self._yarn.archive, application_id),
            has_left=self._locator.has_left,
            address=lambda: self._session.connection.address,
            listing=Listing(
                identify=lambda: self._identities(request, deadline),
                files_of=lambda container_id: self._names_on_node(container_id, deadline),
            ),
        )

    def _names_on_node(self, container_id: str, deadline: Deadline) -> list[str]:
        files = self._session.call(list_log_files(container_id), self._time_of_a_call(deadline))
        return [file.name for file in files]

    def _time_of_a_call(self, deadline: Deadline) -> timedelta:
        """The time of one call of a stream."""
        return timedelta(
            seconds=min(deadline.remaining_seconds, self._session.timeout.total_seconds())
        )

    def _identities(
        self, wanted: log_service_pb2.StreamLogsRequest, deadline: Deadline
    ) -> dict[str, Identity]:
        """Which container is which, of those that a stream wants."""
        pages = list_containers(
            self._session.application_id,
            wanted.service_names,
            (),
            lambda c: (c.container_id, (c.service_name, c.rank, c.attempt_number)),
        )
        listed = self._session.collect(pages, Deadline.after(self._time_of_a_call(deadline)))
        among = set(wanted.container_ids)
        found = {key: each for key, each in listed if key and (not among or key in among)}
        for container_id in among - found.keys():
            attempt = attempt_of(container_id)
            if attempt is not None and may_be_application_master(container_id):
                found[container_id] = ("", 0, attempt)  # which is not listed
        return found

    def aggregated_logs(self, *, wait: timedelta | None = None) -> AggregatedLogs:
        """
        Returns the logs that YARN has collected, by container; it does so after the end.

        They are read from the cluster's file system as they are asked for, so the result is
        small, and can be used for as long as the cluster keeps the logs. `logs` reads the same
        as a stream, before the end too.

        Args:
            wait: How long to wait for the collection to be complete. Default: not at all. What
                is there by then is returned; `is_complete` says whether that is all.

        Raises:
            LogAggregationDisabledError: The cluster keeps no logs of ended applications.
            LogsNotFoundError: It has none of this one: it had no container, or they were deleted.
            LogFormatError: None of them can be read.
            AccessDeniedError: They may not be read by this user.
        """
        from knit._cluster.logs import wait_until_settled

        return wait_until_settled(self._yarn.archive(self._session.application_id).look, wait)
