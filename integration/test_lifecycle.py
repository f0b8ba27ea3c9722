"""An application starts, grows, shrinks and ends as it was told to."""

from __future__ import annotations

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
    wait_for_states,
    wait_for_text,
)
from integration.clusters import Cluster
from integration.waiting import wait_until

pytestmark = pytest.mark.topology("containers are elsewhere than their Application Master")

INSTANCES = 3
ADDED = 2


@pytest.fixture(scope="module")
def grown(module_applications: Applications) -> Ending:
    """
    The demo's path: containers that are heard while they run, and more of them added meanwhile.

    Nobody gets through the gate before the last one has been heard, so what was heard came live.
    """
    gate = module_applications.gate()
    app = module_applications.submit(
        program("wait", instances=INSTANCES, environment=gate.environment)
    )
    wait_for_text(app, "waits", INSTANCES)
    added = app.add_containers(ADDED)
    assert [container.rank for container in added] == [INSTANCES, INSTANCES + 1]
    wait_for_text(app, "waits", INSTANCES + ADDED)
    gate.open()
    return finish(app)


def test_containers_are_heard_live_and_read_to_their_end(grown: Ending) -> None:
    heard = {rank: grown.text("worker", rank) for rank in range(INSTANCES + ADDED)}
    assert heard == {
        rank: f"worker/{rank} waits\nworker/{rank} goes on\n" for rank in range(INSTANCES + ADDED)
    }


def test_every_container_succeeds_on_a_node_of_the_cluster(grown: Ending, cluster: Cluster) -> None:
    nodes = {node.node_id: node.http_address for node in cluster.nodes()}
    assert [container.rank for container in grown.containers] == list(range(INSTANCES + ADDED))
    for container in grown.containers:
        assert container.state is ContainerState.SUCCEEDED
        assert container.attempt_number == 1
        assert container.container_id is not None
        assert container.container_id.startswith("container_")
        assert container.exit is not None
        assert container.exit.reason is ExitReason.EXITED
        assert container.exit.exit_code == 0
        assert container.exit.signal is None
        assert container.node_id in nodes
        assert container.node_http_address == nodes[container.node_id]
        assert container.resources.memory_mib >= SMALL.memory_mib


def test_times_of_containers_are_in_order(grown: Ending) -> None:
    for container in grown.containers:
        assert container.exit is not None
        assert container.request_time is not None
        assert container.start_time is not None
        assert container.exit.finish_time is not None
        assert container.request_time <= container.start_time <= container.exit.finish_time
        assert container.run_time == container.exit.finish_time - container.start_time
    first_end = min(c.exit.finish_time for c in grown.containers if c.exit and c.exit.finish_time)
    last_start = max(c.start_time for c in grown.containers if c.start_time)
    assert last_start <= first_end, "all of them ran at the same time"


def test_the_application_succeeds(grown: Ending) -> None:
    assert grown.report.state is YarnState.FINISHED
    assert grown.report.final_status is FinalStatus.SUCCEEDED
    assert grown.report.application_type == "knit"
    assert grown.report.raise_for_status() is grown.report
    outcome = grown.description.outcome
    assert outcome is not None
    assert (outcome.final_status, outcome.exit_code) == (FinalStatus.SUCCEEDED, 0)
    assert grown.report.diagnostics.strip() == outcome.diagnostics.strip()


def test_the_application_describes_what_it_consists_of(
    applications: Applications, gate: Gate
) -> None:
    app = applications.submit(program("wait", instances=2, environment=gate.environment))
    description = app.describe()
    assert description.application_id == app.application_id
    assert description.attempt_number == 1
    assert description.state is knit.ApplicationState.RUNNING
    assert description.outcome is None
    service = description.services["worker"]
    assert service.instances == 2
    assert service.resources == SMALL
    assert service.command.startswith("exec python3")
    assert set(service.environment) <= set(gate.environment)
    assert not any(service.environment.values()), "values may be secret"


