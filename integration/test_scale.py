"""Many containers are asked for at once, and are there within a few heartbeats."""

from __future__ import annotations

import time
from collections import Counter

import knit
from knit import ContainerState, FinalStatus

from integration.applications import SMALL, Applications, finish, wait_for_states
from integration.clusters import Cluster

COUNT = 50


def test_fifty_containers_asked_for_at_once_all_run(
    applications: Applications, cluster: Cluster
) -> None:
    app = applications.submit(
        knit.Service("exec sleep 600", instances=0, resources=SMALL, max_restarts=0)
    )
    app.describe()
    began = time.monotonic()
    app.add_containers(COUNT)
    running = wait_for_states(app, COUNT, ContainerState.RUNNING)
    taken = time.monotonic() - began
    nodes = Counter(container.node_id for container in running)
    starts = sorted(c.start_time for c in running if c.start_time is not None)
    asked = min(c.request_time for c in running if c.request_time is not None)
    print(
        f"{COUNT} containers on {len(nodes)} nodes, all running after {taken:.2f} s; "
        f"the first {(starts[0] - asked).total_seconds():.2f} s and the last "
        f"{(starts[-1] - asked).total_seconds():.2f} s after they were asked for; {dict(nodes)}"
    )
    assert len({container.container_id for container in running}) == COUNT
    assert [container.rank for container in running] == list(range(COUNT))
    assert set(nodes) == {node.node_id for node in cluster.nodes()}, "every node has its share"
    app.stop(final_status=FinalStatus.SUCCEEDED)
    ending = finish(app)
    assert {container.state for container in ending.containers} == {ContainerState.STOPPED}
    assert ending.report.final_status is FinalStatus.SUCCEEDED
