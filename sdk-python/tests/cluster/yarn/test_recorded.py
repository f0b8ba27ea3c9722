"""
What ResourceManagers answered: of Hadoop 3.4.2, and where a name says so of another.

Each was asked with the Application Masters of two running applications on two nodes: the Capacity
scheduler with and without node labels and `yarn.io/gpu`, the Fair one, and FIFO.
"""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from knit._cluster.yarn.applications import application_report
from knit._cluster.yarn.json import object_in, objects_in
from knit._cluster.yarn.nodes import node_report
from knit._cluster.yarn.queues import queues_of
from knit._values.amounts import ResourceAmount
from knit._values.nodes import NodeReport, NodeState
from knit._values.queues import QueueReport, QueueState, SchedulerType
from knit._values.reports import ApplicationReport
from knit._values.states import YarnState

RECORDED = Path(__file__).parent / "recorded"
GPU = "yarn.io/gpu"


def recorded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text("utf-8"))
    return found


def queues(name: str) -> dict[str, QueueReport]:
    scheduler = recorded(name)["scheduler"]["schedulerInfo"]
    return {queue.path: queue for queue in queues_of(scheduler)}


def nodes(name: str) -> list[NodeReport]:
    return [node_report(node) for node in objects_in(recorded(name)["nodes"], "node")]


def applications() -> dict[str, ApplicationReport]:
    reports = map(application_report, objects_in(recorded("applications")["apps"], "app"))
    return {report.name: report for report in reports}


