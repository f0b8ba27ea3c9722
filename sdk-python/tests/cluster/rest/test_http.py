"""Connections: whose they are, and for how long they are waited for."""

from __future__ import annotations

import contextlib
import io
import logging
import multiprocessing
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from knit._cluster.cluster import Cluster
from knit._cluster.rest.authentication import SimpleAuthentication
from knit._cluster.rest.client import HttpClient, _socket_of
from knit._cluster.rest.daemons import DATA_NODE, RESOURCE_MANAGER
from knit._values.deadlines import Deadline
from knit.exceptions import (
    ClusterError,
    ClusterResponseError,
    ClusterTimeoutError,
    ClusterUnreachableError,
    SpecError,
    StandbyError,
)
from tests.fakes.cluster import FakeCluster
from tests.fakes.server import Answer, Request

HOME = "/user/alice"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"


@pytest.fixture
def http() -> Iterator[HttpClient]:
    client = HttpClient(SimpleAuthentication("alice"))
    yield client
    client.close()


def asks(http: HttpClient, url: str, seconds: float) -> bytes:
    return http.request(
        "GET",
        url,
        what="Asking",
        daemon=RESOURCE_MANAGER,
        deadline=Deadline.after(timedelta(seconds=seconds)),
    ).body


@contextmanager
def serving(act: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does something by hand with each connection, after a request has come."""
    closing = threading.Event()

    def serve() -> None:
        while not closing.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    def handle(connection: socket.socket) -> None:
        with connection, contextlib.suppress(ConnectionError):  # some leave before the end
            while connection.recv(65536):
                act(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        closing.set()
        listener.shutdown(socket.SHUT_RDWR)


def _reports(cluster: Cluster, application_id: str, count: int, results: object) -> None:
    wrong = sum(
        cluster.resource_manager.application(application_id).application_id != application_id
        for _ in range(count)
    )
    results.put(wrong)  # type: ignore[attr-defined]


def test_a_forked_process_has_connections_of_its_own(fake: FakeCluster, cluster: Cluster) -> None:
    """Else each would read the answers to the other's questions."""
    for number in range(1, 5):
        application_id = f"application_1700000000000_{number:04}"
        fake.resource_manager.applications[application_id] = {
            "id": application_id,
            "state": "RUNNING",
        }
    cluster.resource_manager.application("application_1700000000000_0001")
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    children = [
        context.Process(
            target=_reports,
            args=(cluster, f"application_1700000000000_{number:04}", 50, results),
        )
        for number in range(1, 5)
    ]
    for child in children:
        child.start()
    found = [results.get(timeout=60) for _ in children]
    for child in children:
        child.join(60)
    assert found == [0, 0, 0, 0]
    assert [child.exitcode for child in children] == [0] * 4


def test_the_answer_to_another_question_is_refused(fake: FakeCluster, cluster: Cluster) -> None:
    other = {"id": "application_1700000000000_0002", "state": "RUNNING"}
    fake.resource_manager.answers_with = lambda _: Answer.json({"app": other})
    with pytest.raises(ClusterResponseError, match=r"_0002.*_0001"):
        cluster.resource_manager.application("application_1700000000000_0001")


def test_a_connection_with_an_answer_left_in_it_is_not_used_again(http: HttpClient) -> None:
    """The rest would be taken for the beginning of the next answer."""
    connections: list[int] = []

    def answer(connection: socket.socket) -> None:
        connections.append(connection.fileno())
        connection.sendall(HEAD + b"0123")
        time.sleep(0.05)
        connection.sendall(b"456789")

    with serving(answer) as url:
        deadline = Deadline.after(timedelta(seconds=30))
        response = http.open("GET", url, what="Asking", daemon=RESOURCE_MANAGER, deadline=deadline)
        chunks = http.chunks(
            response, url, what="Asking", daemon=RESOURCE_MANAGER, deadline=deadline
        )
        assert next(iter(chunks)) == b"0123"
        chunks.close()
        assert asks(http, url, 30) == b"0123456789"
        assert response.closed


def test_an_answer_that_ends_with_its_connection_is_read_whole(http: HttpClient) -> None:
    """As a DataNode's: with its last byte the socket is closed, and is given no more time."""

    def answer(connection: socket.socket) -> None:
        head = HEAD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        connection.sendall(head + b"0123456789")

    with serving(answer) as url:
        assert asks(http, url, 30) == b"0123456789"


def test_a_late_head_leaves_the_body_only_the_rest_of_the_time(
    http: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is waited for is what the socket is told, so no clock is looked at here."""
    asked: list[float] = []
    released = threading.Event()

    def answer(connection: socket.socket) -> None:
        time.sleep(0.3)
        connection.sendall(HEAD + b"0123")
        released.wait(30)

    settimeout = socket.socket.settimeout

    def noted(self: socket.socket, value: float | None) -> None:
        if value is not None:
            asked.append(value)
        settimeout(self, value)

    monkeypatch.setattr(socket.socket, "settimeout", noted)
    with serving(answer) as url, pytest.raises(ClusterTimeoutError):
        asks(http, url, 1.0)
    released.set()
    # For the connection, the head, and then for each part of the body what is left.
    assert asked[-1] < 0.75
    assert asked == sorted(asked, reverse=True)


def test_an_answer_that_comes_and_comes_ends_with_the_time(
    http: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No part of it is waited for, so no socket would end it."""
    late = 0.0

    def answer(connection: socket.socket) -> None:
        connection.sendall(HEAD.replace(b"10", b"4000000") + bytes(4_000_000))

    monotonic = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + late)
    with serving(answer) as url:
        deadline = Deadline.after(timedelta(seconds=30))
        response = http.open("GET", url, what="Asking", daemon=RESOURCE_MANAGER, deadline=deadline)
        parts = http.chunks(
            response, url, what="Asking", daemon=RESOURCE_MANAGER, deadline=deadline
        )
        assert next(iter(parts))
        late = 30.0
        with pytest.raises(ClusterTimeoutError):
            next(iter(parts))


def test_a_connection_is_left_with_the_time_that_it_had(http: HttpClient) -> None:
    """The next request on it may send gigabytes, and is not to be hurried by the last one."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"01234")
        time.sleep(0.2)
        connection.sendall(b"56789")

    with serving(answer) as url:
        deadline = Deadline.after(timedelta(seconds=30))
        response = http.open("GET", url, what="Asking", daemon=RESOURCE_MANAGER, deadline=deadline)
        found = _socket_of(response)
        before = found.gettimeout()
        rest = http.chunks(
            response,
            url,
            what="Asking",
            daemon=RESOURCE_MANAGER,
            deadline=deadline,
            stalled_seconds=7,
        )
        assert next(iter(rest)) == b"01234"
        assert found.gettimeout() == 7
        assert b"".join(rest) == b"56789"
        assert found.gettimeout() == before


def test_no_time_at_all_is_a_timeout(fake: FakeCluster, http: HttpClient) -> None:
    with pytest.raises(ClusterTimeoutError):
        asks(http, f"{fake.resource_manager.url}/ws/v1/cluster/info", 0)


def test_no_token_is_logged(
    fake: FakeCluster, http: HttpClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Hadoop sends clients to DataNodes with a token in the address."""
    caplog.set_level(logging.DEBUG)
    asks(http, f"{fake.resource_manager.url}/ws/v1/cluster/info?delegation=hunter2&a=b", 30)
    assert "delegation=…&a=b" in caplog.text
    assert "hunter2" not in caplog.text


TOKEN = "hunter2"


@pytest.mark.parametrize(
    "place", ["127.0.0.1:99999", "127.0.0.1:1", ".bad.", "a" * 70, "no such host", "[::1]:99999"]
)
def test_no_error_shows_a_token(
    http: HttpClient, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A NameNode says where data is to go, and adds a token; what it says may be garbled."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ClusterUnreachableError) as caught:
        asks(http, f"http://{place}/webhdfs/v1/x?delegation={TOKEN}", 5)
    assert TOKEN not in "".join(traceback.format_exception(caught.value))
    assert TOKEN not in caplog.text


def test_a_redirect_that_is_logged_or_refused_shows_no_token(
    fake: FakeCluster, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for place in (
        "https://127.0.0.1:1/webhdfs/v1/x?op=CREATE&noredirect=true",
        "http://127.0.0.1:1/webhdfs/v1/x?op=CREATE",
        "http://127.0.0.1:99999/webhdfs/v1/x?op=CREATE",
        "http://[::1/webhdfs/v1/x?op=CREATE",
        "nowhere?op=CREATE",
    ):
        location = f"{place}&delegation={TOKEN}"
        fake.name_node.answers_with = lambda _, location=location: Answer(
            307, b"", {"Location": location}
        )
        with pytest.raises(ClusterError) as caught:
            cluster.files.create(f"{HOME}/x", b"data")
        assert TOKEN not in "".join(traceback.format_exception(caught.value))
        with pytest.raises(ClusterError) as caught:
            cluster.files.status(f"{HOME}/x")
        assert TOKEN not in "".join(traceback.format_exception(caught.value))
    assert TOKEN not in caplog.text


class TestData:
    """Data on its way to and from DataNodes."""

    def test_what_became_shorter_is_told_at_once(self, cluster: Cluster) -> None:
        """Else the DataNode would wait for the rest, and we for the DataNode."""
        with pytest.raises(SpecError, match="95 bytes shorter"):
            cluster.files.create(f"{HOME}/x", io.BytesIO(b"short"), size_bytes=100)

    def test_a_local_fault_is_not_the_data_nodes(self, cluster: Cluster) -> None:
        class Broken:
            def read(self, size: int = -1, /) -> bytes:
                raise OSError(5, "Input/output error")

        with pytest.raises(SpecError, match=r"cannot be read \(Input/output error\)"):
            cluster.files.create(f"{HOME}/x", Broken(), size_bytes=100)

    def test_an_error_of_the_users_own_callback_is_left_as_it_is(self, cluster: Cluster) -> None:
        def progress(_: int) -> None:
            raise BrokenPipeError(32, "Broken pipe")

        with pytest.raises(BrokenPipeError):
            cluster.files.create(f"{HOME}/x", b"data", progress=progress)

    def test_the_answer_is_not_waited_for_as_long_as_the_data_took(
        self, fake: FakeCluster, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[float | None] = []
        open_ = HttpClient.open

        def noted(self: HttpClient, *args: object, **options: object) -> object:
            if options["daemon"] is DATA_NODE:
                asked.append(options["answer_seconds"])  # type: ignore[arg-type]
            return open_(self, *args, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(HttpClient, "open", noted)
        cluster.files.create(f"{HOME}/x", bytes(8 << 20), timeout=timedelta(seconds=3))
        assert asked == [13.0]

    @pytest.mark.parametrize("location", ["http://127.0.0.1:1/login", ""])
    def test_a_redirect_from_a_data_node_is_no_success(
        self, fake: FakeCluster, cluster: Cluster, location: str
    ) -> None:
        headers = {"Location": location} if location else {}
        cluster.files.create(f"{HOME}/there", b"data")
        fake.data_node.answers_with = lambda _: Answer(307, b"elsewhere", headers)
        with pytest.raises(ClusterResponseError, match=r"sent us on to .*nothing was done"):
            cluster.files.create(f"{HOME}/x", b"data")
        with pytest.raises(ClusterResponseError, match="sent us on to"):
            cluster.files.read(f"{HOME}/there")

    def test_a_balancer_that_sends_the_question_on_is_followed_once(
        self, fake: FakeCluster, cluster: Cluster
    ) -> None:
        def balanced(request: Request) -> Answer | None:
            if request.query.get("op") not in ("CREATE", "OPEN") or "balanced" in request.query:
                return None
            query = "&".join(f"{name}={value}" for name, value in request.query.items())
            url = f"{fake.name_node.url}{request.path}?{query}&balanced=1"
            return Answer(307, b"", {"Location": url})

        fake.name_node.answers_with = balanced
        cluster.files.create(f"{HOME}/x", b"data")
        assert cluster.files.read(f"{HOME}/x") == b"data"

        fake.name_node.answers_with = lambda request: Answer(
            307, b"", {"Location": f"{fake.name_node.url}{request.path}?noredirect=true"}
        )
        with pytest.raises(ClusterResponseError, match="and that on again"):
            cluster.files.create(f"{HOME}/y", b"data")

        fake.name_node.answers_with = lambda _: Answer(
            307, b"", {"Location": "https://elsewhere/x?noredirect=true"}
        )
        with pytest.raises(ClusterResponseError, match="another protocol"):
            cluster.files.create(f"{HOME}/y", b"data")

    def test_a_gateway_is_told_who_reads_too(self, fake: FakeCluster, cluster: Cluster) -> None:
        """As one is told who writes: its address hides the query that says so."""
        cluster.files.create(f"{HOME}/x", b"data")

        def gateway(request: Request) -> Answer | None:
            if request.query.get("op") != "OPEN":
                return None
            url = f"{fake.data_node.url}{request.path}?_=opaque"
            return Answer.json({"Location": url})

        fake.name_node.answers_with = gateway
        assert cluster.files.read(f"{HOME}/x") == b"data"
        assert fake.data_node.requests[-1].query["user.name"] == "alice"


def test_a_standby_without_another_is_on_standby(fake: FakeCluster, cluster: Cluster) -> None:
    """It answers 307 with `Refresh` and without a place to go to."""
    fake.resource_manager.answers_with = lambda _: Answer(307, b"", {"Refresh": "5; url=x"})
    with pytest.raises(StandbyError):
        cluster.resource_manager.metrics()


def test_an_answer_that_is_too_large_is_left_unread_and_told(
    cluster: Cluster, fake: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the bound it is read; one byte more, and it is asked for once and not again."""
    monkeypatch.setattr("knit._cluster.rest.client.LARGEST_ANSWER_BYTES", 2 * 1024 * 1024)
    body = b'{"nodes": null}'
    size = 2 * 1024 * 1024
    fake.resource_manager.answers_with = lambda _: Answer(200, body.ljust(size))
    assert cluster.resource_manager.nodes() == []
    size += 1
    asked = len(fake.resource_manager.requests)
    with pytest.raises(ClusterResponseError, match="more than 2 MiB, which is not read"):
        cluster.resource_manager.nodes()
    assert len(fake.resource_manager.requests) == asked + 1
    size = 100
    assert cluster.resource_manager.nodes() == []
