"""Asks YARN about one application, and where its Application Master is; bears outages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from knit._cluster import patience
from knit._cluster.patience import Notice
from knit._cluster.yarn.applications import is_withheld
from knit._handles.yarn import Yarn
from knit._values.access import Role
from knit._values.deadlines import Deadline, Pause, pauses
from knit._values.reports import ApplicationReport
from knit._values.states import YarnState
from knit.exceptions import (
    CLUSTER_SILENCE,
    AccessDeniedError,
    ApplicationNotFoundError,
    ApplicationNotRunningError,
    ClusterError,
    TicketMissingError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from knit._wire.tls import ClientTls

LEAST_QUESTION = timedelta(seconds=1)
"""A question has this much time, even if less is left: without any, nothing could be known."""

FAILURES_OF_ONE_THAT_LEAVES = 6
"""After so many broken calls in a row, an Application Master that has FINISHED has left."""

LONGEST_DEPARTURE = timedelta(minutes=6)
"""An Application Master that has no containers any more stays five minutes at most (`linger`)."""


class Locator:
    """
    What YARN says of one application. Threads may share it.

    Args:
        yarn: Whom to ask.
        application_id: Which application.
        tls: What its Application Master lets us in by, if that is known already.
        timeout: For each question that is given no other.
    """

    def __init__(
        self, yarn: Yarn, application_id: str, *, tls: ClientTls | None, timeout: timedelta
    ) -> None:
        self._yarn = yarn
        self._application_id = application_id
        self._tls = tls
        self._timeout = timeout
        # A cluster that has never answered may not be there at all: that is told at once. Who
        # brings keys has just submitted.
        self._has_answered = tls is not None

    def look(
        self, deadline: Deadline, pause: Pause, *, from_the_start: bool = False
    ) -> ApplicationReport:
        """
        What YARN says now; a ResourceManager that does not answer is asked again.

        Args:
            deadline: When to give up; at the latest that is after `patience.OUTAGE`.
            pause: How to wait.
            from_the_start: Whether one that has never answered is waited for, too.

        Raises:
            ClusterError: It is silent for longer than that, or says no.
        """

        def ask() -> ApplicationReport:
            return self._yarn.report(self._application_id, self._for_a_question(deadline))

        return self._insist(ask, deadline, pause, from_the_start=from_the_start)

    def kill(self, deadline: Deadline, pause: Pause) -> ApplicationReport:
        """
        Has YARN end the application, and waits until it has.

        Raises:
            WaitTimeoutError: It has not ended in time.
            ClusterError: As for `look`.
        """

        def ask() -> ApplicationReport:
            timeout = max(LEAST_QUESTION, deadline.remaining)
            return self._yarn.kill(self._application_id, timeout)

        return self._insist(ask, deadline, pause)

    def wait(
        self,
        deadline: Deadline,
        steps: Iterator[float],
        pause: Pause,
        answers: Callable[[], bool] = lambda: False,
    ) -> ApplicationReport:
        """
        Waits until YARN says that the application has ended.

        Args:
            deadline: When to give up.
            steps: The seconds between two questions.
            pause: How to wait.
            answers: Whether its Application Master does, which needs no Kerberos ticket: while it
                does, one that has ended may be renewed.

        Raises:
            WaitTimeoutError: It has not ended in time.
            TicketMissingError: There is no ticket any more, and the Application Master is silent.
            ClusterError: As for `look`.
        """
        state = YarnState.UNKNOWN
        while True:
            what = f"{self._application_id} to end"
            try:
                report = self.look(deadline, pause, from_the_start=True)
            except CLUSTER_SILENCE as error:
                if not deadline.is_over:
                    if isinstance(error, TicketMissingError) and self._has_answered and answers():
                        continue
                    raise
                raise waited(deadline, f"{what}; it was {state.value}. {error.message}") from error
            state = report.state
            if state.is_final:
                return report
            if deadline.is_over:
                raise waited(deadline, f"{what}; it is {state.value}")
            pause(min(next(steps), deadline.remaining_seconds))

    def has_left(self) -> bool:
        """Whether YARN says now that there is no Application Master any more."""
        try:
            return has_left(self._yarn.report(self._application_id, self._timeout))
        except CLUSTER_SILENCE:
            return False

    def _for_a_question(self, deadline: Deadline) -> timedelta:
        return max(LEAST_QUESTION, deadline.capped(self._timeout))

    def _insist(
        self,
        ask: Callable[[], ApplicationReport],
        deadline: Deadline,
        pause: Pause,
        *,
        from_the_start: bool = False,
    ) -> ApplicationReport:
        outage, steps, notice = Deadline.after(patience.OUTAGE), pauses(0.1, 2.0), Notice()
        while True:
            try:
                report = ask()
            except CLUSTER_SILENCE as error:  # noqa: PERF203 - it is borne, and asked again
                may_wait = self._has_answered or (
                    from_the_start and not isinstance(error, TicketMissingError)
                )
                if not may_wait or deadline.is_over or outage.is_over:
                    raise
                notice.waiting(f"{error.message} Trying again; {self._application_id} goes on.")
                pause(min(next(steps), deadline.remaining_seconds))
            else:
                self._has_answered = True
                return report

    def master(self, deadline: Deadline, failures: int, pause: Pause) -> tuple[str, ClientTls]:
        """
        Waits until YARN knows where the Application Master is.

        Args:
            deadline: When to give up.
            failures: How many calls in a row the last address known did not answer.
            pause: How to wait.

        Raises:
            WaitTimeoutError: It has not started in time.
            ApplicationNotRunningError: The application has ended, and it has left.
            AccessDeniedError: It is somebody else's, and YARN does not tell us.
            ClusterError: The cluster does not answer, or says no.
        """
        steps, notice = pauses(0.05, 0.5, 1.3), Notice()
        while True:
            report = self.look(deadline, pause)
            # One that FINISHED stays a while to answer; what YARN calls FAILED or KILLED is gone.
            may_answer = report.state is YarnState.FINISHED and failures < (
                1 if _holds_nothing(report) else FAILURES_OF_ONE_THAT_LEAVES
            )
            if report.state.is_final and not may_answer:
                raise not_running(report)
            if not report.state.is_final and is_withheld(report):
                raise _not_ours(report)
            timeout = self._for_a_question(deadline)
            unanswered: ClusterError | None = None
            try:
                address = self._yarn.address(report, timeout)
                if address is not None:
                    return address, self._credentials(report, timeout)
            except CLUSTER_SILENCE as error:  # now it is the file system that does not answer
                if deadline.is_over:
                    raise
                unanswered = error
            if report.state.is_final and unanswered is None:
                raise not_running(report)
            what = f"the Application Master of {self._application_id} to start"
            said = f" (YARN says: {report.diagnostics.strip()})" if report.diagnostics else ""
            why = f"the application is {report.state.value} in the queue {report.queue}{said}"
            if unanswered is not None:
                why = unanswered.message
            notice.waiting(f"Waiting for {what}; {why}")
            if deadline.is_over:
                raise waited(deadline, f"{what}; {why}")
            pause(min(next(steps), deadline.remaining_seconds))

    def credentials_of(self, role: Role, deadline: Deadline) -> ClientTls:
        """
        What another client is let in by.

        Raises:
            CredentialsError: There is nothing for that role.
        """
        timeout = self._for_a_question(deadline)
        return self._yarn.credentials(self._application_id, timeout, role=role)

    def _credentials(self, report: ApplicationReport, timeout: timedelta) -> ClientTls:
        if self._tls is None:
            try:
                self._tls = self._yarn.credentials(self._application_id, timeout)
            except ApplicationNotFoundError as error:
                if not report.state.is_final:
                    raise
                raise not_running(report) from error
        return self._tls


def waited(deadline: Deadline, what: str) -> WaitTimeoutError:
    """The error for what did not come in time."""
    return WaitTimeoutError(
        f"Waited {deadline.total.total_seconds():g} s for {what}. Wait longer, or look "
        "at what it is doing: knit status, knit logs."
    )


def has_left(report: ApplicationReport) -> bool:
    """Whether YARN says that there is no Application Master any more."""
    return report.state.is_final and (
        report.state is not YarnState.FINISHED or _holds_nothing(report)
    )


def _holds_nothing(report: ApplicationReport) -> bool:
    """Whether YARN says that the last container has gone, and so the Application Master's."""
    return report.raw.get("runningContainers") == -1


def _not_ours(report: ApplicationReport) -> AccessDeniedError:
    """The error for an application whose ACLs do not have us among those who may view it."""
    owner = report.user or "another user"
    return AccessDeniedError(
        f"Looking for the Application Master of {report.application_id}: it is {owner}'s, and YARN "
        f"tells only those where it is who may view the application (yarn.acl.enable). Be {owner} "
        "(HADOOP_USER_NAME; with Kerberos another ticket), or have it submitted with an "
        "access_control that names you."
    )


def not_running(report: ApplicationReport) -> ApplicationNotRunningError:
    """The error for calls to an Application Master that has left."""
    how = report.state.value
    if report.state is YarnState.FINISHED:
        how = f"{how}, {report.final_status.value}"
    said = report.diagnostics.strip()
    return ApplicationNotRunningError(
        f"{report.application_id} has ended ({how}) and its Application Master has left"
        + (f": {said}" if said else ".")
    )
