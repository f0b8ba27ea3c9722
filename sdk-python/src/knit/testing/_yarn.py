"""YARN, as a handle on a fake's application asks it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from knit._values.access import Role
from knit._values.reports import ApplicationReport
from knit._values.services import Service
from knit._values.states import FinalStatus, YarnState
from knit._wire.tls import ClientTls
from knit.exceptions import ApplicationNotRunningError, ClusterUnreachableError, SpecError

if TYPE_CHECKING:
    from knit.testing._application_master import FakeApplicationMaster
    from knit.testing._archive import FakeArchive
    from knit.v1 import service_pb2


class FakeYarn:
    """What YARN would say of a fake's application."""

    def __init__(self, fake: FakeApplicationMaster) -> None:
        self._fake = fake

    def report(self, application_id: str, timeout: timedelta) -> ApplicationReport:
        self._check_whether_it_answers(application_id)
        return self._fake._report()

    def _check_whether_it_answers(self, application_id: str) -> None:
        if self._fake._yarn_is_silent:
            raise ClusterUnreachableError(
                f"Asking for {application_id}: the fake was told that YARN does not answer."
            )

    def kill(self, application_id: str, timeout: timedelta) -> ApplicationReport:
        self._check_whether_it_answers(application_id)
        if self._fake._state.outcome() is None:
            self._fake.end(FinalStatus.KILLED, exit_code=1, diagnostics="Killed by its user.")
            self._fake.report_as(YarnState.KILLED)
        self._fake.stop()
        return self._fake._report()

    def move(self, application_id: str, queue: str, timeout: timedelta) -> ApplicationReport:
        self._check_whether_it_runs(application_id)
        self._fake._queue = queue
        return self._fake._report()

    def set_priority(
        self, application_id: str, priority: int, timeout: timedelta
    ) -> ApplicationReport:
        if priority < 0:
            raise SpecError(f"priority is {priority}: give a whole number, 0 or more.")
        self._check_whether_it_runs(application_id)
        self._fake._priority = priority
        return self._fake._report()

    def _check_whether_it_runs(self, application_id: str) -> None:
        self._check_whether_it_answers(application_id)
        state = self._fake._report().state
        if state.is_final:
            raise ApplicationNotRunningError(f"{application_id} is {state.value}.")

    def address(self, report: ApplicationReport, timeout: timedelta) -> str | None:
        return report.am_address

    def archive(self, application_id: str) -> FakeArchive:
        from knit.testing._archive import FakeArchive

        return FakeArchive(self._fake._state)

    def stage(
        self, application_id: str, services: Mapping[str, Service]
    ) -> dict[str, service_pb2.ServiceSpec]:
        from knit.testing._specifications import as_if_staged

        return {name: as_if_staged(service) for name, service in services.items()}

    def credentials(
        self, application_id: str, timeout: timedelta, *, role: Role = Role.OWNER
    ) -> ClientTls:
        return self._fake.tls.clients[role.name.lower()]