def test_stopping_one_container_leaves_the_others(applications: Applications, gate: Gate) -> None:
    app = applications.submit(
        program("wait", instances=3, environment=gate.environment, max_restarts=2)
    )
    wait_for_text(app, "waits", 3)
    doomed = app.containers()[1]
    assert doomed.stop().state in (ContainerState.STOPPING, ContainerState.STOPPED)
    (stopped,) = wait_for_states(app, 1, ContainerState.STOPPED)
    assert stopped.container_id == doomed.container_id
    assert stopped.exit is not None
    assert stopped.exit.reason is ExitReason.STOPPED
    assert [c.state for c in app.stop_containers([stopped])] == [ContainerState.STOPPED], "again"
    running = app.containers(states=[ContainerState.RUNNING])
    assert [container.rank for container in running] == [0, 2]
    gate.open()
    ending = finish(app)
    assert [container.state for container in ending.containers] == [
        ContainerState.SUCCEEDED,
        ContainerState.STOPPED,
        ContainerState.SUCCEEDED,
    ]
    assert ending.report.final_status is FinalStatus.SUCCEEDED


def test_stop_ends_everything_as_asked(applications: Applications, gate: Gate) -> None:
    app = applications.submit(program("wait", instances=2, environment=gate.environment))
    wait_for_text(app, "waits", 2)
    app.stop(final_status=FinalStatus.SUCCEEDED, diagnostics="We have seen enough.")
    app.stop(final_status=FinalStatus.FAILED, diagnostics="The first outcome stands.")
    ending = finish(app)
    assert ending.report.state is YarnState.FINISHED
    assert ending.report.final_status is FinalStatus.SUCCEEDED
    assert "We have seen enough." in ending.report.diagnostics
    for container in ending.containers:
        assert container.state is ContainerState.STOPPED
        assert container.exit is not None
        assert container.exit.reason is ExitReason.APPLICATION_ENDED


def test_stop_without_a_word_ends_it_killed(applications: Applications, gate: Gate) -> None:
    app = applications.submit(program("wait", environment=gate.environment))
    app.stop()
    report = app.wait(timeout=PATIENCE)
    assert report.final_status is FinalStatus.KILLED
    with pytest.raises(knit.ApplicationFailedError, match=app.application_id):
        report.raise_for_status()


def test_kill_ends_it_at_once(applications: Applications, gate: Gate) -> None:
    app = applications.submit(program("wait", instances=2, environment=gate.environment))
    wait_for_text(app, "waits", 2)
    app.kill()
    assert app.report().state is YarnState.KILLED
    app.kill()

    def refusal() -> knit.KnitError | None:
        try:
            app.describe()
        except knit.KnitError as error:
            return error
        return None

    # YARN calls it KILLED up to a heartbeat before the node ends the Application Master.
    error = wait_until(
        refusal, what="the Application Master went on answering", evidence=app.report
    )
    assert isinstance(error, knit.ApplicationNotRunningError | knit.ConnectionLostError)


def test_a_failed_program_is_started_again_at_its_rank(applications: Applications) -> None:
    ending = applications.run(
        {
            "flaky": program("flaky", 3, instances=2, max_restarts=2),
            "steady": program("flaky", 1, max_restarts=2),
        }
    )
    ends = [(c.service, c.rank, c.attempt_number, c.state.name) for c in ending.containers]
    assert ends == [
        *(
            ("flaky", rank, attempt, "FAILED" if attempt < 3 else "SUCCEEDED")
            for rank in (0, 1)
            for attempt in (1, 2, 3)
        ),
        ("steady", 0, 1, "SUCCEEDED"),
    ]
    assert len({container.container_id for container in ending.containers}) == 7
    assert ending.text("flaky", 1, attempt=2) == "flaky/1 attempt 2\n"
    assert ending.report.final_status is FinalStatus.SUCCEEDED


