"""SPNEGO as Hadoop's web servers speak it: tokens, proofs, cookies, and who acts for whom."""

from __future__ import annotations

import copy
import io
import logging
import pickle
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import attrs
import pytest

from knit._cluster.cluster import Cluster
from knit._cluster.configuration.config import ClusterConfig
from knit._cluster.identity import short_name
from knit._cluster.rest.client import HttpClient
from knit._cluster.rest.daemons import NAME_NODE, RESOURCE_MANAGER
from knit._cluster.rest.negotiate import KerberosAuthentication
from knit._cluster.security.tickets import Tickets
from knit._values.deadlines import Deadline
from knit.exceptions import (
    AccessDeniedError,
    ConfigurationError,
    KerberosError,
    KerberosRequiredError,
    ServerIdentityError,
    TicketExpiredError,
)
from tests.fakes.cluster import FakeCluster
from tests.fakes.kerberos import FakeTickets, Spnego
from tests.fakes.server import Answer, FakeServer, Request
from tests.fakes.tokens import Issuer

WHAT = "Asking for something"


class Echo(FakeServer):
    """Says yes to everything."""

    def answer(self, request: Request) -> Answer:
        return Answer.json({"user": request.user})


@attrs.frozen
class Talk:
    """A server, the filter before it, and a client."""

    server: FakeServer
    spnego: Spnego
    tickets: FakeTickets
    authentication: KerberosAuthentication
    http: HttpClient

    def get(self, method: str = "GET", **more: object) -> int:
        url = f"{self.server.url.replace('127.0.0.1', 'localhost')}/ws/v1/thing"
        return self.http.request(
            method,
            url,
            what=WHAT,
            daemon=RESOURCE_MANAGER,
            deadline=Deadline.after(timedelta(seconds=20)),
            **more,  # type: ignore[arg-type]
        ).status

    @property
    def proofs(self) -> list[str]:
        """What each request brought along: a token, a cookie or nothing."""
        return [
            "token" if "authorization" in r.headers else "cookie" if "cookie" in r.headers else "-"
            for r in self.server.requests
        ]


def authentication(
    tickets: FakeTickets, *, proof_required: bool = False, acting_for: str | None = None
) -> KerberosAuthentication:
    return KerberosAuthentication(
        tickets, proof_required=proof_required, acting_for=acting_for, short_name=lambda: "al"
    )


def talk_with(server: FakeServer, **options: object) -> Talk:
    tickets = FakeTickets()
    how = authentication(tickets, **options)  # type: ignore[arg-type]
    return Talk(server, Spnego(server), tickets, how, HttpClient(how))


@pytest.fixture
def server() -> Iterator[FakeServer]:
    echo = Echo()
    yield echo
    echo.stop()


@pytest.fixture
def talk(server: FakeServer) -> Iterator[Talk]:
    talk = talk_with(server)
    yield talk
    talk.http.close()


def test_a_token_goes_out_at_once_and_then_the_cookie(talk: Talk) -> None:
    assert [talk.get(), talk.get(), talk.get()] == [200, 200, 200]
    assert talk.proofs == ["token", "cookie", "cookie"]
    assert all(context.is_closed for context in talk.tickets.contexts)


def test_each_request_without_a_cookie_has_a_token_of_its_own(talk: Talk) -> None:
    talk.spnego.gives_cookies = False
    assert [talk.get() for _ in range(3)] == [200, 200, 200]
    assert len(set(talk.spnego.tokens)) == 3


def test_a_cookie_that_is_taken_no_more_is_forgotten(talk: Talk) -> None:
    """A server that was restarted answers 401 once, and is asked again with a token."""
    talk.get()
    talk.spnego.forget_cookies()
    assert talk.get() == 200
    assert talk.get() == 200
    assert talk.proofs == ["token", "cookie", "token", "cookie"]


def test_a_cookie_near_its_end_is_not_used(talk: Talk) -> None:
    talk.spnego.cookie_seconds = 30
    talk.get()
    talk.get()
    assert talk.proofs == ["token", "token"]


