"""Says what is waited for, within some seconds and again when it changes."""

from __future__ import annotations

import contextlib
import functools
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import attrs

from knit.cli._terminal.progress import Progress

if TYPE_CHECKING:
    import knit

PATIENCE_SECONDS = 3.0
"""Whoever has to wait no longer need not read why."""
POLL_SECONDS = 2.0
"""Between two looks at what an application waits for."""
NODES_SECONDS = 10.0
"""Between two looks at the nodes, while YARN gives no reason."""
CONNECT_SECONDS = 5.0
"""In which a port that can be reached takes a connection."""
_WHEN = re.compile(r"\A\s*(?:\[[^\]]*\]\s*)+")


class Waiting:
    """
    What an application that has been submitted waits for, in a line for each reason.

    A reason counts as another one when its words change, not when a number within it does:
    what a queue has in use changes all the time.
    """

    def __init__(self, progress: Progress, no_node: Callable[[], str | None]) -> None:
        self._progress = progress
        self._no_node = no_node
        self._began = time.monotonic()
        self._looked = 0.0
        self._found: str | None = None
        self._said = ""
        self._said_of: dict[tuple[Any, ...], str] = {}

    def say(self, what: str, why: str = "") -> None:
        """Something is waited for; it is said once it has lasted a while."""
        sentence = f"{what}: {why}" if why else what
        if time.monotonic() - self._began < PATIENCE_SECONDS:
            self._progress.status(sentence)
        elif _without_numbers(sentence) != self._said:
            self._said = _without_numbers(sentence)
            self._progress.step(sentence)
            self._progress.status(f"still {what}")

    def for_master(self, report: knit.ApplicationReport) -> None:
        """The Application Master has not registered yet."""
        why = _WHEN.sub("", report.diagnostics).strip()
        if report.running_containers or report.attempt_number:
            self.say("waiting for the Application Master to start", why)
            return
        if not why and time.monotonic() - self._began >= PATIENCE_SECONDS:
            why = self._look_at_nodes() or "YARN gives no reason; `knit doctor` looks for some"
        self.say(f"waiting in queue {report.queue}", why)

    def for_containers(self, reasons: Iterable[knit.WaitingReason]) -> None:
        """Containers have not been granted, for these reasons."""
        now = {}
        for reason in reasons:
            key = (reason.service_name, reason.resources)
            now[key] = sentence = waiting_sentence(reason)
            if _without_numbers(sentence) != _without_numbers(self._said_of.get(key, "")):
                self._progress.step(sentence)
        self._said_of = now

    def _look_at_nodes(self) -> str | None:
        """Why no node takes anything, if that is so."""
        if time.monotonic() - self._looked > NODES_SECONDS:
            self._looked = time.monotonic()
            self._found = self._no_node()
        return self._found


def waiting_sentence(reason: knit.WaitingReason) -> str:
    """For what containers of a service wait."""
    why = reason.explanation or reason.cause.name.lower().replace("_", " ")
    return f"{reason.count} of {reason.service_name} wait: {why}"


def keep_saying(
    app: knit.Application, waiting: Waiting, done: threading.Event, *, master: bool = True
) -> None:
    """
    Say what an application waits for, until `done`.

    Args:
        app: The application.
        waiting: What says so.
        done: When it is no longer of interest.
        master: Whether also for what its Application Master waits.
    """
    from knit.exceptions import KnitError

    while not done.wait(POLL_SECONDS):
        try:
            report = app.report()
            if report.state.is_final:
                return
            if report.state.name == "RUNNING":
                waiting.for_containers(app.describe().waiting_reasons)
            elif master:
                waiting.for_master(report)
        except KnitError:  # noqa: PERF203 - whoever waits for it says so
            continue


@contextlib.contextmanager
def saying_why(app: knit.Application, *, master: bool = True) -> Iterator[None]:
    """Within the block, which waits for an application, it is said what that waits for."""
    done = threading.Event()
    waiting = Waiting(Progress.latest or Progress(), lambda: None)
    work = functools.partial(keep_saying, app, waiting, done, master=master)
    threading.Thread(target=work, name="knit-waiting", daemon=True).start()
    try:
        yield
    finally:
        done.set()


@contextlib.contextmanager
def within_reach(app: knit.Application) -> Iterator[None]:
    """
    Within the block calls to the Application Master are not waited for in vain.

    Where one takes long and the port of the Application Master drops what is sent to it, the
    calls are broken off, and the error names the port and what to do.

    Raises:
        ConnectionLostError: That is so.
    """
    from knit.exceptions import ConnectionLostError, KnitError

    done = threading.Event()
    found: list[Unreachable] = []

    def look() -> None:
        if done.wait(PATIENCE_SECONDS):
            return
        with contextlib.suppress(KnitError):
            report = app.report()
            # Once it has left nobody listens, and nobody need.
            address = None if report.state.is_final else report.am_address
            problem = unreachable(address) if address else None
            # One that refuses may be about to be started again, perhaps elsewhere.
            if problem is not None and problem.is_silent and not done.is_set():
                found.append(problem)
                app.close()

    threading.Thread(target=look, name="knit-reach", daemon=True).start()
    try:
        yield
    except KnitError as error:
        if not found:
            raise
        sentence = found[0].sentence
        raise ConnectionLostError(sentence[:1].upper() + sentence[1:]) from error
    finally:
        done.set()


@attrs.frozen
class Unreachable:
    """A port that cannot be reached from here."""

    sentence: str
    """What is so, and what to do."""
    is_silent: bool
    """Whether nothing answers at all, as behind a firewall; else something refuses."""


def unreachable(address: str, seconds: float = CONNECT_SECONDS) -> Unreachable | None:
    """What is to be said of a port that cannot be reached from here; None of one that can."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=seconds):
            return None
    except (OSError, ValueError) as error:
        is_silent = isinstance(error, TimeoutError)
        if isinstance(error, socket.gaierror):
            why = f"the host {host} is not known here"
            advice = "Make the names of the nodes known here (DNS, or /etc/hosts)."
        elif is_silent:
            why = f"no answer within {seconds:g} s"
            advice = (
                f"A firewall may drop what is for port {port}: let the Application Master use "
                "ports that it lets through, --master-ports FIRST-LAST, or run knit on a machine "
                "of the cluster."
            )
        else:
            why = getattr(error, "strerror", None) or type(error).__name__
            advice = "It may just be starting again; or a firewall refuses: --master-ports."
        return Unreachable(
            f"the Application Master listens on {address}, which cannot be reached from here "
            f"({why}). {advice}",
            is_silent,
        )


def _without_numbers(text: str) -> str:
    return re.sub(r"\d+", "0", text)
