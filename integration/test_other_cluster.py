"""
What takes another cluster: the other format of logs, a pair of ResourceManagers, uneven nodes.

Nothing is lost, doubled or silent when nodes or a ResourceManager go away while one waits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import knit
import pytest
from knit import ApplicationState, ContainerState, WaitingCause, WaitingReason, YarnState

from integration import evidence, programs, yarn_command
from integration.applications import (
    PATIENCE,
    Applications,
    Ending,
    finish,
    program,
    read_logs,
    wait_for_states,
    wait_for_text,
)
from integration.clusters import Node
from integration.clusters.configuration import IFILE
from integration.clusters.embedded import EmbeddedCluster
from integration.hdfs import Hdfs
from integration.test_aggregated_logs import (
    AT_ONCE,
    FILES,
    LINES,
    by_yarn,
    ended,
    everything,
    expected_lines,
)
from integration.waiting import wait_until

pytestmark = pytest.mark.own_cluster(
    "it writes the other format, kills ResourceManagers, and has nodes of two sizes"
)

LESSER_MIB, LARGER_MIB = 2048, 4096
LARGE = knit.Resources(memory=f"{LESSER_MIB + 512} MiB", vcores=1)
"""What only the larger node can hold, and two of them not at once."""


@pytest.fixture(scope="module")
def pair() -> Iterator[EmbeddedCluster]:
    """Two of each master, and one node, of the lesser size, that writes compressed IFiles."""
    yarn = {**IFILE, "yarn.nodemanager.log-aggregation.compression-type": "gz"}
    with EmbeddedCluster(node_memory_mib=LESSER_MIB, is_ha=True, yarn=yarn) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def pair_applications(pair: EmbeddedCluster) -> Iterator[Applications]:
    config = knit.ClusterConfig.from_directory(pair.conf_dir)
    hdfs = Hdfs(config.name_nodes, config.default_fs, pair.user)
    with knit.Client(config, user=pair.user) as client:
        applications = Applications(client, hdfs)
        yield applications
        applications.close()


def wait_for_reason(app: knit.Application, cause: WaitingCause) -> WaitingReason:
    """Wait until this is why containers wait."""

    def found() -> WaitingReason | None:
        reasons = app.describe().waiting_reasons
        return next((reason for reason in reasons if reason.cause is cause), None)

    reason = wait_until(
        found,
        what=f"nobody waits for {cause.name}",
        timeout=PATIENCE,
        evidence=lambda: f"{app.describe().waiting_reasons}\n{evidence.of(app)}",
    )
    assert reason is not None
    return reason


def holds_what_it_held(before: list[knit.Container], ending: Ending) -> None:
    """Whatever ran before ran to its end: the same containers, none of them twice or instead."""
    ended = {(c.service, c.rank): c for c in ending.containers}
    assert len(ended) == len(ending.containers), "no place was filled twice"
    for container in before:
        after = ended[container.service, container.rank]
        assert after.container_id == container.container_id
        assert after.state is ContainerState.SUCCEEDED
        text = ending.text(container.service, container.rank)
        assert len(re.findall("goes on", text)) == 1
    assert ending.description.attempt_number == 1
    assert ending.report.state is YarnState.FINISHED


def larger_nodes(cluster: EmbeddedCluster) -> list[Node]:
    return [node for node in cluster.nodes() if node.memory_mib == LARGER_MIB]


def added_to(app: knit.Application, service: str, resources: knit.Resources) -> bool:
    """Whether a container of that size could be added."""
    try:
        app.add_containers(1, service=service, resources=resources)
    except knit.ResourceExhaustedError:
        return False
    return True


def test_indexed_files_are_read_as_the_yarn_command_reads_them(
    pair: EmbeddedCluster,
    pair_applications: Applications,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services = {"lines": program("lines", LINES, instances=2), "binary": program("every-byte")}
    app = ended(pair_applications.submit(services, linger=AT_ONCE))
    received = read_logs(app, follow=True, files=FILES)
    for rank in range(2):
        for file in FILES:
            log = received["lines", rank, 1, file]
            assert programs.digest(iter([log])) == expected_lines(rank, file)
    assert received["binary", 0, 1, "stdout"] == programs.every_byte()
    monkeypatch.setenv("HADOOP_HOME", str(yarn_command.install(pair, tmp_path)))
    ours = everything(app.aggregated_logs(wait=PATIENCE).containers)
    assert ours == by_yarn(pair, app.application_id)
    config = knit.ClusterConfig.from_directory(pair.conf_dir)
    written = Hdfs(config.name_nodes, config.default_fs, pair.user).list(f"/tmp/logs/{pair.user}")
    assert list(written) == ["bucket-logs-ifile"]


def test_what_no_live_node_can_hold_stops_nothing_else_and_runs_once_one_can(
    pair: EmbeddedCluster, pair_applications: Applications
) -> None:
    """The Application Master is on the lesser node, for there is no other when it starts."""
    gate = pair_applications.gate()
    app = pair_applications.submit(
        {
            "small": program("wait", environment=gate.environment),
            "large": program("wait", instances=0, environment=gate.environment),
        }
    )
    wait_for_text(app, "waits", 1)
    (lesser,) = pair.nodes()
    with pytest.raises(knit.ResourceExhaustedError):
        app.add_containers(1, service="large", resources=LARGE)

    pair.start_node(LARGER_MIB)
    (larger,) = larger_nodes(pair)
    wait_until(
        lambda: added_to(app, "large", LARGE),
        what="containers of the size of the node that came are refused",
        timeout=PATIENCE,
        evidence=lambda: evidence.of(app),
    )
    (large,) = wait_for_states(app, 1, ContainerState.RUNNING, services=["large"])
    assert large.node_id == larger.node_id

    pair.stop_node(larger.node_id)
    reason = wait_for_reason(app, WaitingCause.TOO_LARGE)
    assert (reason.service_name, reason.count, reason.resources) == ("large", 1, LARGE)
    assert f"{lesser.node_id}, has {LESSER_MIB} MiB" in reason.explanation

    # Neither is held up by it: what is new begins, and what ends is heard to end.
    (quick,) = app.add_containers(1, service="small")
    wait_for_states(app, 2, ContainerState.RUNNING, services=["small"])
    app.stop_containers(quick)
    wait_for_states(app, 1, ContainerState.STOPPED, services=["small"])

    pair.start_node(LARGER_MIB)
    wait_for_states(app, 1, ContainerState.RUNNING, services=["large"])
    gate.open()
    # Their logs are another matter: those of the first went with its node.
    wait_until(
        lambda: app.describe().state is ApplicationState.ENDED,
        what="the application did not end",
        timeout=PATIENCE,
        evidence=lambda: evidence.of(app),
    )
    containers = app.containers()
    assert app.describe().waiting_reasons == ()
    app.release()
    assert app.wait(timeout=PATIENCE).final_status is knit.FinalStatus.SUCCEEDED
    assert [(c.rank, c.attempt_number, c.state) for c in containers if c.service == "large"] == [
        (0, 1, ContainerState.FAILED),
        (0, 2, ContainerState.SUCCEEDED),
    ]


def test_waiting_and_running_containers_outlive_a_failover_and_a_restart_with_recovery(
    pair: EmbeddedCluster, pair_applications: Applications
) -> None:
    if not larger_nodes(pair):
        pair.start_node(LARGER_MIB)
    gate = pair_applications.gate()
    app = pair_applications.submit(
        {
            "small": program("wait", instances=3, environment=gate.environment),
            "large": program("wait", instances=2, resources=LARGE, environment=gate.environment),
        }
    )
    wait_for_text(app, "waits", 4)
    running = wait_for_states(app, 4, ContainerState.RUNNING)
    reason = wait_for_reason(app, WaitingCause.CAPACITY)
    assert (reason.service_name, reason.count) == ("large", 1)

    was_active = pair.active_resource_manager()
    assert was_active is not None
    pair.kill(was_active)
    added = app.add_containers(1, service="small")
    wait_for_states(app, 4, ContainerState.RUNNING, services=["small"])
    wait_for_reason(app, WaitingCause.CAPACITY)

    took_over = pair.active_resource_manager()
    assert took_over is not None
    assert took_over != was_active
    pair.kill(took_over)
    silent = wait_for_reason(app, WaitingCause.RESOURCE_MANAGER)
    assert re.search(r"not answered for \d+ s", silent.explanation)
    more = app.add_containers(1, service="small")
    pair.start(was_active)
    pair.start(took_over)
    wait_for_states(app, 5, ContainerState.RUNNING, services=["small"])
    gate.open()

    ending = finish(app)
    assert [c.rank for c in (*added, *more)] == [3, 4]
    assert len(ending.containers) == 7
    holds_what_it_held(running, ending)
    assert ending.container("large", 1).state is ContainerState.SUCCEEDED
    assert ending.description.waiting_reasons == ()