def test_a_token_that_is_not_taken_is_not_sent_again(talk: Talk) -> None:
    talk.server.answers_with = lambda _: Answer(401, b"", {"WWW-Authenticate": "Negotiate"})
    assert talk.get() == 401
    assert talk.proofs == ["token"]


def test_cookies_are_kept_by_server(talk: Talk) -> None:
    other = talk_with(Echo())
    try:
        talk.get()
        url = f"{other.server.url}/x"
        talk.http.request(
            "GET", url, what=WHAT, daemon=NAME_NODE, deadline=Deadline.after(timedelta(seconds=20))
        )
        assert other.proofs == ["token"]
        assert talk.authentication.has_proved(talk.server.url.replace("127.0.0.1", "localhost"))
        assert not talk.authentication.has_proved(talk.server.url.replace("http", "https"))
    finally:
        other.server.stop()


@pytest.mark.parametrize("status", [200, 403, 404, 500])
def test_a_server_with_a_wrong_proof_is_an_error_whatever_it_says(talk: Talk, status: int) -> None:
    talk.spnego.proves = lambda _: b"something else"
    talk.spnego.behind = lambda _: Answer.html(status, "As it is")
    with pytest.raises(ServerIdentityError, match="could not prove that it is HTTP@localhost"):
        talk.get()
    assert not talk.authentication._cookies
    assert talk.tickets.contexts[0].is_closed


class TestWithoutAProof:
    """Web servers with Hadoop's defaults know no Kerberos, and answer without one."""

    def test_is_taken_where_nothing_says_that_there_must_be_one(self, talk: Talk) -> None:
        talk.spnego.proves = lambda _: None
        talk.spnego.gives_cookies = False
        assert talk.get() == 200
        assert not talk.authentication.has_proved(talk.server.url.replace("127.0.0.1", "localhost"))

    def test_is_an_error_where_the_configuration_says_so(self, server: FakeServer) -> None:
        talk = talk_with(server, proof_required=True)
        talk.spnego.proves = lambda _: None
        with pytest.raises(ServerIdentityError, match="answered without proving who it is"):
            talk.get()

    def test_is_an_error_where_there_was_one_before(self, talk: Talk) -> None:
        talk.spnego.gives_cookies = False
        talk.get()
        talk.spnego.proves = lambda _: None
        with pytest.raises(ServerIdentityError):
            talk.get()

    def test_is_no_error_where_it_fails_anyway(self, server: FakeServer) -> None:
        """As a daemon does that starts up: its status says more."""
        talk = talk_with(server, proof_required=True)
        talk.server.answers_with = lambda _: Answer.html(503, "Starting")
        assert talk.get() == 503

    def test_servers_that_the_kdc_does_not_know_may_want_none(self, talk: Talk) -> None:
        talk.tickets.unknown_hosts.add("localhost")
        talk.server.answers_with = lambda _: Answer.json({})
        assert talk.get() == 200
        assert talk.proofs == ["-"]
        talk.server.answers_with = None
        with pytest.raises(ServerIdentityError, match="the KDC knows no HTTP@localhost"):
            talk.get()


class TestBodies:
    """What is sent goes to a server that knows us, or to one that asks for nothing."""

    def test_a_stranger_is_greeted_first(self, talk: Talk) -> None:
        assert talk.get("POST", body=b"secret") == 200
        first, second = talk.server.requests
        assert (first.method, first.path, first.body) == ("GET", "/ws/v1/cluster/info", b"")
        assert (second.method, second.body) == ("POST", b"secret")
        assert talk.proofs == ["token", "cookie"]

    def test_one_who_answers_401_gets_none(self, talk: Talk) -> None:
        talk.server.answers_with = lambda _: Answer(401, b"", {"WWW-Authenticate": "Negotiate"})
        with pytest.raises(KerberosRequiredError):
            talk.get("POST", body=b"secret")
        assert [request.method for request in talk.server.requests] == ["GET"]

    def test_a_file_is_sent_only_after_the_cookie_was_tried(self, talk: Talk) -> None:
        """It could not be sent a second time."""
        talk.get()
        talk.spnego.forget_cookies()
        more = {"body": io.BytesIO(b"data"), "headers": {"Content-Length": "4"}}
        assert talk.get("PUT", **more) == 200
        assert [request.body for request in talk.server.requests] == [b"", b"", b"", b"data"]
        assert talk.proofs == ["token", "cookie", "token", "cookie"]

    def test_what_can_be_sent_again_is(self, talk: Talk) -> None:
        talk.get()
        talk.spnego.forget_cookies()
        assert talk.get("POST", body=b"x") == 200
        assert talk.proofs == ["token", "cookie", "token"]


