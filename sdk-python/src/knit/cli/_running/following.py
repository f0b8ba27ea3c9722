"""Sees a submitted application through: its start, its logs, Ctrl-C on the way, its end."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import attrs

from knit._cluster.patience import OUTAGE
from knit.cli._running.exit_status import TIMED_OUT, ending, exit_code_of
from knit.cli._running.interrupts import Interrupts, next_event
from knit.cli._running.waiting import Waiting, unreachable
from knit.cli._terminal.hints import hints
from knit.cli._terminal.log_printer import OutputError
from knit.cli._terminal.words import count_by_state, human_duration
from knit.exceptions import (
    ApplicationNotRunningError,
    ClusterTimeoutError,
    ClusterUnreachableError,
    ConnectionLostError,
    KnitError,
    RpcTimeoutError,
    StandbyError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    import knit
    from knit.cli._terminal.log_printer import LogPrinter
    from knit.cli._terminal.progress import Progress

GONE = (ApplicationNotRunningError, ConnectionLostError, RpcTimeoutError, WaitTimeoutError)
"""What a call says whose Application Master has left or does not answer."""
SILENT = (ClusterUnreachableError, ClusterTimeoutError, StandbyError)
"""What a call says whose ResourceManager does not answer; it may be restarting."""
PIPE_CLOSED, OUTPUT_FAILED = 141, 1
PATIENCE_WITH_STOP = timedelta(seconds=30)
"""
After --timeout, or a signal that comes but once, the application is asked to stop; after that
much more YARN kills it.
"""
PATIENCE_WITH_YARN = timedelta(minutes=1)
"""How long YARN may take to say how an application ended whose Application Master has left."""
POLL_SECONDS = 0.3
"""Between two looks at containers that start."""
PATIENCE_WITH_GRANTS = 8.0
"""
Seconds after which it is said that containers are waited for, where the Application Master gives
no reason: it needs a few heartbeats to know one.
"""
IDLE_POLL_SECONDS = 3.0
"""Likewise once all have started: others may come, or have to be replaced."""


def pause_after(look_seconds: float, linger: timedelta) -> float:
    """
    Seconds to the next look at containers, after one that took so long.

    A list of 100,000 takes a second: looking takes a tenth of the time at most. But where logs are
    not live nobody else is connected, and an Application Master that nobody has asked anything
    leaves after `linger`, with the exit code that it alone knows: three looks fall into that.
    """
    return min(max(POLL_SECONDS, 9 * look_seconds), max(POLL_SECONDS, linger.total_seconds() / 3))


@attrs.frozen
class Ended:
    """The application has ended, or nothing more can be learned from it."""


@attrs.frozen
class Broken:
    """A thread of ours ended by an error that nobody expected."""

    error: BaseException


@attrs.frozen
class Interrupted:
    """Ctrl-C, SIGTERM or SIGHUP, for the first or the second time."""

    count: int


@attrs.frozen
class TimeIsUp:
    """--timeout, or the patience after it, has run out."""


@attrs.frozen
class OutputLost:
    """Our output cannot be written any more."""

    error: OutputError


@attrs.frozen
class Result:
    """How the application ended, as far as it became known."""

    exit_code: int
    ending: str
    diagnostics: str
    containers: list[knit.Container]


class Follower:
    """
    Follows one application to its end.

    One thread reads the logs, one looks at the containers, and short-lived ones ask
    the application to stop or YARN to kill it, so that the main thread is always free for the
    next signal. They talk to it through one queue; each says so if it breaks.
    """

    def __init__(
        self,
        app: knit.Application,
        *,
        spec: knit.ApplicationSpec,
        printer: LogPrinter,
        progress: Progress,
        interrupts: Interrupts,
        limit: timedelta | None,
        no_node: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._app = app
        self._spec = spec
        self._instances = sum(service.instances for service in spec.services.values())
        self._printer = printer
        self._progress = progress
        self._interrupts = interrupts
        self._limit = limit
        self._waiting = Waiting(progress, no_node)
        self._events: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._done = threading.Event()
        self._stop_code: int | None = None
        self._stream: knit.LogStream | None = None
        # What the Application Master told while the logs were still waited for.
        self._told: tuple[knit.ApplicationOutcome, list[knit.Container]] | None = None

    def follow(self) -> Result:
        """
        Return once the application has ended, whoever ended it.

        Raises:
            KeyboardInterrupt: By a signal after its end, while YARN has yet to tell how it ended.
            Exception: Whatever ended a thread of ours; the application goes on.
        """
        self._interrupts.hand_over(lambda count: self._events.put(Interrupted(count)), most=2)
        reader = self._start("logs", self._read)
        try:
            self._wait_for_the_end()
        finally:
            self._done.set()
        # There is nothing left to stop, and YARN may keep us waiting for its word.
        self._interrupts.take_back()
        if self._told is not None and self._stream is not None:
            # It has ended, and so have its logs, unless they are no longer waited for.
            self._stream.close()
        # After a kill the logs' end may never come: what came so far has been printed.
        reader.join(timeout=2)
        return self._result()

    def _wait_for_the_end(self) -> None:
        deadline = None if self._limit is None else time.monotonic() + self._limit.total_seconds()
        while True:
            try:
                event = next_event(self._events, deadline)
            except queue.Empty:
                event = TimeIsUp()
            if isinstance(event, Ended):
                return
            if isinstance(event, Broken):
                self._progress.warn(
                    f"{self._app.application_id} goes on: `knit logs -f` shows what it writes, "
                    "`knit kill` ends it"
                )
                raise event.error
            if isinstance(event, Interrupted) and self._told is not None:
                self._stop_code = self._interrupts.exit_code
                self._progress.step(
                    "it has ended, and its logs are no longer waited for; once YARN has collected "
                    f"them: knit logs {self._app.application_id}"
                )
                return
            if isinstance(event, Interrupted) and event.count == 1:
                by = self._interrupts.by
                self._stop(self._interrupts.exit_code, f"stopped by {by} at its client")
                if by == "Ctrl-C":
                    self._progress.step("asking the application to stop; Ctrl-C again kills it")
                else:
                    # Nobody is there to ask for more.
                    deadline = time.monotonic() + PATIENCE_WITH_STOP.total_seconds()
                    self._progress.step(f"{by}: asking the application to stop")
            elif isinstance(event, Interrupted):
                self._kill("having YARN kill the application; Ctrl-C again leaves it alone")
            elif isinstance(event, OutputLost):
                self._lose_output(event.error)
            elif self._stop_code is None:
                self._stop(TIMED_OUT, "stopped because the time its client gave it was over")
                self._progress.warn("the time is over: asking the application to stop")
                deadline = time.monotonic() + PATIENCE_WITH_STOP.total_seconds()
            else:
                deadline = None
                self._kill("it has not stopped: having YARN kill it")

    def _start(self, name: str, work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                self._events.put(Broken(error))

        thread = threading.Thread(target=run, name=f"knit-{name}", daemon=True)
        thread.start()
        return thread

    # Ending it

    def _lose_output(self, error: OutputError) -> None:
        if error.is_closed:
            self._stop(PIPE_CLOSED, "stopped because nobody read its client's output any more")
        else:
            self._progress.warn(f"{error} Asking the application to stop.")
            self._stop(OUTPUT_FAILED, "stopped because its client's output could not be written")

    def _stop(self, exit_code: int, why: str) -> None:
        if self._stop_code is None:
            self._stop_code = exit_code

        def ask() -> None:
            if self._stream is not None and self._told is None:
                # The Application Master is known: it is asked without YARN, which may be away.
                with contextlib.suppress(KnitError):
                    self._app.stop(diagnostics=why)
                    return
            try:
                if self._app.report().state.name == "RUNNING":
                    self._app.stop(diagnostics=why)
                else:
                    self._kill_now()  # there is no Application Master to ask yet
            except ApplicationNotRunningError:
                return  # it has just ended by itself
            except KnitError as error:
                self._progress.warn(f"the application cannot be asked to stop: {error}")

        self._start("stop", ask)

    def _kill(self, sentence: str) -> None:
        self._progress.step(sentence)
        self._start("kill", self._kill_now)

    def _kill_now(self) -> None:
        try:
            self._app.kill()
        except KnitError as error:
            self._progress.warn(f"YARN does not kill the application: {error}")
        else:
            self._events.put(Ended())

    # Seeing it run

    def _read(self) -> None:
        try:
            self._read_logs()
        except OutputError as error:
            self._events.put(OutputLost(error))
            self._await_end()
        except KnitError as error:
            self._progress.warn(f"its logs cannot be followed any further: {error}")
            self._await_end()
        self._events.put(Ended())

    def _read_logs(self) -> None:
        has_ended, watcher = False, None
        while not has_ended:
            report = self._await_master()
            if report is None:
                return
            # A quick one may have ended before we looked; it then stays a while to answer.
            has_ended = report.state.is_final
            if watcher is None:
                watcher = self._start("containers", self._watch_containers)
                if not has_ended:
                    self._start("reach", self._say_if_unreachable)
            try:
                with self._app.logs(follow=True) as stream:
                    self._stream = stream
                    self._printer.print_all(stream)
                return  # they end with the application
            except GONE as error:
                self._printer.finish()
                if has_ended:
                    self._progress.warn(f"the end of its logs may be missing: {error}")
                    return
                # YARN knows whether another Application Master follows.
                self._waiting.say("the Application Master does not answer", f"{error}")
                self._done.wait(1)

    def _await_master(self) -> knit.ApplicationReport | None:
        """Wait until there is an Application Master to ask; None if there will be none."""
        began = time.monotonic()
        outage: float | None = None
        while not self._done.is_set():
            try:
                report = self._app.report()
            except SILENT as error:
                if outage is None:
                    outage = time.monotonic() + OUTAGE.total_seconds()
                    self._progress.warn(f"{error} Trying again; the application goes on.")
                if time.monotonic() >= outage:
                    raise
                self._done.wait(2)
                continue
            outage = None
            if report.state.name in ("RUNNING", "FINISHED"):
                return report
            if report.state.is_final:
                return None
            self._waiting.for_master(report)
            self._done.wait(0.1 if time.monotonic() - began < 15 else 1)
        return None

    def _await_end(self) -> None:
        """Wait for YARN's word, when the logs can no longer be followed."""
        try:
            self._app.wait()
        except KnitError as error:
            self._progress.warn(f"its end cannot be waited for: {error}")

    def _say_if_unreachable(self) -> None:
        """An address that a firewall shuts off is named at once, not after everybody's timeout."""
        try:
            address = self._app.report().am_address
        except KnitError:
            return
        problem = unreachable(address) if address else None
        if problem is not None and not self._done.is_set():
            self._progress.warn(problem.sentence)

    def _watch_containers(self) -> None:
        """Say how many run once all have started, and for what those wait that have not."""
        is_up = all_started = False
        said, pause, up_since = "", 0.0, 0.0
        while not self._done.wait(pause):
            began = time.monotonic()
            try:
                containers = [] if all_started else self._app.containers()
                description = self._app.describe() if is_up else None
                if self._note_outcome(description):
                    return
            except KnitError:
                pause = IDLE_POLL_SECONDS
                continue  # the reader of the logs says so, if it matters
            pause = pause_after(time.monotonic() - began, self._spec.linger)
            # What is being stopped says nothing of what ran.
            if self._done.is_set() or self._stop_code is not None:
                return
            if not is_up:
                is_up, up_since = True, time.monotonic()
                self._progress.step("the Application Master is up", timed=True)
            reasons = [] if description is None else description.waiting_reasons
            self._waiting.for_containers(reasons)
            if reasons or all_started:
                up_since = time.monotonic()
            if all_started:
                pause = IDLE_POLL_SECONDS
                continue
            started = {(c.service, c.rank) for c in containers if c.start_time or c.exit}
            counts = count_by_state(containers)
            if len(started) >= self._instances:
                all_started = True
                self._progress.step(f"all containers have started: {counts}", timed=True)
            elif counts != said:
                said = counts
                self._progress.status(f"containers: {counts}")
            if time.monotonic() - up_since >= PATIENCE_WITH_GRANTS:
                up_since = float("inf")
                self._progress.step(f"waiting for YARN to grant and start containers: {counts}")

    # Its end

    def _note_outcome(self, description: knit.ApplicationDescription | None) -> bool:
        """
        Takes note of how it ended, where its logs come only once the Application Master has left.

        It then may leave at once; else it would stay for us, and nothing be collected.
        """
        is_live = self._stream is None or self._stream.is_live
        if is_live or description is None or description.outcome is None:
            return False
        self._told = description.outcome, list(self._app.containers())
        self._app.release()
        return True

    def _result(self) -> Result:
        outcome, containers = self._ask_outcome()
        if outcome is not None:
            how, diagnostics = outcome.final_status.name, outcome.diagnostics
            code = 0 if how == "SUCCEEDED" else outcome.exit_code or 1
        else:
            report = self._app.wait(timeout=PATIENCE_WITH_YARN)
            how, diagnostics, code = ending(report), report.diagnostics, exit_code_of(report, None)
        if self._stop_code is not None:
            code = self._stop_code
        return Result(code, how, diagnostics.strip(), containers)

    def _ask_outcome(self) -> tuple[knit.ApplicationOutcome | None, list[knit.Container]]:
        """The Application Master's own account, after which it may leave."""
        if self._told is not None:
            return self._told
        try:
            with contextlib.suppress(*SILENT):  # the Application Master knows more
                if self._app.report().state.name in ("KILLED", "FAILED"):
                    return None, []  # it has none, or was not asked
            description = self._app.describe()
            if description.outcome is None:
                return None, []
            containers = list(self._app.containers())
            self._app.release()
        except KnitError:
            return None, []
        return description.outcome, containers

    def conclude(self, result: Result) -> None:
        """Say how it ended, unless nobody listens."""
        self._progress.status("")
        if result.exit_code == PIPE_CLOSED and self._stop_code == PIPE_CLOSED:
            return
        took = human_duration(self._progress.elapsed)
        sentence = f"{self._app.application_id} {result.ending.lower()} after {took}"
        if result.ending == "SUCCEEDED":
            self._progress.step(sentence)
            if not self._printer.printed_anything and self._stop_code is None:
                self._progress.step("its containers have written nothing to stdout or stderr")
            return
        why = f": {result.diagnostics}" if result.diagnostics else ""
        self._progress.warn(f"{sentence}{why}")
        if len(result.containers) > 1:
            self._progress.warn(f"containers: {count_by_state(result.containers)}")
        for hint in hints(self._spec, result.exit_code, result.containers):
            self._progress.warn(hint)
