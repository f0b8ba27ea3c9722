"""The delegation tokens of a submission, and what is said of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest

from knit import ApplicationSpec, Driver, FileSystem, Service
from knit._cluster.cluster import Cluster
from knit._cluster.security.token_services import resource_manager_service
from knit._cluster.security.tokens import Token, TokenIdentifier
from knit._submission.facts import ClusterFacts
from knit._submission.token_advice import PROXY_PRIVILEGES, explain_renewal, token_advice
from knit._submission.tokens import check_tokens, fetch_tokens, file_systems_of
from knit.exceptions import (
    ClusterError,
    ConfigurationError,
    SubmissionError,
    TokenUnavailableError,
)
from tests.fakes.cluster import FakeCluster
from tests.fakes.server import Answer, FakeServer, Request
from tests.fakes.tokens import Issuer

RM_SERVICE = "127.0.0.1:8032"


class FakeKms(FakeServer):
    """A key management server, as far as tokens go."""

    def __init__(self) -> None:
        self.tokens = Issuer("kms-dt", "")
        super().__init__()

    def answer(self, request: Request) -> Answer:
        if request.path != "/kms/v1/" or request.query.get("op") != "GETDELEGATIONTOKEN":
            return Answer.html(404, "Error 404 Not Found")
        token = self.tokens.issue("alice", request.query["renewer"])
        return Answer.json({"Token": {"urlString": token.url_string()}})


@pytest.fixture
def fake() -> Iterator[FakeCluster]:
    with FakeCluster() as running:
        issuer = Issuer("WEBHDFS delegation", "10.9.8.7:8020")
        running.name_node.tokens = running.data_node.tokens = issuer
        running.resource_manager.tokens = Issuer("RM_DELEGATION_TOKEN", "")
        yield running


@pytest.fixture
def other() -> Iterator[FakeCluster]:
    """Another cluster, whose file system is used as well."""
    with FakeCluster() as running:
        running.name_node.tokens = Issuer("WEBHDFS delegation", "10.6.6.6:8020")
        yield running


@pytest.fixture
def kms() -> Iterator[FakeKms]:
    server = FakeKms()
    yield server
    server.stop()


def kerberized(fake: FakeCluster, **properties: str) -> Cluster:
    """A cluster that says it has Kerberos, and believes names all the same."""
    cluster = Cluster(fake.config, user="alice", timeout=timedelta(seconds=5))
    cluster.config = fake.config.with_properties(
        {
            "hadoop.security.authentication": "kerberos",
            "knit.door": "rest",
            "yarn.resourcemanager.principal": "rm/_HOST@EXAMPLE.COM",
            "yarn.resourcemanager.address": "127.0.0.1:8032",
            **properties,
        }
    )
    return cluster


def far_away(other: FakeCluster) -> dict[str, str]:
    """The properties by which another cluster's file system is `hdfs://far`."""
    return {
        "dfs.nameservices": "far",
        "dfs.ha.namenodes.far": "n1",
        "dfs.namenode.http-address.far.n1": f"127.0.0.1:{other.name_node.port}",
    }


def spec(**changes: Any) -> ApplicationSpec:
    return ApplicationSpec("demo", {"w": Service("c")}, **changes)


def by_kind(tokens: tuple[Token, ...]) -> dict[str, list[Token]]:
    found: dict[str, list[Token]] = {}
    for token in tokens:
        found.setdefault(token.kind, []).append(token)
    return found


def renewer_of(token: Token) -> str:
    found = TokenIdentifier.of(token)
    assert found is not None
    return found.renewer


def test_without_kerberos_there_are_none(fake: FakeCluster) -> None:
    with Cluster(fake.config, user="alice") as cluster:
        check_tokens(cluster, spec())
        assert fetch_tokens(cluster, spec()) == ()
    assert not fake.name_node.requests


