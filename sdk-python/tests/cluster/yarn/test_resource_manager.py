"""The ResourceManager's REST API, of any version."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import attrs
import pytest

from knit._cluster.cluster import Cluster
from knit._cluster.yarn.application_filter import ApplicationFilter
from knit._cluster.yarn.applications import application_report, is_withheld
from knit._cluster.yarn.submission import Submission
from knit._values.amounts import ResourceAmount
from knit._values.queues import QueueState
from knit._values.reports import ApplicationReport
from knit._values.states import FinalStatus, YarnState
from knit.exceptions import (
    AccessDeniedError,
    ApplicationFailedError,
    ApplicationNotFoundError,
    ClusterResponseError,
    StandbyError,
    SubmissionError,
    WaitTimeoutError,
)
from tests.fakes.cluster import FakeCluster
from tests.fakes.server import Answer, Request

SUBMISSION = Submission(
    application_id="",
    name="demo",
    application_type="knit",
    queue="default",
    memory_mib=512,
    vcores=1,
    command="true",
)


def submit(cluster: Cluster, **fields: Any) -> str:
    application_id = cluster.resource_manager.new_application().application_id
    submission = attrs.evolve(SUBMISSION, **fields, application_id=application_id)
    cluster.resource_manager.submit(submission)
    return application_id


class TestQueues:
    def test_of_the_capacity_scheduler(self, cluster: Cluster) -> None:
        queues = {queue.path: queue for queue in cluster.resource_manager.queues()}
        assert list(queues) == [
            "root",
            "root.default",
            "root.closed",
            "root.team",
            "root.team.small",
        ]
        assert [queue.is_leaf for queue in queues.values()] == [False, True, True, False, True]
        assert queues["root.closed"].state is QueueState.STOPPED
        assert queues["root.team.small"].max_container == ResourceAmount(1024, 4)

    def test_of_the_capacity_scheduler_of_hadoop_2_without_paths(
        self, fake: FakeCluster, cluster: Cluster
    ) -> None:
        leaf = {"type": "capacitySchedulerLeafQueueInfo", "queueName": "b", "state": "RUNNING"}
        scheduler = {
            "type": "capacityScheduler",
            "queueName": "root",
            "queues": {"queue": [{"queueName": "a", "queues": {"queue": [leaf]}}]},
        }
        _scheduler_is(fake, scheduler)
        queues = cluster.resource_manager.queues()
        assert [(queue.path, queue.is_leaf) for queue in queues] == [
            ("root", False),
            ("root.a", False),
            ("root.a.b", True),
        ]

    @pytest.mark.parametrize("wrapped", [True, False])
    def test_of_the_fair_scheduler(
        self, fake: FakeCluster, cluster: Cluster, wrapped: bool
    ) -> None:
        leaf = {"type": "fairSchedulerLeafQueueInfo", "queueName": "root.default"}
        children = {"queue": [leaf]} if wrapped else [leaf]
        root = {"queueName": "root", "childQueues": children}
        _scheduler_is(fake, {"type": "fairScheduler", "rootQueue": root})
        queues = cluster.resource_manager.queues()
        assert [(queue.path, queue.is_leaf) for queue in queues] == [
            ("root", False),
            ("root.default", True),
        ]
        assert queues[1].is_called("default")

    def test_of_the_fifo_scheduler(self, fake: FakeCluster, cluster: Cluster) -> None:
        _scheduler_is(fake, {"type": "fifoScheduler", "capacity": 1})
        assert [queue.path for queue in cluster.resource_manager.queues()] == ["root.default"]


def _scheduler_is(fake: FakeCluster, info: dict[str, Any]) -> None:
    answer = Answer.json({"scheduler": {"schedulerInfo": info}})
    fake.resource_manager.answers_with = lambda request: (
        answer if request.path.endswith("/scheduler") else None
    )


class TestNodes:
    def test_what_they_have(self, fake: FakeCluster, cluster: Cluster) -> None:
        fake.resource_manager.nodes[1].state = "LOST"
        first, second = cluster.resource_manager.nodes()
        assert (first.total, first.is_running) == (ResourceAmount(8192, 8), True)
        assert not second.is_running

    def test_a_cluster_without_any_says_null(self, fake: FakeCluster, cluster: Cluster) -> None:
        fake.resource_manager.answers_with = lambda _: Answer.json({"nodes": None})
        assert cluster.resource_manager.nodes() == []


class TestApplications:
    def test_one_that_was_submitted_is_reported(self, cluster: Cluster) -> None:
        application_id = submit(cluster, tags=("b", "a"))
        report = cluster.resource_manager.application(application_id)
        assert report.application_id == application_id
        assert (report.name, report.user, report.queue) == ("demo", "alice", "default")
        assert (report.state, report.final_status) == (YarnState.ACCEPTED, FinalStatus.UNDEFINED)
        assert report.tags == ("a", "b")
        assert report.am_address is None
        assert report.finish_time is None
        assert report.start_time is not None
        assert report.start_time.tzinfo is not None
        assert report.run_time is not None

    def test_submitting_the_same_id_twice_is_safe(
        self, fake: FakeCluster, cluster: Cluster
    ) -> None:
        application_id = submit(cluster)
        cluster.resource_manager.submit(attrs.evolve(SUBMISSION, application_id=application_id))
        assert len(fake.resource_manager.submissions) == 1

    @pytest.mark.parametrize("status", [400, 403, 500])
    def test_a_refusal_says_what_yarn_says(
        self, fake: FakeCluster, cluster: Cluster, status: int
    ) -> None:
        fake.resource_manager.refusal = Answer.error(
            status, "YarnException", "Application is submitted to an unknown queue: nope"
        )
        with pytest.raises(SubmissionError, match="unknown queue: nope") as failure:
            submit(cluster)
        assert failure.value.status == status

    def test_a_queue_that_is_not_for_us_is_told_with_what_to_do(
        self, fake: FakeCluster, cluster: Cluster
    ) -> None:
        said = "User alice does not have permission to submit application_1_0001 to queue default"
        fake.resource_manager.refusal = Answer.error(
            400,
            "BadRequestException",
            f"java.lang.Exception: org.apache.hadoop.security.AccessControlException: {said}",
        )
        with pytest.raises(AccessDeniedError, match=r"queue default.*acl_submit_appl") as failure:
            submit(cluster)
        assert failure.value.exception == "AccessControlException"

    @pytest.mark.parametrize("queue", ["nope", "closed"])
    def test_what_only_the_scheduler_refuses_is_told_too(
        self, cluster: Cluster, queue: str
    ) -> None:
        with pytest.raises(SubmissionError, match=f"scheduler refused it .*{queue}"):
            submit(cluster, queue=queue)

    def test_filters_are_all_applied(self, fake: FakeCluster, cluster: Cluster) -> None:
        rm = cluster.resource_manager
        one, two = submit(cluster), submit(cluster, name="other")
        submit(cluster, application_type="MAPREDUCE")
        fake.resource_manager.change(one, state="RUNNING")

        def ids(limit: int | None = None, **wanted: Any) -> list[str]:
            found = rm.applications(ApplicationFilter(**{"types": ["knit"], **wanted}), limit=limit)
            return [report.application_id for report in found]

        assert ids() == [two, one]
        assert ids(states=[YarnState.RUNNING]) == [one]
        assert ids(name="other") == [two]
        assert ids(limit=1) == [two]
        assert ids(user="bob") == []
        assert len(ids(types=None)) == 3

    def test_an_unknown_one_is_told(self, cluster: Cluster) -> None:
        for ask in (cluster.resource_manager.application, cluster.resource_manager.kill):
            with pytest.raises(ApplicationNotFoundError, match="knit list"):
                ask("application_1_0001")

    def test_an_answer_without_an_id_is_told(self, fake: FakeCluster, cluster: Cluster) -> None:
        fake.resource_manager.answers_with = lambda _: Answer.json({"something": "else"})
        with pytest.raises(ClusterResponseError, match="Is this a ResourceManager"):
            cluster.resource_manager.new_application()


class TestOfOthers:
    """Where ACLs act, who may not view an application is told little of it."""

    @pytest.mark.parametrize("method", ["application", "attempts"])
    def test_a_refusal_is_no_fault_of_ours(
        self, fake: FakeCluster, cluster: Cluster, method: str
    ) -> None:
        application_id = submit(cluster)
        # By RPC; by REST the same with another name.
        said = "User bob does not have privilege to see this application"
        fake.resource_manager.answers_with = lambda _: Answer.error(
            403, "UndeclaredThrowableException", said
        )
        with pytest.raises(AccessDeniedError, match=f"{said}.*another ticket"):
            getattr(cluster.resource_manager, method)(application_id)

    def test_by_rest_it_has_no_start(self, fake: FakeCluster, cluster: Cluster) -> None:
        application_id = submit(cluster)
        fake.resource_manager.change(application_id, state="RUNNING")
        assert not is_withheld(cluster.resource_manager.application(application_id))
        fake.resource_manager.change(application_id, startedTime=0)
        assert is_withheld(cluster.resource_manager.application(application_id))

    def test_by_rpc_its_texts_stand_for_nothing(self, fake: FakeCluster, cluster: Cluster) -> None:
        application_id = submit(cluster)
        fake.resource_manager.change(
            application_id, state="RUNNING", diagnostics="N/A", trackingUrl="N/A"
        )
        assert is_withheld(cluster.resource_manager.application(application_id))
        # Its viewers are told of a page, whatever its Application Master has to say.
        fake.resource_manager.change(application_id, trackingUrl="http://rm:8088/proxy/x/")
        assert not is_withheld(cluster.resource_manager.application(application_id))

    def test_what_is_no_answer_of_the_rm_withholds_nothing(self) -> None:
        assert not is_withheld(ApplicationReport(application_id="application_1_0001"))


class TestKill:
    def test_it_returns_once_the_application_has_ended(self, cluster: Cluster) -> None:
        application_id = submit(cluster)
        report = cluster.resource_manager.kill(application_id)
        assert report.state is YarnState.KILLED
        assert cluster.resource_manager.kill(application_id).state is YarnState.KILLED

    def test_an_application_that_does_not_end_is_told(
        self, fake: FakeCluster, cluster: Cluster
    ) -> None:
        fake.resource_manager.stays_after_kill = True
        application_id = submit(cluster)
        with pytest.raises(WaitTimeoutError, match="still ACCEPTED"):
            cluster.resource_manager.kill(application_id, timeout=timedelta(seconds=0.4))

    def test_somebody_elses_is_not_ours_to_kill(self, fake: FakeCluster, cluster: Cluster) -> None:
        application_id = submit(cluster)
        fake.resource_manager.change(application_id, user="bob")
        with pytest.raises(AccessDeniedError):
            cluster.resource_manager.kill(application_id)


class TestReport:
    def test_what_is_missing_or_new_does_no_harm(self) -> None:
        report = application_report({"id": "application_1_0001", "state": "NEWER"})
        assert report.state is YarnState.UNKNOWN
        assert report.final_status is FinalStatus.UNDEFINED
        assert not report.state.is_final
        assert application_report({}).application_id == ""

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("host:123", "host:123"),
            ("::1:123", "::1:123"),
            ("N/A:-1", None),
            (":0", None),
            ("host:0", None),
            ("host:-1", None),
            ("", None),
            (None, None),
        ],
    )
    def test_the_address_of_the_am(self, value: str | None, expected: str | None) -> None:
        assert application_report({"amRPCAddress": value}).am_address == expected

    @pytest.mark.parametrize(
        ("container", "expected"),
        [
            ("container_1700000000000_0001_02_000001", 2),
            ("container_e17_1700000000000_0001_11_000001", 11),
            ("", None),
        ],
    )
    def test_the_attempt_comes_from_the_ams_container(
        self, container: str, expected: int | None
    ) -> None:
        logs = f"http://n:8042/node/containerlogs/{container}/alice"
        assert application_report({"amContainerLogs": logs}).attempt_number == expected

    def test_a_bad_end_is_raised_with_its_report(self) -> None:
        good = {"id": "application_1_0001", "state": "FINISHED", "finalStatus": "SUCCEEDED"}
        report = application_report(good)
        assert report.raise_for_status() is report
        running = application_report({**good, "state": "RUNNING"})
        assert running.raise_for_status() is running
        for change in (
            {"finalStatus": "FAILED"},
            {"state": "KILLED", "finalStatus": "KILLED"},
            {"state": "FAILED", "finalStatus": "FAILED", "diagnostics": "no luck"},
        ):
            bad = application_report({**good, **change})
            with pytest.raises(ApplicationFailedError) as failure:
                bad.raise_for_status()
            assert failure.value.report is bad
            assert change.get("diagnostics", "no reason") in failure.value.message


def test_a_submission_is_sent_as_json(fake: FakeCluster, cluster: Cluster) -> None:
    submit(cluster)
    [request] = [r for r in fake.resource_manager.requests if r.path == "/ws/v1/cluster/apps"]
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body)["application-type"] == "knit"
    assert request.query["user.name"] == "alice"


class TestRecovery:
    """A ResourceManager that restarts knows nothing of its applications for a while."""

    APPLICATION = "application_1700000000000_0007"

    def test_what_a_starting_one_does_not_know_is_asked_for_again(
        self, fake: FakeCluster, cluster: Cluster
    ) -> None:
        manager = fake.resource_manager
        manager.starting = True
        asked = 0

        def loads(request: Request) -> None:
            nonlocal asked
            asked += request.path.endswith("/info")
            if asked == 3:
                manager.applications[self.APPLICATION] = {
                    "id": self.APPLICATION,
                    "state": "RUNNING",
                }
                manager.starting = False

        manager.answers_with = loads
        assert cluster.resource_manager.application(self.APPLICATION).state is YarnState.RUNNING
        assert asked == 3

    def test_one_that_became_active_in_between_is_asked_again(
        self, fake: FakeCluster, cluster: Cluster
    ) -> None:
        """It says that it is active, but was not when it was asked for the application."""
        manager = fake.resource_manager
        app = {"id": self.APPLICATION, "state": "RUNNING"}

        def loads(request: Request) -> None:
            if request.path.endswith("/info"):
                manager.applications[self.APPLICATION] = app

        manager.answers_with = loads
        assert cluster.resource_manager.attempts(self.APPLICATION)
        del manager.applications[self.APPLICATION]
        assert cluster.resource_manager.kill(self.APPLICATION).state is YarnState.KILLED

    def test_one_that_stays_starting_is_on_standby(
        self, fake: FakeCluster, cluster: Cluster
    ) -> None:
        fake.resource_manager.starting = True
        for ask in (cluster.resource_manager.application, cluster.resource_manager.kill):
            with pytest.raises(StandbyError, match="does not know its applications yet"):
                ask(self.APPLICATION, timeout=timedelta(seconds=0.5))

    def test_the_schedulers_word_is_waited_for_as_long_as_tokens_take(
        self, fake: FakeCluster, cluster: Cluster
    ) -> None:
        """With Kerberos the RM renews tokens between its own word and the scheduler's."""
        manager = fake.resource_manager
        new = cluster.resource_manager.new_application().application_id
        asked = 0

        def slow(request: Request) -> Answer | None:
            nonlocal asked
            if not request.path.endswith(new):
                return None
            asked += 1
            state = "SUBMITTED" if asked < 12 else "FAILED"
            app = {"id": new, "state": state, "diagnostics": "no such token"}
            return Answer.json({"app": app})

        manager.answers_with = slow
        with pytest.raises(SubmissionError, match="no such token"):
            cluster.resource_manager.submit(attrs.evolve(SUBMISSION, application_id=new))

    def test_what_was_lost_with_the_one_that_took_it_is_handed_in_again(
        self, fake: FakeCluster, cluster: Cluster
    ) -> None:
        """It said 202, and was gone before it had written it down; another one took over."""
        manager = fake.resource_manager
        new = cluster.resource_manager.new_application().application_id
        lost: list[object] = []

        def lose(request: Request) -> None:
            if request.path.endswith(new) and not lost:
                lost.append((manager.applications.pop(new), manager.submissions.pop(new)))

        manager.answers_with = lose
        submission = attrs.evolve(SUBMISSION, application_id=new)
        assert cluster.resource_manager.submit(submission).state is YarnState.ACCEPTED
        assert len(lost) == 1
        submitted = [r for r in manager.asked(path="/ws/v1/cluster/apps") if r.method == "POST"]
        assert len(submitted) == 2
