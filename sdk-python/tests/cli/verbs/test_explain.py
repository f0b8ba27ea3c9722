"""`knit explain`: the likely cause, whatever state an application is in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import attrs
import pytest

import knit
from knit.cli import main
from knit.cli._running.explaining import Explanation, _ended, _unborn
from knit.testing import FakeApplicationMaster
from tests.cli import playing
from tests.cli.playing import FakeClient

APP = "application_1700000000000_0001"


@pytest.fixture
def fake() -> Iterator[FakeApplicationMaster]:
    spec = knit.ApplicationSpec("demo", {"worker": knit.Service("work", instances=2)})
    with FakeApplicationMaster(spec) as fake, playing.playing(FakeClient(playing.well, fake)):
        yield fake


def explained(capfd: pytest.CaptureFixture[str]) -> Any:
    assert main(["explain", APP, "--json"]) == 0
    return json.loads(capfd.readouterr().out)


def kinds(found: Any) -> list[str]:
    return [cause["kind"] for cause in found["causes"]]


def test_where_all_is_well_it_says_so(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    assert kinds(explained(capfd)) == []
    assert main(["explain", APP]) == 0
    assert "Nothing speaks against it" in capfd.readouterr().out


def test_the_first_failure_comes_with_its_last_lines_and_what_to_try(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    first, second = (c.container_id for c in fake.containers())
    fake.write(first, b"".join(b"line %d\n" % n for n in range(50)), file="stderr")
    fake.finish(first, exit_code=127)
    fake.finish(second, exit_code=1)
    found = explained(capfd)
    assert kinds(found) == ["SERVICE_FAILED", "EXITED"]
    assert "a command was not found" in found["causes"][1]["sentence"]
    assert found["container"]["container_id"] == first
    assert found["last_lines"] == [f"stderr: line {n}" for n in range(40, 50)]
    assert list(found["events"][0]["changes"][0]) == ["container"]
    assert main(["explain", APP]) == 0
    out = capfd.readouterr().out
    assert "stderr: line 49" in out
    assert "What happened:" in out


def test_what_the_cluster_did_is_told_from_the_programs_own_fault(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    """A lost node comes first, and the program's own failure tells more."""
    lost, _ = fake.containers()
    first, second = (c.container_id for c in fake.containers())
    fake.finish(first, exit_code=None, reason=knit.ExitReason.NODE_LOST)
    found = explained(capfd)
    assert kinds(found)[-1] == "NODE_LOST"
    assert f"Its node {lost.node_id} was lost" in found["causes"][-1]["sentence"]
    assert found["unknown"] == [f"the logs of {first}: they are on {lost.node_id}, which was lost"]
    fake.finish(
        second,
        exit_code=None,
        reason=knit.ExitReason.OUT_OF_MEMORY,
        diagnostics="[now]\n2 GB of 1 GB used",
    )
    found = explained(capfd)
    assert kinds(found)[-1] == "OUT_OF_MEMORY"
    assert "2 GB of 1 GB used" in found["causes"][-1]["sentence"]


