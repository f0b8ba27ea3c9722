"""What is wrong with a cluster is known before anything is submitted to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.utils import formatdate

import pytest

from knit._checks import (
    CheckResult,
    ClusterFacts,
    ResourceRequest,
    check_clock,
    check_maximum,
    diagnose,
    verify,
)
from knit._cluster.cluster import Cluster
from knit._cluster.configuration import ClusterConfig
from knit.exceptions import (
    AccessDeniedError,
    ClusterError,
    ClusterResponseError,
    ClusterUnreachableError,
    ConfigurationError,
    ConfigurationNotFoundError,
    KerberosRequiredError,
    QueueNotFoundError,
    QueueStoppedError,
    ResourcesUnavailableError,
    SafeModeError,
    StandbyError,
    WebHdfsDisabledError,
    WrongPortError,
)
from tests.fake_cluster import Answer, FakeCluster, FakeRpcPort, closed_port

SMALL = ResourceRequest(what="service worker", memory_mib=256, vcores=1)


@pytest.fixture
def hadoop() -> Iterator[FakeCluster]:
    with FakeCluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(hadoop: FakeCluster) -> Iterator[Cluster]:
    with Cluster(hadoop.config, user="alice", timeout=timedelta(seconds=3)) as cluster:
        yield cluster


def run(cluster: Cluster, *requests: ResourceRequest, queue: str = "default") -> None:
    verify(ClusterFacts(cluster), queue=queue, requests=requests or (SMALL,))


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

    @pytest.mark.parametrize(
        ("queue", "kind", "says"),
        [
            ("nope", QueueNotFoundError, "root.default, root.team.small"),
            ("root.nope.default", QueueNotFoundError, "no queue"),
            ("team", QueueNotFoundError, "only holds other queues"),
            ("root", QueueNotFoundError, "only holds other queues"),
            ("closed", QueueStoppedError, "STOPPED"),
        ],
    )
    def test_a_queue_that_will_not_do(
        self, cluster: Cluster, queue: str, kind: type[ClusterError], says: str
    ) -> None:
        with pytest.raises(kind, match=says):
            run(cluster, queue=queue)

    @pytest.mark.parametrize(
        ("memory", "vcores", "says"),
        [
            (9000, 1, "the largest, node-1:45454, has 8192 MiB"),
            (100, 9, "has 8192 MiB and 8 vcores"),
            (100, 5, "YARN grants at most 8192 MiB and 4 vcores"),
        ],
    )
    def test_more_than_there_is(
        self, cluster: Cluster, memory: int, vcores: int, says: str
    ) -> None:
        request = ResourceRequest(what="the Application Master", memory_mib=memory, vcores=vcores)
        with pytest.raises(ResourcesUnavailableError, match=says) as failure:
            run(cluster, SMALL, request)
        assert failure.value.message.startswith("The Application Master asks for")

    def test_memory_and_vcores_have_to_be_on_the_same_node(
        self, hadoop: FakeCluster, cluster: Cluster
    ) -> None:
        first, second = hadoop.resource_manager.nodes
        first.memory_mib, first.vcores = 8192, 1
        second.memory_mib, second.vcores = 1024, 4
        with pytest.raises(ResourcesUnavailableError, match="no node has that"):
            run(cluster, ResourceRequest(what="service w", memory_mib=4096, vcores=2))

    def test_a_queue_may_grant_less(self, cluster: Cluster) -> None:
        request = ResourceRequest(what="service w", memory_mib=2048, vcores=1)
        run(cluster, request)
        with pytest.raises(ResourcesUnavailableError, match="at most 1024 MiB"):
            run(cluster, request, queue="small")

    def test_no_running_node(self, hadoop: FakeCluster, cluster: Cluster) -> None:
        hadoop.resource_manager.nodes[0].state = "LOST"
        hadoop.resource_manager.nodes[1].state = "UNHEALTHY"
        with pytest.raises(ResourcesUnavailableError, match="node-1:45454 LOST"):
            run(cluster)

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


@pytest.mark.parametrize(("seconds", "word"), [(3600, "behind"), (-3600, "ahead of")])
def test_clocks_that_differ(hadoop: FakeCluster, cluster: Cluster, seconds: int, word: str) -> None:
    hadoop.resource_manager.answers_with = lambda _: Answer(
        200,
        b'{"clusterInfo": {"haState": "ACTIVE"}}',
        {"Date": formatdate(time.time() + seconds, usegmt=True)},
    )
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
            ("resource manager", lambda h: h.resource_manager.stop(), {"clock", "nodes", "queue"}),
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

    def test_kerberos(self, hadoop: FakeCluster) -> None:
        config = hadoop.config.with_properties({"hadoop.security.authentication": "kerberos"})
        *_, result = diagnose(config)
        assert (result.name, result.ok) == ("user", False)
        assert isinstance(result.error, KerberosRequiredError)
