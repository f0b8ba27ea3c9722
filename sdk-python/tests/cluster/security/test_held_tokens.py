"""A client in a container without a ticket, by the tokens that the container holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import attrs
import pytest

from knit import ApplicationSpec, Service
from knit._cluster.cluster import Cluster
from knit._cluster.configuration.config import ClusterConfig
from knit._cluster.rest.by_token import TOKEN_HEADER
from knit._cluster.security.held_tokens import SUBMISSION_SECRET, TOKEN_FILE_VARIABLE, HeldTokens
from knit._cluster.security.tickets import Tickets
from knit._cluster.security.token_file import Credentials
from knit._cluster.security.tokens import Token
from knit._submission.tokens import fetch_tokens
from knit.exceptions import (
    ConfigurationError,
    StandbyError,
    TicketMissingError,
    TokenUnavailableError,
)
from tests.fakes.cluster import FakeCluster
from tests.fakes.server import Answer, Request
from tests.fakes.tokens import Issuer, identifier
from tests.fakes.yarn import FakeResourceManager

RM_SERVICE = "127.0.0.1:8032"
FS_SERVICE = "127.0.0.1:8020"
RM_TOKEN = Token(identifier("alice", "rm"), b"p1", "RM_DELEGATION_TOKEN", RM_SERVICE)


@pytest.fixture
def fake() -> Iterator[FakeCluster]:
    with FakeCluster() as running:
        running.name_node.tokens = running.data_node.tokens = Issuer(
            "HDFS_DELEGATION_TOKEN", FS_SERVICE
        )
        yield running


@pytest.fixture
def fs_token(fake: FakeCluster) -> Token:
    assert fake.name_node.tokens is not None
    return fake.name_node.tokens.issue("alice", "rm")


@pytest.fixture(autouse=True)
def _no_ticket(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: Tickets, what: str) -> None:
        raise TicketMissingError(f"{what}: there is no ticket.")

    monkeypatch.setattr(Tickets, "credentials", missing)


def config_of(fake: FakeCluster) -> ClusterConfig:
    return fake.config.with_properties(
        {
            "hadoop.security.authentication": "kerberos",
            "knit.door": "rest",
            "yarn.resourcemanager.principal": "rm/_HOST@EXAMPLE.COM",
            "yarn.resourcemanager.address": RM_SERVICE,
        }
    )


def hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *tokens: Token) -> Path:
    path = tmp_path / "container_tokens"
    Credentials({token.service: token for token in tokens}).to_file(path)
    monkeypatch.setenv(TOKEN_FILE_VARIABLE, str(path))
    return path


def test_each_is_shown_its_own_token_and_nobody_another(
    fake: FakeCluster, fs_token: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(tmp_path, monkeypatch, fs_token, RM_TOKEN)
    with Cluster(config_of(fake), timeout=timedelta(seconds=5)) as cluster:
        assert cluster.user == "alice"
        cluster.files.create("/user/alice/a", b"text")
        cluster.resource_manager.metrics()
    shown = [r.headers.get(TOKEN_HEADER.lower()) for r in fake.resource_manager.requests]
    assert shown == [RM_TOKEN.url_string()]
    for request in (*fake.name_node.requests, *fake.data_node.requests):
        assert request.query["delegation"] == fs_token.url_string()
        assert TOKEN_HEADER.lower() not in request.headers
    assert not fake.name_node.asked(op="GETDELEGATIONTOKEN")


def test_a_submission_hands_on_what_is_held(
    fake: FakeCluster, fs_token: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(tmp_path, monkeypatch, fs_token, RM_TOKEN)
    spec = ApplicationSpec("demo", {"w": Service("c")})
    with Cluster(config_of(fake), timeout=timedelta(seconds=5)) as cluster:
        assert fetch_tokens(cluster, spec) == (fs_token, RM_TOKEN)
    assert not fake.name_node.asked(op="GETDELEGATIONTOKEN")


def test_what_an_application_master_renews_is_not_handed_on(
    fake: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a keytab it names itself, and YARN would refuse what it cannot renew."""
    assert fake.name_node.tokens is not None
    own = fake.name_node.tokens.issue("alice", "alice@EXAMPLE.COM")
    hold(tmp_path, monkeypatch, own, RM_TOKEN)
    with (
        Cluster(config_of(fake), timeout=timedelta(seconds=5)) as cluster,
        pytest.raises(TokenUnavailableError, match="is renewed by its Application Master"),
    ):
        fetch_tokens(cluster, ApplicationSpec("demo", {"w": Service("c")}))


