"""
The command `knit` with a fake Application Master behind it, and plays for its containers.

It is also a program, `python -m tests.cli.playing PLAY knit's arguments…`, for what only a process
of its own can show: signals, closed pipes, locales.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import attrs

import knit
from knit._cluster.logs import AggregatedLogs
from knit.cli import main
from knit.cli._arguments.options import Cluster
from knit.testing import FakeApplicationMaster, Fault
from knit.testing._archive import FakeArchive

Play = Callable[[FakeApplicationMaster, knit.Application], None]
"""What happens on the cluster once the application was submitted."""

GREETING = "grüße\n".encode()


class FakeClient:
    """As much of knit.Client as the verbs use, for one application."""

    def __init__(self, play: Play, fake: FakeApplicationMaster | None = None) -> None:
        self.play = play
        self.fake = fake
        self._is_given = fake is not None
        self.submitted: list[knit.ApplicationSpec] = []

    def submit(
        self,
        spec: knit.ApplicationSpec,
        *,
        progress: Callable[[knit.StagingProgress], None] | None = None,
        packing_progress: Callable[[knit.PackingProgress], None] | None = None,
        before_submit: Callable[[str], object] | None = None,
    ) -> knit.Application:
        self.submitted.append(spec)
        if packing_progress is not None:
            packing_progress(
                knit.PackingProgress(
                    environment="venv", packed_bytes=1024, total_bytes=2048, cached=False
                )
            )
        if self.play is never_submitted:
            print("submitting", flush=True)
            for sent in range(600):
                time.sleep(0.1)
                if progress is not None:
                    progress(
                        knit.StagingProgress(
                            file="a", sent_bytes=sent, total_bytes=600, cached=False
                        )
                    )
        if self.play is hanging:
            print("submitting", flush=True)
            time.sleep(60)
        if progress is not None:
            for sent in (1024, 2048):
                progress(
                    knit.StagingProgress(file="a", sent_bytes=sent, total_bytes=2048, cached=False)
                )
        if before_submit is not None:
            before_submit("application_1700000000000_0001")
        if self.play is late:
            print("submitting", flush=True)
            time.sleep(1)
        self.fake = FakeApplicationMaster(
            spec, running=self.play not in (waiting, busy, slow)
        ).start()
        app = self.fake.application()
        if self.play is unborn:
            self.fake.report_as(knit.YarnState.ACCEPTED)
        threading.Thread(target=self.play, args=(self.fake, app), daemon=True).start()
        return app

    def application(self, application_id: str) -> knit.Application:
        if self.fake is None or application_id != self.fake.application_id:
            raise knit.ApplicationNotFoundError(f"YARN does not know {application_id}.")
        return self.fake.application()

    def kill_applications(self, application_ids: Iterable[str]) -> list[knit.KillResult]:
        return list(map(self._kill, application_ids))

    def _kill(self, application_id: str) -> knit.KillResult:
        try:
            report = self.application(application_id).kill()
        except knit.KnitError as error:
            return knit.KillResult(application_id=application_id, error=error)
        return knit.KillResult(application_id=application_id, report=report)

    def close(self) -> None:
        if self.fake is not None and not self._is_given:
            self.fake.stop()

    def __enter__(self) -> FakeClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def playing(client: FakeClient) -> Iterator[FakeClient]:
    """Lets every verb open this client."""
    original: Any = Cluster.client
    setattr(Cluster, "client", lambda _: client)  # noqa: B010
    try:
        yield client
    finally:
        setattr(Cluster, "client", original)  # noqa: B010


# Plays


def well(fake: FakeApplicationMaster, _: knit.Application) -> None:
    """Each container says something on both of its streams, and ends well."""
    for container in fake.containers():
        fake.write(container.container_id, GREETING)
        fake.write(container.container_id, b"careful\n", file="stderr")
        fake.finish(container.container_id)
    fake.end()


def badly(fake: FakeApplicationMaster, _: knit.Application) -> None:
    """The first container ends with exit code 7."""
    fake.finish(fake.containers()[0].container_id, exit_code=7)
    fake.end(knit.FinalStatus.FAILED, exit_code=7, diagnostics="worker 0 ended with exit code 7.")


def unseen(fake: FakeApplicationMaster, _: knit.Application) -> None:
    """Its logs are shown only to who has a ticket; its first container ends with exit code 7."""
    refusal = Fault(
        call="StreamLogs", status="FAILED_PRECONDITION", reason="LOGS_NEED_KERBEROS", count=1_000
    )
    fake.fail_next(refusal)
    time.sleep(1)
    fake.write(fake.containers()[0].container_id, b"seen at the end\n")
    badly(fake, _)


def uncollected(fake: FakeApplicationMaster, app: knit.Application) -> None:
    """As an unseen one, of which YARN collects nothing."""
    look = FakeArchive.look

    def nothing(archive: FakeArchive) -> AggregatedLogs:
        found = look(archive)
        return attrs.evolve(found, containers={}, is_settled=False, incomplete_reason="It waits.")

    setattr(FakeArchive, "look", nothing)  # noqa: B010
    refusal = Fault(
        call="StreamLogs", status="FAILED_PRECONDITION", reason="LOGS_NEED_KERBEROS", count=1_000
    )
    fake.fail_next(refusal)
    time.sleep(1)
    fake.finish(fake.containers()[0].container_id)
    fake.end()


def cooperative(fake: FakeApplicationMaster, app: knit.Application) -> None:
    """It says that it runs; asked to stop, it clears up and ends."""
    container_id = fake.containers()[0].container_id

    def stop(**asked: Any) -> None:
        fake.write(container_id, f"clearing up: {asked['diagnostics']}\n".encode())
        time.sleep(0.3)
        fake.write(container_id, b"cleared up\n")
        fake.end(knit.FinalStatus.KILLED, exit_code=1, diagnostics=asked["diagnostics"])

    app.stop = stop  # type: ignore[method-assign, assignment]
    fake.write(container_id, b"running\n")


def cut_off(fake: FakeApplicationMaster, app: knit.Application) -> None:
    """As a cooperative one, while YARN does not answer."""
    away = fake.without_yarn()
    away.__enter__()
    cooperative(fake, app)


def stubborn(fake: FakeApplicationMaster, app: knit.Application) -> None:
    """It goes on whatever it is asked."""
    container_id = fake.containers()[0].container_id

    def stop(**asked: Any) -> None:
        fake.write(container_id, b"no\n")

    app.stop = stop  # type: ignore[method-assign, assignment]
    fake.write(container_id, b"running\n")


def immortal(fake: FakeApplicationMaster, app: knit.Application) -> None:
    """Not even YARN gets rid of it."""
    stubborn(fake, app)

    def kill(*, timeout: timedelta | None = None) -> knit.ApplicationReport:
        fake.write(fake.containers()[0].container_id, b"never\n")
        time.sleep(60)
        raise AssertionError

    app.kill = kill  # type: ignore[method-assign]


def talkative(fake: FakeApplicationMaster, _: knit.Application) -> None:
    """It writes until it is stopped."""
    container_id = fake.containers()[0].container_id
    while fake.containers()[0].exit is None:
        fake.write(container_id, b"and so on\n" * 100)
        time.sleep(0.01)


def returning(fake: FakeApplicationMaster, _: knit.Application) -> None:
    """The connection breaks in the middle, and the Application Master is back elsewhere."""
    container_id = fake.containers()[0].container_id
    fake.write(container_id, b"before\n")
    time.sleep(0.5)
    fake.restart()
    fake.write(container_id, b"after\n")
    fake.finish(container_id)
    fake.end()


def dying(fake: FakeApplicationMaster, _: knit.Application) -> None:
    """The Application Master is gone for good, and YARN says FAILED."""
    fake.write(fake.containers()[0].container_id, b"last words\n")
    time.sleep(0.5)
    fake.report_as(knit.YarnState.FAILED)
    fake.stop()


def waiting(fake: FakeApplicationMaster, _: knit.Application) -> None:
    """Its containers wait for room, then for a larger node, and then run."""
    for cause, explanation in (
        (knit.WaitingCause.CAPACITY, "The queue is full: 3 of 4 GiB are in use."),
        (knit.WaitingCause.TOO_LARGE, "No node has 9 GiB."),
    ):
        fake.wait_for(
            knit.WaitingReason(
                service_name="worker",
                count=1,
                resources=knit.Resources(),
                cause=cause,
                explanation=explanation,
            )
        )
        asked = len(fake.calls)
        while fake.calls[asked:].count("GetApplication") < 2:
            time.sleep(0.02)
    fake.wait_for()
    fake.grant("worker", 0)
    well(fake, _)


def slow(fake: FakeApplicationMaster, app: knit.Application) -> None:
    """Its container is granted after a while, and nobody says why not before."""
    while fake.calls.count("ListContainers") < 4:
        time.sleep(0.02)
    fake.grant("worker", 0)
    well(fake, app)


def busy(fake: FakeApplicationMaster, _: knit.Application) -> None:
    """Some containers have ended when the last one begins."""
    ranks = [container.rank for container in fake.containers()]
    fake.finish(fake.grant("worker", ranks[0]).container_id)
    for rank in ranks[1:]:
        fake.grant("worker", rank)
    asked = len(fake.calls)
    while fake.calls[asked:].count("GetApplication") < 2:
        time.sleep(0.02)
    fake.end()


def drawing(fake: FakeApplicationMaster, app: knit.Application) -> None:
    """It draws a progress bar until it is asked to stop."""
    container_id = fake.containers()[0].container_id
    stopped = threading.Event()

    def stop(**_: Any) -> None:
        stopped.set()

    app.stop = stop  # type: ignore[method-assign, assignment]
    step = 0
    while not stopped.wait(0.5):
        step += 1
        fake.write(container_id, f"\r#{step}".encode())
    fake.end(knit.FinalStatus.KILLED, exit_code=1)


def unborn(_: FakeApplicationMaster, __: knit.Application) -> None:
    """It waits in its queue."""
    print("queued", flush=True)


def never_submitted(_: FakeApplicationMaster, __: knit.Application) -> None:
    """The submission takes for ever."""


def hanging(_: FakeApplicationMaster, __: knit.Application) -> None:
    """YARN does not answer the submission."""


def late(_: FakeApplicationMaster, __: knit.Application) -> None:
    """YARN takes a second to accept it."""


if __name__ == "__main__":
    play: Play = globals()[sys.argv[1]]
    with playing(FakeClient(play)):
        status = main(sys.argv[2:])
    sys.exit(status)
