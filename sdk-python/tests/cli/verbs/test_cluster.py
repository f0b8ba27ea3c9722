"""list with its filters, nodes, queues, move, priority and kill, on a cluster that is played."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from knit.cli import main
from knit.cli._terminal import output
from knit.cli._terminal.words import human_mib, human_share
from knit.cli._verbs.cluster import _shows
from tests.fakes.cluster import FakeCluster
from tests.fakes.yarn import FakeNode, FakeQueue

RECORDED = Path(__file__).parents[2] / "cluster" / "yarn" / "recorded"
NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    with FakeCluster() as running:
        conf = running.write_configuration(tmp_path / "conf")
        monkeypatch.setenv("HADOOP_CONF_DIR", str(conf))
        monkeypatch.setenv("HADOOP_USER_NAME", running.user)
        yield running


def add(cluster: FakeCluster, number: int, **fields: Any) -> str:
    """An application that the RM knows, running since noon unless it is said otherwise."""
    application_id = f"application_1700000000000_{number:04}"
    cluster.resource_manager.applications[application_id] = {
        "id": application_id,
        "user": "alice",
        "name": "demo",
        "queue": "root.default",
        "applicationType": "knit",
        "applicationTags": "",
        "state": "RUNNING",
        "finalStatus": "UNDEFINED",
        "startedTime": int(NOON.timestamp() * 1000) + number * 1000,
        "finishedTime": 0,
        "priority": 0,
        **fields,
    }
    return application_id


def shown(capfd: pytest.CaptureFixture[str], *arguments: str) -> list[list[str]]:
    """The rows that a verb prints, its headings left out."""
    assert main(list(arguments)) == 0
    return [line.split("\t") for line in capfd.readouterr().out.splitlines()[1:]]


def as_json(capfd: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capfd.readouterr().out)


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, columns: int = 200) -> None:
    monkeypatch.setattr("knit.cli._terminal.output.is_terminal", lambda _: True)
    monkeypatch.setattr("knit.cli._verbs.cluster.is_terminal", lambda _: True)
    monkeypatch.setattr(output, "has_colours", lambda _: False)
    monkeypatch.setenv("COLUMNS", str(columns))


class TestList:
    def test_filters(self, cluster: FakeCluster, capfd: pytest.CaptureFixture[str]) -> None:
        one = add(cluster, 1, applicationTags="night,etl")
        two = add(cluster, 2, applicationTags="night", queue="root.team.small")
        spark = add(cluster, 3, applicationType="SPARK", user="bob")

        def ids(*arguments: str) -> list[str]:
            return [row[0] for row in shown(capfd, "list", *arguments)]

        assert ids() == [two, one]
        assert ids("--limit", "1") == [two]
        assert ids("--tag", "night") == [two, one]
        assert ids("--tag", "night", "--tag", "etl") == [one]
        assert ids("--queue", "small") == [two]
        assert ids("--type", "spark", "--all-users") == [spark]
        assert ids("--all-types", "--all-users") == [spark, two, one]
        assert ids("--all-types") == [two, one]
        noon = "2026-01-02T12:00:02Z"
        assert ids("--started-after", noon) == [two]
        assert ids("--started-before", "2026-01-02T13:00:01+01:00") == [one]
        assert ids("--started-after", "1h") == []

    def test_what_has_finished_has_ended(
        self, cluster: FakeCluster, capfd: pytest.CaptureFixture[str]
    ) -> None:
        add(cluster, 1)
        ago = datetime.now(timezone.utc) - timedelta(minutes=30)
        ended = add(
            cluster,
            2,
            state="FINISHED",
            finalStatus="SUCCEEDED",
            finishedTime=int(ago.timestamp() * 1000),
        )
        assert [row[0] for row in shown(capfd, "list", "--finished-after", "1h")] == [ended]
        assert shown(capfd, "list", "--finished-before", "1h") == []

    def test_several_types_are_told_apart(
        self, cluster: FakeCluster, capfd: pytest.CaptureFixture[str]
    ) -> None:
        add(cluster, 1, applicationType="SPARK")
        assert main(["list", "--all-types"]) == 0
        heading, row = capfd.readouterr().out.splitlines()
        assert heading.split("\t")[-1] == "TYPE"
        assert row.split("\t")[-1] == "SPARK"

    def test_as_json_it_has_all_there_is(
        self, cluster: FakeCluster, capfd: pytest.CaptureFixture[str]
    ) -> None:
        add(cluster, 1, priority=7, memorySeconds=12, appNodeLabelExpression="fast")
        [found] = as_json(capfd, "list")
        assert (found["priority"], found["memory_mib_seconds"]) == (7, 12)
        assert (found["node_label"], found["vcore_seconds"]) == ("fast", None)
        assert found["start_time"] == "2026-01-02T12:00:01+00:00"
        assert "raw" not in found

    def test_a_queue_that_is_none(
        self, cluster: FakeCluster, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["list", "--queue", "defualt"]) == 1
        assert "The nearest: root.default." in capfd.readouterr().err


class TestNodes:
    def test_what_they_have(self, cluster: FakeCluster, capfd: pytest.CaptureFixture[str]) -> None:
        cluster.resource_manager.nodes = [
            FakeNode("a:45454", labels=("fast",)),
            FakeNode("b:45454", state="UNHEALTHY", health_report="disks\tare\nfull"),
        ]
        first, second = shown(capfd, "nodes")
        assert first[:7] == ["a:45454", "RUNNING", "/default-rack", "fast", "0", "0", "8.0 GiB"]
        assert first[7:] == ["0", "8", "-"]
        assert (second[1], second[-1]) == ("UNHEALTHY", "disks are full")
        assert [row[0] for row in shown(capfd, "nodes", "--state", "unhealthy")] == ["b:45454"]
        assert [row[0] for row in shown(capfd, "nodes", "--label", "")] == ["b:45454"]

    def test_named_resources_have_columns(
        self, cluster: FakeCluster, capfd: pytest.CaptureFixture[str]
    ) -> None:
        nodes = json.loads((RECORDED / "nodes-with-labels.json").read_text())
        cluster.resource_manager.node_list = nodes
        assert main(["nodes"]) == 0
        heading, fast, slow = (line.split("\t") for line in capfd.readouterr().out.splitlines())
        assert heading[9:11] == ["YARN.IO/GPU USED", "YARN.IO/GPU"]
        assert (fast[3], fast[9:11]) == ("fast", ["0", "2"])
        assert slow[4:9] == ["6", "1.5 GiB", "8.0 GiB", "6", "8"]

    def test_as_json(self, cluster: FakeCluster, capfd: pytest.CaptureFixture[str]) -> None:
        first, _ = as_json(capfd, "nodes")
        assert first["node_id"] == "node-1:45454"
        assert first["total"] == {"memory_mib": 8192, "vcores": 8, "named": {}}
        assert first["available"] == first["total"]
        assert (first["state"], first["labels"]) == ("RUNNING", [])


class TestQueues:
    def test_without_a_terminal_each_has_its_path(
        self, cluster: FakeCluster, capfd: pytest.CaptureFixture[str]
    ) -> None:
        scheduler = json.loads((RECORDED / "capacity-scheduler.json").read_text())
        cluster.resource_manager.scheduler = scheduler["scheduler"]
        root, default, small, stopped = shown(capfd, "queues")
        assert root == [
            "root", "RUNNING", "100%", "100%", "9.4%", "1.5 GiB", "16.0 GiB", "6", "16",
            "2", "0", "-",
        ]  # fmt: skip
        assert default[:5] == ["root.default", "RUNNING", "90%", "100%", "9.4%"]
        assert default[5:] == ["1.5 GiB", "16.0 GiB", "6", "16", "2", "0", "*"]
        assert small[4] == "0%"
        assert stopped[1] == "STOPPED"

    def test_on_a_terminal_they_are_a_tree(
        self,
        cluster: FakeCluster,
        capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        on_a_terminal(monkeypatch)
        cluster.resource_manager.queues += [
            FakeQueue("root.zoo", leaf=False),
            FakeQueue("root.zoo.a", leaf=False),
            FakeQueue("root.zoo.a.b"),
        ]
        assert main(["queues"]) == 0
        lines = capfd.readouterr().out.splitlines()
        assert [line.split("RUNNING")[0].split("STOPPED")[0].rstrip() for line in lines[1:]] == [
            "root",
            "├─ default",
            "├─ closed",
            "├─ team",
            "│  └─ small",
            "└─ zoo",
            "   └─ a",
            "      └─ b",
        ]

    def test_a_terminal_without_such_lines_has_others(
        self,
        cluster: FakeCluster,
        capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        on_a_terminal(monkeypatch)
        monkeypatch.setattr("knit.cli._verbs.cluster._shows", lambda *_: False)
        assert main(["queues"]) == 0
        lines = capfd.readouterr().out.splitlines()
        assert [line.split()[:2] for line in lines[3:6]] == [
            ["|-", "closed"],
            ["`-", "team"],
            ["`-", "small"],
        ]

    @pytest.mark.parametrize(("encoding", "shows"), [("utf-8", True), ("ascii", False)])
    def test_what_a_stream_shows_is_in_its_encoding(self, encoding: str, shows: bool) -> None:
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        assert _shows(stream, "├─ ") is shows

    def test_one_and_those_below_it(
        self,
        cluster: FakeCluster,
        capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        paths = [row[0] for row in shown(capfd, "queues", "team")]
        assert paths == ["root.team", "root.team.small"]
        on_a_terminal(monkeypatch)
        assert main(["queues", "team"]) == 0
        assert capfd.readouterr().out.splitlines()[2].startswith("└─ small ")

    def test_what_is_not_told_is_a_dash(
        self, cluster: FakeCluster, capfd: pytest.CaptureFixture[str]
    ) -> None:
        scheduler = json.loads((RECORDED / "fifo-scheduler.json").read_text())
        cluster.resource_manager.scheduler = scheduler["scheduler"]
        [only] = shown(capfd, "queues")
        assert only[:5] == ["root.default", "RUNNING", "100%", "-", "9.4%"]
        assert set(only[5:]) == {"-"}

    def test_as_json(self, cluster: FakeCluster, capfd: pytest.CaptureFixture[str]) -> None:
        scheduler = json.loads((RECORDED / "fair-scheduler.json").read_text())
        cluster.resource_manager.scheduler = scheduler["scheduler"]
        found = {queue["path"]: queue for queue in as_json(capfd, "queues")}
        small = found["root.team.small"]
        assert (small["name"], small["parent"]) == ("small", "root.team")
        assert (small["scheduler"], small["state"]) == ("FAIR", "RUNNING")
        assert small["max_resources"] == {"memory_mib": 1024, "vcores": 2, "named": {}}
        assert small["capacity"] is None
        assert "raw" not in small

    def test_one_that_is_not_there(
        self, cluster: FakeCluster, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["queues", "tim"]) == 1
        assert "no queue 'tim'" in capfd.readouterr().err


class TestStatus:
    def test_what_yarn_tells_of_an_application_of_another_type(
        self, cluster: FakeCluster, capfd: pytest.CaptureFixture[str]
    ) -> None:
        named = {"resourceInformation": [{"name": "yarn.io/gpu", "value": 2}]}
        used = {"memory": 1536, "vCores": 3, "resourceInformations": named}
        application_id = add(
            cluster,
            1,
            applicationType="SPARK",
            state="ACCEPTED",
            priority=7,
            appNodeLabelExpression="fast",
            runningContainers=2,
            allocatedMB=1536,
            allocatedVCores=3,
            resourceInfo={"resourceUsagesByPartition": [{"used": used}]},
        )
        assert main(["status", application_id]) == 0
        out = capfd.readouterr().out
        fields = dict(line.split(":", 1) for line in out.splitlines())
        assert fields["priority"].strip() == "7"
        assert fields["node label"].strip() == "fast"
        assert fields["holds"].strip() == "1536 MiB, 3 vcores, 2 yarn.io/gpu"

    def test_a_priority_that_was_not_given_is_none(
        self, cluster: FakeCluster, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["status", add(cluster, 1, applicationType="SPARK", priority=-1)]) == 0
        assert "priority" not in capfd.readouterr().out


class TestMove:
    def test_it_prints_where_it_is_now(
        self, cluster: FakeCluster, capfd: pytest.CaptureFixture[str]
    ) -> None:
        application_id = add(cluster, 1)
        assert main(["move", application_id, "small"]) == 0
        assert capfd.readouterr().out == f"{application_id}\troot.team.small\n"
        assert as_json(capfd, "move", application_id, "default")["queue"] == "root.default"

    def test_a_queue_that_is_none_is_one_sentence(
        self, cluster: FakeCluster, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["move", add(cluster, 1), "defualt"]) == 1
        out, err = capfd.readouterr()
        assert out == ""
        [sentence] = err.splitlines()
        assert sentence.startswith("knit: Moving application_1700000000000_0001 to defualt: ")
        assert "The nearest: root.default. Queues that take applications: " in sentence


class TestPriority:
    def test_it_prints_what_yarn_made_of_it(
        self, cluster: FakeCluster, capfd: pytest.CaptureFixture[str]
    ) -> None:
        application_id = add(cluster, 1)
        assert main(["priority", application_id, "5"]) == 0
        assert capfd.readouterr() == (f"{application_id}\t5\n", "")
        assert main(["priority", application_id, "50"]) == 0
        out, err = capfd.readouterr()
        assert out == f"{application_id}\t10\n"
        assert err.startswith("knit: YARN made 10 of 50: that is the highest here ")
        assert as_json(capfd, "priority", application_id, "7")["priority"] == 7

    def test_one_that_has_ended(
        self, cluster: FakeCluster, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["priority", add(cluster, 1, state="KILLED"), "5"]) == 1
        assert "the application is KILLED" in capfd.readouterr().err


class TestKill:
    def test_several_and_what_came_of_each(
        self, cluster: FakeCluster, capfd: pytest.CaptureFixture[str]
    ) -> None:
        one, foreign, two = add(cluster, 1), add(cluster, 2, user="bob"), add(cluster, 3)
        assert main(["kill", one, foreign, two]) == 1
        out, err = capfd.readouterr()
        assert out == f"{one}\tKILLED\n{two}\tKILLED\n"
        assert err.startswith(f"knit: {foreign}: ")
        assert len(err.splitlines()) == 1

    def test_as_json(self, cluster: FakeCluster, capfd: pytest.CaptureFixture[str]) -> None:
        one, foreign = add(cluster, 1), add(cluster, 2, user="bob")
        assert main(["kill", one, foreign, "--json"]) == 1
        first, second = json.loads(capfd.readouterr().out)
        assert first == {"application_id": one, "state": "KILLED"}
        assert set(second) == {"application_id", "error"}
        assert as_json(capfd, "kill", one) == [first]


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, None),
        (0.0, "0%"),
        (0.0005, "0.05%"),
        (0.09375, "9.4%"),
        (0.1, "10%"),
        (0.9, "90%"),
        (1.0, "100%"),
        (1.25, "125%"),
    ],
)
def test_shares_as_people_read_them(share: float | None, text: str | None) -> None:
    assert human_share(share) == text


def test_memory_as_people_read_it() -> None:
    assert [human_mib(mib) for mib in (0, 512, 1536, 3 * 1024 * 1024)] == [
        "0",
        "512.0 MiB",
        "1.5 GiB",
        "3.0 TiB",
    ]
