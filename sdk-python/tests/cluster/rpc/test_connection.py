"""Connections: how they begin, what protects them, how they end, and what is sent again."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from knit._cluster.configuration.principals import ServerPrincipal
from knit._cluster.rest.daemons import RESOURCE_MANAGER
from knit._cluster.rpc import sasl
from knit._cluster.rpc.client import Protocol, RpcClient
from knit._cluster.rpc.connection import Connection, Endpoint
from knit._cluster.rpc.protection import Protection
from knit._cluster.rpc.sasl import Identity
from knit._cluster.rpc.schema import Schema
from knit._cluster.security.tokens import Token
from knit._values.deadlines import Deadline
from knit.exceptions import (
    AccessDeniedError,
    ClusterError,
    ClusterResponseError,
    ClusterTimeoutError,
    ClusterUnreachableError,
    StandbyError,
    WrongPortError,
)
from tests.fakes.kerberos import FakeTickets
from tests.fakes.rpc import FakeRpcServer, JavaError, RpcCall, _Session
from tests.fakes.server import closed_port

SCHEMA = Schema(
    "echo",
    """
message EchoRequest {
  optional bytes data = 1;
}
message EchoResponse {
  optional bytes data = 1;
}
""",
)
ECHO = Protocol(name="org.example.Echo", schema=SCHEMA)
TOKEN = Token(b"\0alice", b"secret", "RM_DELEGATION_TOKEN", "")
Start = Callable[..., FakeRpcServer]


def echo(call: RpcCall) -> Any:
    return SCHEMA.new("EchoResponse", data=call.request.data)


@pytest.fixture
def start() -> Iterator[Start]:
    servers: list[FakeRpcServer] = []

    def started(handler: Callable[[RpcCall], Any] = echo, **fields: Any) -> FakeRpcServer:
        servers.append(FakeRpcServer(ECHO, handler, **fields))
        return servers[-1]

    yield started
    for server in servers:
        server.stop()


def client_of(
    *ports: int,
    identity: Identity | None = None,
    protections: tuple[Protection, ...] = (Protection.AUTHENTICATION,),
    principal: ServerPrincipal | None = None,
) -> RpcClient:
    endpoints = [
        Endpoint(
            host="127.0.0.1",
            port=port,
            daemon=RESOURCE_MANAGER,
            protocol=ECHO.name,
            protections=protections,
            principal=principal,
        )
        for port in ports
    ]
    return RpcClient(endpoints, ECHO, identity or Identity(user="alice"))


def call(client: RpcClient, data: bytes = b"x", *, seconds: float = 20, **options: Any) -> bytes:
    deadline = Deadline.after(timedelta(seconds=seconds))
    found: bytes = client.call("echo", what="Trying", deadline=deadline, data=data, **options).data
    return found


@pytest.mark.parametrize("protection", list(Protection))
def test_a_token_lets_in_however_the_connection_is_protected(
    start: Start, protection: Protection
) -> None:
    """More than fits one wrapped message, both ways."""
    server = start(token=TOKEN, qop="auth,auth-int,auth-conf", largest_bytes=4096)
    client = client_of(server.port, identity=Identity(token=TOKEN), protections=(protection,))
    data = os.urandom(200_000)
    assert call(client, data) == data
    assert call(client) == b"x"
    assert {made.user for made in server.calls} == {"alice"}
    assert server.longest_wrapped <= server.largest_bytes
    client.close()


def test_a_wrong_token_is_refused(start: Start) -> None:
    server = start(token=TOKEN)
    other = Token(TOKEN.identifier, b"guess", TOKEN.kind, "")
    with pytest.raises(AccessDeniedError, match="does not take our token") as caught:
        call(client_of(server.port, identity=Identity(token=other)))
    assert "guess" not in str(caught.value)


def test_no_common_protection_is_told_with_both_lists(start: Start) -> None:
    server = start(token=TOKEN, qop="auth")
    client = client_of(
        server.port, identity=Identity(token=TOKEN), protections=(Protection.PRIVACY,)
    )
    with pytest.raises(AccessDeniedError, match=r"offers as protection: authentication; .*privacy"):
        call(client)


def test_a_server_that_wants_no_proof_gets_none_of_who_has_one(start: Start) -> None:
    """Whoever answers in the server's place could have us say anything."""
    server = start()
    with pytest.raises(AccessDeniedError, match="the server wants no proof at all"):
        call(client_of(server.port, identity=Identity(token=TOKEN)))
    assert server.calls == []


