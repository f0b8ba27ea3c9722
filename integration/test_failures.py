"""However a container, a node or the Application Master ends, it is said what happened."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import knit
import pytest
from knit import ContainerState, ExitReason, FailurePolicy, FinalStatus, YarnState

from integration import evidence
from integration.applications import (
    PATIENCE,
    SMALL,
    Applications,
    Ending,
    Gate,
    finish,
    program,
    read_logs,
    wait_for_states,
    wait_for_text,
)
from integration.clusters import Cluster, NodeState
from integration.waiting import wait_until

pytestmark = pytest.mark.topology("nodes fail as machines")


@pytest.fixture(autouse=True)
def soon_done_with_lost_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a lost node held is never collected, and a follower gives YARN two minutes for it."""
    monkeypatch.setattr("knit._handles.archived_logs.PATIENCE_SECONDS", 5.0)


ENDS: dict[str, tuple[str, int, int | None]] = {
    # name: command, exit code, signal
    "zero": ("exit 0", 0, None),
    "one": ("echo 'first to say why' >&2; exit 1", 1, None),
    "three": ("exit 3", 3, None),
    "most": ("exit 255", 255, None),
    "not-found": ("no-such-command-anywhere", 127, None),
    "not-executable": ("/etc/passwd", 126, None),
    "terminated": ("kill -15 $$", 143, 15),
    "killed": ("kill -9 $$", 137, 9),
    "segmentation-fault": ("kill -11 $$", 139, 11),
    "python-raises": ("exec python3 -c 'raise ValueError(\"no such table\")'", 1, None),
}


@pytest.fixture(scope="module")
def ended(module_applications: Applications) -> Ending:
    """Every kind of end, each as a service of one application."""
    services = {
        name: knit.Service(
            command, resources=SMALL, failure_policy=FailurePolicy.FINISH_OTHERS, max_replacements=0
        )
        for name, (command, _, _) in ENDS.items()
    }
    services["hog"] = program("hog", 400, failure_policy=FailurePolicy.FINISH_OTHERS)
    return module_applications.run(services)


@pytest.mark.parametrize("name", ENDS)
def test_exit_codes_and_signals_are_told_as_they_were(ended: Ending, name: str) -> None:
    _, exit_code, signal = ENDS[name]
    exit_ = ended.exit(name)
    assert (exit_.reason, exit_.exit_code, exit_.signal) == (ExitReason.EXITED, exit_code, signal)
    state = ended.container(name).state
    assert state is (ContainerState.FAILED if exit_code else ContainerState.SUCCEEDED)


def test_too_much_memory_is_told_as_such(ended: Ending) -> None:
    assert ended.container("hog").state is ContainerState.FAILED
    exit_ = ended.exit("hog")
    assert exit_.reason is ExitReason.OUT_OF_MEMORY
    assert exit_.exit_code is None
    assert exit_.signal is None
    assert "memory" in exit_.diagnostics


def test_what_the_program_said_last_is_in_the_diagnostics(ended: Ending) -> None:
    assert "first to say why" in ended.exit("one").diagnostics
    assert "ValueError: no such table" in ended.exit("python-raises").diagnostics


def test_the_application_says_which_container_failed_first(ended: Ending) -> None:
    assert ended.report.state is YarnState.FINISHED
    assert ended.report.final_status is FinalStatus.FAILED
    outcome = ended.description.outcome
    assert outcome is not None
    assert outcome.final_status is FinalStatus.FAILED
    [first] = [c for c in ended.containers if outcome.diagnostics.startswith(f"{c.service} 0 ")]
    assert first.state is ContainerState.FAILED
    ends = [ended.exit(c.service) for c in ended.containers if c.state is ContainerState.FAILED]
    its_end = ended.exit(first.service)
    assert outcome.exit_code == (its_end.exit_code or 1)
    assert its_end.finish_time == min(end.finish_time for end in ends if end.finish_time)
    assert ended.report.diagnostics.strip() == outcome.diagnostics.strip()
    with pytest.raises(knit.ApplicationFailedError) as caught:
        ended.report.raise_for_status()
    assert caught.value.report is ended.report
    assert outcome.diagnostics.strip() in str(caught.value)


