"""Data that goes by a delegation token of the client's own, which somebody takes away meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from knit._cluster.hdfs import own_token
from knit._cluster.hdfs.own_token import OwnToken
from knit._cluster.hdfs.rpc_files import FileSystemPlace, RpcFiles
from knit._cluster.hdfs.rpc_messages import PROTOCOL
from knit._cluster.hdfs.transfer import DataNodes
from knit._cluster.hdfs.webhdfs import WebHdfs
from knit._cluster.rest.authentication import SimpleAuthentication
from knit._cluster.rest.client import HttpClient
from knit._cluster.rest.daemons import NAME_NODE
from knit._cluster.rpc.client import RpcClient
from knit._cluster.rpc.connection import Endpoint
from knit._cluster.rpc.sasl import Identity
from knit._cluster.security.tokens import Token
from knit._staging.staging import Staging
from knit._staging.values import StagedFile, StagingProgress
from knit.exceptions import AccessDeniedError, ClusterError
from tests.fakes.cluster import FakeCluster
from tests.fakes.rpc import FakeRpcServer
from tests.fakes.rpc_faces import NameNodeFace
from tests.fakes.server import Answer, Request
from tests.fakes.tokens import Issuer, identifier

PATH = "/user/alice/x"
FIVE = timedelta(seconds=5)


@pytest.fixture
def issuer(fake: FakeCluster) -> Issuer:
    issuer = Issuer("HDFS_DELEGATION_TOKEN", "")
    fake.name_node.tokens = fake.data_node.tokens = issuer
    return issuer


Make = Callable[..., "WebHdfs | RpcFiles"]


@pytest.fixture(params=["rest", "rpc"])
def make(request: pytest.FixtureRequest, fake: FakeCluster, issuer: Issuer) -> Iterator[Make]:
    """Makes the file system by one of the ways, by a token of its own or by one that is held."""
    http = HttpClient(SimpleAuthentication("alice"))
    server = FakeRpcServer(PROTOCOL, NameNodeFace(fake.name_node))
    endpoint = Endpoint(
        host="127.0.0.1", port=server.port, daemon=NAME_NODE, protocol=PROTOCOL.name
    )

    def make(held: Callable[[], Token] | None = None) -> WebHdfs | RpcFiles:
        if request.param == "rest":
            urls = (fake.name_node.url,)
            return WebHdfs(http, urls, timeout=FIVE, by_token=True, held=held)
        return RpcFiles(
            RpcClient([endpoint], PROTOCOL, Identity(user="alice")),
            DataNodes(http),
            FileSystemPlace(name="127.0.0.1:8020", https=False),
            user=lambda: "alice",
            claimed=None,
            timeout=FIVE,
            held=held,
        )

    yield make
    http.close()
    server.stop()


@pytest.fixture
def files(make: Make) -> WebHdfs | RpcFiles:
    return make()


def taken_away(fake: FakeCluster, issuer: Issuer, method: str, *, times: int) -> list[str]:
    """Has tokens cancelled as a DataNode is shown them: on their way, so many times."""
    shown: list[str] = []

    def cancel(request: Request) -> Answer | None:
        if request.method == method and len(shown) < times:
            shown.append(request.query["delegation"])
            assert issuer.cancel(shown[-1])
        return None

    fake.data_node.answers_with = cancel
    return shown


class TestThatIsTakenAway:
    def test_bytes_are_sent_once_more_with_another_one(
        self, fake: FakeCluster, files: WebHdfs | RpcFiles, issuer: Issuer
    ) -> None:
        taken_away(fake, issuer, "PUT", times=1)
        files.create(PATH, b"data")
        assert fake.file_system.entries[PATH].data == b"data"
        assert fake.file_system.entries[PATH].owner == "alice"
        assert len(issuer.issued) == len(fake.data_node.requests) == 2

    def test_so_are_they_read(
        self, fake: FakeCluster, files: WebHdfs | RpcFiles, issuer: Issuer
    ) -> None:
        files.create(PATH, b"data")
        taken_away(fake, issuer, "GET", times=1)
        assert files.read(PATH) == b"data"
        assert len(issuer.issued) == 2

    @pytest.mark.parametrize("method", ["PUT", "GET"])
    def test_beyond_once_it_is_told_without_telling_the_token(
        self, fake: FakeCluster, files: WebHdfs | RpcFiles, issuer: Issuer, method: str
    ) -> None:
        files.create(PATH, b"data")
        shown = taken_away(fake, issuer, method, times=9)
        with pytest.raises(AccessDeniedError, match=r"has ended, or was cancelled.*kinit") as told:
            files.read(PATH) if method == "GET" else files.create(PATH, b"data", overwrite=True)
        assert len(shown) == len(set(shown)) == 2
        assert not any(token in str(told.value) for token in shown)

    def test_a_file_that_was_read_is_for_its_owner_to_send_again(
        self, fake: FakeCluster, files: WebHdfs | RpcFiles, issuer: Issuer, tmp_path: Path
    ) -> None:
        (tmp_path / "a").write_bytes(b"data")
        taken_away(fake, issuer, "PUT", times=1)
        with (tmp_path / "a").open("rb") as file:
            with pytest.raises(AccessDeniedError):
                files.create(PATH, file)
            file.seek(0)
            files.create(PATH, file, overwrite=True)
        assert fake.file_system.entries[PATH].data == b"data"
        assert len(issuer.issued) == 2

    def test_uploads_do_so(
        self, fake: FakeCluster, files: WebHdfs | RpcFiles, issuer: Issuer, tmp_path: Path
    ) -> None:
        (tmp_path / "a").write_bytes(b"12345")
        taken_away(fake, issuer, "PUT", times=1)
        seen: list[StagingProgress] = []
        [staged] = staging(files).stage([StagedFile(source=tmp_path / "a")], seen.append)
        assert (staged.size_bytes, seen[-1].sent_bytes, seen[-1].total_bytes) == (5, 5, 5)
        assert len(fake.data_node.requests) == 2

    def test_and_once_only(
        self, fake: FakeCluster, files: WebHdfs | RpcFiles, issuer: Issuer, tmp_path: Path
    ) -> None:
        (tmp_path / "a").write_bytes(b"12345")
        shown = taken_away(fake, issuer, "PUT", times=9)
        with pytest.raises(AccessDeniedError, match="has ended, or was cancelled"):
            staging(files).stage([StagedFile(source=tmp_path / "a")])
        assert len(shown) == 2
        assert fake.file_system.below("/user/alice/.knit/cache") == []


def staging(files: WebHdfs | RpcFiles) -> Staging:
    def nowhere(url: str) -> None:
        raise AssertionError(url)

    return Staging(files, "hdfs://127.0.0.1:8020", locate=nowhere)  # type: ignore[arg-type]


class TestAtTheEnd:
    def test_it_is_cancelled(self, files: WebHdfs | RpcFiles, issuer: Issuer) -> None:
        files.create(PATH, b"data")
        assert len(issuer.live) == 1
        files.close()
        assert issuer.live == []
        files.close()

    def test_so_are_those_that_were_replaced(
        self, files: WebHdfs | RpcFiles, issuer: Issuer
    ) -> None:
        """Each is good for a day, whatever it was used for."""
        for _ in range(3):
            files.create(PATH, b"data", overwrite=True)
            files._own_token._good_until = 0  # type: ignore[union-attr]
        assert len(issuer.live) == 3
        files.close()
        assert issuer.live == []

    def test_what_was_fetched_for_others_is_left_alone(
        self, make: Make, files: WebHdfs | RpcFiles, issuer: Issuer
    ) -> None:
        """Those of submissions; and what a container holds is its application's."""
        submitted = files.delegation_token("rm")
        held = make(held=lambda: submitted)
        held.create(PATH, b"data")
        for each in (held, files):
            each.close()
        assert issuer.live == [submitted]

    def test_a_file_system_that_was_not_used_is_not_asked(
        self, fake: FakeCluster, files: WebHdfs | RpcFiles
    ) -> None:
        files.close()
        assert fake.name_node.requests == []

    @pytest.mark.parametrize("answer", [None, Answer.html(500, "No"), Answer.error(403, "X", "Y")])
    def test_where_that_fails_nobody_is_told(
        self, fake: FakeCluster, files: WebHdfs | RpcFiles, answer: Answer | None
    ) -> None:
        files.create(PATH, b"data")
        if answer is None:
            fake.name_node.stop()
        else:
            fake.name_node.answers_with = lambda _: answer
        files.close()


