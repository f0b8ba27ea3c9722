"""Connections with tickets: who the server has to be, and what protects what is said."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from knit._cluster.configuration.principals import ServerPrincipal
from knit._cluster.rest.daemons import RESOURCE_MANAGER
from knit._cluster.rpc.client import RpcClient
from knit._cluster.rpc.connection import Endpoint
from knit._cluster.rpc.kerberos import Kerberos, target_of
from knit._cluster.rpc.protection import Protection, SaslRefusedError
from knit._cluster.rpc.sasl import Identity
from knit._cluster.security.gssapi import DEFECTIVE_TOKEN, GssError
from knit._cluster.security.tickets import Tickets
from knit._values.deadlines import Deadline
from knit.exceptions import AccessDeniedError, TicketExpiredError, TicketMissingError
from tests.cluster.rpc.test_connection import ECHO, Start, call, echo
from tests.fakes.realm import Realm, use_realm
from tests.fakes.rpc import FakeRpcServer

SERVICE = "rm/localhost"
PRINCIPAL = ServerPrincipal("yarn.resourcemanager.principal", f"{SERVICE}@EXAMPLE.COM")


@pytest.fixture
def realm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Realm:
    realm = use_realm(monkeypatch, tmp_path)
    realm.write_cache(SERVICE)
    realm.write_keytab(SERVICE)
    return realm


@pytest.fixture
def start() -> Iterator[Start]:
    servers: list[FakeRpcServer] = []

    def started(**fields: Any) -> FakeRpcServer:
        servers.append(FakeRpcServer(ECHO, echo, service=SERVICE, **fields))
        return servers[-1]

    yield started
    for server in servers:
        server.stop()


def client_of(
    server: FakeRpcServer,
    *protections: Protection,
    principal: ServerPrincipal = PRINCIPAL,
    **identity: Any,
) -> RpcClient:
    endpoint = Endpoint(
        host="127.0.0.1",
        port=server.port,
        daemon=RESOURCE_MANAGER,
        protocol=ECHO.name,
        principal=principal,
        protections=protections or (Protection.AUTHENTICATION,),
    )
    return RpcClient([endpoint], ECHO, Identity(tickets=Tickets(), **identity))


@pytest.mark.parametrize("protection", list(Protection))
def test_a_ticket_lets_in_however_the_connection_is_protected(
    realm: Realm, start: Start, protection: Protection
) -> None:
    """More than fits one wrapped message, both ways; and none is longer than the server takes."""
    server = start(qop="auth,auth-int,auth-conf", largest_bytes=4096)
    client = client_of(server, protection)
    data = os.urandom(200_000)
    assert call(client, data) == data
    assert call(client) == b"x"
    assert {made.user for made in server.calls} == {"alice"}
    if protection is not Protection.AUTHENTICATION:
        assert 2048 < server.longest_wrapped <= 4096
    client.close()


def test_the_first_protection_that_both_want_is_taken(realm: Realm, start: Start) -> None:
    server = start(qop="auth,auth-int")
    client = client_of(server, Protection.PRIVACY, Protection.INTEGRITY, Protection.AUTHENTICATION)
    assert call(client) == b"x"
    assert server.longest_wrapped > 0
    client.close()


def test_no_common_protection_is_told_with_both_lists(realm: Realm, start: Start) -> None:
    words = r"offers as protection: authentication, integrity; hadoop\.rpc\.protection .*: privacy"
    with pytest.raises(AccessDeniedError, match=words):
        call(client_of(start(qop="auth,auth-int"), Protection.PRIVACY))


def test_a_server_that_says_it_is_somebody_else_is_not_spoken_to(
    realm: Realm, start: Start
) -> None:
    server = start()
    other = ServerPrincipal(PRINCIPAL.property, "rm/other@EXAMPLE.COM")
    with pytest.raises(AccessDeniedError, match=r"says that it is rm/localhost@EXAMPLE.*rm/other"):
        call(client_of(server, principal=other))
    assert server.calls == []


def test_who_it_has_to_be_is_a_name_or_a_pattern() -> None:
    told = ("rm", "node1", "10.0.0.1")
    assert target_of(ServerPrincipal("p", "rm/node1@A.COM"), *told) == "rm/node1@A.COM"
    fitting = ServerPrincipal("p", "rm/_HOST@A.COM", pattern="rm/node?@*")
    assert target_of(fitting, *told) == "rm/node1@A.COM"
    with pytest.raises(SaslRefusedError, match=r"does not fit p\.pattern, rm/edge\*"):
        target_of(ServerPrincipal("p", "rm/node1@A.COM", pattern="rm/edge*"), *told)


def test_whose_calls_they_are_is_said_only_where_it_is_somebody_else(
    realm: Realm, start: Start
) -> None:
    server = start()
    assert call(client_of(server)) == b"x"
    assert call(client_of(server, proxied_user="bob")) == b"x"
    own, others = (context.user for context in server.contexts)
    assert not own.effective_user
    assert (others.effective_user, others.real_user) == ("bob", "")


def test_without_a_ticket_that_serves_nothing_is_said(realm: Realm, start: Start) -> None:
    server = start()
    realm.write_cache(SERVICE, ends=-5)
    with pytest.raises(TicketExpiredError):
        call(client_of(server))
    realm.cache.unlink()
    with pytest.raises(TicketMissingError):
        call(client_of(server))
    assert server.contexts == []


def test_a_ticket_that_comes_later_is_used(realm: Realm, start: Start) -> None:
    client = client_of(start())
    realm.cache.unlink()
    with pytest.raises(TicketMissingError):
        call(client)
    realm.write_cache(SERVICE)
    assert call(client) == b"x"


class _Talk:
    """Stands for a talk with a server that says what it likes."""

    def __init__(self, *, encrypts: bool = True) -> None:
        self.encrypts = encrypts
        self.is_complete = True
        self.is_closed = False

    def unwrap(self, data: bytes) -> tuple[bytes, bool]:
        if data == b"changed":
            raise GssError(DEFECTIVE_TOKEN, 0, "A token had an invalid MIC")
        return data, self.encrypts

    def wrap(self, data: bytes, *, confidential: bool) -> bytes:
        return data

    def wrap_size_limit(self, most: int, *, confidential: bool) -> int:
        return most - 60

    def close(self) -> None:
        self.is_closed = True


def mechanism(talk: _Talk, *protections: Protection) -> Kerberos:
    made = Kerberos(f"{SERVICE}@EXAMPLE.COM", Tickets(), protections, "Trying")
    made._context.close()
    made._context = talk  # type: ignore[assignment]
    return made


def test_what_is_offered_is_four_bytes_and_what_was_agreed_on_holds(realm: Realm) -> None:
    for offer in (b"", b"\x07", b"\x07\x00\x10\x00\x00"):
        with pytest.raises(SaslRefusedError, match=rf"in {len(offer)} bytes"):
            mechanism(_Talk(), Protection.PRIVACY).respond(offer)
    made = mechanism(_Talk(encrypts=False), Protection.PRIVACY)
    assert not made.is_complete
    assert made.respond(b"\x07\x00\x10\x00")[:1] == b"\x04"
    assert made.is_complete
    assert made.layer is not None
    with pytest.raises(SaslRefusedError, match="in the clear what was to be encrypted"):
        made.layer.unwrap(b"an answer")
    assert made.layer.largest_bytes == 4096 - 60


def test_a_server_that_takes_next_to_nothing_is_told_that_at_a_time(realm: Realm) -> None:
    made = mechanism(_Talk(), Protection.INTEGRITY)
    made.respond(b"\x02\x00\x00\x00")
    assert made.layer is not None
    assert made.layer.largest_bytes == 1


def test_an_offer_that_was_changed_is_told(realm: Realm) -> None:
    from knit.exceptions import KerberosError

    with pytest.raises(KerberosError, match="invalid MIC"):
        mechanism(_Talk(), Protection.INTEGRITY).respond(b"changed")


def test_a_talk_that_fails_is_given_back(realm: Realm, start: Start) -> None:
    closed: list[str] = []
    server = start(qop="auth")

    class Watched(Tickets):
        pass

    original = Kerberos.close

    def close(self: Kerberos) -> None:
        closed.append(self._target)
        original(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Kerberos, "close", close)
        with pytest.raises(AccessDeniedError):
            call(client_of(server, Protection.PRIVACY))
    assert closed == [f"{SERVICE}@EXAMPLE.COM"]


def test_time_that_is_over_begins_nothing(realm: Realm, start: Start) -> None:
    from knit.exceptions import ClusterTimeoutError

    with pytest.raises(ClusterTimeoutError):
        client_of(start()).call(
            "echo", what="Trying", deadline=Deadline.after(timedelta()), data=b"x"
        )