def test_beside_those_it_holds_others_to_hand_on(
    fake: FakeCluster, fs_token: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Application Master renews what its containers use, and YARN what they submit with."""
    assert fake.name_node.tokens is not None
    own = fake.name_node.tokens.issue("alice", "alice@EXAMPLE.COM")
    own_of_rm = Token(identifier("alice", "alice"), b"p2", "RM_DELEGATION_TOKEN", RM_SERVICE)
    others = Credentials({"fs": fs_token, "rm": RM_TOKEN})
    path = hold(tmp_path, monkeypatch, own, own_of_rm)
    held = Credentials.from_file(path)
    attrs.evolve(held, secrets={SUBMISSION_SECRET: others.to_bytes()}).to_file(path)
    with Cluster(config_of(fake), timeout=timedelta(seconds=5)) as cluster:
        spec = ApplicationSpec("demo", {"w": Service("c")})
        assert fetch_tokens(cluster, spec) == (fs_token, RM_TOKEN)
        cluster.files.create("/user/alice/a", b"text")
        cluster.resource_manager.metrics()
    assert fake.name_node.requests[-1].query["delegation"] == own.url_string()
    shown = fake.resource_manager.requests[-1].headers.get(TOKEN_HEADER.lower())
    assert shown == own_of_rm.url_string()


def test_others_that_cannot_be_read_are_told(
    fake: FakeCluster, fs_token: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = hold(tmp_path, monkeypatch, fs_token, RM_TOKEN)
    attrs.evolve(Credentials.from_file(path), secrets={SUBMISSION_SECRET: b"x"}).to_file(path)
    with (
        Cluster(config_of(fake)) as cluster,
        pytest.raises(ConfigurationError, match=r"to submit applications with.*does not begin"),
    ):
        fetch_tokens(cluster, ApplicationSpec("demo", {"w": Service("c")}))


def test_a_file_that_is_replaced_is_read_anew(
    fake: FakeCluster, fs_token: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver runs for as long as its application, and is given new tokens meanwhile."""
    path = hold(tmp_path, monkeypatch, fs_token, RM_TOKEN)
    with Cluster(config_of(fake), timeout=timedelta(seconds=5)) as cluster:
        later = Token(identifier("alice", "rm"), b"p3", "RM_DELEGATION_TOKEN", RM_SERVICE)
        hold(tmp_path, monkeypatch, fs_token, later)
        cluster.resource_manager.metrics()
        shown = fake.resource_manager.requests[-1].headers.get(TOKEN_HEADER.lower())
        assert shown == later.url_string()
        path.write_bytes(b"half")
        assert cluster.held is not None
        assert cluster.held.of_resource_manager(cluster.config) == later
        path.unlink()
        assert cluster.held.of_resource_manager(cluster.config) == later


def test_what_is_not_held_is_told_with_the_field_to_set(
    fake: FakeCluster, fs_token: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(tmp_path, monkeypatch, fs_token)
    with Cluster(config_of(fake), timeout=timedelta(seconds=5)) as cluster:
        with pytest.raises(TokenUnavailableError, match="set resource_manager_token of"):
            cluster.resource_manager.metrics()
        held = cluster.held
        assert held is not None
        with pytest.raises(TokenUnavailableError, match="name it in file_systems"):
            held.of_file_system(cluster.config, "hdfs://127.0.0.1:9000")
        with pytest.raises(TokenUnavailableError, match="key management server kms://x"):
            held.of_key_management_server("kms://x")
    assert not fake.resource_manager.requests


def test_a_ticket_comes_first(
    fake: FakeCluster, fs_token: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(tmp_path, monkeypatch, fs_token)
    monkeypatch.setattr(Tickets, "credentials", lambda *_: None)
    with Cluster(config_of(fake)) as cluster:
        assert cluster.held is None
        assert cluster.tickets is not None


def test_whoever_names_a_keytab_or_another_user_means_tickets(
    fake: FakeCluster, fs_token: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(tmp_path, monkeypatch, fs_token)
    for cluster in (
        Cluster(config_of(fake), keytab=tmp_path / "k"),
        Cluster(config_of(fake), user="bob"),
    ):
        with cluster:
            assert cluster.held is None


def test_without_kerberos_nobody_looks(
    fake: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_FILE_VARIABLE, str(tmp_path / "missing"))
    with Cluster(fake.config, user="alice") as cluster:
        assert cluster.held is None


def test_a_file_that_cannot_be_used_is_told(
    fake: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tokens"
    monkeypatch.setenv(TOKEN_FILE_VARIABLE, str(path))
    with pytest.raises(ConfigurationError, match="cannot be used: No such file"):
        Cluster(config_of(fake))
    path.write_text("no tokens")
    with pytest.raises(ConfigurationError, match="does not begin with HDTS"):
        Cluster(config_of(fake))


def test_whose_they_are_is_not_guessed(fake: FakeCluster) -> None:
    other = Token(b"x", b"y", "S3ADelegationToken/Session", "s3a://bucket")
    assert HeldTokens(Credentials({"a": other})).owner == ""
    broken = Token(b"", b"y", "HDFS_DELEGATION_TOKEN", FS_SERVICE)
    assert HeldTokens(Credentials({"a": broken, "b": RM_TOKEN})).owner == "alice"


def unknown(_: Request) -> Answer:
    return Answer.error(
        403,
        "AuthenticationException",
        "org.apache.hadoop.security.token.SecretManager$InvalidToken: Token for real user: , "
        "can't be found in cache",
    )


def test_a_resource_manager_on_standby_knows_no_token_and_the_other_is_asked(
    fake: FakeCluster, fs_token: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(tmp_path, monkeypatch, fs_token, RM_TOKEN)
    standby = FakeResourceManager()
    standby.answers_with = unknown
    both = f"{standby.url},{fake.resource_manager.url}"
    config = config_of(fake).with_properties({"knit.resourcemanager.url": both})
    try:
        with Cluster(config, timeout=timedelta(seconds=2)) as cluster:
            assert cluster.resource_manager.metrics().active_nodes == 2
            fake.resource_manager.answers_with = unknown
            with pytest.raises(StandbyError, match=r"does not know the delegation token.*kinit"):
                cluster.resource_manager.metrics()
    finally:
        standby.stop()