def test_a_name_node_that_hangs_holds_nobody_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all tokens together."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    given: list[timedelta] = []

    def hang(token: Token, timeout: timedelta) -> None:
        given.append(timeout)
        now[0] += timeout.total_seconds()
        raise ClusterError("no answer")

    own = fetched(3, cancel=hang)
    own.close()
    assert given == [own_token.CANCELLING]
    own.close()
    assert len(given) == 1, "they are given up"


def test_no_more_are_kept_than_are_good_for_anything() -> None:
    cancelled: list[Token] = []
    fetched(own_token.MOST_CANCELLED + 5, cancel=lambda token, _: cancelled.append(token)).close()
    assert len(cancelled) == own_token.MOST_CANCELLED


def test_a_process_that_was_forked_leaves_its_parent_s(monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled: list[Token] = []
    own = fetched(1, cancel=lambda token, _: cancelled.append(token))
    own._lock.get().acquire()  # by a thread that the child has not
    monkeypatch.setattr(os, "getpid", lambda: -1)
    own.close()
    assert cancelled == []
    assert own.url_string()
    own.close()
    assert len(cancelled) == 1


def fetched(count: int, *, cancel: Callable[[Token, timedelta], None]) -> OwnToken:
    """So many that were fetched, one after the other."""
    numbers = iter(range(1, count + 10))

    def fetch() -> Token:
        data = identifier("alice", "alice", number=next(numbers))
        return Token(data, b"", "HDFS_DELEGATION_TOKEN", "")

    own = OwnToken(fetch, cancel)
    for _ in range(count):
        own.forget(own.url_string())
    return own
