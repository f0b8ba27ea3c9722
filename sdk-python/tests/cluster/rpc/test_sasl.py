"""How both ends agree on who they are, message by message."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from knit._cluster.rpc import wire
from knit._cluster.rpc.digest_md5 import DigestMd5
from knit._cluster.rpc.protection import Protection, SaslRefusedError
from knit._cluster.rpc.sasl import Agreement, Identity, negotiate
from knit._cluster.security.tickets import Tickets
from knit._cluster.security.tokens import Token

TOKEN = Token(b"\0alice", b"secret", "RM_DELEGATION_TOKEN", "")
CHALLENGE = b'realm="default",nonce="bm9uY2U=",qop="auth",charset=utf-8,algorithm=md5-sess'


def message(state: int, token: bytes = b"", *auths: tuple[str, str]) -> Any:
    made = wire.MESSAGES.new("Sasl", state=state, token=token)
    for method, mechanism in auths:
        challenge = CHALLENGE if mechanism == "DIGEST-MD5" else b""
        made.auths.add(method=method, mechanism=mechanism, server_id="default", challenge=challenge)
    return made


def offer(*auths: tuple[str, str]) -> Any:
    return message(wire.NEGOTIATE, b"", *auths)


BY_TOKEN, BY_TICKET, BY_NAME = ("TOKEN", "DIGEST-MD5"), ("KERBEROS", "GSSAPI"), ("SIMPLE", "")


def talk(
    messages: Iterable[Any], identity: Identity | None = None, sent: list[Any] | None = None
) -> Agreement:
    def send(frame: bytes) -> None:
        _, body = wire.delimited(frame[4:])
        if sent is not None:
            sent.append(wire.MESSAGES.read("Sasl", body))

    return negotiate(
        identity or Identity(token=TOKEN),
        (Protection.AUTHENTICATION,),
        None,
        address="127.0.0.1",
        what="Trying",
        send=send,
        receive=iter(messages).__next__,
    )


@pytest.fixture
def proof(monkeypatch: pytest.MonkeyPatch) -> Callable[[], bytes]:
    """What the server says to show that it knows the secret."""
    made: list[DigestMd5] = []
    original = DigestMd5.respond

    def respond(self: DigestMd5, challenge: bytes) -> bytes:
        made.append(self)
        return original(self, challenge)

    monkeypatch.setattr(DigestMd5, "respond", respond)
    return lambda: f"rspauth={made[-1]._expected}".encode()


def test_the_first_of_the_servers_ways_that_we_can_go_is_taken(proof: Callable[[], bytes]) -> None:
    sent: list[Any] = []

    def server() -> Iterable[Any]:
        yield offer(BY_NAME, BY_TICKET, BY_TOKEN)
        yield message(wire.SUCCESS, proof())

    agreed = talk(server(), sent=sent)
    assert agreed.method == "TOKEN"
    assert agreed.mechanism is not None
    assert agreed.mechanism.is_complete
    assert [each.state for each in sent] == [wire.NEGOTIATE, wire.INITIATE]
    assert [(a.method, a.mechanism, a.server_id) for a in sent[1].auths] == [(*BY_TOKEN, "default")]
    assert sent[1].auths[0].challenge == b""


@pytest.mark.parametrize(
    ("identity", "auths", "words"),
    [
        (Identity(token=TOKEN), [BY_TICKET], "takes KERBEROS, and we have a token"),
        (Identity(token=TOKEN), [BY_NAME], "takes SIMPLE, and we have a token"),
        (Identity(token=TOKEN), [("TOKEN", "SCRAM")], "takes TOKEN, and we have a token"),
        (Identity(tickets=Tickets()), [BY_TOKEN, BY_NAME], "takes TOKEN, SIMPLE, .* Kerberos"),
        (Identity(tickets=Tickets(), token=TOKEN), [], "takes nothing, .* a token and Kerberos"),
    ],
)
def test_where_there_is_no_way_both_sides_are_told(
    identity: Identity, auths: list[tuple[str, str]], words: str
) -> None:
    with pytest.raises(SaslRefusedError, match=words):
        talk([offer(*auths)], identity)


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([message(wire.SUCCESS)], "wants no proof at all"),
        ([offer(BY_TOKEN), message(wire.SUCCESS)], "content before it had proved itself"),
        ([message(wire.CHALLENGE, b"x")], "message of state 3"),
        ([offer(BY_TOKEN), offer(BY_TOKEN)], "message of state 1"),
        ([offer(BY_TOKEN), message(wire.WRAP, b"x")], "message of state 5"),
    ],
)
def test_a_server_that_does_not_keep_to_the_order_is_not_believed(
    messages: list[Any], words: str
) -> None:
    with pytest.raises(SaslRefusedError, match=words):
        talk(messages)


def test_a_server_that_goes_on_and_on_is_left(proof: Callable[[], bytes]) -> None:
    asked = []

    def server() -> Iterable[Any]:
        yield offer(BY_TOKEN)
        while True:
            asked.append(1)
            yield message(wire.CHALLENGE, proof())

    with pytest.raises(SaslRefusedError, match="not content after 10 messages"):
        talk(server())
    assert len(asked) < 12