class TestCapacityScheduler:
    @pytest.mark.parametrize("version", ["", "-3.3.6", "-2.10.2"])
    def test_the_tree(self, version: str) -> None:
        found = queues(f"capacity-scheduler{version}")
        assert list(found) == ["root", "root.default", "root.small", "root.stopped"]
        root = found["root"]
        assert root.children == ("root.default", "root.small", "root.stopped")
        assert (root.parent, root.name, root.is_leaf) == (None, "root", False)
        assert found["root.small"].parent == "root"
        assert all(found[path].is_leaf for path in root.children)
        assert all(queue.scheduler is SchedulerType.CAPACITY for queue in found.values())

    @pytest.mark.parametrize("version", ["", "-3.3.6", "-2.10.2"])
    def test_states(self, version: str) -> None:
        found = queues(f"capacity-scheduler{version}")
        assert found["root"].state is QueueState.RUNNING
        assert found["root.stopped"].state is QueueState.STOPPED
        assert not found["root.stopped"].is_open
        assert not found["root"].is_open
        assert found["root.default"].is_open

    @pytest.mark.parametrize("version", ["", "-3.3.6"])
    def test_shares_are_parts_of_one(self, version: str) -> None:
        default = queues(f"capacity-scheduler{version}")["root.default"]
        assert (default.capacity, default.max_capacity) == (0.9, 1.0)
        assert default.used_capacity == pytest.approx(0.1041709)
        assert (default.absolute_capacity, default.absolute_max_capacity) == (0.9, 1.0)
        assert default.absolute_used_capacity == 0.09375
        assert default.weight is None  # this cluster goes by percent
        assert (default.user_limit, default.user_limit_factor) == (1.0, 2.0)

    def test_amounts(self) -> None:
        found = queues("capacity-scheduler")
        default, small = found["root.default"], found["root.small"]
        assert default.used == ResourceAmount(1536, 6)
        assert default.min_resources == ResourceAmount(14745, 14)
        assert default.max_resources == ResourceAmount(16384, 16)
        assert small.max_container == ResourceAmount(1024, 4)
        assert default.am_limit == ResourceAmount(13120, 1)
        assert default.am_used == ResourceAmount(1024, 2)
        assert default.fair_share is None

    @pytest.mark.parametrize("version", ["", "-3.3.6"])
    def test_the_root_has_what_its_queues_have(self, version: str) -> None:
        """Which is where YARN tells it, but for shares."""
        root = queues(f"capacity-scheduler{version}")["root"]
        assert root.used == ResourceAmount(1536, 6)
        assert root.max_resources == ResourceAmount(16384, 16)
        assert (root.running_applications, root.pending_applications) == (2, 0)
        assert (root.absolute_capacity, root.absolute_used_capacity) == (1.0, 0.09375)
        assert root.am_limit is None
        assert root.max_applications is None

    @pytest.mark.parametrize("version", ["", "-3.3.6"])
    def test_applications_and_containers(self, version: str) -> None:
        default = queues(f"capacity-scheduler{version}")["root.default"]
        assert (default.running_applications, default.pending_applications) == (2, 0)
        assert (default.max_applications, default.containers) == (9000, 6)
        assert default.pending_containers == 0
        assert (default.default_priority, default.default_lifetime) == (0, None)
        assert default.max_lifetime is None

    def test_labels_and_named_resources(self) -> None:
        found = queues("capacity-scheduler-with-labels")
        assert found["root.default"].node_labels == ("fast",)
        assert found["root.small"].node_labels == ("*",)
        assert found["root.default"].max_resources == ResourceAmount(8192, 8, {GPU: 2})
        # 2**63 - 1 of them is no limit, and is not told as one.
        assert found["root.default"].max_container == ResourceAmount(8192, 4)

    def test_what_it_has_of_the_nodes_with_each_label(self) -> None:
        default = queues("capacity-scheduler-with-labels")["root.default"]
        bare, fast = default.partitions
        assert (bare.label, fast.label) == ("", "fast")
        assert (bare.absolute_capacity, bare.absolute_used_capacity) == (0.9, 0.75)
        assert (fast.absolute_capacity, fast.absolute_used_capacity) == (1.0, 0.0)
        assert (bare.used, fast.used) == (
            ResourceAmount(1536, 6, {GPU: 0}),
            ResourceAmount(named={GPU: 0}),
        )
        assert fast.max_resources == ResourceAmount(8192, 8, {GPU: 2})
        assert bare.am_limit == ResourceAmount(6592, 7, {GPU: 2})
        small = queues("capacity-scheduler-with-labels")["root.small"]
        assert [partition.label for partition in small.partitions] == [""]
        root = queues("capacity-scheduler-with-labels")["root"]
        assert [partition.label for partition in root.partitions] == ["", "fast"]
        assert (root.partitions[0].used, root.partitions[0].am_limit) == (None, None)
        [old] = queues("capacity-scheduler-2.10.2")["root.default"].partitions
        assert (old.absolute_capacity, old.used, old.max_resources) == (
            0.9,
            ResourceAmount(512, 1),
            None,
        )
        assert queues("fair-scheduler")["root"].partitions == ()

    def test_lifetimes_labels_and_made_queues(self) -> None:
        leaf = {
            "type": "capacitySchedulerLeafQueueInfo",
            "queueName": "a",
            "state": "DRAINING",
            "defaultNodeLabelExpression": "fast",
            "nodeLabels": ["", "slow", "fast"],
            "maxApplicationLifetime": 3600,
            "defaultApplicationLifetime": 60,
            "weight": 2.0,
        }
        root = {
            "type": "capacityScheduler",
            "queueName": "root",
            "autoCreationEligibility": "flexible",
            "queues": {"queue": leaf},  # one alone, without its brackets
        }
        found, queue = queues_of(root)
        assert found.makes_queues
        assert queue.path == "root.a"
        assert queue.state is QueueState.DRAINING
        assert queue.default_node_label == "fast"
        assert queue.node_labels == ("fast", "slow")
        assert queue.max_lifetime == timedelta(hours=1)
        assert queue.default_lifetime == timedelta(minutes=1)
        assert queue.weight == 2.0

    def test_of_hadoop_2(self) -> None:
        found = queues("capacity-scheduler-2.10.2")
        root, default = found["root"], found["root.default"]
        assert default.used == ResourceAmount(512, 1)
        assert (default.am_limit, default.am_used) == (
            ResourceAmount(13120, 1),
            ResourceAmount(512, 1),
        )
        assert (default.min_resources, default.max_resources, default.max_container) == (None,) * 3
        assert (default.running_applications, default.pending_applications) == (1, 0)
        assert (default.capacity, default.max_capacity, default.user_limit) == (0.9, 1.0, 1.0)
        assert (root.used, root.absolute_used_capacity) == (ResourceAmount(512, 1), 0.03125)

    def test_one_that_tells_still_less(self) -> None:
        leaf = {
            "type": "capacitySchedulerLeafQueueInfo",
            "capacity": 10.5,
            "usedCapacity": 0.0,
            "maxCapacity": 50.0,
            "absoluteCapacity": 10.5,
            "absoluteMaxCapacity": 50.0,
            "absoluteUsedCapacity": 0.0,
            "numApplications": 3,
            "queueName": "a",
            "state": "RUNNING",
            "resourcesUsed": {"memory": 512, "vCores": 1},
            "hideReservationQueues": False,
            "nodeLabels": ["*"],
            "numActiveApplications": 2,
            "numPendingApplications": 1,
            "numContainers": 4,
            "maxApplications": 1050,
            "maxApplicationsPerUser": 1050,
            "userLimit": 100,
            "users": None,
            "userLimitFactor": 1.0,
            "AMResourceLimit": {"memory": 1024, "vCores": 1},
            "usedAMResource": {"memory": 0, "vCores": 0},
        }
        scheduler = {
            "type": "capacityScheduler",
            "capacity": 100.0,
            "usedCapacity": 3.0,
            "maxCapacity": 100.0,
            "queueName": "root",
            "queues": {"queue": [leaf]},
        }
        root, queue = queues_of(scheduler)
        assert (queue.path, queue.parent, queue.is_leaf) == ("root.a", "root", True)
        assert queue.used == ResourceAmount(512, 1)
        assert queue.am_used == ResourceAmount()
        assert (queue.min_resources, queue.max_resources, queue.max_container) == (None,) * 3
        assert (queue.running_applications, queue.pending_applications) == (2, 1)
        assert queue.containers == 4
        assert (queue.capacity, queue.max_capacity, queue.user_limit) == (0.105, 0.5, 1.0)
        assert (root.used, root.absolute_capacity) == (ResourceAmount(512, 1), None)
        assert (root.capacity, root.used_capacity) == (1.0, 0.03)


