"""What goes wrong on the way to the cluster is told by its kind, with what to do about it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import urllib3

from knit._cluster.cluster import Cluster
from knit._cluster.configuration.config import ClusterConfig
from knit._cluster.rest.answer_errors import INVALID_TOKEN
from knit.exceptions import (
    AccessDeniedError,
    ClusterError,
    ClusterResponseError,
    ClusterTimeoutError,
    ClusterUnreachableError,
    KerberosRequiredError,
    KnitError,
    QuotaExceededError,
    SafeModeError,
    StandbyError,
    WebHdfsDisabledError,
    WrongPortError,
)
from tests.fakes.cluster import FakeCluster
from tests.fakes.pauses import Pauses
from tests.fakes.server import Answer, FakeRpcPort, closed_port
from tests.fakes.yarn import FakeResourceManager

SHORT = timedelta(seconds=0.5)
LONG = timedelta(seconds=60)


def at(rm: str | None = None, nn: str | None = None, timeout: timedelta = SHORT) -> Cluster:
    properties = {"fs.defaultFS": "hdfs://127.0.0.1:8020"}
    if rm is not None:
        properties["knit.resourcemanager.url"] = rm
    if nn is not None:
        properties["knit.webhdfs.url"] = nn
    return Cluster(ClusterConfig.from_properties(properties), user="alice", timeout=timeout)


class TestTheWay:
    def test_a_refused_connection_names_the_daemon_and_its_property(self) -> None:
        url = f"http://127.0.0.1:{closed_port()}"
        with at(rm=url) as cluster, pytest.raises(ClusterUnreachableError) as failure:
            cluster.resource_manager.cluster_info()
        assert "Is the ResourceManager running" in failure.value.message
        assert "yarn.resourcemanager.webapp.address" in failure.value.message
        assert "8088" in failure.value.message
        assert failure.value.url == f"{url}/ws/v1/cluster/info"
        assert isinstance(failure.value, ConnectionError)

    def test_an_unknown_host_is_told(self) -> None:
        with (
            at(rm="http://no-such-host.invalid:8088") as cluster,
            pytest.raises(ClusterUnreachableError, match=r"no-such-host\.invalid is not known"),
        ):
            cluster.resource_manager.cluster_info()

    def test_an_rpc_port_is_told_with_the_usual_web_port(self) -> None:
        with (
            FakeRpcPort() as rpc,
            at(rm=rpc.url, nn=rpc.url) as cluster,
        ):
            with pytest.raises(WrongPortError, match=r"a Hadoop RPC port.*8088"):
                cluster.resource_manager.cluster_info()
            with pytest.raises(WrongPortError, match=r"a Hadoop RPC port.*9870"):
                cluster.files.home_directory()

    def test_a_port_that_speaks_something_else_is_told(self) -> None:
        with (
            FakeRpcPort(b"SSH-2.0-OpenSSH_9.2\r\n") as other,
            at(rm=other.url) as cluster,
            pytest.raises(WrongPortError, match="not in HTTP"),
        ):
            cluster.resource_manager.cluster_info()

    def test_a_port_that_hangs_up_is_told(self) -> None:
        with (
            FakeRpcPort(b"") as other,
            at(rm=other.url) as cluster,
            pytest.raises(ClusterUnreachableError, match="closed the connection before"),
        ):
            cluster.resource_manager.cluster_info()

    def test_https_to_a_plain_port_is_told(self, fake: FakeCluster) -> None:
        url = fake.resource_manager.url.replace("http:", "https:")
        with at(rm=url) as cluster, pytest.raises(WrongPortError, match="does not speak https"):
            cluster.resource_manager.cluster_info()

    def test_proxies_of_the_environment_are_not_asked(
        self, fake: FakeCluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
        monkeypatch.delenv("no_proxy", raising=False)
        with at(rm=fake.resource_manager.url) as cluster:
            assert cluster.resource_manager.cluster_info().ha_state == "ACTIVE"


class Silence:
    """A transport that says nothing. The time that it is given is noted, and passes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given: list[urllib3.Timeout] = []
        self.connects = True
        self._now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self._now)
        monkeypatch.setattr(urllib3.PoolManager, "request", self._request)

    @property
    def totals(self) -> list[object]:
        return [timeout.total for timeout in self.given]

    def _request(self, method: str, url: str, *, timeout: Any, **_: object) -> object:
        self.given.append(timeout)
        if not self.connects:
            self._now += timeout.connect_timeout or 0
            raise urllib3.exceptions.ConnectTimeoutError
        self._now += timeout.total or 0
        raise urllib3.exceptions.ReadTimeoutError(urllib3.HTTPConnectionPool("x"), url, "silence")


