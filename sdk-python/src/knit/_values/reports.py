"""What YARN says of an application."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import attrs

from knit._values.identifiers import attempt_of
from knit._values.states import FinalStatus, YarnState
from knit.exceptions import ApplicationFailedError


@attrs.frozen(kw_only=True)
class ApplicationReport:
    """A snapshot of an application, from the ResourceManager."""

    application_id: str
    """YARN's identifier, `application_…`."""
    name: str = ""
    """The name it was given. Not unique."""
    user: str = ""
    """Whose it is."""
    queue: str = ""
    """The queue it counts in."""
    application_type: str = ""
    """`knit` for ours."""
    state: YarnState = YarnState.UNKNOWN
    """Where it is in its life."""
    final_status: FinalStatus = FinalStatus.UNDEFINED
    """How it ended, by its Application Master's own account."""
    progress: float = 0.0
    """0 to 1."""
    diagnostics: str = ""
    """What there is to say, in YARN's words or the Application Master's."""
    start_time: datetime | None = None
    """When it was submitted."""
    finish_time: datetime | None = None
    """When it ended. None before that."""
    am_address: str | None = None
    """`host:port` of the Application Master. None while there is none, and on Hadoop 2."""
    tracking_url: str | None = None
    """Its page in YARN's web interface."""
    tags: tuple[str, ...] = ()
    """Its tags, sorted. YARN keeps them in lower case."""
    memory_mib: int = 0
    """Memory of the containers it holds now."""
    vcores: int = 0
    """Virtual cores of the containers it holds now."""
    running_containers: int = 0
    """How many containers it holds now, its Application Master's included."""
    attempt_number: int | None = None
    """Which start of its Application Master this is, from 1. None before the first."""
    am_logs_url: str | None = None
    """Where the Application Master's logs can be read."""
    raw: Mapping[str, Any] = attrs.field(factory=dict, repr=False, eq=False)
    """All that the ResourceManager sent, under its own names; they differ between versions."""

    @property
    def run_time(self) -> timedelta | None:
        """From submission to the end, or to now. None if it was never submitted."""
        if self.start_time is None:
            return None
        return (self.finish_time or datetime.now(timezone.utc)) - self.start_time

    def raise_for_status(self) -> ApplicationReport:
        """
        Returns this report, unless it says that the application ended badly.

        Raises:
            ApplicationFailedError: It ended, and not SUCCEEDED.
        """
        if self.state.is_final and (
            self.state is not YarnState.FINISHED or self.final_status is not FinalStatus.SUCCEEDED
        ):
            how = self.state if self.state is not YarnState.FINISHED else self.final_status
            said = self.diagnostics.strip() or "YARN gives no reason."
            raise ApplicationFailedError(
                f"The application {self.application_id} ({self.name}) ended {how.value}: {said} "
                f"Its logs may say more: knit logs {self.application_id}",
                report=self,
            )
        return self

    @classmethod
    def _from_rest(cls, data: Mapping[str, Any]) -> ApplicationReport:
        """Reads what any version of the RM sends; what is missing keeps its default."""
        logs = _text(data.get("amContainerLogs"))
        return cls(
            application_id=str(data.get("id", "")),
            name=_text(data.get("name")) or "",
            user=_text(data.get("user")) or "",
            queue=_text(data.get("queue")) or "",
            application_type=_text(data.get("applicationType")) or "",
            state=YarnState(data.get("state")),
            final_status=FinalStatus(data.get("finalStatus", "UNDEFINED")),
            progress=float(data.get("progress") or 0) / 100,
            diagnostics=_text(data.get("diagnostics")) or "",
            start_time=_time(data.get("startedTime")),
            finish_time=_time(data.get("finishedTime")),
            am_address=_address(data.get("amRPCAddress")),
            tracking_url=_text(data.get("trackingUrl")),
            tags=tuple(sorted(filter(None, str(data.get("applicationTags") or "").split(",")))),
            memory_mib=max(0, int(data.get("allocatedMB") or 0)),
            vcores=max(0, int(data.get("allocatedVCores") or 0)),
            running_containers=max(0, int(data.get("runningContainers") or 0)),
            attempt_number=attempt_of(logs),
            am_logs_url=logs,
            raw=dict(data),
        )


def _text(value: object) -> str | None:
    return str(value) if value not in (None, "", "N/A", "UNASSIGNED") else None


def _time(millis: object) -> datetime | None:
    if not isinstance(millis, int | float | str) or not int(millis):
        return None
    return datetime.fromtimestamp(int(millis) / 1000, timezone.utc)


def _address(value: object) -> str | None:
    """`host:port`, unless the Application Master has not registered: then `N/A:-1` or the like."""
    host, _, port = str(value or "").rpartition(":")
    if not host or host == "N/A" or not port.isdigit() or int(port) == 0:
        return None
    return f"{host}:{port}"