def test_a_program_that_goes_on_failing_uses_up_its_restarts(applications: Applications) -> None:
    ending = applications.run(program("flaky", 99, max_restarts=1))
    assert [container.attempt_number for container in ending.containers] == [1, 2]
    assert ending.report.final_status is FinalStatus.FAILED
    assert "worker" in ending.report.diagnostics


def test_a_failure_can_end_all_of_it(applications: Applications, gate: Gate) -> None:
    ending = applications.run(
        {
            "bad": knit.Service("exit 7", resources=SMALL),
            "good": program("wait", environment=gate.environment),
        }
    )
    assert ending.exit("bad").exit_code == 7
    assert ending.container("good").state is ContainerState.STOPPED
    assert ending.exit("good").reason is ExitReason.APPLICATION_ENDED
    assert ending.report.final_status is FinalStatus.FAILED
    assert ending.description.outcome is not None
    assert ending.description.outcome.exit_code == 7


def test_a_failure_can_let_the_others_finish(applications: Applications, gate: Gate) -> None:
    app = applications.submit(
        {
            "bad": knit.Service(
                "exit 7", resources=SMALL, failure_policy=FailurePolicy.FINISH_OTHERS
            ),
            "good": program("wait", environment=gate.environment),
        }
    )
    wait_for_states(app, 1, ContainerState.FAILED)
    wait_for_text(app, "waits", 1)
    gate.open()
    ending = finish(app)
    assert ending.container("good").state is ContainerState.SUCCEEDED
    assert ending.report.final_status is FinalStatus.FAILED
    assert ending.description.outcome is not None
    assert ending.description.outcome.exit_code == 7


def test_a_service_may_begin_with_nobody(applications: Applications, gate: Gate) -> None:
    app = applications.submit(
        {
            "host": program("wait", environment=gate.environment),
            "guest": knit.Service(
                'echo "$KNIT_RANK $GREETING"',
                instances=0,
                resources=SMALL,
                environment={"GREETING": "nobody"},
            ),
        }
    )
    wait_for_text(app, "waits", 1)
    assert [container.service for container in app.containers()] == ["host"]
    larger = knit.Resources(memory="128 MiB")
    app.add_containers(1, service="guest")
    (added,) = app.add_containers(
        1, service="guest", resources=larger, environment={"GREETING": "hello $HOME"}
    )
    assert (added.service, added.rank) == ("guest", 1)
    gate.open()
    ending = finish(app)
    assert ending.text("guest", 0) == "0 nobody\n"
    assert ending.text("guest", 1) == "1 hello $HOME\n"
    assert ending.container("guest", 1).resources.memory_mib >= larger.memory_mib
    assert ending.report.final_status is FinalStatus.SUCCEEDED


def test_adding_is_refused_where_it_makes_no_sense(applications: Applications, gate: Gate) -> None:
    app = applications.submit(program("wait", environment=gate.environment))
    with pytest.raises(knit.ContainerNotFoundError):
        app.add_containers(1, service="nobody")
    with pytest.raises(ValueError, match=r"0|count"):
        app.add_containers(0)
    with pytest.raises(knit.ResourceExhaustedError):
        app.add_containers(1, resources=knit.Resources(memory="1 TiB"))
    with pytest.raises(knit.ContainerNotFoundError):
        app.stop_containers(["container_1_0001_01_000099"])
    gate.open()
    finish(app)


def test_the_application_master_leaves_once_it_is_released(applications: Applications) -> None:
    app = applications.submit(knit.Service("true", resources=SMALL))
    finish(app)

    def gone() -> bool:
        try:
            app.describe()
        except (knit.ApplicationNotRunningError, knit.ConnectionLostError):
            return True
        return False

    wait_until(
        gone,
        what="the Application Master still answers after it was released",
        timeout=PATIENCE,
        evidence=lambda: evidence.of(app),
    )
