"""The rest of the cluster: nodes, queues, applications with filters, moving and killing them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import attrs
import knit
import pytest
from knit import ApplicationReport, QueueState, YarnState

from integration.applications import Applications, finish, program, wait_for_text
from integration.clusters import Cluster
from integration.command_line import CommandLine
from integration.waiting import wait_until

OTHER_QUEUE = "small"
"""Beside the default one, in the clusters of `configuration.py`."""


@attrs.frozen
class Waiting:
    """An application of two containers that wait, with a tag that no other has."""

    app: knit.Application
    tag: str

    @property
    def application_id(self) -> str:
        return self.app.application_id


@pytest.fixture(scope="module")
def waiting(module_applications: Applications) -> Iterator[Waiting]:
    """The application that most tests here look at and change; each leaves it where it was."""
    gate = module_applications.gate()
    tag = f"tag-{uuid.uuid4().hex[:8]}"
    app = module_applications.submit(
        program("wait", instances=2, environment=gate.environment), tags=["knit-test", tag]
    )
    wait_for_text(app, "waits", 2)
    yield Waiting(app, tag)
    gate.open()
    # Whatever was changed of it, it runs to its end.
    assert finish(app).report.final_status is knit.FinalStatus.SUCCEEDED


@pytest.fixture(scope="module")
def command_line(cluster: Cluster) -> CommandLine:
    return CommandLine(cluster)


@pytest.fixture
def own_queues(cluster: Cluster) -> None:
    if cluster.name == "external":
        pytest.skip("the queues of a cluster of your own are not known here")


def ids(reports: list[ApplicationReport]) -> list[str]:
    return [report.application_id for report in reports]


# Nodes


def test_nodes_are_what_the_resource_manager_knows(
    client: knit.Client, cluster: Cluster, waiting: Waiting
) -> None:
    known = {node.node_id: node for node in cluster.nodes()}
    nodes = {node.node_id: node for node in client.nodes(states=[knit.NodeState.RUNNING])}
    assert set(nodes) == set(known)
    for node_id, node in nodes.items():
        assert node.total.memory_mib == known[node_id].memory_mib
        assert node.total.vcores == known[node_id].vcores
        assert node.http_address == known[node_id].http_address
        assert node.rack.startswith("/")
        assert node.hadoop_version
        assert node.last_health_update is not None
        assert node.used + node.available == node.total
    assert sum(node.running_containers for node in nodes.values()) >= 3
    assert sum(node.used.memory_mib for node in nodes.values()) >= 2 * 64


def test_nodes_without_a_label_are_those_of_the_default_partition(
    client: knit.Client, waiting: Waiting
) -> None:
    assert client.nodes(label="no-such-label") == []
    bare = client.nodes(label="", states=[knit.NodeState.RUNNING])
    hosts = {container.node_id for container in waiting.app.containers()}
    assert hosts <= {node.node_id for node in bare}


# Queues


@pytest.mark.usefixtures("own_queues")
def test_queues_are_those_that_are_configured(client: knit.Client) -> None:
    queues = {queue.path: queue for queue in client.queues()}
    root = queues["root"]
    assert set(root.children) == {"root.default", "root.small", "root.stopped"}
    assert (queues["root.stopped"].state, queues["root.stopped"].is_open) == (
        QueueState.STOPPED,
        False,
    )
    default, small = queues["root.default"], queues["root.small"]
    assert (default.capacity, default.max_capacity) == (0.9, 1.0)
    assert (default.absolute_capacity, small.absolute_max_capacity) == (0.9, 0.1)
    assert (default.user_limit, default.user_limit_factor) == (1.0, 2.0)
    assert default.am_limit is not None
    if small.max_container is not None:  # not told before Hadoop 3
        assert small.max_container.memory_mib == 1024


@pytest.mark.usefixtures("own_queues")
def test_a_queue_counts_what_runs_in_it(client: knit.Client, waiting: Waiting) -> None:
    for name in ("default", "root.default"):
        queue = client.queue(name)
        assert queue.used is not None
        assert queue.used.memory_mib >= waiting.app.report().memory_mib
        assert queue.running_applications is not None
        assert queue.running_applications >= 1
        assert queue.containers is not None
        assert queue.containers >= 3
    with pytest.raises(knit.QueueNotFoundError, match=r"nearest: root\.default"):
        client.queue("defualt")


# Applications


def test_an_application_is_found_by_each_filter(client: knit.Client, waiting: Waiting) -> None:
    report = waiting.app.report()
    assert report.start_time is not None
    moment = report.start_time
    here: dict[str, Any] = {"tags": [waiting.tag]}
    found: list[dict[str, Any]] = [
        {},
        {"states": [YarnState.RUNNING]},
        {"name": report.name},
        {"queue": report.queue.rpartition(".")[2]},
        {"queue": f"root.{report.queue.removeprefix('root.')}"},
        {"user": report.user},
        {"user": None},
        {"types": None},
        {"types": ["KNIT", "SPARK"]},
        {"tags": [waiting.tag.upper(), "knit-test"]},
        {"started_begin": moment},
        {"started_end": moment},
        {"started_begin": moment, "started_end": moment},
        {"limit": 1},
    ]
    for wanted in found:
        assert ids(client.applications(**{**here, **wanted})) == [waiting.application_id], wanted
    tick = timedelta(milliseconds=1)
    missed: list[dict[str, Any]] = [
        {"states": [YarnState.FINISHED]},
        {"name": f"{report.name}-2"},
        {"user": "nobody-here"},
        {"types": ["SPARK"]},
        {"tags": [waiting.tag, "no-such-tag"]},
        {"started_begin": moment + tick},
        {"started_end": moment - tick},
        {"finished_begin": moment},
        {"finished_end": moment + timedelta(days=1)},
    ]
    for wanted in missed:
        assert client.applications(**{**here, **wanted}) == [], wanted


@pytest.mark.usefixtures("own_queues")
def test_the_other_queues_have_it_not(client: knit.Client, waiting: Waiting) -> None:
    assert client.applications(tags=[waiting.tag], queue=OTHER_QUEUE) == []
    with pytest.raises(knit.QueueNotFoundError):
        client.applications(tags=[waiting.tag], queue="no-such-queue")


def test_one_that_has_ended_is_found_by_when(
    client: knit.Client, applications: Applications
) -> None:
    tag = f"tag-{uuid.uuid4().hex[:8]}"
    ending = applications.run(program("lines", 1), tags=[tag])
    moment = ending.report.finish_time
    assert moment is not None
    tick = timedelta(milliseconds=1)
    for wanted, expected in (
        ({"finished_begin": moment, "finished_end": moment}, [ending.application_id]),
        ({"finished_end": moment, "queue": "default"}, [ending.application_id]),
        ({"finished_begin": moment + tick}, []),
        ({"finished_end": moment - tick}, []),
    ):
        filters: dict[str, Any] = {"tags": [tag], **wanted}
        assert ids(client.applications(**filters)) == expected, wanted
    with pytest.raises(knit.ApplicationNotRunningError):
        client.move(ending.application_id, "default")
    with pytest.raises(knit.ApplicationNotRunningError):
        client.set_priority(ending.application_id, 1)


def test_a_report_has_what_yarn_counts(client: knit.Client, waiting: Waiting) -> None:
    report = waiting.app.report()
    host, port = report.am_host, report.am_port
    if report.am_address is not None:  # not told by Hadoop 2
        assert f"{host}:{port}" == report.am_address
    assert report.am_node_http_address in {node.http_address for node in client.nodes()}
    wait_until(
        lambda: waiting.app.report().memory_mib_seconds,
        what="YARN counts no memory of an application that holds containers",
    )
    later = waiting.app.report()
    assert later.vcore_seconds is not None
    assert later.memory_mib >= 2 * 64
    assert later.running_containers >= 3


# Another queue, another priority


@pytest.mark.usefixtures("own_queues")
def test_a_running_application_is_moved_with_its_containers(
    client: knit.Client, waiting: Waiting
) -> None:
    before = {container.container_id for container in waiting.app.containers()}
    home = waiting.app.report().queue
    moved = client.move(waiting.application_id, OTHER_QUEUE)
    try:
        assert moved.queue.rpartition(".")[2] == OTHER_QUEUE
        assert ids(client.applications(tags=[waiting.tag], queue=OTHER_QUEUE)) == [
            waiting.application_id
        ]
        queue = client.queue(OTHER_QUEUE)
        assert queue.used is not None
        assert queue.used.memory_mib >= moved.memory_mib
        assert {container.container_id for container in waiting.app.containers()} == before
        assert waiting.app.move(f"root.{OTHER_QUEUE}").queue == moved.queue, "again"
    finally:
        assert client.move(waiting.app, home).queue == home


@pytest.mark.usefixtures("own_queues")
@pytest.mark.parametrize(
    ("queue", "error", "says"),
    [
        ("root", knit.QueueNotFoundError, "only holds other queues"),
        ("smal", knit.QueueNotFoundError, r"nearest: root\.small"),
        ("stopped", knit.QueueStoppedError, "takes no applications"),
    ],
)
def test_what_yarn_refuses_without_a_word_is_refused_with_one(
    client: knit.Client, waiting: Waiting, queue: str, error: type[knit.KnitError], says: str
) -> None:
    with pytest.raises(error, match=says):
        client.move(waiting.app, queue)
    assert waiting.app.report().queue.rpartition(".")[2] == "default"


def test_an_application_that_is_not_there(client: knit.Client) -> None:
    with pytest.raises(knit.ApplicationNotFoundError):
        client.move("application_1_0001", "default")
    with pytest.raises(knit.ApplicationNotFoundError):
        client.set_priority("application_1_0001", 1)


@pytest.mark.usefixtures("own_queues")
def test_a_priority_is_at_most_the_clusters(client: knit.Client, waiting: Waiting) -> None:
    for asked, expected in ((5, 5), (1000, 10), (0, 0)):
        assert client.set_priority(waiting.app, asked).priority == expected
        assert waiting.app.report().priority == expected


# Several at once


def test_several_are_killed_whatever_becomes_of_one(
    client: knit.Client, applications: Applications
) -> None:
    gate = applications.gate()
    service = program("wait", environment=gate.environment)
    first, second = applications.submit(service), applications.submit(service)
    unknown = "application_1_0001"
    results = client.kill_applications([first, unknown, second.application_id])
    assert [result.application_id for result in results] == [
        first.application_id,
        unknown,
        second.application_id,
    ]
    for result in (results[0], results[2]):
        assert result.error is None
        assert result.report is not None
        assert result.report.state is YarnState.KILLED
    assert isinstance(results[1].error, knit.ApplicationNotFoundError)
    again = client.kill_applications([first, second])
    assert [result.error for result in again] == [None, None]


# The command


@pytest.mark.usefixtures("own_queues")
def test_the_command_shows_and_changes_the_same(
    command_line: CommandLine, client: knit.Client, waiting: Waiting
) -> None:
    def ask(*arguments: str) -> Any:
        return json.loads(command_line.run(*arguments, "--json").out)

    assert {node["node_id"] for node in ask("nodes")} == {node.node_id for node in client.nodes()}
    assert command_line.run("queues").out.splitlines()[1].startswith("root\tRUNNING\t100%\t")
    [small] = ask("queues", OTHER_QUEUE)
    assert (small["path"], small["absolute_capacity"]) == ("root.small", 0.1)
    [listed] = ask("list", "--tag", waiting.tag, "--started-after", "1h", "--limit", "1")
    assert listed["application_id"] == waiting.application_id
    home = waiting.app.report().queue
    moved = command_line.run("move", waiting.application_id, OTHER_QUEUE)
    assert moved.out.split("\t")[1].strip().rpartition(".")[2] == OTHER_QUEUE
    assert ask("move", waiting.application_id, home)["queue"] == home
    raised = command_line.run("priority", waiting.application_id, "1000")
    assert raised.out == f"{waiting.application_id}\t10\n"
    assert "YARN made 10 of 1000" in raised.err
    assert ask("priority", waiting.application_id, "0")["priority"] == 0
    refused = command_line.run("move", waiting.application_id, "nowhere", status=1)
    assert refused.out == ""
    assert "no queue 'nowhere'" in refused.err
