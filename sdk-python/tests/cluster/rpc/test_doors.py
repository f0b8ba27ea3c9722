"""Which way is taken."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from knit._cluster.cluster import Cluster
from knit._cluster.doors import Choice, Doors
from knit._cluster.hdfs.files import Files
from knit._cluster.hdfs.rpc_files import RpcFiles
from knit._cluster.rest.authentication import SimpleAuthentication
from knit._cluster.rest.client import HttpClient
from knit._cluster.rest.daemons import RESOURCE_MANAGER
from knit.exceptions import (
    ClockSkewError,
    ClusterError,
    ClusterTimeoutError,
    ClusterUnreachableError,
    ConfigurationError,
    StandbyError,
    WebHdfsDisabledError,
    WrongPortError,
)
from tests.cluster.yarn.test_resource_manager import submit
from tests.fakes.cluster import FakeCluster
from tests.fakes.pauses import Pauses
from tests.fakes.rpc import FakeRpcServer
from tests.fakes.server import Answer, FakeRpcPort, FakeServer, closed_port


@pytest.fixture
def auto(fake: FakeCluster, rpc_properties: dict[str, str]) -> Iterator[Cluster]:
    """Both ways are there, and none is forced."""
    config = fake.config.with_properties(rpc_properties)
    with Cluster(config, user=fake.user, timeout=timedelta(seconds=5)) as cluster:
        yield cluster


def test_without_kerberos_it_is_rest(auto: Cluster, servers: list[FakeRpcServer]) -> None:
    submit(auto)
    assert auto.files.list_directory("/user")
    assert [server.connections for server in servers] == [0, 0]


@pytest.mark.parametrize("status", [403, 405])
def test_where_rest_takes_no_submissions_rpc_does(
    fake: FakeCluster, auto: Cluster, servers: list[FakeRpcServer], status: int
) -> None:
    """And all that follows is asked there."""
    fake.resource_manager.takes_submissions = False
    if status == 405:  # as Dataproc has it
        fake.resource_manager.answers_with = lambda request: (
            Answer.html(405, "Method Not Allowed") if request.method == "POST" else None
        )
        servers[0].handler = _unasked(servers[0].handler, fake.resource_manager)
    submit(auto)
    before = len(fake.resource_manager.requests)
    auto.resource_manager.nodes()
    assert len(fake.resource_manager.requests) == before
    assert [call.method for call in servers[0].calls][:2] == [
        "getNewApplication",
        "submitApplication",
    ]


def _unasked(handler: Any, daemon: FakeServer) -> Any:
    """The face without what stands before the web server."""

    def handle(call: Any) -> Any:
        before, daemon.answers_with = daemon.answers_with, None
        try:
            return handler(call)
        finally:
            daemon.answers_with = before

    return handle


def _served(handler: Any, fake: FakeCluster) -> Any:
    """The face of a NameNode whose web server serves nothing."""

    def handle(call: Any) -> Any:
        fake.name_node.webhdfs = True
        try:
            return handler(call)
        finally:
            fake.name_node.webhdfs = False

    return handle


def untrusted() -> ClusterError:
    error = ClusterUnreachableError("the certificate is not trusted")
    error._is_lasting = True
    return error


def test_a_refusal_of_hadoop_itself_is_no_reason(
    fake: FakeCluster, auto: Cluster, servers: list[FakeRpcServer]
) -> None:
    """It is the same by both ways."""
    denied = Answer.error(403, "AccessControlException", "Permission denied: user=alice")
    for daemon in (fake.resource_manager, fake.name_node):
        daemon.answers_with = lambda _: denied
    with pytest.raises(PermissionError, match="Permission denied: user=alice"):
        auto.resource_manager.nodes()
    with pytest.raises(PermissionError, match="Permission denied: user=alice"):
        auto.files.status("/user")
    assert [server.connections for server in servers] == [0, 0]


@pytest.mark.parametrize("status", [403, 405])
def test_where_something_stands_before_a_web_server_rpc_is_taken(
    fake: FakeCluster, auto: Cluster, servers: list[FakeRpcServer], status: int
) -> None:
    """A proxy, say, and for both daemons alike."""
    for daemon, server in zip((fake.resource_manager, fake.name_node), servers, strict=True):
        daemon.answers_with = lambda _: Answer.html(status, "Closed by the firm")
        server.handler = _unasked(server.handler, daemon)
    for _ in range(2):
        assert len(auto.resource_manager.nodes()) == 2
        assert [each.path for each in auto.files.list_directory("/user")] == ["/user/alice"]
    assert [len(d.requests) for d in (fake.resource_manager, fake.name_node)] == [1, 1]


def test_where_webhdfs_is_off_rpc_is_taken(
    fake: FakeCluster, auto: Cluster, servers: list[FakeRpcServer]
) -> None:
    """Even for the first word, which says where data is to go; that goes to the DataNode."""
    fake.name_node.webhdfs = False
    servers[1].handler = _served(servers[1].handler, fake)
    auto.files.create("/user/alice/x", b"data")
    assert auto.files.read("/user/alice/x") == b"data"
    assert auto.files.home_directory() == "/user/alice"
    assert len(fake.name_node.requests) == 2, "and who answers there was asked"
    assert [request.method for request in fake.data_node.requests] == ["PUT", "GET"]


def test_where_a_name_node_has_no_web_server_rpc_is_tried(
    fake: FakeCluster, rpc_properties: dict[str, str]
) -> None:
    """Where neither is, the web server is what is missed."""
    nowhere = {"dfs.namenode.http-address": f"127.0.0.1:{closed_port()}"}
    config = fake.config.with_properties({**rpc_properties, **nowhere})
    with Cluster(config, user="alice") as cluster:
        cluster.files.create("/user/alice/x", b"data")
    lost = {"fs.defaultFS": f"hdfs://127.0.0.1:{closed_port()}"}
    with Cluster(config.with_properties(lost), user="alice") as cluster:
        for _ in range(2):
            with pytest.raises(ClusterUnreachableError, match=r"dfs\.namenode\.http-address"):
                cluster.files.home_directory()


def test_a_data_node_that_is_not_there_says_nothing_of_the_name_node(
    fake: FakeCluster, auto: Cluster, servers: list[FakeRpcServer], pauses: Pauses
) -> None:
    fake.name_node.data_node_url = f"http://127.0.0.1:{closed_port()}"
    with pytest.raises(ClusterUnreachableError, match="sent us to the DataNode"):
        auto.files.create("/user/alice/x", b"data")
    assert servers[1].connections == 0


def test_what_swallows_packets_is_not_there_either(fake: FakeCluster) -> None:
    """A timeout is no answer, by neither way, and one that had answered is only slow."""
    choice = Choice(daemon=RESOURCE_MANAGER, forced=None, kerberos=False, base_urls=lambda: ())
    http = HttpClient(SimpleAuthentication("alice"))
    answers = {"rpc": True, "rest": False}
    asked = []

    def call(door: str) -> str:
        asked.append(door)
        if not answers[door]:
            raise ClusterTimeoutError(f"nothing from {door}")
        return door

    def doors() -> Doors[str]:
        return Doors(choice, http, rest=lambda: "rest", rpc=lambda: "rpc")

    assert doors().through(call) == "rpc"
    answers["rpc"] = False
    neither = doors()
    with pytest.raises(ClusterTimeoutError, match="nothing from rest"):
        neither.through(call)
    assert neither.chosen() == "rest"
    answers["rest"] = True
    assert neither.through(call) == "rest"
    answers.update(rest=False, rpc=True)
    asked.clear()
    with pytest.raises(ClusterTimeoutError, match="nothing from rest"):
        neither.through(call)
    assert asked == ["rest"]


def test_what_may_have_been_done_is_not_done_again_by_the_other_way(
    fake: FakeCluster, rpc_properties: dict[str, str], servers: list[FakeRpcServer]
) -> None:
    """A rename that broke off, say; what is the same twice as once goes on."""
    fake.file_system.write("/user/alice/a", "alice", b"")
    with FakeRpcPort(b"") as broken:
        there = {"dfs.namenode.http-address": f"127.0.0.1:{broken.port}"}
        config = fake.config.with_properties({**rpc_properties, **there})
        with Cluster(config, user="alice", timeout=timedelta(seconds=5)) as cluster:
            with pytest.raises(ClusterUnreachableError, match="before it had answered"):
                cluster.files.rename("/user/alice/a", "/user/alice/b")
            assert servers[1].connections == 0
            assert cluster.files.status("/user/alice/a").size_bytes == 0
            assert cluster.files.rename("/user/alice/a", "/user/alice/b")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks on Windows")
def test_a_child_does_not_wait_for_a_thread_that_only_its_parent_has() -> None:
    """That was about to choose as the process was forked."""
    asked, go = threading.Event(), threading.Event()

    def base_urls() -> tuple[str, ...]:
        asked.set()
        if os.getpid() == parent:
            go.wait(20)
        return ()

    parent = os.getpid()
    choice = Choice(daemon=RESOURCE_MANAGER, forced=None, kerberos=True, base_urls=base_urls)
    http = HttpClient(SimpleAuthentication("alice"))
    doors = Doors(choice, http, rest=lambda: "rest", rpc=lambda: "rpc")
    with ThreadPoolExecutor(1) as pool:
        chosen = pool.submit(doors.chosen)
        assert asked.wait(20)
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(20)
                os._exit(0 if doors.chosen() == "rpc" else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        go.set()
        assert chosen.result(20) == "rpc"


def test_a_cluster_that_is_closed_leaves_no_connection(
    cluster: Cluster, servers: list[FakeRpcServer]
) -> None:
    """By either daemon's RPC, whose reader ends with it."""
    cluster.resource_manager.nodes()
    cluster.files.home_directory()
    ports = {f"knit-rpc-127.0.0.1:{server.port}" for server in servers}
    readers = [thread for thread in threading.enumerate() if thread.name in ports]
    assert len(readers) == 2
    assert all(reader.daemon for reader in readers), "no program waits for them at its end"
    cluster.close()
    for reader in readers:
        reader.join(20)
        assert not reader.is_alive()