def test_the_file_system_and_the_resource_manager_give_one_each(fake: FakeCluster) -> None:
    with kerberized(fake) as cluster:
        tokens = by_kind(fetch_tokens(cluster, spec()))
    assert {*tokens} == {"HDFS_DELEGATION_TOKEN", "RM_DELEGATION_TOKEN"}
    [hdfs], [manager] = tokens.values()
    # As containers will look for it, and not as the web server names it.
    assert hdfs.service == "127.0.0.1:8020"
    assert manager.service == RM_SERVICE
    assert renewer_of(hdfs) == renewer_of(manager) == "rm"
    asked = fake.name_node.asked(op="GETDELEGATIONTOKEN")
    assert "rm/localhost@EXAMPLE.COM" in [request.query.get("renewer") for request in asked]


def test_a_client_that_is_closed_gives_its_own_token_back(fake: FakeCluster) -> None:
    """And not those of what it has submitted, which goes on."""
    with kerberized(fake) as cluster:
        cluster.files.status("/user/alice")
        tokens = by_kind(fetch_tokens(cluster, spec()))
        assert fake.name_node.tokens is not None
        assert len(fake.name_node.tokens.live) == 2
    [live] = fake.name_node.tokens.live
    assert live.identifier == tokens["HDFS_DELEGATION_TOKEN"][0].identifier
    [cancelled] = fake.name_node.asked(op="CANCELDELEGATIONTOKEN")
    assert "user.name" not in cancelled.query


def test_a_client_s_own_token_is_another_one(fake: FakeCluster) -> None:
    """YARN cancels those of the submission after its end."""
    with kerberized(fake) as cluster:
        cluster.files.status("/user/alice")
        fetch_tokens(cluster, spec())
        cluster.files.status("/user/alice")
    shown = {r.query["delegation"] for r in fake.name_node.asked(op="GETFILESTATUS")}
    assert fake.name_node.tokens is not None
    own, of_submission = fake.name_node.tokens.issued
    assert shown == {own.url_string()}
    assert renewer_of(own) == "alice"
    assert renewer_of(of_submission) == "rm"


def test_named_file_systems_give_one_each(fake: FakeCluster, other: FakeCluster) -> None:
    with kerberized(fake, **far_away(other)) as cluster:
        tokens = by_kind(
            fetch_tokens(
                cluster, spec(file_systems=[FileSystem("hdfs://far", without_renewer=True)])
            )
        )
    own, far = tokens["HDFS_DELEGATION_TOKEN"]
    assert (own.service, renewer_of(own)) == ("127.0.0.1:8020", "rm")
    assert (far.service, renewer_of(far)) == ("ha-hdfs:far", "")


def test_the_file_systems_of_files_count_and_the_own_one_does_not() -> None:
    services = {
        "w": Service(
            "c",
            files=["hdfs://own/a", "hdfs:///b", "/local", "hdfs://x:8020/c", "s3a://bucket/d"],
            python_environment="hdfs://y/env.tar.gz",
        )
    }
    found = file_systems_of(
        "hdfs://own",
        ApplicationSpec(
            "demo",
            services,
            driver=Driver("c", files=["hdfs://z/e"]),
            file_systems=["hdfs://own", FileSystem("hdfs://y", without_renewer=True)],
        ),
    )
    assert {each.url: each.without_renewer for each in found} == {
        "hdfs://y": True,
        "hdfs://x:8020": False,
        "hdfs://z": False,
    }


def test_what_the_own_file_system_is_made_of_counts_too() -> None:
    """Any path may lead there; one that is listed is taken as it is listed."""
    named = FileSystem("hdfs://b", without_renewer=True)
    mounted = ["hdfs://a", "hdfs://b", "hdfs://c"]
    found = file_systems_of("hdfs://a", spec(file_systems=[named]), mounted)
    assert found == [named, FileSystem("hdfs://c")]


def test_one_that_is_named_and_gives_none_is_told(fake: FakeCluster, other: FakeCluster) -> None:
    other.name_node.tokens = None
    with (
        kerberized(fake, **far_away(other)) as cluster,
        pytest.raises(TokenUnavailableError, match="hdfs://far, which it names, and that gave"),
    ):
        fetch_tokens(cluster, spec(file_systems=["hdfs://far"]))