def test_diagnostics_are_a_sentence_with_the_programs_own_words(applications: Applications) -> None:
    ending = applications.run(
        knit.Service("echo 'ValueError: no such table' >&2; exit 2", resources=SMALL)
    )
    container = ending.container("worker")
    for part in ("worker", "exit code 2", str(container.node_id), "ValueError: no such table"):
        assert part in ending.report.diagnostics


# The Application Master crashes.


def crash(app: knit.Application, cluster: Cluster) -> None:
    """Kill the Application Master from a container beside it, as nobody else can everywhere."""
    first = app.report().am_logs_url
    app.add_containers(4 * len(cluster.nodes()), service="assassin")
    wait_until(
        lambda: (report := app.report()).state.is_final or report.am_logs_url != first,
        what="the Application Master has not been killed",
        timeout=PATIENCE,
        evidence=lambda: evidence.of(app),
    )


def with_assassin(gate: Gate) -> dict[str, knit.Service]:
    return {
        "worker": program("wait", environment=gate.environment),
        "assassin": program("signal-application-master", "KILL", instances=0),
    }


def test_a_crash_of_the_application_master_is_a_failure(
    applications: Applications, gate: Gate, cluster: Cluster
) -> None:
    app = applications.submit(with_assassin(gate))
    wait_for_text(app, "waits", 1)
    crash(app, cluster)
    report = app.wait(timeout=PATIENCE)
    assert report.state is YarnState.FAILED
    with pytest.raises(knit.ApplicationNotRunningError, match=app.application_id):
        app.describe()
    with pytest.raises(knit.ApplicationFailedError):
        report.raise_for_status()


def test_a_second_attempt_begins_anew_and_its_clients_find_it(
    applications: Applications, gate: Gate, cluster: Cluster
) -> None:
    app = applications.submit(with_assassin(gate), max_attempts=2)
    wait_for_text(app, "waits", 1)
    assert app.describe().attempt_number == 1
    crash(app, cluster)
    description = app.describe(timeout=PATIENCE)
    assert description.attempt_number == 2
    wait_for_text(app, "waits", 1, services=["worker"])
    assert [container.service for container in app.containers()] == ["worker"]
    gate.open()
    ending = finish(app)
    assert ending.report.final_status is FinalStatus.SUCCEEDED
    assert ending.text("worker") == "worker/0 waits\nworker/0 goes on\n"


# A node vanishes.


@pytest.fixture
def two_nodes(cluster: Cluster) -> Iterator[int]:
    """A cluster of two nodes at least, and of as many after the test as before."""
    if not cluster.can_stop_nodes:
        pytest.skip("the nodes of this cluster are not ours to stop")
    count = len(cluster.nodes())
    if count < 2:
        cluster.start_node()
    yield len(cluster.nodes())
    while len(cluster.nodes()) < count:
        cluster.start_node()


def spread_over_nodes(
    applications: Applications, gate: Gate, instances: int
) -> tuple[knit.Application, list[knit.Container], str]:
    """Containers that wait at the gate, as they run, and a node without the Application Master."""
    app = applications.submit(program("wait", instances=instances, environment=gate.environment))
    wait_for_text(app, "waits", instances)
    master = urlsplit(app.report().am_logs_url or "").netloc
    containers = app.containers(states=[ContainerState.RUNNING])
    elsewhere = sorted({str(c.node_id) for c in containers if c.node_http_address != master})
    assert elsewhere, f"every container runs beside the Application Master\n{evidence.of(app)}"
    return app, containers, elsewhere[0]


