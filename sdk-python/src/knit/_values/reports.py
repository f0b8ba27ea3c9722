"""What YARN says of an application."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import attrs

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
    priority: int | None = None
    """
    Its priority within its queue: higher first. None where YARN does not tell.

    It is -1 while none was given, and 0 for ever where the scheduler or the cluster
    (`yarn.cluster.max-application-priority`) has no others.
    """
    launch_time: datetime | None = None
    """When its first Application Master was launched. None before that."""
    expiry_time: datetime | None = None
    """When YARN ends it because its lifetime is over. None: never."""
    node_label: str | None = None
    """The node label that its containers get unless they ask for another. None for none."""
    am_node_label: str | None = None
    """The node label that its Application Master asked for. None for none."""
    am_node_id: str | None = None
    """`host:port` of the node its Application Master is on. None before that, and on Hadoop 2."""
    am_node_http_address: str | None = None
    """`host:port` of the web server of that node."""
    named_resources: Mapping[str, int] = attrs.field(factory=dict, hash=False)
    """What its containers hold now of other kinds, such as `yarn.io/gpu`, where it is not 0."""
    reserved_memory_mib: int = 0
    """Memory that nodes keep free for containers that it waits for."""
    reserved_vcores: int = 0
    """Virtual cores that nodes keep free for containers that it waits for."""
    memory_mib_seconds: int | None = None
    """MiB of memory held, times seconds, from its start on. None where YARN does not tell."""
    vcore_seconds: int | None = None
    """Virtual cores held, times seconds. None where YARN does not tell."""
    named_resource_seconds: Mapping[str, int] = attrs.field(factory=dict, hash=False)
    """The same of other kinds, by name."""
    preempted_containers: int | None = None
    """How many containers YARN took away, its Application Masters included. None where unknown."""
    queue_share: float | None = None
    """What it uses of what its queue is promised; above 1 where others leave it more."""
    cluster_share: float | None = None
    """What it uses of the cluster, 0 to 1."""
    log_aggregation: str | None = None
    """How far the collecting of its logs is, in YARN's word: NOT_START, RUNNING, SUCCEEDED…"""
    raw: Mapping[str, Any] = attrs.field(factory=dict, repr=False, eq=False)
    """All that the ResourceManager sent, under its own names; they differ between versions."""

    @property
    def am_host(self) -> str | None:
        """The host of the Application Master. None while there is none, and on Hadoop 2."""
        return self.am_address.rpartition(":")[0] if self.am_address else None

    @property
    def am_port(self) -> int | None:
        """The port of the Application Master. None likewise."""
        return int(self.am_address.rpartition(":")[2]) if self.am_address else None

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