def test_what_https_gateways_issue_is_of_no_use_to_containers(
    fake: FakeCluster, other: FakeCluster
) -> None:
    """HttpFS's own tokens look like the NameNode's, but name no service."""
    other.name_node.tokens = Issuer("WEBHDFS delegation", "")
    with kerberized(fake, **{"knit.webhdfs.url": other.name_node.url}) as cluster:
        [token] = by_kind(fetch_tokens(cluster, spec()))["HDFS_DELEGATION_TOKEN"]
        assert fake.name_node.tokens is not None
        assert token.password == fake.name_node.tokens.issued[0].password
        assert token.service == "127.0.0.1:8020"
        fake.name_node.tokens = None
        with pytest.raises(TokenUnavailableError, match=r"is HttpFS.*Make the NameNode reachable"):
            fetch_tokens(cluster, spec())


@pytest.mark.parametrize(
    "name", ["hadoop.security.key.provider.path", "dfs.encryption.key.provider.uri"]
)
def test_a_key_provider_that_is_configured_gives_one(
    fake: FakeCluster, kms: FakeKms, name: str
) -> None:
    uri = f"kms://http@127.0.0.1;localhost:{kms.port}/kms"
    with kerberized(fake, **{name: uri}) as cluster:
        [token] = by_kind(fetch_tokens(cluster, spec()))["kms-dt"]
    assert token.service == uri
    assert renewer_of(token) == "rm"


@pytest.mark.parametrize(
    ("version", "is_by_address"),
    [
        *(("2.10.2", True), ("3.0.0-cdh6.3.2", True), ("3.1.1.7.1.9.0-387", True)),
        *(("3.2.0", False), ("3.10.0", False)),
        # By RPC it is not told.
        ("", True),
    ],
)
def test_before_hadoop_3_2_its_clients_find_it_by_address_too(
    fake: FakeCluster, kms: FakeKms, version: str, is_by_address: bool
) -> None:
    fake.resource_manager.version = version
    uri = f"kms://http@127.0.0.1;localhost;unknown.invalid:{kms.port}/kms"
    with kerberized(fake, **{"hadoop.security.key.provider.path": uri}) as cluster:
        tokens = by_kind(fetch_tokens(cluster, spec()))["kms-dt"]
    by_address = [f"127.0.0.1:{kms.port}"] if is_by_address else []
    assert [token.service for token in tokens] == [uri, *by_address]
    # They are one token, and no other was fetched.
    assert len(kms.tokens.issued) == 1
    assert {(token.identifier, token.password) for token in tokens} == {
        (tokens[0].identifier, tokens[0].password)
    }


def test_one_that_only_the_file_system_names_gives_one_too(fake: FakeCluster, kms: FakeKms) -> None:
    fake.name_node.key_provider = f"kms://http@127.0.0.1:{kms.port}/kms"
    with kerberized(fake) as cluster:
        [token] = by_kind(fetch_tokens(cluster, spec()))["kms-dt"]
    assert token.service == fake.name_node.key_provider


@pytest.mark.parametrize("uri", ["kms://http@", "kms://ftp@host/kms", "kms://host/kms"])
def test_a_key_provider_of_another_form_is_told(fake: FakeCluster, uri: str) -> None:
    with (
        kerberized(fake, **{"hadoop.security.key.provider.path": uri}) as cluster,
        pytest.raises(ConfigurationError, match="is not of the form kms://"),
    ):
        fetch_tokens(cluster, spec())


def test_providers_that_are_files_need_none(fake: FakeCluster) -> None:
    uri = "jceks://file/etc/keys.jceks"
    with kerberized(fake, **{"hadoop.security.key.provider.path": uri}) as cluster:
        assert "kms-dt" not in by_kind(fetch_tokens(cluster, spec()))


def test_what_cannot_be_named_is_told_before_anything_is_sent(fake: FakeCluster) -> None:
    with (
        kerberized(fake, **{"yarn.resourcemanager.principal": ""}) as cluster,
        pytest.raises(ConfigurationError, match=r"yarn\.resourcemanager\.principal"),
    ):
        check_tokens(cluster, spec())
    assert not fake.resource_manager.requests
    assert not fake.name_node.requests


def advice(fake: FakeCluster, given: ApplicationSpec) -> list[str]:
    with kerberized(fake) as cluster:
        tokens = fetch_tokens(cluster, given)
        return list(token_advice(ClusterFacts(cluster), given, tokens))


