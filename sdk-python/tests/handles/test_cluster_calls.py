"""The rest of the cluster through a client: applications, nodes, queues, moving, killing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import knit
from knit import Client, NodeState, YarnState
from knit._handles.killing import MOST_AT_A_TIME
from tests.fakes.cluster import FakeCluster
from tests.fakes.server import Answer, Request
from tests.fakes.yarn import FakeNode, FakeQueue

NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    with FakeCluster() as running:
        yield running


@pytest.fixture
def client(cluster: FakeCluster) -> Iterator[Client]:
    with Client(cluster.config, user="alice", timeout=timedelta(seconds=5)) as opened:
        yield opened


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


def ids(reports: list[knit.ApplicationReport]) -> list[str]:
    return [report.application_id for report in reports]


def changes(cluster: FakeCluster) -> list[Request]:
    return [request for request in cluster.resource_manager.requests if request.method == "PUT"]


class TestApplications:
    def test_filters(self, cluster: FakeCluster, client: Client) -> None:
        one = add(cluster, 1, applicationTags="night,etl")
        two = add(cluster, 2, applicationTags="night", queue="root.team.small")
        spark = add(cluster, 3, applicationType="SPARK")
        ended = add(
            cluster, 4, state="FINISHED", finishedTime=int(NOON.timestamp() * 1000) + 60_000
        )
        assert ids(client.applications()) == [ended, two, one]
        assert ids(client.applications(types=["spark"])) == [spark]
        assert ids(client.applications(types=None)) == [ended, spark, two, one]
        assert ids(client.applications(tags=["night"])) == [two, one]
        assert ids(client.applications(tags=["Night", "etl"])) == [one]
        assert ids(client.applications(states=[YarnState.FINISHED])) == [ended]
        for name in ("small", "team.small", "root.team.small"):
            assert ids(client.applications(queue=name)) == [two]

    def test_times_are_inclusive(self, cluster: FakeCluster, client: Client) -> None:
        one, two = add(cluster, 1), add(cluster, 2)
        minute = NOON + timedelta(minutes=1)
        ended = add(
            cluster,
            3,
            state="KILLED",
            finalStatus="KILLED",
            finishedTime=int(minute.timestamp() * 1000),
        )
        second = timedelta(seconds=1)
        started = NOON + 2 * second
        assert ids(client.applications(started_begin=started)) == [ended, two]
        assert ids(client.applications(started_end=started)) == [two, one]
        assert ids(client.applications(started_begin=started, started_end=started)) == [two]
        assert ids(client.applications(finished_begin=minute)) == [ended]
        assert ids(client.applications(finished_end=minute)) == [ended]
        assert client.applications(finished_begin=minute + second) == []
        assert client.applications(finished_end=minute - second) == []

    def test_a_limit_keeps_the_latest(self, cluster: FakeCluster, client: Client) -> None:
        """The RM's own would keep any."""
        known = [add(cluster, number) for number in range(1, 6)]
        assert ids(client.applications(limit=2)) == [known[4], known[3]]
        assert "limit" not in cluster.resource_manager.requests[-1].query

    def test_what_nothing_can_fit_is_not_asked(self, cluster: FakeCluster, client: Client) -> None:
        add(cluster, 1)
        assert client.applications(states=[]) == []
        assert client.applications(started_begin=NOON, started_end=NOON - timedelta(1)) == []
        assert cluster.resource_manager.requests == []

    def test_a_queue_that_is_none_is_told(self, client: Client) -> None:
        assert client.applications(queue="default") == []
        with pytest.raises(knit.QueueNotFoundError, match=r"The nearest: root\.default"):
            client.applications(queue="defualt")

    def test_a_queue_that_may_come_is_not(self, cluster: FakeCluster, client: Client) -> None:
        cluster.resource_manager.queues[0].makes_others = True
        assert client.applications(queue="adhoc") == []


class TestNodes:
    def test_filters(self, cluster: FakeCluster, client: Client) -> None:
        cluster.resource_manager.nodes = [
            FakeNode("a:1", labels=("fast",)),
            FakeNode("b:1", state="LOST"),
            FakeNode("c:1", state="UNHEALTHY", health_report="full", labels=("slow",)),
        ]

        def found(**wanted: Any) -> list[str]:
            return [node.node_id for node in client.nodes(**wanted)]

        assert found() == ["a:1", "b:1", "c:1"]
        assert found(states=[NodeState.LOST, NodeState.UNHEALTHY]) == ["b:1", "c:1"]
        assert found(label="fast") == ["a:1"]
        assert found(label="") == ["b:1"]
        assert found(label="no such") == []
        assert found(states=[]) == []


