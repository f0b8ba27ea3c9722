"""Many containers are asked for at once, and all of them run. How soon, the bench measures."""

from __future__ import annotations

from collections import Counter

import knit
import pytest
from knit import ContainerState, FinalStatus

from integration.applications import SMALL, Applications, finish, wait_for_states
from integration.clusters import Cluster

pytestmark = [
    pytest.mark.topology("the scheduler spreads over three nodes"),
    pytest.mark.alone("counts the containers of every node"),
]

COUNT = 50


def test_fifty_containers_asked_for_at_once_all_run(
    applications: Applications, cluster: Cluster
) -> None:
    app = applications.submit(
        knit.Service("exec sleep 600", instances=0, resources=SMALL, max_restarts=0)
    )
    app.describe()
    app.add_containers(COUNT)
    running = wait_for_states(app, COUNT, ContainerState.RUNNING)
    nodes = Counter(container.node_id for container in running)
    assert len({container.container_id for container in running}) == COUNT
    assert [container.rank for container in running] == list(range(COUNT))
    assert set(nodes) == {node.node_id for node in cluster.nodes()}, "every node has its share"
    app.stop(final_status=FinalStatus.SUCCEEDED)
    ending = finish(app)
    assert {container.state for container in ending.containers} == {ContainerState.STOPPED}
    ends = [container.exit.diagnostics for container in ending.containers if container.exit]
    assert len(ends) == COUNT
    assert not [words for words in ends if "has not reported its end" in words], (
        "YARN's own reports"
    )
    assert ending.report.final_status is FinalStatus.SUCCEEDED
