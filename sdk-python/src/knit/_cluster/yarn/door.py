"""
What the ResourceManager is asked, whichever way leads to it.

There are two: its REST API, and the protocol that Hadoop's own clients speak. Both answer these
questions; what one of them does not tell is None. What is to be made of the answers is in
`resource_manager` and beside it, once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import attrs

from knit._cluster.security.tokens import Token
from knit._cluster.yarn.application_filter import ApplicationFilter
from knit._cluster.yarn.nodes import ClusterInfo, ClusterMetrics, NewApplication
from knit._cluster.yarn.submission import Submission
from knit._values.deadlines import Deadline
from knit._values.nodes import NodeReport
from knit._values.queues import QueueReport
from knit._values.reports import ApplicationReport
from knit.exceptions import ClusterError


class DoorRefusalError(Exception):
    """
    The RM refused for a reason that means something to whoever asked.

    Args:
        error: What to raise where it means nothing there.
    """

    def __init__(self, error: ClusterError) -> None:
        super().__init__(error)
        self.error = error


class ApplicationUnknownError(DoorRefusalError):
    """It does not know the application, or not yet."""


class ApplicationEndingError(DoorRefusalError):
    """The application has ended, or is about to, and cannot be changed."""


class SchedulerRefusalError(DoorRefusalError):
    """
    The scheduler does not do it.

    Args:
        error: Likewise.
        said: Why. None where the door does not tell.
    """

    def __init__(self, error: ClusterError, said: str | None) -> None:
        super().__init__(error)
        self.said = said


@attrs.frozen(kw_only=True)
class AttemptReport:
    """One start of an Application Master."""

    container_id: str | None
    """Of its container; None before there is one."""
    node_id: str | None
    """`host:port` of the node it was on. None likewise, and by RPC."""


class ResourceManagerDoor(Protocol):
    """One of the ways. Threads may share it."""

    @property
    def name(self) -> str:
        """`REST` or `RPC`, for messages."""

    @property
    def address(self) -> str:
        """Who answered last, or is asked first."""

    def now(self) -> datetime:
        """The time by the RM's clock, to a second; by this machine's where it does not tell."""

    def info(self, what: str, deadline: Deadline) -> ClusterInfo:
        """What the active RM says of itself."""

    def metrics(self, what: str, deadline: Deadline) -> ClusterMetrics:
        """Sums over all nodes."""

    def nodes(self, what: str, deadline: Deadline) -> list[NodeReport]:
        """All nodes, the lost ones included."""

    def queues(self, what: str, deadline: Deadline) -> list[QueueReport]:
        """The scheduler's queues, parents before their children; none if it has none to show."""

    def node_labels(self, what: str, deadline: Deadline) -> list[str]:
        """The cluster's node labels."""

    def new_application(self, what: str, deadline: Deadline) -> NewApplication:
        """An identifier for one application."""

    def submit(self, submission: Submission, what: str, deadline: Deadline) -> None:
        """Hands in an application. A second time with the same ID is the first."""

    def application(self, application_id: str, what: str, deadline: Deadline) -> ApplicationReport:
        """The report on one application. Raises ApplicationUnknownError."""

    def applications(
        self, wanted: ApplicationFilter, what: str, deadline: Deadline
    ) -> list[ApplicationReport]:
        """Those that fit as much of it as this door can be asked; the rest is not looked at."""

    def attempts(self, application_id: str, what: str, deadline: Deadline) -> list[AttemptReport]:
        """The starts of its Application Master. Raises ApplicationUnknownError."""

    def configured(self, name: str, what: str, deadline: Deadline) -> str | None:
        """The value of one of the RM's own properties. None: there is none, or it does not tell."""

    def kill(self, application_id: str, what: str, deadline: Deadline) -> None:
        """Begins to end an application. Raises ApplicationUnknownError."""

    def move(self, application_id: str, queue: str, what: str, deadline: Deadline) -> None:
        """To another queue. Raises one of the DoorRefusalErrors."""

    def set_priority(
        self, application_id: str, priority: int, what: str, deadline: Deadline
    ) -> int | None:
        """Returns what YARN made of it, if it tells. Raises as `move`."""

    def set_expiry(
        self, application_id: str, expiry: datetime, what: str, deadline: Deadline
    ) -> None:
        """When its lifetime is over."""

    def delegation_token(self, renewer: str, what: str, deadline: Deadline) -> Token:
        """A token of the RM, as it names it: without a service."""

    def close(self) -> None:
        """Closes connections that are its own."""