class TestQueues:
    @pytest.mark.parametrize("name", ["small", "team.small", "root.team.small"])
    def test_by_any_of_its_names(self, client: Client, name: str) -> None:
        queue = client.queue(name)
        assert (queue.path, queue.name, queue.parent) == ("root.team.small", "small", "root.team")

    def test_all(self, client: Client) -> None:
        queues = client.queues()
        assert [queue.path for queue in queues[:2]] == ["root", "root.default"]
        assert queues[0].children == ("root.default", "root.closed", "root.team")

    def test_a_parent_has_a_report_too(self, client: Client) -> None:
        assert not client.queue("team").is_leaf
        assert client.queue("root").parent is None

    def test_one_that_is_not_there_is_told_with_the_nearest(self, client: Client) -> None:
        with pytest.raises(knit.QueueNotFoundError, match=r"nearest: root\.team\.small"):
            client.queue("smal")

    def test_one_name_for_two_is_told_with_both(self, cluster: FakeCluster, client: Client) -> None:
        cluster.resource_manager.queues += [
            FakeQueue("root.other", leaf=False),
            FakeQueue("root.other.small"),
            FakeQueue("root.other.team"),
        ]
        with pytest.raises(knit.QueueNotFoundError, match=r"root\.team\.small, root\.other\.small"):
            client.queue("small")
        assert client.queue("other.small").path == "root.other.small"
        # What a path without its root means is that path.
        assert client.queue("team").path == "root.team"

    def test_of_thousands_a_message_names_a_few(self, cluster: FakeCluster, client: Client) -> None:
        cluster.resource_manager.queues += [FakeQueue(f"root.q{n:04}") for n in range(2000)]
        with pytest.raises(knit.QueueNotFoundError, match=r"and 1982 more \(knit queues\)") as told:
            client.queue("nothing of the kind")
        assert len(told.value.message) < 600