class TestTime:
    ONE = "http://rm-1.invalid:8088"
    PAIR = f"{ONE},http://rm-2.invalid:8088"
    NAME_NODES = "http://nn-1.invalid:9870,http://nn-2.invalid:9870"

    @pytest.fixture
    def silence(self, monkeypatch: pytest.MonkeyPatch) -> Silence:
        return Silence(monkeypatch)

    def test_a_server_that_says_nothing_is_left(self) -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            at(rm=f"http://127.0.0.1:{server.getsockname()[1]}") as cluster,
            pytest.raises(ClusterTimeoutError, match=r"within 0\.5 s"),
        ):
            cluster.resource_manager.cluster_info()

    def test_a_single_one_is_given_all_the_time_once_it_is_there(self, silence: Silence) -> None:
        """What swallows packets leaves some for the other way to the daemon."""
        with at(rm=self.ONE, timeout=LONG) as cluster, pytest.raises(ClusterTimeoutError):
            cluster.resource_manager.cluster_info()
        [timeout] = silence.given
        assert (timeout.total, timeout.connect_timeout) == (60, 20)

    def test_a_pair_that_says_nothing_takes_no_longer(self, silence: Silence) -> None:
        with at(rm=self.PAIR, timeout=LONG) as cluster, pytest.raises(ClusterTimeoutError):
            cluster.resource_manager.cluster_info()
        assert silence.totals == [30, 30]

    def test_of_a_pair_one_that_swallows_packets_leaves_the_other_its_time(
        self, silence: Silence
    ) -> None:
        silence.connects = False
        with at(rm=self.PAIR, timeout=LONG) as cluster, pytest.raises(ClusterTimeoutError):
            cluster.resource_manager.cluster_info()
        assert [timeout.connect_timeout for timeout in silence.given] == [4, 4]
        assert silence.totals == [30, 56]

    def test_what_is_done_once_only_is_given_all_the_time(self, silence: Silence) -> None:
        """It is not sent to the other, for which to leave some would be a waste."""
        with at(nn=self.NAME_NODES, timeout=LONG) as cluster, pytest.raises(ClusterTimeoutError):
            cluster.files.rename("/a", "/b")
        assert silence.totals == [60]

    def test_one_for_which_no_time_is_left_is_not_said_to_be_silent(self, silence: Silence) -> None:
        silence.connects = False
        with (
            at(nn=self.NAME_NODES, timeout=timedelta(seconds=3)) as cluster,
            pytest.raises(ClusterTimeoutError, match="nn-1") as failure,
        ):
            cluster.files.rename("/a", "/b")
        assert "nn-2" not in failure.value.message

    def test_an_answer_that_drips_is_left_in_time(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:

            def drip() -> None:
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
                    with contextlib.suppress(OSError):
                        for _ in range(100):  # five seconds, far beyond what it is given
                            connection.sendall(b" ")
                            time.sleep(0.05)

            threading.Thread(target=drip, daemon=True).start()
            url = f"http://127.0.0.1:{server.getsockname()[1]}"
            with at(rm=url) as cluster, pytest.raises(ClusterTimeoutError):
                cluster.resource_manager.cluster_info()

    def test_a_connection_that_was_closed_meanwhile_is_opened_again(
        self, fake: FakeCluster, cluster: Cluster
    ) -> None:
        cluster.resource_manager.cluster_info()
        # The pooled connection dies with its server; another one comes up at the same place.
        fake.resource_manager.stop()
        replacement = FakeResourceManager(fake.resource_manager.port)
        try:
            assert cluster.resource_manager.new_application().application_id
        finally:
            replacement.stop()


class TestPairs:
    @pytest.fixture
    def other(self) -> Iterator[FakeResourceManager]:
        server = FakeResourceManager()
        yield server
        server.stop()

    def test_the_active_rm_is_found_and_remembered(
        self, fake: FakeCluster, other: FakeResourceManager
    ) -> None:
        fake.resource_manager.standby = True
        with at(rm=f"{fake.resource_manager.url},{other.url}") as cluster:
            assert len(cluster.resource_manager.nodes()) == 2
            asked = len(fake.resource_manager.requests)
            cluster.resource_manager.metrics()
            assert len(fake.resource_manager.requests) == asked
            assert cluster.resource_manager.address == other.url

    def test_a_standby_that_redirects_is_passed_over_too(
        self, fake: FakeCluster, other: FakeResourceManager
    ) -> None:
        fake.resource_manager.standby = True
        fake.resource_manager.active_url = "http://only-the-cluster-knows-it:8088"
        with at(rm=f"{fake.resource_manager.url},{other.url}") as cluster:
            assert cluster.resource_manager.new_application().maximum_mib == 8192

    def test_cluster_info_comes_from_the_active_one(
        self, fake: FakeCluster, other: FakeResourceManager
    ) -> None:
        fake.resource_manager.standby = True
        with at(rm=f"{fake.resource_manager.url},{other.url}") as cluster:
            info = cluster.resource_manager.cluster_info()
        assert (info.ha_state, info.url) == ("ACTIVE", other.url)

    def test_a_dead_member_is_passed_over(self, fake: FakeCluster) -> None:
        dead = f"http://127.0.0.1:{closed_port()}"
        with at(rm=f"{dead},{fake.resource_manager.url}") as cluster:
            assert cluster.resource_manager.cluster_info().hadoop_version == "3.4.2"

    def test_a_single_standby_is_told_at_once(self, fake: FakeCluster, pauses: Pauses) -> None:
        fake.resource_manager.standby = True
        fake.resource_manager.active_url = "http://the-other:8088"
        with (
            at(rm=fake.resource_manager.url, timeout=LONG) as cluster,
            pytest.raises(StandbyError, match="It takes http://the-other:8088 for the active one"),
        ):
            cluster.resource_manager.nodes()
        assert pauses == []

    def test_a_failover_is_waited_for(
        self, fake: FakeCluster, other: FakeResourceManager, pauses: Pauses
    ) -> None:
        fake.resource_manager.standby = other.standby = True

        def happen() -> None:
            other.standby = len(pauses) < 3

        pauses.meanwhile = happen
        with at(rm=f"{fake.resource_manager.url},{other.url}", timeout=LONG) as cluster:
            assert len(cluster.resource_manager.nodes()) == 2
        assert len(pauses) == 3

    @pytest.mark.parametrize("allowed", [60, 3])
    def test_a_failover_that_does_not_come_is_waited_for_as_long_as_a_call_may_take(
        self, fake: FakeCluster, other: FakeResourceManager, pauses: Pauses, allowed: int
    ) -> None:
        fake.resource_manager.standby = other.standby = True
        urls = f"{fake.resource_manager.url},{other.url}"
        with (
            at(rm=urls, timeout=timedelta(seconds=allowed)) as cluster,
            pytest.raises(StandbyError),
        ):
            cluster.resource_manager.nodes()
        # What the questions themselves took is not slept.
        assert allowed / 2 < sum(pauses) <= allowed

    def test_one_dead_and_one_standby_says_both(self, fake: FakeCluster) -> None:
        fake.resource_manager.standby = True
        dead = f"http://127.0.0.1:{closed_port()}"
        with (
            at(rm=f"{dead},{fake.resource_manager.url}") as cluster,
            pytest.raises(StandbyError) as failure,
        ):
            cluster.resource_manager.nodes()
        assert "No other ResourceManager answered either" in failure.value.message
        assert dead in failure.value.message

    def test_name_nodes_fail_over_by_standby_exception(self, fake: FakeCluster) -> None:
        with FakeCluster() as second:
            fake.name_node.standby = True
            with at(nn=f"{fake.name_node.url},{second.name_node.url}") as cluster:
                cluster.files.make_directories("/user/alice/x")
                assert "/user/alice/x" in second.file_system.entries
                fake.name_node.standby, second.name_node.standby = False, True
                assert cluster.files.find("/user/alice/x") is None

    def test_what_may_have_been_done_is_not_done_again_elsewhere(self, fake: FakeCluster) -> None:
        """A rename that broke off is not sent to the other NameNode."""
        with FakeRpcPort(b"") as broken:
            with (
                at(nn=f"{broken.url},{fake.name_node.url}") as cluster,
                pytest.raises(ClusterUnreachableError),
            ):
                cluster.files.rename("/a", "/b")
            assert not fake.name_node.asked(op="RENAME")


class TestAnswers:
    @pytest.mark.parametrize(
        ("answer", "kind", "says"),
        [
            (Answer.html(401, "Unauthorized"), AccessDeniedError, "HADOOP_USER_NAME"),
            (
                Answer(401, b"", {"WWW-Authenticate": "Negotiate"}),
                KerberosRequiredError,
                "wants Kerberos",
            ),
            (
                Answer.json({"servlet": "x", "message": "Authentication required"}, 401),
                AccessDeniedError,
                "(401: Authentication required)",
            ),
            (Answer.html(403, "Forbidden"), AccessDeniedError, "Forbidden"),
            *(
                (
                    Answer.error(403, "SecurityException", said),
                    AccessDeniedError,
                    "hadoop.security.authentication be kerberos",
                )
                for said in (
                    "Failed: Security enabled but user not authenticated by filter",
                    "The default static user cannot carry out this operation.",
                    "SIMPLE authentication is not enabled.  Available:[TOKEN, KERBEROS]",
                )
            ),
            (Answer.html(200, "Company sign-on"), WrongPortError, "Company sign-on"),
            (
                Answer(302, b"", {"Location": "https://sso/login"}),
                ClusterResponseError,
                "https://sso/login",
            ),
            (Answer(300, b""), ClusterResponseError, "sent us on to nowhere"),
            (Answer.html(502, "Bad gateway"), ClusterResponseError, "Bad gateway"),
            (Answer(200, b"[1]"), ClusterResponseError, "not JSON"),
            (Answer(200, b"\xff\xfe"), ClusterResponseError, "not JSON"),
            (Answer.json({}), ClusterResponseError, "without Path"),
            (
                Answer.error(403, "SafeModeException", "Name node is in safe mode.\nat x.y"),
                SafeModeError,
                "Wait until it has left safe mode",
            ),
            (
                Answer.error(403, "NSQuotaExceededException", "The NameSpace quota is exceeded"),
                QuotaExceededError,
                "Remove files",
            ),
            (
                Answer.error(
                    403,
                    "IOException",
                    "File /x could only be written to 0 of the 1 minReplication nodes. There are 3 "
                    "datanode(s) running and 3 node(s) are excluded in this operation.",
                ),
                QuotaExceededError,
                "No DataNode could take the data",
            ),
            (
                Answer.error(403, "SecurityException", f"{INVALID_TOKEN}: token is expired"),
                AccessDeniedError,
                "has ended, or was cancelled",
            ),
            (
                Answer.error(403, "AccessControlException", "Permission denied: user=alice"),
                AccessDeniedError,
                "Permission denied: user=alice",
            ),
            (
                Answer.error(500, "RuntimeException", "odd\n\tat some.java.Frame"),
                ClusterResponseError,
                "RuntimeException: odd",
            ),
        ],
    )
    def test_each_has_its_error(
        self,
        fake: FakeCluster,
        cluster: Cluster,
        answer: Answer,
        kind: type[KnitError],
        says: str,
    ) -> None:
        fake.name_node.answers_with = lambda _: answer
        with pytest.raises(kind) as failure:
            cluster.files.home_directory()
        assert says in failure.value.message
        assert "some.java.Frame" not in failure.value.message

    def test_webhdfs_that_is_off_is_told_from_a_wrong_port(self, fake: FakeCluster) -> None:
        fake.name_node.webhdfs = False
        with at(nn=fake.name_node.url) as cluster, pytest.raises(WebHdfsDisabledError):
            cluster.files.home_directory()
        with (
            at(nn=fake.resource_manager.url) as cluster,
            pytest.raises(WrongPortError, match="the ResourceManager's web server answers"),
        ):
            cluster.files.home_directory()
        with (
            at(rm=fake.name_node.url) as cluster,
            pytest.raises(
                WrongPortError,
                match=r"the NameNode's web server answers.*not the ResourceManager's",
            ),
        ):
            cluster.resource_manager.cluster_info()

    def test_no_message_tells_the_query(self, fake: FakeCluster, cluster: Cluster) -> None:
        for answer in (Answer.html(403, "No"), Answer.html(500, "No"), Answer(302)):
            fake.name_node.answers_with = lambda _, answer=answer: answer
            with pytest.raises(ClusterError) as failure:
                cluster.files.home_directory()
            assert "user.name" not in failure.value.message
            assert "?" not in (failure.value.url or "")


def test_many_threads_share_a_client(fake: FakeCluster, cluster: Cluster) -> None:
    from concurrent.futures import ThreadPoolExecutor

    asks: list[Callable[[], object]] = [
        cluster.resource_manager.nodes,
        cluster.resource_manager.queues,
        cluster.files.home_directory,
    ]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda n: asks[n % 3](), range(150)))
    assert all(found)
