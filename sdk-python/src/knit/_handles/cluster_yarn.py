"""What handles need of the cluster, from its REST APIs."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from knit._values.access import Role
from knit._values.deadlines import Deadline
from knit._values.reports import ApplicationReport
from knit._values.states import YarnState
from knit._wire.tls import ClientTls
from knit.exceptions import ApplicationError, ClusterError, ConfigurationError, CredentialsError

if TYPE_CHECKING:
    from knit._cluster.cluster import Cluster
    from knit._cluster.logs import LogArchive
    from knit._staging.staging import Staging
    from knit._values.services import Service
    from knit.v1 import service_pb2


class ClusterYarn:
    """What handles need of the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    @cached_property
    def staging(self) -> Staging:
        """The user's directory `.knit`. The first use may raise ConfigurationError."""
        from knit._staging.staging import Staging

        return Staging.on(self._cluster)

    def report(self, application_id: str, timeout: timedelta) -> ApplicationReport:
        return self._cluster.resource_manager.application(application_id, timeout=timeout)

    def kill(self, application_id: str, timeout: timedelta) -> ApplicationReport:
        deadline = Deadline.after(timeout)
        report = self._cluster.resource_manager.kill(application_id, timeout=timeout)
        # If it cannot be removed in time, the sweep after a later submission does it.
        with contextlib.suppress(ClusterError, ConfigurationError):
            self.staging.records.remove(application_id, timeout=deadline.remaining)
        return report

    def move(self, application_id: str, queue: str, timeout: timedelta) -> ApplicationReport:
        from knit._cluster.yarn.changes import move

        return move(self._cluster.resource_manager, application_id, queue, timeout=timeout)

    def set_priority(
        self, application_id: str, priority: int, timeout: timedelta
    ) -> ApplicationReport:
        from knit._cluster.yarn.changes import set_priority

        manager = self._cluster.resource_manager
        return set_priority(manager, application_id, priority, timeout=timeout)

    def address(self, report: ApplicationReport, timeout: timedelta) -> str | None:
        if report.am_address is not None:
            return report.am_address
        if report.state not in (YarnState.RUNNING, YarnState.FINISHED):
            return None
        # Hadoop 2's reports do not carry it, so the Application Master writes it down.
        return self.staging.records.read_address(report.application_id, timeout=timeout)

    def archive(self, application_id: str) -> LogArchive:
        from knit._cluster.logs import LogArchive

        return LogArchive(self._cluster, application_id)

    def stage(
        self, application_id: str, services: Mapping[str, Service]
    ) -> dict[str, service_pb2.ServiceSpec]:
        from knit._submission.updating import stage_services

        return stage_services(self.staging, application_id, services)

    def credentials(
        self, application_id: str, timeout: timedelta, *, role: Role = Role.OWNER
    ) -> ClientTls:
        keys = self.staging.records.read(application_id, timeout=timeout).keys
        if keys is None:
            raise ApplicationError(
                f"{application_id} was submitted without keys for other clients. Talk to it from "
                "the program that submitted it."
            )
        if role is Role.OWNER:
            return ClientTls(
                ca=keys.ca.encode(), cert=keys.client_cert.encode(), key=keys.client_key.encode()
            )
        pair = keys.others.get(role.name.lower())
        if pair is None:
            raise CredentialsError(
                f"There are no credentials of the role {role.name.lower()} for {application_id}: "
                f"its submission made some for owner{''.join(f', {name}' for name in keys.others)}."
            )
        return ClientTls(ca=keys.ca.encode(), cert=pair.cert.encode(), key=pair.key.encode())
