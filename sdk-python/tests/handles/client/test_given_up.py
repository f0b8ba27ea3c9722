"""A submission that nobody waits for any more, whatever it waits for itself."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from knit import Client
from knit._submission import submit
from knit._values import giving_up
from knit._values.giving_up import GivenUpError, GivingUp
from tests.fakes.cluster import FakeCluster
from tests.fakes.server import Answer, Request
from tests.handles.client.submitting import HOME, SPEC, staged

WIDE_SECONDS = 60


class Waiting:
    """Tells when something waits between two tries, and has that wait go on until it is woken."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = threading.Event()
        self.is_meant: Callable[[], bool] = lambda: True
        monkeypatch.setattr(giving_up, "_wait", self._wait)

    def _wait(self, event: threading.Event, seconds: float) -> bool:
        if not self.is_meant():
            return event.wait(seconds)
        self.begun.set()
        assert event.wait(WIDE_SECONDS), "nobody woke it"
        return True


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Waiting:
    return Waiting(monkeypatch)


@pytest.fixture
def client(cluster: FakeCluster) -> Iterator[Client]:
    """Each of its calls may take as long as anybody waits."""
    with Client(cluster.config, user="alice", timeout=timedelta(minutes=10)) as opened:
        yield opened


def given_up(client: Client, waiting: Waiting) -> BaseException:
    """What a submission ends with that is given up once it waits."""
    whole = GivingUp()
    ended: list[BaseException] = []

    def work() -> None:
        try:
            with whole.watched():
                client.submit(SPEC)
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert waiting.begun.wait(WIDE_SECONDS), f"it has not waited: {ended}"
    whole.give_up()
    thread.join(WIDE_SECONDS)
    assert len(ended) == 1, "it has not ended"
    return ended[0]


def without_data_nodes(cluster: FakeCluster) -> None:
    cluster.name_node.knows_data_nodes = False


def in_safe_mode(cluster: FakeCluster) -> None:
    said = (
        "Cannot create directory /x. Name node is in safe mode.\nIn safe mode extension. Safe mode "
        "will be turned off automatically in 90 seconds."
    )
    cluster.name_node.answers_with = lambda request: (
        None if request.method == "GET" else Answer.error(403, "SafeModeException", said)
    )


def with_a_data_node_that_refuses(cluster: FakeCluster) -> None:
    cluster.data_node.stop()


@pytest.mark.parametrize(
    "break_", [without_data_nodes, in_safe_mode, with_a_data_node_that_refuses]
)
def test_before_it_is_handed_in_nothing_is_left(
    cluster: FakeCluster,
    client: Client,
    waiting: Waiting,
    break_: Callable[[FakeCluster], None],
) -> None:
    break_(cluster)
    assert isinstance(given_up(client, waiting), GivenUpError)
    assert not cluster.resource_manager.submissions
    parts = [name for name in cluster.file_system.below(f"{HOME}/.knit") if ".part" in name]
    assert parts == []


def hand_in(cluster: FakeCluster, answer: Callable[[Request], Answer | None]) -> None:
    """Has the ResourceManager answer so from the submission on."""
    original = cluster.resource_manager.answer

    def answered(request: Request) -> Answer:
        given = answer(request)
        return original(request) if given is None else given

    cluster.resource_manager.answers_with = answered


def test_handed_in_and_not_accepted_yet_it_is_killed(
    cluster: FakeCluster, client: Client, waiting: Waiting
) -> None:
    manager = cluster.resource_manager
    waiting.is_meant = lambda: bool(manager.submissions) and not waiting.begun.is_set()

    def stays_new(request: Request) -> Answer | None:
        for application_id in manager.submissions:
            if not waiting.begun.is_set():
                manager.change(application_id, state="NEW")
        return None

    hand_in(cluster, stays_new)
    assert isinstance(given_up(client, waiting), GivenUpError)
    [application_id] = manager.submissions
    assert client.application(application_id).report().state.name == "KILLED"
    assert not staged(cluster, "applications")


def test_that_yarn_cannot_be_asked_to_kill_it_is_told(
    cluster: FakeCluster,
    client: Client,
    waiting: Waiting,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As where the ResourceManager goes while it is asked to take it."""
    monkeypatch.setattr(submit, "GRACE_SECONDS", 0.1)
    gone = threading.Event()
    waiting.is_meant = gone.is_set

    def goes(request: Request) -> Answer | None:
        if request.method == "POST" and request.path.endswith("/apps"):
            gone.set()
        if not gone.is_set():
            return None
        return Answer.error(503, "RetriableException", "it is starting")

    hand_in(cluster, goes)
    with caplog.at_level(logging.WARNING, logger="knit"):
        error = given_up(client, waiting)
    assert isinstance(error, GivenUpError), repr(error)
    said = [record.getMessage() for record in caplog.records]
    assert any("YARN may have taken application_" in each for each in said), said


def test_ctrl_c_in_the_callers_own_thread_does_the_same(
    cluster: FakeCluster, client: Client, waiting: Waiting
) -> None:
    """For programs: the main thread waits for the others, and is torn out of that."""
    without_data_nodes(cluster)
    with pytest.raises(KeyboardInterrupt), Interrupting(waiting):
        client.submit(SPEC)
    assert not cluster.resource_manager.submissions


class Interrupting:
    """Within the block the main thread is interrupted once something waits."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting

    def __enter__(self) -> None:
        import signal

        main = threading.main_thread().ident
        assert main is not None

        def interrupt() -> None:
            if self._waiting.begun.wait(WIDE_SECONDS):
                signal.pthread_kill(main, signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()

    def __exit__(self, *_: Any) -> None: ...