class TestFairScheduler:
    def test_the_tree(self) -> None:
        found = queues("fair-scheduler")
        assert set(found) == {
            "root",
            "root.team",
            "root.team.large",
            "root.team.small",
            "root.default",
        }
        assert set(found["root.team"].children) == {"root.team.large", "root.team.small"}
        assert found["root.team.small"].parent == "root.team"
        assert [path for path, queue in found.items() if not queue.is_leaf] == ["root", "root.team"]
        assert all(queue.scheduler is SchedulerType.FAIR for queue in found.values())

    def test_amounts_and_shares_of_memory(self) -> None:
        small = queues("fair-scheduler")["root.team.small"]
        assert small.max_resources == ResourceAmount(1024, 2)
        assert small.absolute_max_capacity == 1024 / 16384
        assert small.used is not None
        assert small.absolute_used_capacity == small.used.memory_mib / 16384
        large = queues("fair-scheduler")["root.team.large"]
        assert large.min_resources == ResourceAmount(512, 1)
        assert large.max_container == ResourceAmount(2048, 2)
        assert large.fair_share is not None
        assert large.absolute_capacity == 4437 / 16384

    def test_applications(self) -> None:
        """The second one waits, for one may run at a time."""
        found = queues("fair-scheduler")
        small = found["root.team.small"]
        assert small.max_applications == 1
        assert small.running_applications is not None
        assert small.pending_applications is not None
        assert small.running_applications + small.pending_applications == 2
        assert found["root.team.large"].max_applications is None
        leaves = [found[path] for path in ("root.team.large", "root.team.small", "root.default")]
        assert found["root"].running_applications == sum(
            leaf.running_applications or 0 for leaf in leaves
        )

    def test_what_it_does_not_tell_is_none(self) -> None:
        large = queues("fair-scheduler")["root.team.large"]
        assert (large.capacity, large.max_capacity, large.used_capacity) == (None,) * 3
        assert (large.user_limit, large.user_limit_factor, large.node_labels) == (None,) * 3
        assert large.default_priority is None

    def test_an_am_limit_that_is_not_counted_yet_is_none(self) -> None:
        found = queues("fair-scheduler")
        assert found["root"].am_limit is None
        assert found["root.team.large"].am_limit is not None


class TestFifoScheduler:
    def test_its_one_queue(self) -> None:
        [queue] = queues("fifo-scheduler").values()
        assert (queue.path, queue.scheduler) == ("root.default", SchedulerType.FIFO)
        assert (queue.state, queue.is_open) == (QueueState.RUNNING, True)
        assert (queue.capacity, queue.used_capacity, queue.containers) == (1.0, 0.09375, 6)
        assert (queue.used, queue.max_resources, queue.running_applications) == (None,) * 3

    def test_of_a_cluster_without_nodes_nothing_is_used_of_nothing(self) -> None:
        [queue] = queues_of({"type": "fifoScheduler", "usedCapacity": "NaN", "capacity": 1.0})
        assert queue.used_capacity is None


def test_another_scheduler_shows_no_queues_that_are_none() -> None:
    assert queues_of({}) == []


