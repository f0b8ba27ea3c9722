"""The file system by a delegation token of the client's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from knit._cluster.hdfs import own_token
from knit._cluster.hdfs.own_token import OwnToken
from knit._cluster.hdfs.webhdfs import WebHdfs
from knit._cluster.rest.authentication import SimpleAuthentication
from knit._cluster.rest.client import HttpClient
from knit._cluster.security.tokens import Token, TokenIdentifier
from knit.exceptions import ClusterError, ClusterResponseError
from tests.fakes.cluster import FakeCluster
from tests.fakes.server import Answer, Request
from tests.fakes.tokens import Issuer, identifier

KIND = "WEBHDFS delegation"


@pytest.fixture
def issuer(fake: FakeCluster) -> Issuer:
    issuer = Issuer(KIND, "127.0.0.1:8020")
    fake.name_node.tokens = fake.data_node.tokens = issuer
    return issuer


@pytest.fixture
def files(fake: FakeCluster, issuer: Issuer) -> Iterator[WebHdfs]:
    http = HttpClient(SimpleAuthentication("alice"))
    yield WebHdfs(http, (fake.name_node.url,), timeout=timedelta(seconds=5), by_token=True)
    http.close()


def test_one_token_does_for_all_that_one_client_does(
    fake: FakeCluster, files: WebHdfs, issuer: Issuer
) -> None:
    files.create("/user/alice/a", b"text")
    assert files.read("/user/alice/a") == b"text"
    assert fake.file_system.entries["/user/alice/a"].owner == "alice"
    assert len(issuer.issued) == 1
    (first, *others) = [*fake.name_node.requests, *fake.data_node.requests]
    assert first.query["op"] == "GETDELEGATIONTOKEN"
    assert others
    assert all("user.name" not in request.query for request in others)
    assert {r.query["delegation"] for r in others} == {issuer.issued[0].url_string()}


def test_threads_share_it(files: WebHdfs, issuer: Issuer) -> None:
    barrier = threading.Barrier(8)

    def look(_: int) -> None:
        barrier.wait()
        files.status("/user/alice")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(look, range(8)))
    assert len(issuer.issued) == 1


def test_one_that_the_file_system_no_longer_knows_is_fetched_anew(
    files: WebHdfs, issuer: Issuer
) -> None:
    files.status("/user/alice")
    issuer.cancel_all()
    files.create("/user/alice/a", b"text")
    assert len(issuer.issued) == 2


def test_a_file_system_that_knows_none_is_not_asked_for_ever(
    fake: FakeCluster, files: WebHdfs, issuer: Issuer
) -> None:
    def refuse(request: Request) -> Answer | None:
        if "delegation" not in request.query:
            return None
        return Answer.error(403, "InvalidToken", "token can't be found in cache")

    fake.name_node.answers_with = refuse
    with pytest.raises(ClusterError, match="can't be found") as caught:
        files.status("/user/alice")
    assert len(issuer.issued) == 2
    assert issuer.issued[0].url_string() not in str(caught.value)


def test_a_token_names_its_renewer(files: WebHdfs) -> None:
    for renewer, short in (("rm/host@REALM", "rm"), ("", ""), (None, "alice")):
        found = TokenIdentifier.of(files.delegation_token(renewer))
        assert found is not None
        assert (found.owner, found.renewer) == ("alice", short)


@pytest.mark.parametrize(
    "answer",
    [
        {"Token": None},
        {"Token": {}},
        {"Token": {"urlString": "no token"}},
        {"Token": {"urlString": "AAAA"}},
        {"Token": []},
        {},
    ],
)
def test_an_answer_without_a_token_is_told(
    fake: FakeCluster, files: WebHdfs, answer: object
) -> None:
    fake.name_node.answers_with = lambda _: Answer.json(answer)
    with pytest.raises(ClusterResponseError, match="Asking for a delegation token"):
        files.delegation_token("rm")


@pytest.mark.parametrize(
    ("said", "expected"),
    [("kms://https@kms:9600/kms", "kms://https@kms:9600/kms"), ("", None), (None, None)],
)
def test_the_file_system_says_where_its_keys_are(
    fake: FakeCluster, files: WebHdfs, said: str | None, expected: str | None
) -> None:
    fake.name_node.key_provider = said
    assert files.key_provider() == expected


@pytest.mark.parametrize(
    ("life", "used"),
    [
        (timedelta(days=7), own_token.FETCHED_ANEW_AFTER),
        (timedelta(seconds=100), timedelta(seconds=75)),
        (timedelta(), timedelta()),
    ],
)
def test_it_is_fetched_anew_before_it_ends(
    monkeypatch: pytest.MonkeyPatch, life: timedelta, used: timedelta
) -> None:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    fetched: list[Token] = []

    def fetch() -> Token:
        data = identifier("alice", "alice", life=life, number=len(fetched))
        fetched.append(Token(data, b"", KIND, ""))
        return fetched[-1]

    own = OwnToken(fetch)
    first = own.url_string()
    if used:
        now[0] += used.total_seconds() - 1
        assert own.url_string() == first
        now[0] += 1
    assert own.url_string() != first
    assert len(fetched) == 2


def test_of_a_token_that_says_nothing_an_hour_is_believed() -> None:
    own = OwnToken(lambda: Token(b"\xff", b"", KIND, ""))
    assert own.url_string() == own.url_string()


def test_only_the_token_that_failed_is_forgotten() -> None:
    tokens = iter([Token(b"1", b"", KIND, ""), Token(b"2", b"", KIND, "")])
    own = OwnToken(lambda: next(tokens))
    first = own.url_string()
    own.forget(first)
    second = own.url_string()
    own.forget(first)
    assert own.url_string() == second