def test_an_ended_ticket_is_none_while_there_is_a_cookie(talk: Talk) -> None:
    talk.get()
    talk.tickets.refusal = TicketExpiredError("The ticket has ended.")
    assert talk.get() == 200
    talk.spnego.forget_cookies()
    with pytest.raises(TicketExpiredError):
        talk.get()
    talk.tickets.refusal = None
    assert talk.get() == 200


def test_where_the_url_says_who_we_are_nothing_is_added(talk: Talk) -> None:
    talk.server.answers_with = lambda _: Answer.json({})
    assert talk.get(query={"delegation": "T"}, authenticate=False) == 200
    assert talk.proofs == ["-"]
    assert "user.name" not in talk.server.requests[0].query


def test_nothing_secret_is_logged_shown_or_told(
    talk: Talk, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        talk.get()
        talk.get()
        [cookie] = talk.spnego.cookies
        exchanges = [
            talk.authentication.exchange(talk.server.url, WHAT),
            talk.authentication.exchange("http://elsewhere:80", WHAT),
        ]
        talk.spnego.proves = lambda _: b"wrong"
        talk.spnego.forget_cookies()
        with pytest.raises(KerberosError) as failure:
            talk.get()
    shown = [repr(talk.authentication), repr(talk.tickets), *map(repr, exchanges)]
    shown += [repr(vars(failure.value)), str(failure.value), caplog.text]
    for secret in (cookie, cookie.partition("s=")[2], *talk.spnego.tokens):
        if len(secret) > 3:
            assert not [text for text in shown if secret in text]


def test_an_address_that_is_none_is_left_to_others_to_tell(talk: Talk) -> None:
    for url in ("http://localhost:99999/x", "http:///x", "http://[::1/x"):
        assert talk.authentication.exchange(url, WHAT).headers == {}
    assert not talk.tickets.contexts


def test_threads_share_one(talk: Talk) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: talk.get(), range(40))) == {200}
    assert len(set(talk.spnego.tokens)) == len(talk.spnego.tokens)


def test_tickets_survive_pickle() -> None:
    tickets = Tickets(keytab="/etc/a.keytab", principal="a@B")
    for other in (pickle.loads(pickle.dumps(tickets)), copy.deepcopy(tickets)):
        assert (other.keytab, other.wanted) == ("/etc/a.keytab", "a@B")


@attrs.frozen
class Secure:
    """A whole cluster with Kerberos."""

    fake: FakeCluster
    name_node: Spnego
    resource_manager: Spnego

    @property
    def config(self) -> ClusterConfig:
        return self.fake.config.with_properties({"hadoop.security.authentication": "kerberos"})