def test_a_name_is_refused_where_proof_is_wanted(start: Start) -> None:
    server = start(token=TOKEN)
    with pytest.raises(AccessDeniedError, match="SIMPLE is off"):
        call(client_of(server.port), repeatable=False)


def test_threads_share_one_connection_and_get_their_own_answers(start: Start) -> None:
    server = start()
    client = client_of(server.port)
    with ThreadPoolExecutor(8) as pool:
        wanted = [b"%d" % number for number in range(200)]
        assert list(pool.map(lambda data: call(client, data), wanted)) == wanted
    assert server.connections == 1
    assert len({made.call_id for made in server.calls}) == 200


def test_an_idle_connection_that_the_server_ended_is_made_anew(start: Start) -> None:
    server = start()
    client = client_of(server.port)
    call(client)
    server.hang_up()
    assert call(client, repeatable=False) in (b"x",)
    assert server.connections == 2


def test_a_repeat_has_the_number_by_which_it_is_known(start: Start) -> None:
    server = start(breaks=["echo"])
    client = client_of(server.port)
    assert call(client) == b"x"
    first, second = server.calls
    assert (first.call_id, first.client_id) == (second.call_id, second.client_id)
    assert (first.retry_count, second.retry_count) == (0, 1)
    assert len(first.client_id) == 16


def test_what_is_not_repeatable_is_not_done_twice(start: Start) -> None:
    server = start(breaks=["echo"])
    with pytest.raises(ClusterUnreachableError, match="closed the connection before it had answer"):
        call(client_of(server.port), repeatable=False)
    assert len(server.calls) == 1


def test_the_other_member_of_a_pair_is_asked(start: Start) -> None:
    def standby(call: RpcCall) -> Any:
        raise JavaError("org.apache.hadoop.ipc.StandbyException", "in state standby")

    client = client_of(closed_port(), start(standby).port, start().port)
    assert call(client) == b"x"
    assert client.active is client.endpoints[2]
    with pytest.raises(StandbyError, match=r"on standby.*No other ResourceManager answered"):
        call(client_of(start(standby).port, closed_port()), seconds=0.4)


def test_an_exception_is_told_in_our_words(start: Start) -> None:
    def refuse(call: RpcCall) -> Any:
        name = "org.apache.hadoop.yarn.exceptions.YarnException"
        inner = "org.apache.hadoop.security.AccessControlException: bob may not\n\tat java.X"
        raise JavaError(name, inner)

    with pytest.raises(AccessDeniedError, match=r"\(AccessControlException: bob may not\)") as told:
        call(client_of(start(refuse).port))
    assert told.value.exception == "AccessControlException"


def test_an_answer_that_comes_late_belongs_to_nobody(start: Start) -> None:
    go = threading.Event()

    def slow(made: RpcCall) -> Any:
        if made.request.data == b"slow":
            assert go.wait(20)
        return echo(made)

    client = client_of(start(slow).port)
    call(client)
    with pytest.raises(ClusterTimeoutError, match=r"did not answer within 0\.3 s"):
        call(client, b"slow", seconds=0.3)
    go.set()
    assert call(client, b"next") == b"next"


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", WrongPortError, "in HTTP"),
        (b"\x15\x03\x03\x00\x02\x02\x50", WrongPortError, "in https"),
        (b"\xff\xff\xff\xff", WrongPortError, "in something else"),
        (b"\x00\x00\x00\x03\xff\xff\xff", ClusterResponseError, "cannot be read"),
        (b"\x7f\xff\xff\xff", ClusterResponseError, "MiB are not read"),
    ],
)
def test_what_is_not_hadoops_rpc_is_told(
    start: Start, said: bytes, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        call(client_of(start(answer_bytes=said).port, identity=Identity(token=TOKEN)))


def test_where_nothing_listens_is_told_with_the_property() -> None:
    with pytest.raises(ClusterUnreachableError, match=r"yarn\.resourcemanager\.address; .* 8032"):
        call(client_of(closed_port()))


def test_a_forked_child_has_connections_and_numbers_of_its_own(start: Start) -> None:
    server = start()
    client = client_of(server.port)
    call(client, b"parent")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, call(client, b"child"))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        assert answer.read() == b"child"
    assert call(client, b"parent") == b"parent"
    assert len({made.client_id for made in server.calls}) == 2
    assert server.connections == 2


