"""Nodes that collect while applications run, and remove what they have collected."""

from __future__ import annotations

from collections.abc import Iterator

import knit
import pytest
from knit import ContainerState

from integration import evidence
from integration.applications import (
    PATIENCE,
    SMALL,
    Applications,
    finish,
    program,
    read_logs,
    wait_for_states,
)
from integration.clusters.embedded import EmbeddedCluster
from integration.hdfs import Hdfs
from integration.waiting import wait_until

pytestmark = pytest.mark.own_cluster("its node collects every few seconds")

INTERVAL = "yarn.nodemanager.log-aggregation.roll-monitoring-interval-seconds"
SAYS = "echo one; echo two; echo oh >&2"
WROTE = {
    ("short", 0, 1, "stdout"): b"one\ntwo\n",
    ("short", 0, 1, "stderr"): b"oh\n",
}


@pytest.fixture(scope="module")
def collecting() -> Iterator[EmbeddedCluster]:
    """A node that collects every five seconds; Hadoop allows no less than an hour by default."""
    with EmbeddedCluster(yarn={INTERVAL: 5, f"{INTERVAL}.min": 5}) as cluster:
        yield cluster


@pytest.fixture
def collecting_applications(collecting: EmbeddedCluster) -> Iterator[Applications]:
    config = knit.ClusterConfig.from_directory(collecting.conf_dir)
    hdfs = Hdfs(config.name_nodes, config.default_fs, collecting.user)
    with knit.Client(config, user=collecting.user) as client:
        applications = Applications(client, hdfs)
        yield applications
        applications.close()


def test_what_ended_and_is_removed_from_its_node_is_read_while_others_run(
    collecting_applications: Applications,
) -> None:
    gate = collecting_applications.gate()
    app = collecting_applications.submit(
        {
            "short": knit.Service(SAYS, resources=SMALL),
            "long": program("wait", environment=gate.environment),
        }
    )
    (short,) = wait_for_states(app, 1, ContainerState.SUCCEEDED, services=["short"])
    wait_for_states(app, 1, ContainerState.RUNNING, services=["long"])
    wait_until(
        lambda: not app.log_files(short),
        what="the node has not removed what it collected",
        timeout=PATIENCE,
        evidence=lambda: f"{app.log_files(short)}\n{evidence.of(app)}",
    )

    now = read_logs(app)
    assert {key: data for key, data in now.items() if key[0] == "short" and data} == WROTE
    last = app.logs(containers=[short], files=["stdout"], tail_lines=1)
    assert [line.text for line in last] == ["two"]

    # Before the gate is open nothing ends, so all of it comes while the other one runs.
    live = set[tuple[str, str]]()
    with app.logs(follow=True) as stream:
        for line in stream:
            live.add((line.service, line.text))
            if live >= {
                ("short", "one"),
                ("short", "two"),
                ("short", "oh"),
                ("long", "long/0 waits"),
            }:
                break
    gate.open()
    ending = finish(app)
    assert {key: data for key, data in ending.logs.items() if key[0] == "short"} == WROTE
    assert ending.text("long") == "long/0 waits\nlong/0 goes on\n"
