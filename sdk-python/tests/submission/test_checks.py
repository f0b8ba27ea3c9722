"""What is wrong with a cluster is known before anything is submitted to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.utils import formatdate

import pytest

from knit._cluster.cluster import Cluster
from knit._cluster.configuration.config import ClusterConfig
from knit._submission.checks import check_clock, verify
from knit._submission.doctor import CheckResult, diagnose
from knit._submission.facts import ClusterFacts, ResourceRequest
from knit._submission.sizes import check_maximum
from knit.exceptions import (
    AccessDeniedError,
    ClusterResponseError,
    ClusterUnreachableError,
    ConfigurationError,
    ConfigurationNotFoundError,
    QueueStoppedError,
    ResourcesUnavailableError,
    SafeModeError,
    StandbyError,
    WebHdfsDisabledError,
    WrongPortError,
)
from tests.fakes.cluster import FakeCluster
from tests.fakes.server import Answer, FakeRpcPort, closed_port

SMALL = ResourceRequest(what="service worker", memory_mib=256, vcores=1)


@pytest.fixture
def hadoop() -> Iterator[FakeCluster]:
    with FakeCluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(hadoop: FakeCluster) -> Iterator[Cluster]:
    with Cluster(hadoop.config, user="alice", timeout=timedelta(seconds=3)) as cluster:
        yield cluster


def run(cluster: Cluster, *requests: ResourceRequest, queue: str = "default") -> list[str]:
    return verify(ClusterFacts(cluster), queue=queue, requests=requests or (SMALL,))


class TestVerify:
    def test_nothing_is_wrong(self, hadoop: FakeCluster, cluster: Cluster) -> None:
        entries = set(hadoop.file_system.entries)
        run(cluster)
        assert set(hadoop.file_system.entries) == entries, "it changes nothing"

    def test_each_question_is_asked_once(self, hadoop: FakeCluster, cluster: Cluster) -> None:
        run(cluster)
        paths = [request.path for request in hadoop.resource_manager.requests]
        assert sorted(paths) == sorted(set(paths))
        assert len(hadoop.name_node.asked(op="GETHOMEDIRECTORY")) == 1

    @pytest.mark.parametrize("queue", ["default", "root.default", "small", "team.small"])
    def test_a_queue_goes_by_its_path_or_its_last_part(self, cluster: Cluster, queue: str) -> None:
        run(cluster, queue=queue)

    def test_a_queue_that_takes_nothing_is_refused(self, cluster: Cluster) -> None:
        with pytest.raises(QueueStoppedError, match=r"root\.closed is STOPPED.*root\.team\.small"):
            run(cluster, queue="closed")

    @pytest.mark.parametrize(
        ("queue", "says"),
        [
            ("nope", "has no queue 'nope'. Queues that take applications: root.default, root.team"),
            ("root.nope.default", "has no queue"),
            ("team", "root.team only holds other queues"),
        ],
    )
    def test_a_queue_that_is_not_there_is_yarns_to_refuse(
        self, cluster: Cluster, queue: str, says: str
    ) -> None:
        """It may place applications by rules of its own."""
        [advice] = run(cluster, queue=queue)
        assert says in advice
        assert "YARN is asked all the same" in advice

    def test_a_queue_that_the_scheduler_may_make_is_no_fault(
        self, hadoop: FakeCluster, cluster: Cluster
    ) -> None:
        hadoop.resource_manager.queues[3].makes_others = True
        [advice] = run(cluster, queue="root.team.alice")
        assert "makes queues by its own rules" in advice
        assert "YARN is asked" not in advice

    def test_more_than_yarn_grants_is_refused(self, cluster: Cluster) -> None:
        request = ResourceRequest(what="the Application Master", memory_mib=100, vcores=9)
        with pytest.raises(ResourcesUnavailableError, match="at most 8192 MiB and 4 vcores in the"):
            run(cluster, SMALL, request)

    def test_memory_and_vcores_have_to_be_on_the_same_node(
        self, hadoop: FakeCluster, cluster: Cluster
    ) -> None:
        """Told, not refused: a larger node may come, on demand or back after a failover."""
        first, second = hadoop.resource_manager.nodes
        first.memory_mib, first.vcores = 8192, 1
        second.memory_mib, second.vcores = 1024, 4
        [advice] = run(cluster, ResourceRequest(what="service w", memory_mib=7000, vcores=2))
        assert advice.startswith("Service w asks for 7000 MiB and 2 vcores in one container")
        assert "the largest, node-1:45454, has 8192 MiB and 1 vcore." in advice
        first.vcores = 2
        assert run(cluster, ResourceRequest(what="service w", memory_mib=8192, vcores=2)) == []

    def test_nodes_are_listed_only_where_that_tells_more(
        self, hadoop: FakeCluster, cluster: Cluster
    ) -> None:
        """Of a large cluster it is megabytes."""
        run(cluster, ResourceRequest(what="service w", memory_mib=6144, vcores=1))
        assert not hadoop.resource_manager.asked(path="/ws/v1/cluster/nodes")

    def test_a_queue_may_grant_less(self, cluster: Cluster) -> None:
        request = ResourceRequest(what="service w", memory_mib=2048, vcores=1)
        run(cluster, request)
        with pytest.raises(ResourcesUnavailableError, match=r"1024 MiB and 4 vcores in the queue"):
            run(cluster, request, queue="small")

    def test_more_than_a_queue_can_ever_hold_is_told(
        self, hadoop: FakeCluster, cluster: Cluster
    ) -> None:
        """YARN takes it, and it waits without a word."""
        hadoop.resource_manager.queues[1].capacity_mib = 1000
        assert run(cluster, ResourceRequest(what="service w", memory_mib=1000, vcores=1)) == []
        [advice] = run(cluster, ResourceRequest(what="service w", memory_mib=1001, vcores=1))
        assert "the queue root.default may use at most 1000 MiB and 16 vcores in all" in advice
        hadoop.resource_manager.queues[1].capacity_vcores = 2
        assert run(cluster, ResourceRequest(what="service w", memory_mib=1000, vcores=2)) == []
        [advice] = run(cluster, ResourceRequest(what="service w", memory_mib=1000, vcores=3))
        assert "may use at most 1000 MiB and 2 vcores in all" in advice

    def test_without_a_running_node_it_may_be_submitted(
        self, hadoop: FakeCluster, cluster: Cluster
    ) -> None:
        """Nodes come on demand, and some time after a failover."""
        hadoop.resource_manager.nodes[0].state = "LOST"
        hadoop.resource_manager.nodes[1].state = "UNHEALTHY"
        hadoop.resource_manager.nodes[1].health_report = "ERROR /data1: 99% used"
        [advice] = run(cluster)
        assert "node-1:45454 LOST; node-2:45454 UNHEALTHY: ERROR /data1: 99% used" in advice
        assert "Mend what is reported" in advice
        assert "they wait" in advice

    def test_who_may_not_look_at_queues_or_nodes_may_submit(
        self, hadoop: FakeCluster, cluster: Cluster
    ) -> None:
        hadoop.resource_manager.answers_with = lambda request: (
            Answer.html(403, "no")
            if request.path.endswith(("/scheduler", "/nodes", "/metrics"))
            else None
        )
        assert run(cluster) == []

    def test_a_wrong_clock_keeps_nothing_from_running(
        self, hadoop: FakeCluster, cluster: Cluster
    ) -> None:
        hadoop.resource_manager.answers_with = lambda request: (
            Answer(
                200,
                b'{"clusterInfo": {"haState": "ACTIVE"}}',
                {"Date": formatdate(time.time() + 86_400, usegmt=True)},
            )
            if request.path.endswith("/info")
            else None
        )
        [advice] = run(cluster)
        assert "s behind the ResourceManager's" in advice

    def test_no_home_and_no_way_to_make_one(self, hadoop: FakeCluster) -> None:
        with (
            Cluster(hadoop.config, user="bob") as cluster,
            pytest.raises(AccessDeniedError, match="hdfs dfs -mkdir -p /user/bob"),
        ):
            run(cluster)

    def test_no_home_but_a_way_to_make_one(self, hadoop: FakeCluster) -> None:
        hadoop.file_system.entries["/user"].permission = "777"
        with Cluster(hadoop.config, user="bob") as cluster:
            run(cluster)

    def test_a_home_that_belongs_to_somebody_else(
        self, hadoop: FakeCluster, cluster: Cluster
    ) -> None:
        hadoop.file_system.entries["/user/alice"].owner = "root"
        with pytest.raises(AccessDeniedError, match="belongs to root"):
            run(cluster)

    def test_safe_mode(self, hadoop: FakeCluster, cluster: Cluster) -> None:
        hadoop.name_node.safe_mode = True
        with pytest.raises(SafeModeError):
            run(cluster)

    def test_webhdfs_off(self, hadoop: FakeCluster, cluster: Cluster) -> None:
        hadoop.name_node.webhdfs = False
        with pytest.raises(WebHdfsDisabledError):
            run(cluster)

    def test_standby(self, hadoop: FakeCluster, cluster: Cluster) -> None:
        hadoop.resource_manager.standby = True
        with pytest.raises(StandbyError):
            run(cluster)

    def test_a_resource_manager_that_still_starts(
        self, hadoop: FakeCluster, cluster: Cluster
    ) -> None:
        hadoop.resource_manager.starting = True
        with pytest.raises(StandbyError, match="is still starting"):
            run(cluster)

    def test_of_several_failures_the_most_basic_is_raised(self, hadoop: FakeCluster) -> None:
        with FakeRpcPort() as rpc:
            config = hadoop.config.with_properties(
                {
                    "yarn.resourcemanager.webapp.address": f"127.0.0.1:{closed_port()}",
                    "dfs.namenode.http-address": f"127.0.0.1:{rpc.port}",
                }
            )
            with Cluster(config, user="alice") as cluster:
                with pytest.raises(ClusterUnreachableError, match="ResourceManager"):
                    run(cluster, queue="nope")
                with pytest.raises(WrongPortError, match="RPC port"):
                    ClusterFacts(cluster).home  # noqa: B018


def test_the_maximum_of_a_new_application_is_checked() -> None:
    check_maximum(SMALL, 256, 1)
    check_maximum(SMALL, None, None)
    with pytest.raises(ResourcesUnavailableError, match="maximum-allocation-mb"):
        check_maximum(SMALL, 255, 1)


@pytest.mark.parametrize(
    ("seconds", "word"), [(360, "behind"), (-360, "ahead of"), (240, None), (-240, None)]
)
def test_clocks_may_differ_by_five_minutes(
    hadoop: FakeCluster, cluster: Cluster, seconds: int, word: str | None
) -> None:
    hadoop.resource_manager.answers_with = lambda _: Answer(
        200,
        b'{"clusterInfo": {"haState": "ACTIVE"}}',
        {"Date": formatdate(time.time() + seconds, usegmt=True)},
    )
    if word is None:
        check_clock(ClusterFacts(cluster))
        return
    with pytest.raises(ClusterResponseError, match=f"{word} the ResourceManager"):
        check_clock(ClusterFacts(cluster))


class TestDoctor:
    def test_a_healthy_cluster(self, hadoop: FakeCluster) -> None:
        results = diagnose(hadoop.config, user="alice")
        assert [result.name for result in results] == [
            "configuration",
            "user",
            "resource manager",
            "clock",
            "nodes",
            "submission",
            "queue",
            "file system",
            "home directory",
            "safe mode",
            "staging",
        ]
        assert all(result.ok and result.message and not result.hint for result in results)

    @pytest.mark.parametrize(
        ("failing", "break_it", "missing"),
        [
            (
                "resource manager",
                lambda h: h.resource_manager.stop(),
                {"clock", "nodes", "submission", "queue"},
            ),
            (
                "submission",
                lambda h: setattr(h.resource_manager, "takes_submissions", False),
                set(),
            ),
            ("file system", lambda h: h.name_node.stop(), {"home directory", "staging"}),
            ("staging", lambda h: h.data_node.stop(), set()),
            ("safe mode", lambda h: setattr(h.name_node, "safe_mode", True), {"staging"}),
            ("nodes", lambda h: h.resource_manager.nodes.clear(), set()),
            ("queue", lambda h: h.resource_manager.queues.pop(1), set()),
        ],
    )
    def test_what_fails_is_told_and_the_rest_is_looked_at(
        self,
        hadoop: FakeCluster,
        failing: str,
        break_it: Callable[[FakeCluster], object],
        missing: set[str],
    ) -> None:
        healthy = {result.name for result in diagnose(hadoop.config, user="alice")}
        break_it(hadoop)
        results = {
            result.name: result
            for result in diagnose(hadoop.config, user="alice", timeout=timedelta(seconds=2))
        }
        assert [result.name for result in results.values() if not result.ok] == [failing]
        assert healthy - results.keys() == missing | (
            {"safe mode"} if failing == "file system" else set()
        )
        failed: CheckResult = results[failing]
        assert failed.error is not None
        assert failed.hint
        assert failed.error.message.startswith(failed.message[:-1])

    def test_no_configuration(self) -> None:
        def missing() -> ClusterConfig:
            raise ConfigurationNotFoundError("There is none. Set HADOOP_CONF_DIR.")

        [result] = diagnose(missing)
        assert not result.ok
        assert (result.message, result.hint) == ("There is none.", "Set HADOOP_CONF_DIR.")

    def test_half_a_configuration(self, hadoop: FakeCluster) -> None:
        properties = hadoop.properties
        del properties["fs.defaultFS"]
        results = diagnose(ClusterConfig.from_properties(properties), user="alice")
        [failed] = [result for result in results if not result.ok]
        assert failed.name == "file system address"
        assert isinstance(failed.error, ConfigurationError)
        assert "queue" in {result.name for result in results}

    def test_a_cluster_that_takes_no_submissions_over_rest(self, hadoop: FakeCluster) -> None:
        """All else is well, and then nothing can be submitted."""
        hadoop.resource_manager.takes_submissions = False
        [failed] = [r for r in diagnose(hadoop.config, user="alice") if not r.ok]
        assert "takes no submissions over REST" in failed.message
        assert "yarn.webapp.enable-rest-app-submissions" in failed.hint
        assert "hadoop jar" in failed.hint
        assert "HADOOP_USER_NAME" not in failed.hint

    def test_what_yarn_reports_of_a_node_is_told(self, hadoop: FakeCluster) -> None:
        node = hadoop.resource_manager.nodes[1]
        node.state, node.health_report = "UNHEALTHY", "1/1 local-dirs have errors"
        results = {result.name: result for result in diagnose(hadoop.config, user="alice")}
        assert results["nodes"].ok
        assert "node-2:45454 UNHEALTHY: 1/1 local-dirs have errors" in results["nodes"].message