def test_both_ways_are_closed() -> None:
    """Of one that was left as well: it may hold something that is to be given back."""

    class Door:
        closed = 0

        def close(self) -> None:
            self.closed += 1

    ways = {"rest": Door(), "rpc": Door()}
    choice = Choice(daemon=RESOURCE_MANAGER, forced=None, kerberos=False, base_urls=lambda: ())
    http = HttpClient(SimpleAuthentication("alice"))
    doors = Doors(choice, http, rest=lambda: ways["rest"], rpc=lambda: ways["rpc"])

    def call(door: Door) -> None:
        if door is ways["rest"]:
            raise ClusterUnreachableError("nothing there")

    doors.through(call)
    assert doors.chosen() is ways["rpc"]
    doors.close()
    assert [door.closed for door in ways.values()] == [1, 1]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (untrusted(), "rest"),
        (ClockSkewError("the clocks differ", status=403), "rest"),
        (StandbyError("on standby", status=403), "rest"),
        (WrongPortError("something else", status=404), "rpc"),
    ],
)
def test_what_is_about_trust_or_time_is_no_reason(error: ClusterError, expected: str) -> None:
    doors, _ = doors_of_names()

    def call(door: str) -> str:
        if door == "rest":
            raise error
        return door

    with contextlib.suppress(type(error)):
        assert doors.through(call) == "rpc"
    assert doors.chosen() == expected