class TestMove:
    def test_to_another_queue(self, cluster: FakeCluster, client: Client) -> None:
        application_id = add(cluster, 1)
        assert client.move(application_id, "team.small").queue == "root.team.small"
        with client.application(application_id) as application:
            assert client.move(application, "root.default").queue == "root.default"
            assert application.move("small").queue == "root.team.small"
        # Its last part is what every version understands.
        assert [request.body for request in changes(cluster)] == [
            b'{"queue": "small"}',
            b'{"queue": "default"}',
            b'{"queue": "small"}',
        ]

    def test_to_where_it_is_asks_for_nothing(self, cluster: FakeCluster, client: Client) -> None:
        application_id = add(cluster, 1, queue="default")
        assert client.move(application_id, "root.default").queue == "default"
        assert not changes(cluster)

    @pytest.mark.parametrize(
        ("queue", "error", "says"),
        [
            ("team", knit.QueueNotFoundError, "only holds other queues.*root.team.small"),
            ("root", knit.QueueNotFoundError, "only holds other queues"),
            ("tiny", knit.QueueNotFoundError, "no queue 'tiny'.*take applications: root.default"),
            ("", knit.QueueNotFoundError, "no queue ''"),
            ("closed", knit.QueueStoppedError, "STOPPED and takes no applications"),
        ],
    )
    def test_what_yarn_would_refuse_without_a_word_is_refused_with_one(
        self,
        cluster: FakeCluster,
        client: Client,
        queue: str,
        error: type[knit.KnitError],
        says: str,
    ) -> None:
        application_id = add(cluster, 1)
        with pytest.raises(error, match=says):
            client.move(application_id, queue)
        assert not changes(cluster)

    @pytest.mark.parametrize("status", [500, 503])
    def test_what_it_refuses_all_the_same(
        self, cluster: FakeCluster, client: Client, status: int
    ) -> None:
        application_id = add(cluster, 1)
        cluster.resource_manager.full_queues = {"root.team.small"}
        cluster.resource_manager.refusal_status = status
        with pytest.raises(knit.ChangeRefusedError, match=rf"not say why \({status}\)") as told:
            client.move(application_id, "small")
        assert (told.value.status, told.value.url is None) == (status, False)

    def test_of_two_with_one_last_part_the_path_is_sent(
        self, cluster: FakeCluster, client: Client
    ) -> None:
        application_id = add(cluster, 1)
        cluster.resource_manager.queues += [FakeQueue("root.small")]
        assert client.move(application_id, "team.small").queue == "root.team.small"
        assert changes(cluster)[-1].body == b'{"queue": "root.team.small"}'

    def test_of_the_fair_scheduler_the_path_is_sent_and_its_limit_told(
        self, cluster: FakeCluster, client: Client
    ) -> None:
        application_id = add(cluster, 1)
        leaf = {
            "type": "fairSchedulerLeafQueueInfo",
            "queueName": "root.team.small",
            "maxApps": 1,
            "maxResources": {"memory": 1024, "vCores": 2},
        }
        root = {"queueName": "root", "childQueues": {"queue": [leaf]}}
        manager = cluster.resource_manager
        manager.scheduler = {"schedulerInfo": {"type": "fairScheduler", "rootQueue": root}}
        manager.full_queues = {"root.team.small"}
        with pytest.raises(
            knit.ChangeRefusedError, match="1 GiB, 2 vcores and 1 applications at a time"
        ):
            client.move(application_id, "small")
        assert changes(cluster)[-1].body == b'{"queue": "root.team.small"}'

    @pytest.mark.parametrize("state", ["FINISHED", "FAILED", "KILLED"])
    def test_one_that_has_ended(self, cluster: FakeCluster, client: Client, state: str) -> None:
        application_id = add(cluster, 1, state=state)
        with pytest.raises(knit.ApplicationNotRunningError, match=f"is {state}"):
            client.move(application_id, "small")
        assert not changes(cluster)

    def test_one_that_is_about_to_end(self, cluster: FakeCluster, client: Client) -> None:
        """Which YARN calls RUNNING until it is asked to move it."""
        application_id = add(cluster, 1)

        def ends(request: Request) -> Answer | None:
            if request.method == "PUT":
                cluster.resource_manager.applications[application_id]["state"] = "FINISHING"
            return None

        cluster.resource_manager.answers_with = ends
        with pytest.raises(knit.ApplicationNotRunningError, match="about to end"):
            client.move(application_id, "small")

    def test_one_that_is_not_there(self, client: Client) -> None:
        for application_id in ("application_1_0001", "x"):
            with pytest.raises(knit.ApplicationNotFoundError):
                client.move(application_id, "small")

    def test_one_that_is_forgotten_in_between(self, cluster: FakeCluster, client: Client) -> None:
        application_id = add(cluster, 1)

        def forgets(request: Request) -> Answer | None:
            if request.method == "PUT":
                cluster.resource_manager.applications.clear()
            return None

        cluster.resource_manager.answers_with = forgets
        with pytest.raises(knit.ApplicationNotFoundError):
            client.move(application_id, "small")

    def test_somebody_elses(self, cluster: FakeCluster, client: Client) -> None:
        application_id = add(cluster, 1, user="bob")
        with pytest.raises(knit.AccessDeniedError):
            client.move(application_id, "small")

    def test_a_gateway_that_is_down_is_not_taken_for_the_scheduler(
        self, cluster: FakeCluster, client: Client
    ) -> None:
        application_id = add(cluster, 1)
        cluster.resource_manager.answers_with = lambda request: (
            Answer.html(503, "Service Unavailable") if request.method == "PUT" else None
        )
        with pytest.raises(knit.ClusterResponseError, match="Service Unavailable"):
            client.move(application_id, "small")

    def test_it_is_over_in_its_time(self, cluster: FakeCluster, client: Client) -> None:
        application_id = add(cluster, 1)
        silent = threading.Event()
        cluster.resource_manager.answers_with = lambda request: (
            None if request.method == "GET" else (silent.wait(60), None)[1]
        )
        try:
            with pytest.raises(knit.ClusterTimeoutError, match=r"within 0\.\d+ s"):
                client.move(application_id, "small", timeout=timedelta(seconds=0.5))
        finally:
            silent.set()


