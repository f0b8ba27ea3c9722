"""Everything by Hadoop's RPC, where web servers know nobody or believe anybody."""

from __future__ import annotations

from datetime import timedelta

import knit
import pytest
from knit import ContainerState, FinalStatus

from integration.applications import SMALL, wait_for_states, wait_for_text
from integration.clusters.embedded import EmbeddedCluster

PATIENCE = timedelta(minutes=2)


@pytest.mark.parametrize("protection", ["authentication", "integrity", "privacy"])
def test_an_application_goes_all_the_way_at_every_protection(
    config: knit.ClusterConfig, cluster: EmbeddedCluster, protection: str
) -> None:
    """Of what the servers offer the client takes the first of its own."""
    if protection not in (config.get("hadoop.rpc.protection") or "").split(","):
        pytest.skip(f"these servers do not offer {protection}")
    service = knit.Service(
        "echo rank $KNIT_RANK, ${HADOOP_USER_NAME-nobody} is claimed; sleep 300", resources=SMALL
    )
    with knit.Client(config.with_properties({"hadoop.rpc.protection": protection})) as client:
        with client.submit(knit.ApplicationSpec("rpc", {"worker": service})) as app:
            # Nodes believe the owner's name here, so that logs are live without a keytab.
            wait_for_text(app, "nobody is claimed", 1)
            app.add_containers(1)
            wait_for_text(app, "nobody is claimed", 2)
            app.stop_containers([each for each in app.containers() if each.rank == 0])
            wait_for_states(app, 1, ContainerState.STOPPED)
            app.stop(final_status=FinalStatus.SUCCEEDED)
            app.release()
            report = app.wait(timeout=PATIENCE)
            logs = app.aggregated_logs(wait=PATIENCE)
        assert (report.user, report.final_status) == (cluster.user, FinalStatus.SUCCEEDED)
        assert logs.is_complete, logs.incomplete_reason
        texts = {
            container.rank: container.read("stdout").decode()
            for container in logs.containers.values()
            if not container.is_application_master
        }
        assert texts == {rank: f"rank {rank}, nobody is claimed\n" for rank in range(2)}
        known = [each.application_id for each in client.applications(states=[report.state])]
        assert app.application_id in known


def test_the_cluster_tells_what_it_tells_by_rest(
    client: knit.Client, cluster: EmbeddedCluster
) -> None:
    assert [node.node_id for node in client.nodes()] == [each.node_id for each in cluster.nodes()]
    names = {queue.path for queue in client.queues()}
    assert {"root", "root.default", "root.small", "root.stopped"} <= names


def test_what_is_refused_has_yarns_reason(client: knit.Client) -> None:
    service = knit.Service("true", resources=SMALL)
    with pytest.raises(knit.QueueStoppedError, match="stopped"):
        client.submit(knit.ApplicationSpec("rpc", {"worker": service}, queue="stopped"))
    with pytest.raises(knit.ApplicationNotFoundError):
        client.application("application_1700000000000_0001").report()