def test_the_port_is_reached_by_any_address_of_the_host(start: Start) -> None:
    server = start()
    endpoint = Endpoint(
        host="localhost", port=server.port, daemon=RESOURCE_MANAGER, protocol=ECHO.name
    )
    assert socket.gethostbyname("localhost") == "127.0.0.1"
    assert call(RpcClient([endpoint], ECHO, Identity(user="alice"))) == b"x"


class Willing:
    """A mechanism of Kerberos that is content at once."""

    is_complete = True
    layer = None

    def __init__(self, *_: object) -> None: ...

    def respond(self, challenge: bytes) -> bytes:
        return b"proof"

    def close(self) -> None: ...


@pytest.mark.parametrize("is_proved", [True, False])
def test_a_server_that_ends_once_it_knows_who_we_are_may_have_no_rule_for_that(
    start: Start, monkeypatch: pytest.MonkeyPatch, is_proved: bool
) -> None:
    """As Hadoop's do where `auth_to_local` has none: only their log says why."""
    monkeypatch.setattr(sasl, "Kerberos", Willing)
    monkeypatch.setattr(Willing, "is_complete", is_proved)
    server = start(has_no_rule=True)
    principal = ServerPrincipal("yarn.resourcemanager.principal", "rm/rm.example@KNIT.TEST")
    identity = Identity(tickets=FakeTickets("etl/batch@CORP.TEST"))
    with pytest.raises(ClusterUnreachableError) as lost:
        call(client_of(server.port, identity=identity, principal=principal))
    message = lost.value.message
    assert ("took our ticket as etl/batch@CORP.TEST" in message) is is_proved
    assert (r"RULE:[2:$1/$2@$0](etl/batch@CORP\.TEST)s/.*/etl/" in message) is is_proved
    assert ("usually 8032" in message) is not is_proved


def test_who_calls_for_somebody_else_says_so_unless_a_token_does(start: Start) -> None:
    """Of a token the server knows whose it is, and for whom it was given out."""
    believing, token = start(), start(token=TOKEN)
    assert call(client_of(believing.port)) == b"x"
    assert call(client_of(believing.port, identity=Identity(user="root", proxied_user="bob")))
    assert call(client_of(token.port, identity=Identity(token=TOKEN, proxied_user="bob")))
    own, proxied = (context.user for context in believing.contexts)
    assert (own.effective_user, own.HasField("real_user")) == ("alice", False)
    assert (proxied.effective_user, proxied.real_user) == ("bob", "root")
    assert not token.contexts[0].HasField("user")


def test_a_call_without_any_time_left_leaves_others_alone(start: Start) -> None:
    """They share its connection, and it has sent nothing."""
    begun, go = threading.Event(), threading.Event()

    def slow(made: RpcCall) -> Any:
        begun.set()
        assert go.wait(20)
        return echo(made)

    server = start(slow)
    client = client_of(server.port)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(call, client, b"first", repeatable=False)
        assert begun.wait(20)
        with pytest.raises(ClusterTimeoutError):
            call(client, b"late", seconds=0, repeatable=False)
        go.set()
        assert first.result(20) == b"first"
    assert server.connections == 1
    assert [made.request.data for made in server.calls] == [b"first"]


