"""A handle on one application, running or ended."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING

from knit._handles.collected import Collected
from knit._handles.containers import ContainerControl
from knit._handles.event_control import EventControl
from knit._handles.given import Given, GivenLocator
from knit._handles.kv import KeyValueStore
from knit._handles.locating import Locator, waited
from knit._handles.log_control import LogControl
from knit._handles.scheduling import Scheduling
from knit._handles.services import ServiceControl
from knit._handles.session import Session
from knit._handles.yarn import Yarn
from knit._values.access import Role
from knit._values.applications import ApplicationDescription, ApplicationOutcome, ApplicationState
from knit._values.deadlines import Deadline, pauses
from knit._values.reports import ApplicationReport
from knit._values.states import FinalStatus
from knit._wire.calls.application import (
    get_annotations,
    get_application,
    get_spec,
    report_progress,
    shutdown,
    update_application,
)
from knit._wire.connection import Connection
from knit._wire.tls import ClientTls
from knit.exceptions import (
    ApplicationNotRunningError,
    ConnectionLostError,
    KnitError,
    RpcTimeoutError,
    WrongStateError,
)

if TYPE_CHECKING:
    from knit._values.spec import ApplicationSpec
    from knit._wire.endpoint import Endpoint

_log = logging.getLogger("knit")


class Application(ServiceControl, ContainerControl, EventControl, LogControl, Scheduling):
    """
    A handle on one application.

    It holds an ID and a connection, no state: every method asks. Calls to the Application Master
    wait for it to start, find it again where it was started anew, and are over by their
    deadline; within it they bear a cluster that does not answer for a while. Threads may share a
    handle, and so may forked processes.

    Handles come from `Client.submit` and `Client.application`. Leaving a `with` block closes the
    connection, and the application goes on; but the block of a handle from `submit` that is left
    by an exception, `KeyboardInterrupt` included, kills the application.

    Raises:
        ApplicationNotRunningError: By every call to the Application Master, if it has left.
        ConnectionLostError: Likewise, if it does not answer.
        RpcTimeoutError: Likewise, if it does not answer in time.
    """

    def __init__(
        self,
        yarn: Yarn,
        application_id: str,
        *,
        tls: ClientTls | None = None,
        timeout: timedelta = timedelta(seconds=30),
        kill_on_error: bool = False,
        given: Given | None = None,
    ) -> None:
        self._yarn = yarn
        self._application_id = application_id
        self._timeout = timeout
        self._kill_on_error = kill_on_error
        self._locator = (
            Locator(yarn, application_id, tls=tls, timeout=timeout)
            if given is None
            else GivenLocator(yarn, application_id, given=given, timeout=timeout)
        )
        self._connection = Connection(self._locator.master)
        self._session = Session(application_id, self._connection, timeout)
        self._collected = Collected(yarn, application_id, timeout)

    @property
    def application_id(self) -> str:
        """YARN's identifier, `application_…`."""
        return self._application_id

    def __repr__(self) -> str:
        return f"Application({self._application_id!r})"

    def __enter__(self) -> Application:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is not None and self._kill_on_error:
                self._give_up()
        finally:
            self.close()

    def _give_up(self) -> None:
        """Ends the application, for its submitter's program has failed or was interrupted."""
        try:
            self.kill()
        except KnitError as error:
            # What made us leave says more, and is under way already.
            _log.warning(
                "%s was to be killed, for its with block was left by an exception, and may still "
                "run: %s Kill it: knit kill %s",
                self._application_id,
                error.message,
                self._application_id,
            )

    def close(self) -> None:
        """Closes the connection; the application goes on. Calling it again is safe."""
        self._connection.close()

    def report(self, *, timeout: timedelta | None = None) -> ApplicationReport:
        """
        Asks YARN about the application; works before, while and after it runs.

        Raises:
            ApplicationNotFoundError: YARN does not know it, or no longer.
        """
        return self._yarn.report(self._application_id, self._within(timeout).total)

    def connect(self, *, timeout: timedelta | None = None) -> ApplicationDescription:
        """
        Waits until the Application Master answers; every other call does so by itself.

        Raises:
            WaitTimeoutError: It has not started in time: the queue may be full.
            ApplicationNotRunningError: The application ended before.
        """
        return self.describe(timeout=timeout)

    def endpoint(self, *, role: Role = Role.OWNER, timeout: timedelta | None = None) -> Endpoint:
        """
        Waits until the Application Master has an address, and says how any client reaches it.

        Args:
            role: What that client may do: `OWNER` (or, where this handle is itself by given
                credentials, what those may), `OPERATOR` or `VIEWER`.
            timeout: Default: the client's.

        Raises:
            WaitTimeoutError: It has not started in time: the queue may be full.
            ApplicationNotRunningError: The application has ended.
            CredentialsError: There are none of that role, or they are not this handle's to give.
        """
        from knit._wire.endpoint import Endpoint

        deadline = self._within(timeout)
        address, tls = self._locator.master(deadline, 0, time.sleep)
        if role is not Role.OWNER:
            tls = self._locator.credentials_of(role, deadline)
        return Endpoint._of(self._application_id, address, tls)

    def describe(self, *, timeout: timedelta | None = None) -> ApplicationDescription:
        """Asks the Application Master what the application consists of and how it is doing."""
        return self._describe(self._within(timeout))

    def _describe(self, deadline: Deadline) -> ApplicationDescription:
        return self._connection.call(get_application(self._application_id), deadline)

    def spec(
        self, *, with_values: bool = False, timeout: timedelta | None = None
    ) -> ApplicationSpec:
        """
        Returns what the application was submitted as, by whoever did it.

        It is the specification that was given, but for what a submission makes of this machine's
        things: files, directories and Python environments have the URLs they were staged under,
        which are there until the application ends, certificates are their fingerprints, and
        ports are also those of `KNIT_MASTER_PORTS`. Services that were added or changed later
        are told by `services`.

        Args:
            with_values: Whether to return the values of variables, which are empty else, and the
                annotations, as they are by now, which are left out else. An owner is given all
                of them, a container the variables of its own service and the annotations.
            timeout: Default: the client's.

        Raises:
            NotPermittedError: `with_values` is not for the role of these credentials.
            ApplicationNotRunningError: The application has ended.
        """
        return self._session.call(get_spec(self._application_id, with_values=with_values), timeout)

    @functools.cached_property
    def kv(self) -> KeyValueStore:
        """The key-value store that the application's containers and clients share."""
        return KeyValueStore(self._session)

    def report_progress(self, progress: float | None, *, timeout: timedelta | None = None) -> None:
        """
        Says how far the application is, which YARN shows.

        Args:
            progress: 0 to 1. None: it is computed again, from the ranks that have ended.
            timeout: Default: the client's.

        Raises:
            InvalidRequestError: It is not 0 to 1.
        """
        self._session.call(report_progress(self._application_id, progress), timeout)

    def annotations(self, *, timeout: timedelta | None = None) -> dict[str, bytes]:
        """
        Returns the application's annotations: notes of whoever submitted it, for themselves.

        Only its owner and its containers are given them.
        """
        return self._session.call(get_annotations(self._application_id), timeout)

    def annotate(
        self,
        annotations: Mapping[str, bytes | None],
        *,
        timeout: timedelta | None = None,
    ) -> None:
        """
        Sets annotations, and removes those that are given as None; others stay.

        Raises:
            ResourceExhaustedError: They would have more than 64 KiB in all.
            HistoryLostError: The Application Master was replaced, after it may have done it.
        """
        self._session.change(
            lambda history_id: update_application(
                self._application_id,
                set_annotations={n: v for n, v in annotations.items() if v is not None},
                remove_annotations=[n for n, v in annotations.items() if v is None],
                history_id=history_id,
            ),
            timeout,
        )

    def stop(
        self,
        *,
        final_status: FinalStatus = FinalStatus.KILLED,
        diagnostics: str = "",
        timeout: timedelta | None = None,
    ) -> ApplicationOutcome:
        """
        Asks the Application Master to end the application.

        It returns before the containers have stopped; `wait` waits for the end. Calling it again
        is safe: the first outcome stands.

        Args:
            final_status: What YARN is told: SUCCEEDED, FAILED or KILLED.
            diagnostics: Why, in a sentence for people.
            timeout: Default: the client's.

        Returns:
            The outcome that stands.
        """
        if final_status not in (FinalStatus.SUCCEEDED, FinalStatus.FAILED, FinalStatus.KILLED):
            raise ValueError(
                f"An application cannot end {final_status.value}: say SUCCEEDED, FAILED or KILLED."
            )
        return self._shut_down(final_status, diagnostics, self._within(timeout))

    def release(self, *, timeout: timedelta | None = None) -> None:
        """
        Lets the Application Master of an application that has ended leave at once.

        It would otherwise stay a while for other clients. Whoever has read what they wanted may
        call it. It waits until YARN has taken note of the outcome, if it is about to; one that
        has left already is no error.

        Raises:
            WrongStateError: The application is still running; use `stop`.
            WaitTimeoutError: It has not ended in time.
        """
        deadline = self._within(timeout)
        steps = pauses(0.02, 0.5)
        try:
            while (state := self._describe(deadline).state) is not ApplicationState.ENDED:
                if state is ApplicationState.RUNNING:
                    raise WrongStateError(
                        f"{self._application_id} is still running and cannot be released: "
                        "stop it first, or wait for its end."
                    )
                if deadline.is_over:
                    raise waited(deadline, f"{self._application_id} to end; it is {state}")
                time.sleep(min(next(steps), deadline.remaining_seconds))
            self._shut_down(FinalStatus.KILLED, "", deadline)
        except ApplicationNotRunningError:
            return  # it has left
        except (ConnectionLostError, RpcTimeoutError):
            # Gone, or only out of reach: YARN knows.
            if not self._locator.look(deadline, time.sleep).state.is_final:
                raise

    def kill(self, *, timeout: timedelta | None = None) -> ApplicationReport:
        """
        Has YARN end the application, and waits until it has; needs no Application Master.

        An application that has ended already stays as it is.

        Args:
            timeout: For the end to come; a second at least, in which it is asked for. Default:
                the client's.

        Raises:
            WaitTimeoutError: It has not ended in time; YARN goes on trying.
        """
        return self._locator.kill(self._within(timeout), time.sleep)

    def wait(
        self, *, timeout: timedelta | None = None, poll: timedelta | None = None
    ) -> ApplicationReport:
        """
        Waits until YARN says that the application has ended.

        It asks often at first, then every two seconds. It bears a ResourceManager that does not
        answer, as while it restarts or fails over, for a quarter of an hour, and says so in the
        log (`knit`). So it does where a Kerberos ticket has ended, and goes on when there is a new
        one in the cache; while the Application Master answers, for longer than that.

        Args:
            timeout: Zero asks once. Default: none.
            poll: How long to wait between two questions, instead.

        Returns:
            The last report; `raise_for_status` of it fails unless all is well.

        Raises:
            WaitTimeoutError: It has not ended in time; it goes on.
            TicketMissingError: There is no ticket any more; it goes on.
        """
        deadline = Deadline.never() if timeout is None else Deadline.after(timeout)
        if poll is None:
            steps = pauses(0.1, 2.0, 1.2)
        else:
            steps = pauses(poll.total_seconds(), poll.total_seconds())
        return self._locator.wait(deadline, steps, time.sleep, self._answers)

    def _answers(self) -> bool:
        try:
            self.describe()
        except KnitError:
            return False
        return True

    def _within(self, timeout: timedelta | None) -> Deadline:
        return Deadline.of(timeout, default=self._timeout)

    def _shut_down(
        self, final_status: FinalStatus, diagnostics: str, deadline: Deadline
    ) -> ApplicationOutcome:
        call = shutdown(self._application_id, final_status, diagnostics)
        return self._connection.call(call, deadline)
