"""Submits an application so that Ctrl-C never leaves one behind that nobody knows of."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING

from knit._values.giving_up import GRACE_SECONDS, GivenUpError, GivingUp, heed
from knit.cli._running.interrupts import next_event
from knit.cli._terminal.words import human_size

if TYPE_CHECKING:
    import knit
    from knit.cli._running.interrupts import Interrupts
    from knit.cli._terminal.progress import Progress


PATIENCE_SECONDS = 2 * GRACE_SECONDS
"""How long a submission that is given up may take to clear up, before it is left alone."""
PATIENCE_WITH_YARN_SECONDS = 5.0
"""Likewise of one that YARN was asked to accept: it may run, so its handle is waited for."""


class SubmissionInterruptedError(Exception):
    """The submission was given up; the message says how far it had come."""


def submit(
    client: knit.Client,
    spec: knit.ApplicationSpec,
    progress: Progress,
    interrupts: Interrupts,
) -> knit.Application:
    """
    Submit, and say what had to be uploaded for it.

    It is done in a thread of its own, which Ctrl-C does not tear out of a call: all that it waits
    for is given up at once. What hangs in a call is left behind after a moment, or a longer one
    once YARN was asked to accept the application: its answer is the handle to stop it by. A second
    Ctrl-C leaves at once.

    Raises:
        SubmissionInterruptedError: It was given up.
        KnitError: It failed.
    """
    answers: queue.SimpleQueue[knit.Application | BaseException | int] = queue.SimpleQueue()
    uploads = _Uploads(progress)
    giving_up = GivingUp()
    told: list[str] = []

    def say_id(application_id: str) -> None:
        heed()
        progress.step(f"checked the cluster, uploaded {uploads.summary()}", timed=True)
        # Before YARN is asked: whoever is killed now has left word of what may run.
        progress.step(f"submitting {application_id} to queue {spec.queue}")
        told.append(application_id)

    def work() -> None:
        try:
            with giving_up.watched():
                app = client.submit(
                    spec,
                    progress=uploads.report,
                    packing_progress=uploads.report_packing,
                    before_submit=say_id,
                )
            answers.put(app)
        except BaseException as error:
            answers.put(error)

    progress.status("checking the cluster")
    interrupts.hand_over(answers.put, most=1)
    threading.Thread(target=work, name="knit-submit", daemon=True).start()
    deadline: float | None = None
    while True:
        try:
            answer = next_event(answers, deadline)
        except queue.Empty:
            raise SubmissionInterruptedError(_left_behind(told)) from None
        if isinstance(answer, int):
            progress.step("taking the submission back; Ctrl-C again leaves at once")
            giving_up.give_up()
            patience = PATIENCE_WITH_YARN_SECONDS if told else PATIENCE_SECONDS
            deadline = time.monotonic() + patience
        elif isinstance(answer, GivenUpError):
            raise SubmissionInterruptedError(_given_up(told)) from answer
        elif isinstance(answer, BaseException):
            raise answer
        else:
            break
    progress.step("YARN has accepted it", timed=True)
    return answer


def _given_up(told: list[str]) -> str:
    if told:
        return f"interrupted while {told[0]} was submitted: YARN was asked to kill it"
    return "interrupted before the application was submitted"


def _left_behind(told: list[str]) -> str:
    """The same where a call hangs, so that nobody knows what comes of it."""
    if told:
        return (
            f"interrupted while {told[0]} was submitted, and the cluster does not answer: it may "
            f"run. Look, and end it: knit status {told[0]}, knit kill {told[0]}"
        )
    return (
        "interrupted before the application was submitted, in a call that the cluster does not "
        "answer; a part of a file that it leaves behind is removed by a later submission"
    )


def why_no_node(client: knit.Client) -> str | None:
    """Why no node of the cluster runs anything, if that is so."""
    from knit._submission.facts import ClusterFacts
    from knit._submission.node_checks import check_nodes
    from knit.exceptions import KnitError, ResourcesUnavailableError

    try:
        check_nodes(ClusterFacts(client._cluster))
    except ResourcesUnavailableError as error:
        return str(error)
    except KnitError:
        return None  # it is not known
    return None


def packing_sentence(state: knit.PackingProgress) -> str:
    """How far the packing of an environment is."""
    return (
        f"packing {state.environment}: {human_size(state.packed_bytes)} of "
        f"{human_size(state.total_bytes)}"
    )


class _Uploads:
    """What is uploaded, and what was; its method is called from other threads."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._uploaded: dict[str, bool] = {}
        self._sent_bytes = 0
        self._packing: knit.PackingProgress | None = None

    def report(self, state: knit.StagingProgress) -> None:
        heed()
        if self._packing is not None:
            packed, self._packing = self._packing, None
            self._progress.step(
                f"packed {packed.environment}, {human_size(packed.total_bytes)}", timed=True
            )
        self._uploaded[state.file] = not state.cached
        self._sent_bytes = state.sent_bytes
        if state.total_bytes:
            self._progress.status(
                f"uploading {human_size(state.sent_bytes)} of {human_size(state.total_bytes)}"
            )

    def report_packing(self, state: knit.PackingProgress) -> None:
        heed()
        if not state.cached:
            self._packing = state
        self._progress.status(packing_sentence(state))

    def summary(self) -> str:
        count = sum(self._uploaded.values())
        if not count:
            return "nothing: the cluster has it all"
        files = "1 file" if count == 1 else f"{count} files"
        return f"{files}, {human_size(self._sent_bytes)}"