def test_an_end_that_was_not_noticed_yet_is_before_anything_is_sent(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else nobody would know whether what is sent next was done."""
    waits, go = threading.Event(), threading.Event()
    seen: list[Connection] = []
    original = Connection._next_frame

    def late(self: Connection) -> bytes:
        if seen:
            waits.set()
            go.wait(20)
        seen.append(self)
        return original(self)

    monkeypatch.setattr(Connection, "_next_frame", late)
    server = start()
    client = client_of(server.port)
    call(client)
    assert waits.wait(20)
    server.hang_up()
    monkeypatch.setattr(Connection, "_next_frame", original)
    assert call(client, b"y", repeatable=False) == b"y"
    go.set()
    assert [made.request.data for made in server.calls] == [b"x", b"y"]


def test_what_could_not_be_sent_is_sent_on_another_connection(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = [OSError("no route to host")]
    original = Connection._wrapped

    def wrapped(self: Connection, frame: bytes) -> bytes:
        if self.is_open and failing and hasattr(self, "_reading"):
            raise failing.pop()
        return original(self, frame)

    monkeypatch.setattr(Connection, "_wrapped", wrapped)
    server = start()
    client = client_of(server.port)
    assert call(client, repeatable=False) == b"x"
    assert server.connections == 2
    failing += [OSError("no route to host")] * 2
    with pytest.raises(ClusterUnreachableError, match="no route to host"):
        call(client_of(server.port), repeatable=False)


def test_a_connection_that_is_closed_ends_the_calls_that_wait(start: Start) -> None:
    begun, go = threading.Event(), threading.Event()

    def slow(made: RpcCall) -> Any:
        begun.set()
        go.wait(20)
        return echo(made)

    server = start(slow)
    client = client_of(server.port)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(call, client, repeatable=False)
        assert begun.wait(20)
        client.close()
        with pytest.raises(ClusterUnreachableError, match="it was closed here"):
            first.result(20)
    go.set()


def test_what_comes_unprotected_is_not_believed(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sits on the way could otherwise answer in the server's place."""
    server = start(token=TOKEN, qop="auth-int")
    client = client_of(
        server.port, identity=Identity(token=TOKEN), protections=(Protection.INTEGRITY,)
    )
    assert call(client) == b"x"
    monkeypatch.setattr(_Session, "_send", lambda self, frame: self.connection.sendall(frame))
    with pytest.raises(ClusterError):
        call(client, repeatable=False)
    assert len(server.calls) == 2


def test_whoever_waits_for_a_connection_that_another_makes_has_a_time_of_its_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as pool:
        client = client_of(silent.getsockname()[1], identity=Identity(token=TOKEN))
        first = pool.submit(call, client, seconds=20)
        connection, _ = silent.accept()
        with pytest.raises(ClusterTimeoutError, match=r"within 0\.2 s"):
            call(client, seconds=0.2)
        connection.close()
        with pytest.raises(ClusterError):
            first.result(60)


def test_where_each_answer_is_lost_that_is_told(start: Start) -> None:
    first, second = (start(breaks=["echo"] * 1000) for _ in range(2))
    client = client_of(first.port, second.port)
    with pytest.raises(ClusterUnreachableError, match="No other ResourceManager answered either"):
        call(client, seconds=1)


def test_numbers_of_calls_begin_anew_where_java_has_no_larger_ones(start: Start) -> None:
    server = start()
    client = client_of(server.port)
    client._process.next_call = 2**31 - 1
    assert [call(client), call(client)] == [b"x", b"x"]
    assert [made.call_id for made in server.calls] == [2**31 - 1, 1]


def test_what_a_server_said_before_it_closed_is_told(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have refused the connection before we had said whose calls they would be."""

    def broken(self: Connection, frame: bytes) -> bytes:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(Connection, "_wrapped", broken)
    with pytest.raises(AccessDeniedError, match="SIMPLE is off"):
        call(client_of(start(token=TOKEN).port), repeatable=False)
    with pytest.raises(ClusterError, match="Broken pipe"):
        call(client_of(start(answer_bytes=b"").port), repeatable=False)
