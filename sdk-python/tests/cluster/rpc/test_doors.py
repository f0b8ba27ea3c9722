"""Which way is taken."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from knit._cluster.cluster import Cluster
from knit._cluster.doors import Choice, Doors
from knit._cluster.hdfs.rpc_files import RpcFiles
from knit._cluster.rest.authentication import SimpleAuthentication
from knit._cluster.rest.client import HttpClient
from knit._cluster.rest.daemons import RESOURCE_MANAGER
from knit.exceptions import ClusterUnreachableError, ConfigurationError
from tests.cluster.yarn.test_resource_manager import submit
from tests.fakes.cluster import FakeCluster
from tests.fakes.rpc import FakeRpcServer
from tests.fakes.server import Answer, closed_port


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
        servers[0].handler = _unasked(servers[0].handler, fake)
    submit(auto)
    before = len(fake.resource_manager.requests)
    auto.resource_manager.nodes()
    assert len(fake.resource_manager.requests) == before
    assert [call.method for call in servers[0].calls][:2] == [
        "getNewApplication",
        "submitApplication",
    ]


def _unasked(handler: Any, fake: FakeCluster) -> Any:
    """The face without what stands before the web server."""

    def handle(call: Any) -> Any:
        before, fake.resource_manager.answers_with = fake.resource_manager.answers_with, None
        try:
            return handler(call)
        finally:
            fake.resource_manager.answers_with = before

    return handle


def test_another_refusal_is_no_reason(
    fake: FakeCluster, auto: Cluster, servers: list[FakeRpcServer]
) -> None:
    fake.resource_manager.answers_with = lambda _: Answer.html(403, "Forbidden")
    with pytest.raises(PermissionError):
        auto.resource_manager.nodes()
    assert servers[0].connections == 0


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


def test_a_way_that_does_not_lead_there_is_not_shown_to_others(fake: FakeCluster) -> None:
    """While one call tries it, what others are told is still of the address that was given."""
    choice = Choice(daemon=RESOURCE_MANAGER, forced=None, kerberos=False, base_urls=lambda: ())
    http = HttpClient(SimpleAuthentication("alice"))
    doors = Doors(choice, http, rest=lambda: "rest", rpc=lambda: "rpc")
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


def test_a_way_that_leads_there_is_gone_on_with(fake: FakeCluster) -> None:
    choice = Choice(daemon=RESOURCE_MANAGER, forced=None, kerberos=False, base_urls=lambda: ())
    http = HttpClient(SimpleAuthentication("alice"))
    made = []

    def make(door: str) -> str:
        made.append(door)
        return door

    doors = Doors(choice, http, rest=lambda: make("rest"), rpc=lambda: make("rpc"))

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


def test_data_is_sent_for_whom_one_acts(
    fake: FakeCluster, rpc_properties: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HADOOP_USER_NAME", "root")
    monkeypatch.setenv("HADOOP_PROXY_USER", "alice")
    config = fake.config.with_properties({**rpc_properties, "knit.door": "rpc"})
    with Cluster(config) as cluster:
        assert isinstance(cluster.files, RpcFiles)
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
