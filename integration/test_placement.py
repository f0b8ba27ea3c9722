"""Where containers come to lie, what they wait for, and what is taken from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import knit
import pytest
from knit import ContainerState, FinalStatus, Placement, Spread, WaitingCause

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