def test_it_says_how_sure_it_is_of_what_containers_wait_for(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.wait_for(
        knit.WaitingReason(
            service_name="worker",
            count=2,
            cause=knit.WaitingCause.USER_LIMIT,
            explanation="You have what one user may have.",
            source=knit.ReasonSource.HEARTBEAT,
        )
    )
    found = explained(capfd)
    assert kinds(found) == ["USER_LIMIT"]
    assert not found["causes"][0]["is_certain"]
    assert main(["explain", APP]) == 0
    assert "Likely: 2 of worker wait: You have what" in capfd.readouterr().out


def test_after_the_end_it_is_told_from_what_was_collected(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    first = fake.containers()[0].container_id
    fake.write(first, b"boom\n", file="stderr")
    fake.finish(first, exit_code=3)
    fake.end(knit.FinalStatus.FAILED, exit_code=3, diagnostics="worker.0 failed")
    fake.stop()
    found = explained(capfd)
    assert kinds(found) == ["EXITED", "FAILED"]
    assert found["causes"][1]["sentence"] == "worker.0 failed"
    assert found["last_lines"] == ["stderr: boom"]
    assert found["unknown"] == []
    assert found["events"]


def test_success_needs_no_explanation(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.end()
    assert kinds(explained(capfd)) == ["SUCCEEDED"]


NO_ACCOUNT = """\
Application application_1700000000000_0001 failed 1 times (global limit =2; local limit is =1) due \
to AM Container for appattempt_1700000000000_0001_000001 exited with  exitCode: -1000
Failing this attempt.Diagnostics: [2026-11-27 14:36:07.249]Application \
application_1700000000000_0001 initialization failed (exitCode=255) with output: \
main : command provided 0
main : run as user is carol
main : requested yarn user is carol
{}

For more detailed output, check the application tracking page: http://rm:8088/cluster/app/x Then \
click on links to logs of each attempt.
. Failing the application."""


@pytest.mark.parametrize(
    "said",
    [
        "User carol not found",
        "Requested user carol is banned",
        "Requested user carol is not whitelisted and has id 999,which is below the minimum allowed "
        "1000",
    ],
)
def test_a_user_whom_the_nodes_do_not_know_is_told_so(said: str) -> None:
    """As Hadoop 3.4.2 with the LinuxContainerExecutor says it."""
    report = knit.ApplicationReport(
        application_id=APP,
        state=knit.YarnState.FAILED,
        final_status=knit.FinalStatus.FAILED,
        diagnostics=NO_ACCOUNT.format(said),
    )
    (cause,) = _ended(Explanation(report), [])
    assert cause.kind == "NO_ACCOUNT"
    assert cause.is_certain
    assert said in cause.sentence
    for word in ("carol", "account", "container-executor.cfg"):
        assert word in cause.sentence


class Cluster:
    """What a client says of queues and nodes."""

    def __init__(self, queue: knit.QueueReport, nodes: int = 1) -> None:
        self._queue = queue
        self._nodes = nodes

    def queue(self, name: str, *, timeout: timedelta | None = None) -> knit.QueueReport:
        if self._queue.path != f"root.{name}":
            raise knit.QueueNotFoundError(f"There is no queue {name}.")
        return self._queue

    def nodes(self) -> list[knit.NodeReport]:
        node = knit.NodeReport(node_id="n:1", state=knit.NodeState.RUNNING)
        return [node] * self._nodes


QUEUE = knit.QueueReport(path="root.default", absolute_used_capacity=0.1, absolute_max_capacity=1.0)
ACCEPTED = knit.ApplicationReport(
    application_id=APP, queue="default", state=knit.YarnState.ACCEPTED
)
LIMIT = (
    "[now] Application is added to the scheduler and is not yet activated. {} AM resource limit "
    "exceeded.  Details : AM Partition = <DEFAULT_PARTITION>;"
)


@pytest.mark.parametrize(
    ("said", "queue", "nodes", "expected"),
    [
        (LIMIT.format("Queue's"), {}, 1, "QUEUE_MASTER_LIMIT"),
        (LIMIT.format("User's"), {}, 1, "USER_MASTER_LIMIT"),
        ("Skipping AM assignment as cluster resource is empty.", {}, 1, "NO_NODES"),
        ("", {}, 0, "NO_NODES"),
        ("", {"absolute_used_capacity": 0.99}, 1, "QUEUE_FULL"),
        ("", {"state": knit.QueueState.STOPPED}, 1, "QUEUE_STOPPED"),
        ("", {"path": "root.other"}, 1, "WAITING"),
        ("", {}, 1, "WAITING"),
    ],
)
def test_before_there_is_an_application_master_it_is_yarn_that_is_asked(
    said: str, queue: dict[str, Any], nodes: int, expected: str
) -> None:
    report = attrs.evolve(ACCEPTED, diagnostics=said)
    client: Any = Cluster(attrs.evolve(QUEUE, **queue), nodes)
    (cause,) = _unborn(client, report)
    assert cause.kind == expected
    assert cause.sentence


def test_an_application_that_waits_in_its_queue_is_explained(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.report_as(knit.YarnState.ACCEPTED)
    client: Any = playing.FakeClient(playing.well, fake)
    client.queue, client.nodes = Cluster(QUEUE).queue, Cluster(QUEUE).nodes
    with playing.playing(client):
        assert kinds(explained(capfd)) == ["WAITING"]
