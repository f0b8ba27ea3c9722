"""Hadoop's RPC in place of REST, from a submission to the logs after the end."""

from __future__ import annotations

from collections.abc import Iterator

import knit
import pytest

from integration.applications import SMALL, Applications, finish, program, wait_for_text
from integration.clusters import Cluster
from integration.hdfs import Hdfs


@pytest.fixture(scope="module")
def applications_by_rpc(
    cluster: Cluster, config: knit.ClusterConfig, hdfs: Hdfs
) -> Iterator[Applications]:
    forced = config.with_properties({"knit.door": "rpc"})
    with knit.Client(forced, user=cluster.user) as client:
        found = Applications(client, hdfs)
        yield found
        found.close()


def test_an_application_is_seen_through(applications_by_rpc: Applications) -> None:
    client = applications_by_rpc.client
    gate = applications_by_rpc.gate()
    app = applications_by_rpc.submit(
        program("wait", instances=2, environment=gate.environment), tags=["knit-test"]
    )
    wait_for_text(app, "waits", 2)
    [listed] = [r for r in client.applications() if r.application_id == app.application_id]
    assert listed.running_containers == 3
    assert (listed.tags, listed.application_type) == (("knit-test",), "knit")
    assert [n for n in client.nodes(states=[knit.NodeState.RUNNING]) if n.used.memory_mib]
    moved = client.move(app, "small")
    assert moved.queue.rpartition(".")[2] == "small"
    # The cluster's highest is made of what is above it.
    assert client.set_priority(app, 1).priority in (0, 1)
    assert client.queue("small").running_applications == 1
    gate.open()
    ending = finish(app)
    assert ending.report.final_status is knit.FinalStatus.SUCCEEDED
    assert client.applications(states=[knit.YarnState.FINISHED], tags=["knit-test"])


def test_another_one_is_killed(applications_by_rpc: Applications) -> None:
    client = applications_by_rpc.client
    app = applications_by_rpc.submit(
        program("wait", environment=applications_by_rpc.gate().environment)
    )
    app.kill()
    [killed] = [
        r for r in client.applications(states=None) if r.application_id == app.application_id
    ]
    assert killed.state is knit.YarnState.KILLED


def test_moving_to_an_unknown_queue_is_told(
    applications_by_rpc: Applications,
) -> None:
    client = applications_by_rpc.client
    app = applications_by_rpc.submit(
        program("wait", environment=applications_by_rpc.gate().environment)
    )
    with pytest.raises(knit.QueueNotFoundError, match="nowhere"):
        client.move(app, "nowhere")


def test_it_is_taken_by_itself_where_web_servers_are_closed(
    cluster: Cluster, config: knit.ClusterConfig, hdfs: Hdfs
) -> None:
    """Of both daemons; data still goes to the DataNodes' web servers."""
    nowhere = "127.0.0.1:1"
    closed = config.with_properties(
        {
            "dfs.namenode.http-address": nowhere,
            "yarn.resourcemanager.webapp.address": nowhere,
        }
    )
    with knit.Client(closed, user=cluster.user) as client:
        applications = Applications(client, hdfs)
        try:
            ending = applications.run(knit.Service("echo came by RPC", resources=SMALL))
        finally:
            applications.close()
    assert ending.report.final_status is knit.FinalStatus.SUCCEEDED
    assert ending.text("worker") == "came by RPC\n"
