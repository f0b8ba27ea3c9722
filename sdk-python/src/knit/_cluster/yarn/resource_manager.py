"""The ResourceManager: what is made of its answers, by whichever door they come."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TypeVar

from knit._cluster.doors import Doors
from knit._cluster.patience import Patience
from knit._cluster.security.tokens import Token
from knit._cluster.yarn.application_filter import ApplicationFilter
from knit._cluster.yarn.door import ApplicationUnknownError, AttemptReport, ResourceManagerDoor
from knit._cluster.yarn.nodes import ClusterInfo, ClusterMetrics, NewApplication, starting_error
from knit._cluster.yarn.submission import Submission
from knit._values import giving_up
from knit._values.deadlines import Deadline, pauses
from knit._values.identifiers import numbers_of
from knit._values.nodes import NodeReport
from knit._values.queues import QueueReport
from knit._values.reports import ApplicationReport
from knit._values.states import YarnState
from knit.exceptions import (
    ApplicationNotFoundError,
    ClusterResponseError,
    ClusterTimeoutError,
    SubmissionError,
    WaitTimeoutError,
    WrongPortError,
)

#: How long the scheduler's word is waited for after the RM's own: with Kerberos the RM renews
#: tokens in between, which took 2.6 s once.
_ACCEPT_PATIENCE = timedelta(seconds=15)
_NOT_ACCEPTED_YET = (YarnState.NEW, YarnState.NEW_SAVING, YarnState.SUBMITTED)

_T = TypeVar("_T")


class ResourceManager:
    """
    The RM, or an HA pair of them. Threads may share it.

    Args:
        doors: The ways to it.
        timeout: For each call that is given no deadline of its own.
    """

    def __init__(
        self,
        doors: Doors[ResourceManagerDoor],
        *,
        timeout: timedelta = timedelta(seconds=30),
    ) -> None:
        self._doors = doors
        self.timeout = timeout

    def close(self) -> None:
        """Closes connections that are not the cluster's."""
        self._doors.close()

    def ask(self, call: Callable[[ResourceManagerDoor], _T]) -> _T:
        """What a question comes to, by the way that leads to this RM."""
        return self._doors.through(call)

    def deadline(self, timeout: timedelta | None) -> Deadline:
        """When a call is to be over that is given this timeout, or none."""
        return Deadline.of(timeout, default=self.timeout)

    @property
    def address(self) -> str:
        """Who answered last, or is asked first; for messages."""
        return self._doors.chosen().address

    def now(self) -> datetime:
        """The time by the RM's clock, to a second; by this machine's where it does not tell."""
        return self._doors.chosen().now()

    def cluster_info(self, *, timeout: timedelta | None = None) -> ClusterInfo:
        """What the active RM says of itself."""
        what, deadline = "Asking the ResourceManager who it is", self.deadline(timeout)
        return self.ask(lambda door: door.info(what, deadline))

    def metrics(self, *, timeout: timedelta | None = None) -> ClusterMetrics:
        """Sums over all nodes."""
        what, deadline = "Asking for the cluster's metrics", self.deadline(timeout)
        return self.ask(lambda door: door.metrics(what, deadline))

    def nodes(self, *, timeout: timedelta | None = None) -> list[NodeReport]:
        """All nodes, the lost ones included, by their ID."""
        what, deadline = "Asking for the cluster's nodes", self.deadline(timeout)
        nodes = self.ask(lambda door: door.nodes(what, deadline))
        return sorted(nodes, key=lambda node: node.node_id)

    def queues(self, *, timeout: timedelta | None = None) -> list[QueueReport]:
        """The scheduler's queues, parents before their children; empty if it has none to show."""
        what, deadline = "Asking for the queues", self.deadline(timeout)
        return self.ask(lambda door: door.queues(what, deadline))

    def node_labels(self, *, timeout: timedelta | None = None) -> list[str]:
        """The node labels of the cluster; none where it has that switched off."""
        what, deadline = "Asking for the node labels", self.deadline(timeout)
        return self.ask(lambda door: door.node_labels(what, deadline))

    def new_application(self, *, timeout: timedelta | None = None) -> NewApplication:
        """An identifier for one application. Nothing comes of one that is not used."""
        what, deadline = "Asking for an application ID", self.deadline(timeout)
        return self.ask(lambda door: door.new_application(what, deadline))

    def delegation_token(self, renewer: str, *, timeout: timedelta | None = None) -> Token:
        """
        A token that is as good as a ticket to this RM.

        It is as the RM gives it out: without a service, by which clients find it.

        Args:
            renewer: Who may renew and cancel it, a principal.
            timeout: Default: this object's.

        Raises:
            AccessDeniedError: We were not let in by a ticket, but by a token or a name.
        """
        what = "Asking for a delegation token of the ResourceManager"
        deadline = self.deadline(timeout)
        return self.ask(lambda door: door.delegation_token(renewer, what, deadline))

    def submit(
        self, submission: Submission, *, timeout: timedelta | None = None
    ) -> ApplicationReport:
        """
        Hands in an application under the ID it names.

        Returns once the scheduler has accepted it, which comes some milliseconds after the RM's
        own answer; a closed queue or too many applications are told only there. YARN takes a
        second submission with the same ID for the first, so it is repeated after a broken
        connection.

        Returns:
            Its first report; ACCEPTED or further, unless the scheduler takes its time.

        Raises:
            SubmissionError: The RM or the scheduler refused it.
        """
        application_id = submission.application_id
        what = f"Submitting {application_id}"
        self._hand_in(submission, what, timeout)
        deadline = self.deadline(timeout).at_most(_ACCEPT_PATIENCE)
        for pause in pauses(0.01, 0.5):
            try:
                report = self.application(application_id, timeout=timeout)
            except ApplicationNotFoundError:
                # The RM that took it was gone before it had written it down.
                if deadline.remaining_seconds < pause:
                    raise
                self._hand_in(submission, what, timeout)
                continue
            if report.state not in _NOT_ACCEPTED_YET or deadline.remaining_seconds < pause:
                break
            giving_up.pause(pause)
        if report.state is YarnState.FAILED and report.attempt_number is None:
            said = report.diagnostics.strip() or "without a reason"
            raise SubmissionError(
                f"{what}: the scheduler refused it ({said}). Correct what it complains about, or "
                "ask the cluster's administrators.",
                url=self.address,
            )
        return report

    def _hand_in(self, submission: Submission, what: str, timeout: timedelta | None) -> None:
        deadline = self.deadline(timeout)
        try:
            self.ask(lambda door: door.submit(submission, what, deadline))
        except (ClusterResponseError, WrongPortError) as error:
            if error.status is None and error.exception is None:
                raise
            raise SubmissionError(error.message, url=error.url, status=error.status) from error

    def application(
        self, application_id: str, *, timeout: timedelta | None = None
    ) -> ApplicationReport:
        """
        The report on one application.

        Raises:
            ApplicationNotFoundError: The RM does not know it, or has forgotten it.
        """
        what = f"Asking for {application_id}"
        deadline = self.deadline(timeout)
        report = self._of_application(
            lambda door: door.application(application_id, what, deadline), what, deadline
        )
        if report.application_id != application_id:
            raise ClusterResponseError(
                f"{what}: {self.address} answered with {report.application_id or 'none'} "
                f"where {application_id} was asked for. Is there a proxy in between?",
                url=self.address,
            )
        return report

    def _of_application(
        self, call: Callable[[ResourceManagerDoor], _T], what: str, deadline: Deadline
    ) -> _T:
        """
        What the RM says of one application.

        That it does not know it means something only if the RM had loaded its applications before
        it was asked.

        Raises:
            ApplicationNotFoundError: The RM does not know it.
            StandbyError: The RM has not finished starting in time.
        """
        certain = False
        with unknown_told(what):
            while True:
                try:
                    return self.ask(call)
                except ApplicationUnknownError:
                    if certain:
                        raise
                self._await_active(what, deadline)
                certain = True

    def _await_active(self, what: str, deadline: Deadline) -> None:
        """Waits until the RM has loaded its applications."""

        def ask() -> None:
            info = self.cluster_info(timeout=deadline.remaining)
            if not info.is_active:
                raise starting_error(info, what)

        Patience(members=1).insist(ask, deadline)

    def applications(
        self,
        wanted: ApplicationFilter,
        *,
        limit: int | None = None,
        timeout: timedelta | None = None,
    ) -> list[ApplicationReport]:
        """Applications that fit the filter, the latest first; the latest so many of them."""
        if wanted.is_empty:
            return []
        what, deadline = "Asking for the applications", self.deadline(timeout)
        # One that is starting lists as many as it has loaded.
        self._await_active(what, deadline)
        found = self.ask(lambda door: door.applications(wanted, what, deadline))
        reports = [report for report in found if wanted.fits(report)]
        reports.sort(key=lambda report: numbers_of(report.application_id), reverse=True)
        return reports[:limit]

    def attempts(
        self, application_id: str, *, timeout: timedelta | None = None
    ) -> list[AttemptReport]:
        """The starts of its Application Master."""
        what = f"Asking for the attempts of {application_id}"
        deadline = self.deadline(timeout)
        return self._of_application(
            lambda door: door.attempts(application_id, what, deadline), what, deadline
        )

    def configured(self, name: str, *, timeout: timedelta | None = None) -> str | None:
        """The value of a property of the RM's own. None: it has none, or does not tell."""
        what = f"Asking the ResourceManager for {name}"
        deadline = self.deadline(timeout)
        return self.ask(lambda door: door.configured(name, what, deadline))

    def kill(self, application_id: str, *, timeout: timedelta | None = None) -> ApplicationReport:
        """
        Ends an application from outside, and waits until YARN says that it has ended.

        One that has ended already stays as it is. Calling it again is safe.

        Raises:
            ApplicationNotFoundError: The RM does not know it.
            AccessDeniedError: It belongs to somebody else.
            WaitTimeoutError: It has not ended in time; the RM will go on trying.
        """
        what = f"Killing {application_id}"
        deadline = self.deadline(timeout)
        # Asked for first, since only that answer tells a starting RM from one that does not know.
        report = self.application(application_id, timeout=deadline.remaining)
        with unknown_told(what):
            self.ask(lambda door: door.kill(application_id, what, deadline))
        for pause in pauses(0.1, 1.0):
            if not deadline.is_over:
                with contextlib.suppress(ClusterTimeoutError):
                    report = self.application(application_id, timeout=deadline.remaining)
            if report.state.is_final:
                break
            if deadline.remaining_seconds < pause:
                raise WaitTimeoutError(
                    f"{what}: YARN accepted it, but after {deadline.total.total_seconds():.3g} s "
                    f"the application is still {report.state.value}. Look again in a moment: "
                    f"knit status {application_id}"
                )
            giving_up.pause(pause)
        return report


@contextmanager
def unknown_told(what: str) -> Iterator[None]:
    """Turns what the RM says of an application that it does not know into our error."""
    try:
        yield
    except ApplicationUnknownError as unknown:
        raise ApplicationNotFoundError(
            f"{what}: the ResourceManager does not know this application. Check the ID; "
            "YARN forgets applications some time after they have ended. Known ones: knit list"
        ) from unknown.error
