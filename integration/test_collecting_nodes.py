"""Nodes that collect while applications run, and remove what they have collected."""

from __future__ import annotations

from collections.abc import Iterator

import knit
import pytest
from knit import ContainerState
from knit._wire.calls.logs import list_log_files

from integration import evidence
from integration.applications import (
    PATIENCE,
    PROGRAMS,
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
ROLLED = "app.rolled"
ROTATES = (
    "log=${LOG_DIRS%%,*}; for each in one two three; do "
    f"while [ -e $log/{ROLLED} ]; do sleep 0.2; done; "  # until the node has removed the last one
    f"echo $each > $log/next; mv $log/next $log/{ROLLED}; done; "
    f"echo rotated; exec python3 {PROGRAMS.name} wait"
)
ROTATED = {("rotates", 0, 1, ROLLED): b"one\ntwo\nthree\n"}


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


def on_node(app: knit.Application, container: knit.Container) -> list[str]:
    """The files that a container's node has of it."""
    assert container.container_id is not None
    call = list_log_files(container.container_id)
    return [file.name for file in app._session.call(call, PATIENCE)]


def sizes(app: knit.Application, container: knit.Container) -> dict[str, int]:
    files = app.log_files(container)
    assert files.incomplete_reason is None
    return {file.name: file.size_bytes for file in files}


def test_what_is_removed_from_its_node_is_read_while_the_application_runs(
    collecting_applications: Applications,
) -> None:
    """Of a container that has ended all of it, and of one that runs what its rotation names."""
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
        lambda: not on_node(app, short),
        what="the node has not removed what it collected",
        timeout=PATIENCE,
        evidence=lambda: f"{app.log_files(short)}\n{evidence.of(app)}",
    )
    assert {name: sizes(app, short)[name] for name in ("stdout", "stderr")} == {
        "stdout": 8,
        "stderr": 3,
    }

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

    # Later than the first one: of all that a node collects at once it removes one container's.
    rotating = knit.Service(
        ROTATES, files=[PROGRAMS], resources=SMALL, environment=gate.environment
    )
    app.add_services({"rotates": rotating})
    wait_until(
        lambda: (
            b"rotated" in read_logs(app, services=["rotates"]).get(("rotates", 0, 1, "stdout"), b"")
        ),
        what="the node has not collected and removed two files of one name",
        timeout=PATIENCE,
        evidence=lambda: evidence.of(app),
    )
    (rotates,) = app.containers(services=["rotates"])
    assert read_logs(app, services=["rotates"], files=[ROLLED]) == ROTATED
    assert sizes(app, rotates)[ROLLED] == len(ROTATED["rotates", 0, 1, ROLLED])
    gate.open()
    ending = finish(app)
    assert {key: data for key, data in ending.logs.items() if key[0] == "short"} == WROTE
    assert ending.text("long") == "long/0 waits\nlong/0 goes on\n"
    assert read_logs(app, services=["rotates"], files=[ROLLED], follow=True) == ROTATED