class TestNodes:
    def test_what_they_have(self) -> None:
        fast, slow = nodes("nodes-with-labels")
        assert (fast.labels, slow.labels) == (("fast",), ())
        assert slow.total == ResourceAmount(8192, 8, {GPU: 2})
        assert slow.used == ResourceAmount(1536, 6, {GPU: 0})
        assert slow.available == ResourceAmount(6656, 2, {GPU: 2})
        assert (slow.running_containers, slow.rack) == (6, "/default-rack")
        assert (slow.node_id, slow.host) == ("localhost:40961", "localhost")
        assert slow.http_address == "localhost:39633"
        assert slow.last_health_update == datetime.fromtimestamp(1795747929.107, timezone.utc)
        assert (slow.physical_memory_used_mib, slow.hadoop_version) == (2922, "3.4.2")
        assert slow.cores_used == pytest.approx(1.6261246)
        assert str(slow.available) == "6656 MiB, 2 vcores, 2 yarn.io/gpu"

    def test_one_that_is_gone_has_nothing(self) -> None:
        running, lost = sorted(nodes("nodes-one-lost"), key=lambda node: node.state.value)[::-1]
        assert (running.state, lost.state) == (NodeState.RUNNING, NodeState.LOST)
        assert (lost.total, lost.used) == (ResourceAmount(), ResourceAmount())
        assert (lost.http_address, lost.is_running) == (None, False)
        assert (lost.physical_memory_used_mib, lost.cores_used) == (None, None)

    def test_attributes(self) -> None:
        attribute = {"prefix": "nm.yarn.io", "name": "os", "type": "STRING", "value": "linux"}
        node = node_report({"id": "n:1", "nodeAttributesInfo": {"nodeAttributeInfo": attribute}})
        assert node.attributes == {"nm.yarn.io/os": "linux"}

    def test_of_hadoop_2(self) -> None:
        """Which tells of kinds, and of no total of them."""
        running, lost = nodes("nodes-2.10.2")
        assert (running.total, running.used) == (ResourceAmount(8192, 8), ResourceAmount())
        assert (running.hadoop_version, lost.state) == ("2.10.2", NodeState.LOST)

    def test_one_that_tells_of_no_kinds(self) -> None:
        node = node_report(
            {
                "rack": "/default-rack",
                "state": "UNHEALTHY",
                "id": "host:54158",
                "nodeHostName": "host",
                "nodeHTTPAddress": "host:8042",
                "lastHealthUpdate": 1476995346399,
                "version": "2.10.2",
                "healthReport": "1/1 local-dirs are bad",
                "numContainers": 0,
                "usedMemoryMB": 1024,
                "availMemoryMB": 7168,
                "usedVirtualCores": 1,
                "availableVirtualCores": 7,
            }
        )
        assert node.state is NodeState.UNHEALTHY
        assert (node.total, node.used) == (ResourceAmount(8192, 8), ResourceAmount(1024, 1))
        assert node.health_report == "1/1 local-dirs are bad"
        assert (node.physical_memory_used_mib, node.labels, node.attributes) == (None, (), {})

    def test_a_state_newer_than_this_is_read(self) -> None:
        assert node_report({"id": "n:1", "state": "ASLEEP"}).state is NodeState.UNKNOWN