@pytest.mark.alone("takes a node away")
def test_containers_of_a_lost_node_are_replaced_elsewhere(
    applications: Applications, gate: Gate, cluster: Cluster, two_nodes: int
) -> None:
    instances = 4 * two_nodes
    app, before, lost_node = spread_over_nodes(applications, gate, instances)
    lost = {c.rank: c for c in before if c.node_id == lost_node}

    cluster.stop_node(lost_node)
    wait_until(
        lambda: cluster.node_state(lost_node) in (NodeState.LOST, NodeState.SHUTDOWN),
        what=f"YARN has not noticed that {lost_node} is gone",
        timeout=PATIENCE,
        evidence=cluster.evidence,
    )
    failed = wait_for_states(app, len(lost), ContainerState.FAILED)
    assert {c.rank: c.container_id for c in failed} == {
        rank: container.container_id for rank, container in lost.items()
    }
    for container in failed:
        assert container.exit is not None
        assert container.exit.reason is ExitReason.NODE_LOST
        assert container.exit.exit_code is None
    running = wait_for_states(app, instances, ContainerState.RUNNING)
    assert {c.rank: c.attempt_number for c in running} == {
        rank: 2 if rank in lost else 1 for rank in range(instances)
    }
    assert lost_node not in {container.node_id for container in running}

    gate.open()
    with app.logs(follow=True) as stream:
        heard = {
            (line.rank, line.attempt_number) for line in stream if line.text.endswith("goes on")
        }
        ends = {(end.rank, end.attempt_number, end.file): end for end in stream.ends.values()}
    assert heard == {(c.rank, c.attempt_number) for c in running}
    for rank in lost:
        assert not ends[rank, 1, "stdout"].is_complete, "what the lost node still held is missing"
    app.release()
    report = app.wait(timeout=PATIENCE)
    assert report.final_status is FinalStatus.SUCCEEDED, report.diagnostics


@pytest.mark.alone("takes a node away")
def test_a_node_that_hangs_holds_up_no_other(
    applications: Applications, gate: Gate, cluster: Cluster, two_nodes: int
) -> None:
    """Calls of the Application Master, logs of the other nodes and new containers go on."""
    app, before, hung_node = spread_over_nodes(applications, gate, 4 * two_nodes)
    with suspended(cluster, hung_node):
        app.containers(timeout=timedelta(seconds=5))
        for container in before:
            if container.node_id != hung_node:
                with container.logs(timeout=timedelta(seconds=20)) as stream:
                    assert [line.text for line in stream] == [f"worker/{container.rank} waits"]
        (added,) = app.add_containers(1)
        wait_for_text(app, f"worker/{added.rank} waits", 1)
    gate.open()
    finish_whatever_was_replaced(app)


@pytest.mark.alone("a node hangs, from which YARN collects nothing meanwhile")
def test_without_follow_what_is_missing_is_said(
    applications: Applications, gate: Gate, cluster: Cluster, two_nodes: int
) -> None:
    """Whoever reads at once gets what has been collected, and learns that it is not all."""
    app, before, hung_node = spread_over_nodes(applications, gate, 4 * two_nodes)
    elsewhere = {c.rank for c in before if c.node_id != hung_node}
    with suspended(cluster, hung_node):
        app.kill()
        with app.logs(timeout=PATIENCE) as stream:
            received = {line.rank for line in stream}
        assert received <= elsewhere
        assert "collected" in str(stream.incomplete_reason)
    logs = read_logs(app, follow=True)
    assert {rank for _, rank, _, file in logs if file == "stdout"} == {c.rank for c in before}


@contextlib.contextmanager
def suspended(cluster: Cluster, node_id: str) -> Iterator[None]:
    cluster.suspend_node(node_id)
    try:
        yield
    finally:
        cluster.resume_node(node_id)


def finish_whatever_was_replaced(app: knit.Application) -> None:
    """A hung node may have been given up by YARN meanwhile; the application ends well anyway."""
    report = app.wait(timeout=PATIENCE)
    assert report.final_status is FinalStatus.SUCCEEDED, report.diagnostics
