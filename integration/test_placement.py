"""Where containers come to lie, what they wait for, and what is taken from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import knit
import pytest
from knit import (
    ApplicationState,
    ContainerState,
    ExitReason,
    FinalStatus,
    Placement,
    ReasonSource,
    RestartBudget,
    RestartScope,
    Spread,
    WaitingCause,
)

from integration import evidence
from integration.applications import PATIENCE, SMALL, Applications, finish, wait_for_states
from integration.clusters import Cluster
from integration.clusters.configuration import LABEL
from integration.clusters.docker import DockerCluster
from integration.command_line import CommandLine
from integration.waiting import wait_until

pytestmark = [
    pytest.mark.topology("the nodes are machines, and the queues are several teams'"),
    pytest.mark.alone("it fills queues, and looks at what every node holds"),
]

SLEEP = "exec sleep 600"

# Each cause has an account of its own; of the program's failures none is made good.
BUDGETS = [
    RestartBudget(0, [ExitReason.EXITED]),
    RestartBudget(10, [ExitReason.PREEMPTED], scope=RestartScope.SERVICE),
    RestartBudget(10, [ExitReason.NODE_LOST], scope=RestartScope.SERVICE),
]


@pytest.fixture
def docker(cluster: Cluster) -> DockerCluster:
    if not isinstance(cluster, DockerCluster):
        pytest.skip("only the dockerized cluster has three nodes, preemption and a partition")
    return cluster


@pytest.fixture
def partition(docker: DockerCluster) -> Iterator[str]:
    """The id of the only node that lies in the partition of the label."""
    node = docker.nodes()[-1].node_id
    docker.label_node(node, LABEL)
    yield node
    docker.label_node(node, None)


def host(container: knit.Container) -> str:
    assert container.node_id is not None
    return container.node_id.rpartition(":")[0]


def wait_for_reason(
    app: knit.Application,
    cause: WaitingCause,
    service: str = "worker",
    *,
    count: int | None = None,
    is_certain: bool = True,
) -> knit.WaitingReason:
    """Wait until so many of a service, by default any number, wait for this."""

    def found() -> knit.WaitingReason | None:
        return next(
            (
                each
                for each in app.service(service).waiting_reasons
                if each.cause is cause
                and count in (None, each.count)
                and each.is_certain is is_certain
            ),
            None,
        )

    reason = wait_until(
        found,
        what=f"nothing of {service} waits for {cause.name}",
        timeout=PATIENCE,
        evidence=lambda: f"{app.service(service).waiting_reasons}\n{evidence.of(app)}",
    )
    assert reason is not None
    return reason


def test_containers_are_on_the_nodes_named_and_nowhere_else(
    docker: DockerCluster, applications: Applications
) -> None:
    named = [node.node_id.rpartition(":")[0] for node in docker.nodes()[:2]]
    placement = Placement(nodes=named, strict=True)
    app = applications.submit(
        knit.Service(SLEEP, instances=6, resources=SMALL, placement=placement)
    )
    assert {host(each) for each in wait_for_states(app, 6, ContainerState.RUNNING)} <= set(named)
    app.scale("worker", delta=4)
    assert {host(each) for each in wait_for_states(app, 10, ContainerState.RUNNING)} <= set(named)


def test_no_two_are_on_one_node_and_who_finds_none_waits_and_says_so(
    docker: DockerCluster, applications: Applications
) -> None:
    nodes = [node.node_id for node in docker.nodes()]
    placement = Placement(spread=Spread.ANTI_AFFINITY)
    app = applications.submit(
        knit.Service(SLEEP, instances=len(nodes) + 1, resources=SMALL, placement=placement)
    )
    running = wait_for_states(app, len(nodes), ContainerState.RUNNING)
    assert sorted(str(each.node_id) for each in running) == sorted(nodes)
    reason = wait_for_reason(app, WaitingCause.PLACEMENT)
    assert reason.count == 1
    # Whose place becomes free, the one that waits takes.
    gone = running[0]
    app.scale("worker", count=len(nodes), victims=[gone])
    wait_until(
        lambda: (
            sorted(str(e.node_id) for e in app.containers(states=[ContainerState.RUNNING]))
            == sorted(nodes)
        ),
        what="the node that became free was not used",
        timeout=PATIENCE,
        evidence=lambda: evidence.of(app),
    )


def test_spread_evenly_each_node_has_its_share(
    docker: DockerCluster, applications: Applications
) -> None:
    count = 2 * len(docker.nodes())
    placement = Placement(spread=Spread.EVENLY)
    app = applications.submit(
        knit.Service(SLEEP, instances=count, resources=SMALL, placement=placement)
    )
    running = wait_for_states(app, count, ContainerState.RUNNING)
    assert set(Counter(map(host, running)).values()) == {2}


def test_a_label_is_waited_for_until_a_node_has_it(
    docker: DockerCluster, applications: Applications
) -> None:
    labelled = docker.nodes()[-1].node_id
    docker.label_node(labelled, LABEL)  # so that YARN knows it
    docker.label_node(labelled, None)
    app = applications.submit(
        {
            "anywhere": knit.Service(SLEEP, resources=SMALL),
            "special": knit.Service(
                SLEEP, instances=2, resources=SMALL, placement=Placement(node_label=LABEL)
            ),
        }
    )
    wait_for_states(app, 1, ContainerState.RUNNING, services=["anywhere"])
    reason = wait_for_reason(app, WaitingCause.LABEL, "special")
    assert LABEL in reason.explanation
    assert reason.facts["label"] == LABEL
    try:
        docker.label_node(labelled, LABEL)
        running = wait_for_states(app, 2, ContainerState.RUNNING, services=["special"])
        assert {each.node_id for each in running} == {labelled}
        assert app.service("special").waiting_reasons == ()
        app.stop(final_status=FinalStatus.SUCCEEDED)
        finish(app)
    finally:
        docker.label_node(labelled, None)


def test_a_full_queue_is_said_to_be_full(docker: DockerCluster, applications: Applications) -> None:
    app = applications.submit(
        knit.Service(SLEEP, instances=12, resources=knit.Resources(memory="128 MiB", vcores=1)),
        queue="small",
    )
    reason = wait_for_reason(app, WaitingCause.QUEUE_FULL)
    assert reason.source is ReasonSource.QUEUE_REPORT
    assert reason.facts["queue"].endswith("small")
    used, capacity, limit = (
        int(reason.facts[f"{name}_memory_mib"]) for name in ("used", "capacity", "limit")
    )
    memory = sum(node.memory_mib for node in docker.nodes())
    assert capacity == limit == memory // 10
    assert limit - 128 < used <= limit
    numbers = f"which uses {used} MiB of the {limit} MiB it may"
    assert numbers in reason.explanation
    for verb in ("explain", "status"):
        said = CommandLine(docker).run(verb, app.application_id).out
        assert numbers in " ".join(said.split()), said
    # What waits begins once there is room.
    running = len(app.containers(states=[ContainerState.RUNNING]))
    app.scale("worker", count=running - 1)
    app.scale("worker", count=running)
    wait_for_states(app, running, ContainerState.RUNNING)
    assert app.service("worker").waiting_reasons == ()


def test_what_another_queue_is_owed_is_taken_and_the_rank_comes_back(
    docker: DockerCluster, applications: Applications
) -> None:
    size = knit.Resources(memory="512 MiB", vcores=1)
    places = sum(node.memory_mib for node in docker.nodes()) // size.memory_mib
    # All there is, which is more than the queue's share; the Application Master has one of them.
    greedy = applications.submit(
        knit.Service(SLEEP, instances=places - 1, resources=size, restart_budgets=BUDGETS),
        queue="default",
        application_master=size,
    )
    wait_for_states(greedy, places - 1, ContainerState.RUNNING)
    owed = applications.submit(
        knit.Service(SLEEP, resources=size), queue="small", application_master=size
    )
    wait_for_states(owed, 1, ContainerState.RUNNING)
    preempted = wait_for_states(greedy, 2, ContainerState.FAILED)
    assert {each.exit.reason for each in preempted if each.exit} == {ExitReason.PREEMPTED}
    # Each rank is asked for again, and waits until there is room.
    waiting = greedy.containers(states=[ContainerState.REQUESTED])
    assert [(each.rank, each.attempt_number) for each in waiting] == [
        (each.rank, each.attempt_number + 1) for each in preempted
    ]
    wait_for_reason(greedy, WaitingCause.CAPACITY, count=len(preempted))
    assert [each.spent for each in greedy.service("worker").accounts] == [0, 2, 0]
    said = CommandLine(docker).run("explain", greedy.application_id).out
    assert "The scheduler took it back for another queue" in said, said
    owed.kill()
    again = wait_for_states(greedy, places - 1, ContainerState.RUNNING)
    assert [each.rank for each in again] == list(range(places - 1))
    assert greedy.describe().state is ApplicationState.RUNNING


def test_a_hundred_containers_run_over_three_nodes(
    docker: DockerCluster, applications: Applications
) -> None:
    app = applications.submit(knit.Service(SLEEP, instances=100, resources=SMALL))
    running = wait_for_states(app, 100, ContainerState.RUNNING)
    assert [each.rank for each in running] == list(range(100))
    assert {each.node_id for each in running} == {node.node_id for node in docker.nodes()}
    [status] = app.wait_until_ready("worker", timeout=PATIENCE)
    assert status.ready_count == 100
    app.stop(final_status=FinalStatus.SUCCEEDED)
    assert finish(app).report.final_status is FinalStatus.SUCCEEDED


def test_a_lost_node_is_on_its_own_account(
    docker: DockerCluster, applications: Applications
) -> None:
    placement = Placement(spread=Spread.EVENLY)
    app = applications.submit(
        knit.Service(
            SLEEP, instances=6, resources=SMALL, placement=placement, restart_budgets=BUDGETS
        )
    )
    running = wait_for_states(app, 6, ContainerState.RUNNING)
    master = app.endpoint().address.rpartition(":")[0]
    lost = next(str(each.node_id) for each in running if host(each) != master)
    there = {each.rank for each in running if each.node_id == lost}
    docker.stop_node(lost)
    try:
        gone = wait_for_states(app, len(there), ContainerState.FAILED)
        back = wait_for_states(app, 6, ContainerState.RUNNING)
        assert {each.rank for each in gone} == there
        assert {each.exit.reason for each in gone if each.exit} == {ExitReason.NODE_LOST}
        assert {each.node_id for each in gone} == {lost}
        assert {each.rank: each.attempt_number for each in back} == {
            rank: 2 if rank in there else 1 for rank in range(6)
        }
        assert lost not in {each.node_id for each in back}
        spent = [account.spent for account in app.service("worker").accounts]
        assert spent == [0, 0, len(there)]
        said = CommandLine(docker).run("explain", app.application_id).out
        assert f"Its node {lost} was lost" in said, said
    finally:
        docker.start_node()