class TestApplications:
    def test_one_that_runs(self) -> None:
        report = application_report(recorded("application")["app"])
        assert (report.name, report.application_type, report.tags) == (
            "first",
            "knit",
            ("one", "two"),
        )
        assert (report.queue, report.priority, report.state) == (
            "root.default",
            3,
            YarnState.RUNNING,
        )
        assert (report.am_host, report.am_port) == ("localhost", 45325)
        assert report.am_node_id == "localhost:36799"
        assert report.am_node_http_address == "localhost:42533"
        assert (report.memory_mib, report.vcores, report.running_containers) == (768, 3, 3)
        assert (report.memory_mib_seconds, report.vcore_seconds) == (6483, 12)
        assert (report.reserved_memory_mib, report.reserved_vcores) == (0, 0)
        assert report.queue_share == pytest.approx(0.05208545)
        assert report.cluster_share == 0.046875
        assert report.start_time is not None
        assert report.launch_time is not None
        assert report.launch_time - report.start_time == timedelta(seconds=2.21)
        assert (report.finish_time, report.expiry_time) == (None, None)
        assert (report.node_label, report.am_node_label) == (None, None)
        assert (report.preempted_containers, report.log_aggregation) == (0, "NOT_START")
        assert (report.named_resources, report.named_resource_seconds) == ({}, {})

    def test_one_that_has_ended(self) -> None:
        """YARN writes -1 where there is nothing any more."""
        report = applications()["first"]
        assert (report.state, report.progress) == (YarnState.KILLED, 1.0)
        assert (report.memory_mib, report.vcores, report.running_containers) == (0, 0, 0)
        assert (report.reserved_memory_mib, report.reserved_vcores) == (0, 0)
        assert (report.memory_mib_seconds, report.vcore_seconds) == (7974, 16)
        assert report.am_host is None
        assert report.finish_time is not None

    def test_one_that_waits(self) -> None:
        report = applications()["waits2"]
        assert (report.state, report.priority) == (YarnState.ACCEPTED, -1)
        assert report.queue == "root.small"
        assert (report.am_address, report.am_port) == (None, None)

    def test_what_only_some_clusters_have(self) -> None:
        named = {"resourceInformation": [{"name": GPU, "value": 2}]}
        used = {"memory": 1024, "vCores": 1, "resourceInformations": named}
        usage = [{"partitionName": label, "used": used} for label in ("", "fast")]
        timeout = {
            "type": "LIFETIME",
            "expiryTime": "2026-12-05T22:51:00.104+0530",
            "remainingTimeInSeconds": 27,
        }
        report = application_report(
            {
                "id": "application_1_0001",
                "resourceInfo": {"resourceUsagesByPartition": usage},
                "resourceSecondsMap": {
                    "entry": [{"key": GPU, "value": "7"}, {"key": "memory-mb", "value": "5"}]
                },
                "timeouts": {"timeout": [timeout]},
                "appNodeLabelExpression": "fast",
                "amNodeLabelExpression": "<Not set>",
                "numNonAMContainerPreempted": 2,
                "numAMContainerPreempted": 1,
                "reservedMB": 512,
                "reservedVCores": 1,
            }
        )
        assert report.named_resources == {GPU: 4}
        assert report.named_resource_seconds == {GPU: 7}
        assert report.expiry_time == datetime(2026, 12, 5, 17, 21, 0, 104000, timezone.utc)
        assert (report.node_label, report.am_node_label) == ("fast", None)
        assert report.preempted_containers == 3
        assert (report.reserved_memory_mib, report.reserved_vcores) == (512, 1)

    def test_of_hadoop_2(self) -> None:
        report = application_report(recorded("application-2.10.2")["app"])
        assert (report.queue, report.priority, report.tags) == ("default", 3, ("one", "two"))
        assert (report.am_address, report.am_node_id) == (None, None)
        assert (report.memory_mib_seconds, report.vcore_seconds) == (7310, 14)
        assert report.launch_time is not None
        assert (report.node_label, report.expiry_time) == (None, None)

    def test_what_is_not_told_is_none(self) -> None:
        report = application_report({"id": "application_1_0001", "state": "RUNNING"})
        assert (report.priority, report.launch_time, report.memory_mib_seconds) == (None,) * 3
        assert (report.preempted_containers, report.queue_share, report.am_node_id) == (None,) * 3


JUNK: list[Any] = [
    None, "", "NaN", "Infinity", "-1", "x", True, -1, 0, 2**70, 1e300, float("inf"), [], {},
    [None], ["x"], [{}], {"x": {}},
]  # fmt: skip


def spoiled(value: Any, chance: random.Random, share: float) -> Any:
    """The same with some of its members replaced by others of any kind, or left out."""
    if chance.random() < share:
        return chance.choice(JUNK)
    if isinstance(value, dict):
        return {
            name: spoiled(member, chance, share)
            for name, member in value.items()
            if chance.random() >= share
        }
    if isinstance(value, list):
        return [spoiled(member, chance, share) for member in value]
    return value


@pytest.mark.parametrize("name", sorted(path.stem for path in RECORDED.iterdir()))
def test_whatever_is_wrong_with_an_answer_the_rest_is_read(name: str) -> None:
    """As gateways, forks and later versions may have it: nothing raises, and types are right."""
    chance = random.Random(name)
    answer = recorded(name)
    for _ in range(150):
        bad = spoiled(answer, chance, 0.02)
        bad = bad if isinstance(bad, dict) else {}
        for queue in queues_of(object_in(object_in(bad, "scheduler"), "schedulerInfo")):
            assert isinstance(queue.path, str)
            assert isinstance(queue.state, QueueState)
            hash(queue)
        for node in objects_in(object_in(bad, "nodes"), "node"):
            assert isinstance(node_report(node).total.memory_mib, int)
            hash(node_report(node))
        apps = objects_in(object_in(bad, "apps"), "app") + objects_in(bad, "app")
        for app in apps:
            report = application_report(app)
            assert isinstance(report.progress, float)
            assert report.am_port is None or isinstance(report.am_port, int)
            hash(report)