def test_where_there_is_no_web_server_rpc_is_tried(
    fake: FakeCluster, rpc_properties: dict[str, str]
) -> None:
    """Where neither is, the web server is what is missed."""
    nowhere = {"yarn.resourcemanager.webapp.address": f"127.0.0.1:{closed_port()}"}
    config = fake.config.with_properties({**rpc_properties, **nowhere})
    with Cluster(config, user="alice") as cluster:
        assert len(cluster.resource_manager.nodes()) == 2
    lost = {"yarn.resourcemanager.address": f"127.0.0.1:{closed_port()}"}
    with Cluster(config.with_properties(lost), user="alice") as cluster:
        for _ in range(2):
            with pytest.raises(ClusterUnreachableError, match=r"webapp\.address"):
                cluster.resource_manager.nodes()


def doors_of_names() -> tuple[Doors[str], list[str]]:
    """Doors that are their names, on a cluster that says nothing; and which of them were made."""
    choice = Choice(daemon=RESOURCE_MANAGER, forced=None, kerberos=False, base_urls=lambda: ())
    http = HttpClient(SimpleAuthentication("alice"))
    made: list[str] = []

    def make(door: str) -> str:
        made.append(door)
        return door

    return Doors(choice, http, rest=lambda: make("rest"), rpc=lambda: make("rpc")), made


def test_a_way_that_does_not_lead_there_is_not_shown_to_others(fake: FakeCluster) -> None:
    """While one call tries it, what others are told is still of the address that was given."""
    doors, _ = doors_of_names()
    others = []

    def call(door: str, *, is_first: bool) -> None:
        if is_first and door == "rpc":
            with pytest.raises(ClusterUnreachableError) as told:
                doors.through(lambda door: call(door, is_first=False))
            others.append(str(told.value))
        raise ClusterUnreachableError(f"nothing at {door}")

    with pytest.raises(ClusterUnreachableError, match="nothing at rest"):
        doors.through(lambda door: call(door, is_first=True))
    assert others == ["nothing at rest"]
    assert doors.chosen() == "rest"