class TestPriority:
    def test_yarn_makes_the_clusters_highest_of_more(
        self, cluster: FakeCluster, client: Client
    ) -> None:
        application_id = add(cluster, 1)
        assert client.set_priority(application_id, 5).priority == 5
        assert client.set_priority(application_id, 1000).priority == 10
        assert client.set_priority(application_id, 0).priority == 0
        with client.application(application_id) as application:
            assert application.set_priority(7).priority == 7

    @pytest.mark.parametrize("priority", [-1, 2**31, 1.5, "5", True, None])
    def test_what_is_none_is_refused(
        self, cluster: FakeCluster, client: Client, priority: Any
    ) -> None:
        """YARN makes 0 of a word, and takes what is below 0."""
        application_id = add(cluster, 1)
        with pytest.raises(knit.SpecError, match="0 or more"):
            client.set_priority(application_id, priority)
        assert cluster.resource_manager.requests == []

    def test_one_that_has_ended(self, cluster: FakeCluster, client: Client) -> None:
        """YARN answers as if it had done it."""
        application_id = add(cluster, 1, state="KILLED")
        with pytest.raises(knit.ApplicationNotRunningError, match="is KILLED"):
            client.set_priority(application_id, 5)

    def test_a_scheduler_without_priorities(self, cluster: FakeCluster, client: Client) -> None:
        application_id = add(cluster, 1)
        manager = cluster.resource_manager
        manager.highest_priority = None
        with pytest.raises(knit.ChangeRefusedError, match="acl_application_max_priority"):
            client.set_priority(application_id, 5)
        root = {"queueName": "root"}
        manager.scheduler = {"schedulerInfo": {"type": "fairScheduler", "rootQueue": root}}
        with pytest.raises(knit.ChangeRefusedError, match="Fair scheduler, which knows no prior"):
            client.set_priority(application_id, 5)


class TestKill:
    def test_of_each_it_is_told_what_came_of_it(self, cluster: FakeCluster, client: Client) -> None:
        running, other, ended = (
            add(cluster, 1),
            add(cluster, 2, user="bob"),
            add(cluster, 3, state="FINISHED", finalStatus="SUCCEEDED"),
        )
        wanted = [other, "nonsense", "application_1_0009", running, ended, running]
        results = client.kill_applications(wanted)
        assert [result.application_id for result in results] == wanted[:-1]
        assert [type(result.error) for result in results] == [
            knit.AccessDeniedError,
            knit.ApplicationNotFoundError,
            knit.ApplicationNotFoundError,
            type(None),
            type(None),
        ]
        assert [result.report and result.report.state.value for result in results] == [
            None,
            None,
            None,
            "KILLED",
            "FINISHED",
        ]
        assert cluster.resource_manager.applications[other]["state"] == "RUNNING"

    def test_handles_will_do_and_none_at_all(self, cluster: FakeCluster, client: Client) -> None:
        with client.application(add(cluster, 1)) as application:
            [result] = client.kill_applications([application])
        assert (result.application_id, result.error) == (application.application_id, None)
        assert client.kill_applications([]) == []

    def test_so_many_at_a_time_and_no_more(self, cluster: FakeCluster, client: Client) -> None:
        """A barrier opens once as many requests are there as may be; one more would break it."""
        wanted = [add(cluster, number) for number in range(1, 3 * MOST_AT_A_TIME + 1)]
        barrier = threading.Barrier(MOST_AT_A_TIME)
        lock = threading.Lock()
        under_way = most = 0

        def together(request: Request) -> Answer | None:
            nonlocal under_way, most
            if request.method == "PUT":
                with lock:
                    under_way += 1
                    most = max(most, under_way)
                barrier.wait(timeout=60)
                with lock:
                    under_way -= 1
            return None

        cluster.resource_manager.answers_with = together
        results = client.kill_applications(wanted, timeout=timedelta(seconds=60))
        assert [result.error for result in results] == [None] * len(wanted)
        assert most == MOST_AT_A_TIME

    def test_one_deadline_for_all(self, cluster: FakeCluster, client: Client) -> None:
        """What hangs holds up the others no longer than that, and those without a turn are told."""
        wanted = [add(cluster, number) for number in range(1, 2 * MOST_AT_A_TIME + 1)]
        released = threading.Event()
        cluster.resource_manager.answers_with = lambda request: (
            (released.wait(60), None)[1] if request.method == "PUT" else None
        )
        try:
            results = client.kill_applications(wanted, timeout=timedelta(seconds=2))
        finally:
            released.set()
        assert all(isinstance(result.error, knit.ClusterTimeoutError) for result in results)
        untouched = [r for r in results if "before its turn" in str(r.error)]
        assert len(untouched) == MOST_AT_A_TIME
        asked = {request.path.split("/")[5] for request in changes(cluster)}
        assert len(asked) == MOST_AT_A_TIME
        assert not asked & {result.application_id for result in untouched}
