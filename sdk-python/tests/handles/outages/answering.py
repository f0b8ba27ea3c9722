"""A YARN that answers as the fake's does, but first as a test wants."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from knit import (
    ApplicationReport,
    ClusterTimeoutError,
    ClusterUnreachableError,
    KnitError,
    StandbyError,
    YarnState,
)
from knit._values.access import Role
from knit._wire.tls import ClientTls
from knit.testing import FakeApplicationMaster

LONG = timedelta(seconds=60)
SILENCES = [
    ClusterUnreachableError("no connection"),
    ClusterTimeoutError("no answer in time"),
    StandbyError("on standby, or still starting"),
]


class Yarn:
    """Answers as the fake's YARN does, but first with what it is given."""

    def __init__(self, fake: FakeApplicationMaster) -> None:
        self.fake = fake
        self.first: list[KnitError | ApplicationReport] = []
        self.timeouts: list[timedelta] = []
        self.keys: list[KnitError] = []

    def report(self, application_id: str, timeout: timedelta) -> ApplicationReport:
        self.timeouts.append(timeout)
        found = self.first.pop(0) if self.first else self.fake._report()
        if isinstance(found, KnitError):
            raise found
        return found

    def kill(self, application_id: str, timeout: timedelta) -> ApplicationReport:
        return self.report(application_id, timeout)

    def address(self, report: ApplicationReport, timeout: timedelta) -> str | None:
        return report.am_address

    def archive(self, application_id: str) -> object:
        raise AssertionError("nothing is read from there")

    def credentials(
        self, application_id: str, timeout: timedelta, *, role: Role = Role.OWNER
    ) -> ClientTls:
        if self.keys:
            raise self.keys.pop(0)
        return self.fake.tls.client


def report_at(fake: FakeApplicationMaster, address: str | None) -> Callable[[], ApplicationReport]:
    return lambda: ApplicationReport(
        application_id=fake.application_id, state=YarnState.RUNNING, am_address=address
    )