def test_what_another_call_has_found_meanwhile_is_taken(fake: FakeCluster) -> None:
    doors, made = doors_of_names()

    def call(door: str, *, is_first: bool) -> str:
        if door == "rest":
            if is_first:
                assert doors.through(lambda door: call(door, is_first=False)) == "rpc"
            raise WebHdfsDisabledError("closed")
        return door

    assert doors.through(lambda door: call(door, is_first=True)) == "rpc"
    assert made == ["rest", "rpc"]


def test_a_way_that_leads_there_is_gone_on_with(fake: FakeCluster) -> None:
    doors, made = doors_of_names()

    def call(door: str) -> str:
        if door == "rest":
            raise ClusterUnreachableError("nothing there")
        return door

    assert [doors.through(call), doors.through(call), doors.chosen()] == ["rpc"] * 3
    assert made == ["rest", "rpc"]


def test_a_gateway_leaves_no_choice(fake: FakeCluster, rpc_properties: dict[str, str]) -> None:
    gateway = {"knit.resourcemanager.url": f"http://127.0.0.1:{closed_port()}"}
    config = fake.config.with_properties({**rpc_properties, **gateway})
    with Cluster(config, user="alice") as cluster, pytest.raises(ClusterUnreachableError):
        cluster.resource_manager.nodes()


def test_a_door_that_there_is_not_is_told(fake: FakeCluster) -> None:
    config = fake.config.with_properties({"knit.door": "window"})
    with Cluster(config, user="alice") as cluster:
        for name in ("resource_manager", "files"):
            with pytest.raises(ConfigurationError, match=r"knit\.door is 'window'.*auto, rest or"):
                getattr(cluster, name)


@pytest.mark.parametrize(
    ("policy", "https"), [("HTTPS_ONLY", True), ("HTTP_ONLY", False), (None, False)]
)
def test_data_nodes_are_spoken_to_as_the_configuration_has_it(
    fake: FakeCluster, rpc_properties: dict[str, str], policy: str | None, https: bool
) -> None:
    """And are told of the NameNode by the name that they know it by: a pair's is the pair's."""
    pair = {
        "fs.defaultFS": "hdfs://ns",
        "dfs.ha.namenodes.ns": "nn1",
        "dfs.namenode.rpc-address.ns.nn1": "nn1:8020",
    }
    for properties, name in (
        (rpc_properties, rpc_properties["fs.defaultFS"].removeprefix("hdfs://")),
        (pair, "ns"),
    ):
        more = {**properties, "knit.door": "rpc"}
        if policy is not None:
            more["dfs.http.policy"] = policy
        with Cluster(fake.config.with_properties(more), user="alice") as cluster:
            assert isinstance(cluster.files, Files)
            door = cluster.files._doors.chosen()
            assert isinstance(door, RpcFiles)
            assert (door._place.https, door._place.name) == (https, name)


def test_data_is_sent_for_whom_one_acts(
    fake: FakeCluster, rpc_properties: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HADOOP_USER_NAME", "root")
    monkeypatch.setenv("HADOOP_PROXY_USER", "alice")
    config = fake.config.with_properties({**rpc_properties, "knit.door": "rpc"})
    with Cluster(config) as cluster:
        assert isinstance(cluster.files, Files)
        assert isinstance(cluster.files._doors.chosen(), RpcFiles)
        cluster.files.create("/user/alice/x", b"data")
    [request] = fake.data_node.requests
    assert (request.query["user.name"], request.query["doas"]) == ("root", "alice")
    assert fake.file_system.entries["/user/alice/x"].owner == "alice"


@pytest.mark.parametrize(
    ("challenge", "status", "expected"),
    [("Negotiate", 401, "rest"), ("PseudoAuth", 401, "rpc"), (None, 200, "rpc")],
)
def test_with_kerberos_the_web_server_says(
    fake: FakeCluster, challenge: str | None, status: int, expected: str
) -> None:
    """One that answers anybody knows nobody. It is asked once."""
    headers = {} if challenge is None else {"WWW-Authenticate": challenge}
    fake.resource_manager.answers_with = lambda _: Answer(status, b"", headers)
    choice = Choice(
        daemon=RESOURCE_MANAGER,
        forced=None,
        kerberos=True,
        base_urls=lambda: (f"http://127.0.0.1:{closed_port()}", fake.resource_manager.url),
    )
    http = HttpClient(SimpleAuthentication("alice"))
    doors = Doors(choice, http, rest=lambda: "rest", rpc=lambda: "rpc")
    assert [doors.chosen(), doors.chosen()] == [expected] * 2
    [request] = fake.resource_manager.requests
    assert "user.name" not in request.query
