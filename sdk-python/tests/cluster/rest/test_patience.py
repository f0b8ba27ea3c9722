"""What passes by itself is waited for, as long as a call may take, and that is told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from knit._cluster import patience
from knit._cluster.cluster import Cluster
from knit._cluster.configuration.config import ClusterConfig
from knit._cluster.patience import NODES_RETURN, Patience, may_lack_nodes
from knit._values.deadlines import Deadline
from knit.exceptions import (
    AccessDeniedError,
    ClusterError,
    ClusterTimeoutError,
    ClusterUnreachableError,
    NoDataNodeError,
    SafeModeError,
    StandbyError,
)
from tests.fakes.cluster import FakeCluster
from tests.fakes.hdfs import FakeNameNode
from tests.fakes.pauses import Pauses
from tests.fakes.server import Answer, Request
from tests.fakes.yarn import FakeResourceManager

LONG = timedelta(seconds=60)
SAFE_MODE = (
    "Cannot create directory /x. Name node is in safe mode.\n"
    "The reported blocks 0 needs additional 7 blocks to reach the threshold 0.9990 of total "
    "blocks 7.\n{} NamenodeHostName:nn"
)
BY_ITSELF = SAFE_MODE.format(
    "The minimum number of live datanodes is not required. Safe mode will be turned off "
    "automatically once the thresholds have been reached."
)
BY_HAND = SAFE_MODE.format(
    'It was turned on manually. Use "hdfs dfsadmin -safemode leave" to turn safe mode off.'
)


def at(fake: FakeCluster, **more: str) -> Cluster:
    config = ClusterConfig.from_properties({**fake.properties, **more})
    return Cluster(config, user="alice", timeout=LONG)


def passing(answer: Answer, pauses: Pauses, *, after: int) -> Callable[[Request], Answer | None]:
    """That answer, until so many pauses have been made."""
    return lambda _: answer if len(pauses) < after else None


class TestOneThatIsStarting:
    @pytest.mark.parametrize("said", ["Namenode is in startup mode", "NameNode still not started"])
    def test_a_name_node_is_waited_for(self, fake: FakeCluster, pauses: Pauses, said: str) -> None:
        answer = Answer.error(403, "RetriableException", said)
        fake.name_node.answers_with = passing(answer, pauses, after=3)
        with at(fake) as cluster:
            assert cluster.files.home_directory() == "/user/alice"
        assert len(pauses) == 3

    def test_one_that_stays_so_is_told(self, fake: FakeCluster, pauses: Pauses) -> None:
        answer = Answer.error(403, "RetriableException", "Namenode is in startup mode")
        fake.name_node.answers_with = lambda _: answer
        with at(fake) as cluster, pytest.raises(StandbyError, match="not ready yet") as failure:
            cluster.files.home_directory()
        assert failure.value.exception == "RetriableException"
        assert 30 < sum(pauses) <= 60

    def test_applications_are_listed_when_all_are_known(
        self, fake: FakeCluster, pauses: Pauses
    ) -> None:
        manager = fake.resource_manager
        manager.starting = True

        def load() -> None:
            if len(pauses) == 2:
                manager.starting = False
                manager.applications["application_1_0001"] = {
                    "id": "application_1_0001",
                    "state": "RUNNING",
                }

        pauses.meanwhile = load
        from knit._cluster.yarn.application_filter import ApplicationFilter

        with at(fake) as cluster:
            assert len(cluster.resource_manager.applications(ApplicationFilter())) == 1


class TestSafeMode:
    def test_one_that_ends_by_itself_is_waited_for(self, fake: FakeCluster, pauses: Pauses) -> None:
        answer = Answer.error(403, "SafeModeException", BY_ITSELF)
        fake.name_node.answers_with = passing(answer, pauses, after=4)
        with at(fake) as cluster:
            cluster.files.make_directories("/user/alice/x")
        assert len(pauses) == 4

    def test_one_of_the_active_member_of_a_pair_is_one_too(
        self, fake: FakeCluster, pauses: Pauses
    ) -> None:
        """There it comes within a RetriableException, and is no failover."""
        said = f"org.apache.hadoop.hdfs.server.namenode.SafeModeException: {BY_ITSELF}"
        answer = Answer.error(403, "RetriableException", said)
        with FakeCluster() as second:
            fake.name_node.standby = True
            second.name_node.answers_with = lambda _: answer
            urls = f"{fake.name_node.url},{second.name_node.url}"
            with at(fake, **{"knit.webhdfs.url": urls}) as cluster:
                with pytest.raises(SafeModeError, match="in safe mode"):
                    cluster.files.make_directories("/user/alice/x")
                assert 30 < sum(pauses) <= 60
                second.name_node.answers_with = passing(answer, pauses, after=len(pauses) + 2)
                cluster.files.make_directories("/user/alice/x")
            assert "/user/alice/x" in second.file_system.entries

    def test_one_that_somebody_has_to_end_is_told_at_once(
        self, fake: FakeCluster, pauses: Pauses
    ) -> None:
        fake.name_node.answers_with = lambda _: Answer.error(403, "SafeModeException", BY_HAND)
        with at(fake) as cluster, pytest.raises(SafeModeError, match="turned on manually"):
            cluster.files.make_directories("/user/alice/x")
        assert pauses == []


class TestSilence:
    def test_one_that_has_answered_is_waited_for(self, fake: FakeCluster, pauses: Pauses) -> None:
        port = fake.resource_manager.port
        again: list[FakeResourceManager] = []
        pauses.meanwhile = lambda: (
            again.append(FakeResourceManager(port)) if len(pauses) == 3 else None
        )
        with at(fake) as cluster:
            cluster.resource_manager.cluster_info()
            fake.resource_manager.stop()
            try:
                assert len(cluster.resource_manager.nodes()) == 2
                assert len(pauses) == 3
                # And what may be done once only, where it certainly was not done.
                again[0].stop()
                pauses.meanwhile = lambda: (
                    again.append(FakeResourceManager(port)) if len(pauses) == 6 else None
                )
                assert cluster.resource_manager.new_application().application_id
            finally:
                again[-1].stop()

    def test_one_that_never_answered_is_told_at_once(
        self, fake: FakeCluster, pauses: Pauses
    ) -> None:
        fake.resource_manager.stop()
        with at(fake) as cluster, pytest.raises(ClusterUnreachableError):
            cluster.resource_manager.cluster_info()
        assert pauses == []

    def test_one_that_stays_away_is_told_when_the_calls_time_is_over(
        self, fake: FakeCluster, pauses: Pauses, caplog: pytest.LogCaptureFixture
    ) -> None:
        """And before, once, for what is waited and for how long, however many calls do."""
        with at(fake) as cluster:
            cluster.resource_manager.cluster_info()
            fake.resource_manager.stop()
            with caplog.at_level(logging.WARNING, "knit"):
                for _ in range(3):
                    with pytest.raises(ClusterUnreachableError):
                        cluster.resource_manager.metrics()
        assert 90 < sum(pauses) <= 180
        [record] = caplog.records
        assert "no connection to 127.0.0.1" in record.getMessage()
        assert record.getMessage().endswith("Trying again, for 60 s in all.")

    def test_what_only_counts_down_is_told_once(
        self, pauses: Pauses, caplog: pytest.LogCaptureFixture
    ) -> None:
        notice = patience.Notice(at_once=True)
        for seconds in range(10, 0, -1):
            notice.waiting(f"Safe mode will be turned off automatically in {seconds} seconds.")
        notice.waiting("Something else.")
        assert len(caplog.records) == 2

    def test_what_lasts_a_moment_is_not_told(
        self, fake: FakeCluster, pauses: Pauses, caplog: pytest.LogCaptureFixture
    ) -> None:
        answer = Answer.error(403, "RetriableException", "Namenode is in startup mode")
        fake.name_node.answers_with = passing(answer, pauses, after=3)
        with at(fake) as cluster, caplog.at_level(logging.WARNING, "knit"):
            cluster.files.home_directory()
        assert sum(pauses) < patience.QUIET_SECONDS
        assert caplog.records == []


class TestNoActiveMember:
    """What a ResourceManager on standby answers while no other one is active."""

    @pytest.mark.parametrize(
        "answer",
        [
            Answer(
                307,
                b"Can not find any active RM. Will retry in next 5 seconds.\n",
                {"Refresh": "5;url=/ws/v1/cluster/nodes", "Content-Type": "text/plain"},
            ),
            Answer(200, b"There is no active RM right now.\nHA Zookeeper Connection State: X"),
            Answer(503, b"There is no active RM right now.\nHA Zookeeper Connection State: X"),
        ],
    )
    def test_it_is_waited_for(self, fake: FakeCluster, pauses: Pauses, answer: Answer) -> None:
        with FakeCluster() as second:
            for each in (fake, second):
                each.resource_manager.answers_with = passing(answer, pauses, after=2)
            urls = f"{fake.resource_manager.url},{second.resource_manager.url}"
            with at(fake, **{"knit.resourcemanager.url": urls}) as cluster:
                assert len(cluster.resource_manager.nodes()) == 2
        assert len(pauses) == 2


def failed(kind: type[ClusterError], **facts: object) -> ClusterError:
    error = kind("what: came back. Do this.")
    for name, value in facts.items():
        setattr(error, name, value)
    return error


@pytest.mark.parametrize(
    ("error", "members", "has_answered", "passes"),
    [
        (failed(StandbyError), 2, False, True),
        (failed(StandbyError), 1, True, False),
        (failed(StandbyError, _is_starting=True), 1, False, True),
        (failed(SafeModeError), 2, True, False),
        (failed(SafeModeError, ends_by_itself=True), 1, False, True),
        (failed(NoDataNodeError), 1, False, True),
        (failed(ClusterUnreachableError), 2, False, False),
        (failed(ClusterUnreachableError), 1, True, True),
        (failed(ClusterUnreachableError, _is_lasting=True), 1, True, False),
        (failed(ClusterTimeoutError), 1, True, True),
        (failed(AccessDeniedError), 2, True, False),
    ],
)
def test_the_policy(error: ClusterError, members: int, has_answered: bool, passes: bool) -> None:
    policy = Patience(members)
    if has_answered:
        policy.answered()
    assert policy.passes(error) is passes


def test_a_call_without_time_is_made_once(pauses: Pauses) -> None:
    tries = []

    def ask() -> None:
        tries.append(1)
        raise failed(StandbyError)

    with pytest.raises(StandbyError):
        Patience(2).insist(ask, Deadline.after(timedelta(0)))
    assert (len(tries), pauses) == (1, [])


def test_nodes_may_come_back_for_so_long() -> None:
    now = datetime(2030, 1, 1, tzinfo=timezone.utc)
    assert may_lack_nodes(now - NODES_RETURN / 2, now)
    assert not may_lack_nodes(now - NODES_RETURN, now)
    assert not may_lack_nodes(None, now)
    assert not may_lack_nodes(now, None)


def test_a_name_node_that_takes_over_in_the_middle_is_found(
    fake: FakeCluster, pauses: Pauses
) -> None:
    """One is gone and the other still on standby, for as long as a failover takes."""
    with FakeCluster() as second:
        urls = f"{fake.name_node.url},{second.name_node.url}"
        with at(fake, **{"knit.webhdfs.url": urls}) as cluster:
            cluster.files.make_directories("/user/alice/x")
            fake.name_node.stop()
            second.name_node.standby = True

            def take_over() -> None:
                second.name_node.standby = sum(pauses) < 12

            pauses.meanwhile = take_over
            cluster.files.make_directories("/user/alice/y")
        assert "/user/alice/y" in second.file_system.entries
        assert isinstance(second.name_node, FakeNameNode)