class TestCluster:
    @pytest.fixture
    def secure(self, fake: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> Secure:
        monkeypatch.setenv("HADOOP_USER_NAME", "mallory")
        monkeypatch.delenv("HADOOP_PROXY_USER", raising=False)
        monkeypatch.setattr("knit._cluster.cluster.Tickets", lambda **_: FakeTickets())
        issuer = Issuer("WEBHDFS delegation", "127.0.0.1:8020")
        fake.name_node.tokens = fake.data_node.tokens = issuer
        return Secure(fake, Spnego(fake.name_node), Spnego(fake.resource_manager))

    @pytest.fixture
    def cluster(self, secure: Secure) -> Iterator[Cluster]:
        with Cluster(secure.config) as cluster:
            yield cluster

    def test_nobody_is_named_and_the_cluster_says_who_we_are(
        self, secure: Secure, cluster: Cluster
    ) -> None:
        assert cluster.user == "alice"
        assert cluster.user == "alice"
        assert len(secure.fake.name_node.asked(op="GETHOMEDIRECTORY")) == 1
        assert cluster.resource_manager.nodes()
        assert cluster.files.list_directory("/user/alice") == []
        for server in (secure.fake.name_node, secure.fake.resource_manager):
            assert server.requests
            for request in server.requests:
                assert "user.name" not in request.query
                assert "mallory" not in str(request)

    def test_data_goes_by_the_token_in_the_url(self, secure: Secure, cluster: Cluster) -> None:
        cluster.files.create("/user/alice/x", b"data")
        assert cluster.files.read("/user/alice/x") == b"data"
        assert secure.fake.file_system.entries["/user/alice/x"].owner == "alice"
        assert len(secure.fake.data_node.requests) == 2
        for request in secure.fake.data_node.requests:
            assert "delegation" in request.query
            assert "authorization" not in request.headers
            assert "cookie" not in request.headers

    def test_where_no_file_system_says_it_the_resource_manager_does(
        self, secure: Secure, cluster: Cluster
    ) -> None:
        secure.name_node.behind = lambda _: Answer.error(403, "StandbyException", "on standby")
        answers = secure.resource_manager.behind
        secure.resource_manager.behind = lambda request: (
            Answer.json({"rmLoginUser": "rm", "requestedUser": "al"})
            if request.path.endswith("/userinfo")
            else answers(request)
        )
        assert cluster.user == "al"

    def test_what_has_not_proved_itself_does_not_know_who_we_are(
        self, secure: Secure, cluster: Cluster
    ) -> None:
        """Web servers with Hadoop's defaults tell what they think of dr.who."""
        secure.fake.name_node.answers_with = lambda _: Answer.json({"Path": "/user/dr.who"})
        secure.fake.resource_manager.answers_with = lambda _: Answer.json(
            {"requestedUser": "dr.who"}
        )
        assert cluster.user == "alice"

    def test_own_rules_are_the_last_resort(self, secure: Secure) -> None:
        rules = "RULE:[1:$1@$0](.*@EXAMPLE.COM)s/@.*/-x/ DEFAULT"
        secure.fake.name_node.answers_with = lambda _: Answer.html(404, "Nothing")
        config = secure.config.with_properties({"hadoop.security.auth_to_local": rules})
        with Cluster(config) as cluster:
            assert cluster.user == "alice-x"

    def test_default_is_for_the_realm_of_the_daemons_and_not_of_the_principal(
        self, secure: Secure
    ) -> None:
        """Else whoever is of another realm would take somebody else's name for theirs."""
        secure.fake.name_node.answers_with = lambda _: Answer.html(404, "Nothing")
        config = secure.config.with_properties(
            {"yarn.resourcemanager.principal": "rm/_HOST@KNIT.TEST"}
        )
        with Cluster(config) as cluster, pytest.raises(ConfigurationError) as no:
            _ = cluster.user
        assert "default realm KNIT.TEST" in no.value.message
        assert r"RULE:[1:$1@$0](.*@EXAMPLE\.COM)s/@.*//" in no.value.message

    def test_who_the_cluster_has_no_rule_for_is_told_so_and_takes_no_name(
        self, secure: Secure, cluster: Cluster
    ) -> None:
        said = "KerberosName$NoMatchingRule: No rules applied to alice@EXAMPLE.COM"
        secure.name_node.behind = lambda _: Answer(500, f'{{"cause0":"{said}"}}'.encode())
        with pytest.raises(KerberosError, match="no rule of its hadoop"):
            _ = cluster.user
        with pytest.raises(KerberosError, match="no rule of its hadoop"):
            cluster.files.home_directory()

    def test_without_a_ticket_nobody_is_asked(self, secure: Secure, cluster: Cluster) -> None:
        assert isinstance(cluster.tickets, FakeTickets)
        cluster.tickets.refusal = TicketExpiredError("The ticket has ended.")
        with pytest.raises(TicketExpiredError):
            _ = cluster.user
        assert not secure.fake.name_node.requests

    def test_who_we_act_for_is_named_beside(
        self, secure: Secure, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake = secure.fake
        monkeypatch.setenv("HADOOP_PROXY_USER", "bob")
        with Cluster(secure.config) as cluster:
            assert cluster.user == cluster.acting_for == "bob"
            assert cluster.files.home_directory() == "/user/bob"
            cluster.resource_manager.nodes()
        [request] = fake.name_node.asked(op="GETDELEGATIONTOKEN")
        assert request.query["doas"] == "bob"
        assert fake.resource_manager.requests[-1].query["doAs"] == "bob"
        with Cluster(secure.config, user="carol") as cluster:
            assert cluster.user == "carol"

    def test_a_refusal_to_act_for_somebody_says_what_an_administrator_sets(
        self, secure: Secure
    ) -> None:
        said = "User: alice@EXAMPLE.COM is not allowed to impersonate bob"
        secure.resource_manager.behind = lambda _: Answer.error(403, "AuthorizationException", said)
        with Cluster(secure.config, user="bob") as cluster, pytest.raises(AccessDeniedError) as no:
            cluster.resource_manager.nodes()
        assert said in no.value.message
        for name in ("hosts", "users"):
            assert f"hadoop.proxyuser.alice.{name}" in no.value.message
        assert "HADOOP_USER_NAME" not in no.value.message

    def test_nobody_has_to_act_for_himself(self, secure: Secure) -> None:
        said = "User: alice@EXAMPLE.COM is not allowed to impersonate alice"
        secure.resource_manager.behind = lambda _: Answer.error(403, "AuthorizationException", said)
        with (
            Cluster(secure.config, user="alice") as cluster,
            pytest.raises(
                AccessDeniedError, match=r"You are alice already.*leave the user out"
            ) as no,
        ):
            cluster.resource_manager.nodes()
        assert "hadoop.proxyuser" not in no.value.message

    def test_a_member_without_an_address_is_passed_over(
        self, fake: FakeCluster, secure: Secure
    ) -> None:
        """Its name is known to no KDC, and to no DNS: the other one is asked."""
        unknown = "http://rm-1.internal.invalid:8088"
        config = secure.config.with_properties(
            {
                "knit.resourcemanager.url": f"{unknown},{fake.resource_manager.url}",
                "hadoop.http.authentication.type": "kerberos",
            }
        )
        with Cluster(config) as cluster:
            tickets = cluster.tickets
            assert isinstance(tickets, FakeTickets)
            tickets.unknown_hosts.add("rm-1.internal.invalid")
            assert len(cluster.resource_manager.nodes()) == 2
            assert cluster.resource_manager.new_application().maximum_mib == 8192


def test_who_we_are_is_asked_for_no_longer_than_is_given(caplog: pytest.LogCaptureFixture) -> None:
    """Then our own rules say it."""
    tickets = FakeTickets()
    how = authentication(tickets)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        config = ClusterConfig.from_properties(
            {
                "fs.defaultFS": "hdfs://127.0.0.1:8020",
                "dfs.namenode.http-address": address,
                "yarn.resourcemanager.webapp.address": address,
            }
        )
        with caplog.at_level(logging.DEBUG, "knit"):
            name = short_name(config, HttpClient(how), how, timeout=timedelta(seconds=0.3))
    assert name == "alice"
    told = [each.getMessage() for each in caplog.records if "was not told" in each.getMessage()]
    assert len(told) == 2
    assert all("0.3 s" in each for each in told), told
