"""What a handle needs of the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from knit._values.access import Role
from knit._values.reports import ApplicationReport

if TYPE_CHECKING:
    from knit._cluster.logs import AggregatedLogs
    from knit._values.services import Service
    from knit._wire.tls import ClientTls
    from knit.v1 import service_pb2


class Yarn(Protocol):
    """What a handle needs of the cluster; each call within its timeout."""

    def report(self, application_id: str, timeout: timedelta) -> ApplicationReport:
        """What the ResourceManager says."""

    def kill(self, application_id: str, timeout: timedelta) -> ApplicationReport:
        """Ends the application, waits until YARN says so, and removes its staging directory."""

    def move(self, application_id: str, queue: str, timeout: timedelta) -> ApplicationReport:
        """Moves the application to another queue."""

    def set_priority(
        self, application_id: str, priority: int, timeout: timedelta
    ) -> ApplicationReport:
        """Changes the application's priority within its queue."""

    def address(self, report: ApplicationReport, timeout: timedelta) -> str | None:
        """Where the Application Master answers, `host:port`. None while it does not."""

    def archive(self, application_id: str) -> Archive:
        """Where its logs are once its Application Master has left."""

    def stage(
        self, application_id: str, services: Mapping[str, Service]
    ) -> dict[str, service_pb2.ServiceSpec]:
        """
        Brings the files of services to the cluster, for an application that runs.

        They are written down as in use by it before this returns, so that nothing removes them.
        """

    def credentials(
        self, application_id: str, timeout: timedelta, *, role: Role = Role.OWNER
    ) -> ClientTls:
        """What the Application Master lets a client of that role in by."""


class Archive(Protocol):
    """Where the logs are once their application has ended."""

    application_id: str
    """Whose logs they are."""

    def look(self) -> AggregatedLogs:
        """What is there now."""