@pytest.mark.parametrize(
    ("configured", "said"),
    [
        ({PROXY_PRIVILEGES: "true"}, "are collected beyond that, for the ResourceManager has"),
        ({PROXY_PRIVILEGES: "false"}, "no logs are collected, for the ResourceManager lacks"),
        ({}, "are collected beyond that only where the ResourceManager has"),
    ],
)
def test_it_is_told_when_they_end(fake: FakeCluster, configured: dict[str, str], said: str) -> None:
    fake.resource_manager.configuration = configured
    [sentence] = advice(fake, spec())
    ends = datetime.now().astimezone() + timedelta(days=7)
    assert ends.strftime("%Y-%m-%d") in sentence
    assert said in sentence


def test_with_a_keytab_their_end_is_no_news(fake: FakeCluster) -> None:
    assert not advice(fake, spec(keytab="/k", principal="alice@R"))


def test_it_is_told_which_nobody_renews(fake: FakeCluster) -> None:
    given = spec(file_systems=[FileSystem("hdfs://127.0.0.1:8020", without_renewer=True)])
    *_, sentence = advice(fake, given)
    assert sentence.startswith("Nobody renews the token for 127.0.0.1:8020")


REFUSED = (
    "Submitting application_1_1: the scheduler refused it (Failed to renew token: Kind: {kind}, "
    "Service: {service}, Ident: (token for alice: ...))."
)


@pytest.mark.parametrize(
    ("kind", "service", "said"),
    [
        ("HDFS_DELEGATION_TOKEN", "ha-hdfs:far", "without_renewer=True"),
        ("HDFS_DELEGATION_TOKEN", "127.0.0.1:8020", "which here is rm/_HOST@EXAMPLE.COM"),
        ("RM_DELEGATION_TOKEN", RM_SERVICE, "of the ResourceManager, 127.0.0.1:8032.*renews as"),
        ("kms-dt", "kms://http@kms:9600/kms", "of the key management server.*renews as"),
        ("other", "x", "delegation token of other, x. Ask the cluster's administrators"),
    ],
)
def test_a_token_that_could_not_be_renewed_is_told_with_the_way_out(
    fake: FakeCluster, kind: str, service: str, said: str
) -> None:
    with kerberized(fake) as cluster:
        tokens = (*fetch_tokens(cluster, spec()),)
        tokens += (
            attrs.evolve(tokens[0], service="ha-hdfs:far"),
            Token(b"", b"", "kms-dt", "kms://http@kms:9600/kms"),
        )
        error = SubmissionError(REFUSED.format(kind=kind, service=service), url="http://rm")
        found = explain_renewal(cluster.config, tokens, error)
    assert "could not renew the delegation token" in found.message
    assert re.search(said, found.message)
    assert found.url == "http://rm"


def test_another_refusal_is_left_as_it_is(fake: FakeCluster) -> None:
    error = SubmissionError("queue is closed", url=None)
    assert explain_renewal(fake.config, (), error) is error


def test_no_error_holds_a_token(fake: FakeCluster) -> None:
    """Of all that can go wrong after it was fetched, the RM's refusal comes nearest."""
    with kerberized(fake) as cluster:
        fake.resource_manager.answers_with = lambda request: (
            Answer.error(500, "Boom", json.dumps(dict(request.query)))
            if request.path.endswith("delegation-token")
            else None
        )
        with pytest.raises(ClusterError) as caught:
            fetch_tokens(cluster, spec())
        assert fake.name_node.tokens is not None
        for token in fake.name_node.tokens.issued:
            assert token.url_string() not in f"{caught.value!r} {caught.value}"


def test_the_service_is_that_of_both_resource_managers(fake: FakeCluster) -> None:
    pair = {
        "yarn.resourcemanager.ha.enabled": "true",
        "yarn.resourcemanager.ha.rm-ids": "b,a",
        "yarn.resourcemanager.address.a": "127.0.0.1:1",
        "yarn.resourcemanager.address.b": "127.0.0.1:2",
    }
    with kerberized(fake, **pair) as cluster:
        assert resource_manager_service(cluster.config) == "127.0.0.1:2,127.0.0.1:1"
