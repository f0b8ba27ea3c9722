"""Where containers come to lie, what they wait for, and what is taken from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import knit
import pytest
from knit import ContainerState, ExitReason, FinalStatus, Placement, Spread, WaitingCause

from integration import evidence
from integration.applications import PATIENCE, SMALL, Applications, finish, wait_for_states
from integration.clusters import Cluster
from integration.clusters.configuration import LABEL
from integration.clusters.docker import DockerCluster
from integration.waiting import wait_until

pytestmark = [
    pytest.mark.topology("the nodes are machines, and the queues are several teams'"),
    pytest.mark.alone("it fills queues, and looks at what every node holds"),
]

SLEEP = "exec sleep 600"


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
    app: knit.Application, cause: WaitingCause, service: str = "worker"
) -> knit.WaitingReason:
    def found() -> knit.WaitingReason | None:
        reasons = app.service(service).waiting_reasons
        return next((each for each in reasons if each.cause is cause), None)

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
    assert reason.facts["queue"].endswith("small")
    used, limit = (int(reason.facts[f"{name}_memory_mib"]) for name in ("used", "limit"))
    assert 0 < limit - used < 128 + 64
    assert "small" in reason.explanation
    # What waits begins once there is room.
    app.scale("worker", count=2)
    wait_for_states(app, 2, ContainerState.RUNNING)
    assert not app.service("worker").waiting_reasons


def test_what_another_queue_is_owed_is_taken_and_the_rank_comes_back(
    docker: DockerCluster, applications: Applications
) -> None:
    memory = sum(node.memory_mib for node in docker.nodes())
    size = knit.Resources(memory="512 MiB", vcores=1)
    # All there is, which is more than the queue's share.
    greedy = applications.submit(
        knit.Service(SLEEP, instances=memory // 512, resources=size), queue="default"
    )
    wait_for_states(greedy, memory // 512 - 2, ContainerState.RUNNING)
    owed = applications.submit(
        knit.Service(SLEEP, instances=1, resources=knit.Resources(memory="512 MiB", vcores=1)),
        queue="small",
        application_master=knit.Resources(memory="512 MiB", vcores=1),
    )
    wait_for_states(owed, 1, ContainerState.RUNNING)
    [preempted, *_] = wait_for_states(greedy, 1, ContainerState.FAILED)
    assert preempted.exit is not None
    assert preempted.exit.reason is ExitReason.PREEMPTED
    following = [
        each
        for each in greedy.containers()
        if each.rank == preempted.rank and each.attempt_number == preempted.attempt_number + 1
    ]
    assert len(following) == 1, "the rank is asked for again"
    owed.kill()
    wait_until(
        lambda: any(
            each.rank == preempted.rank
            for each in greedy.containers(states=[ContainerState.RUNNING])
        ),
        what="the rank that was preempted does not run again",
        timeout=PATIENCE,
        evidence=lambda: evidence.of(greedy),
    )
    spent = [account.spent for account in greedy.service("worker").accounts]
    assert spent[0] == 0, "it was none of the program's failures"
    assert spent[1] >= 1


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
    app = applications.submit(knit.Service(SLEEP, instances=3, resources=SMALL, max_restarts=0))
    running = wait_for_states(app, 3, ContainerState.RUNNING)
    master = host_of_master(app)
    lost = next(node for node in docker.nodes() if node.node_id.rpartition(":")[0] != master)
    there = [each for each in running if each.node_id == lost.node_id]
    docker.stop_node(lost.node_id)
    try:
        back = wait_for_states(app, 3, ContainerState.RUNNING)
        gone = wait_for_states(app, len(there), ContainerState.FAILED) if there else []
        assert {each.exit.reason for each in gone if each.exit} <= {ExitReason.NODE_LOST}
        assert {each.rank for each in back} == {0, 1, 2}
        assert [each.spent for each in app.service("worker").accounts] == [0, int(bool(there))]
    finally:
        docker.start_node()


def host_of_master(app: knit.Application) -> str:
    return app.endpoint().address.rpartition(":")[0]
