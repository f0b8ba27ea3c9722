"""
Hadoop's RPC over real sockets: SIMPLE, and TOKEN with whatever protects it.

It has no state of its own. A face translates each call into a request to a fake's REST, and that
answer into the one to the call, so that both ways lead to the same cluster.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from knit._cluster.rpc import wire
from knit._cluster.rpc.client import Protocol
from knit._cluster.rpc.digest_md5 import layer_of
from knit._cluster.rpc.protection import Layer
from knit._cluster.security.tokens import Token

NONCE = "bm9uY2U="
_PIECE_BYTES = 60_000


class JavaError(Exception):
    """What a call is answered with in place of a result."""

    def __init__(self, exception: str, message: str) -> None:
        super().__init__(message)
        self.exception = exception
        self.message = message


@dataclass
class RpcCall:
    """What was called."""

    method: str
    request: Any
    user: str
    call_id: int
    client_id: bytes
    retry_count: int


@dataclass
class FakeRpcServer:
    """
    One RPC port; `handler` does the calls.

    What a test wants to go wrong is a field.
    """

    protocol: Protocol
    handler: Callable[[RpcCall], Any]
    token: Token | None = None
    """Who shows it is let in by it. None: names are believed."""
    owner: str = "alice"
    """Whose the token is."""
    service: str | None = None
    """Who it is by Kerberos, `rm/localhost`: who shows a ticket for it is let in. See `realm`."""
    qop: str = "auth"
    """What it offers to protect a connection with."""
    largest_bytes: int = 1 << 20
    """How much it takes at a time of what is protected."""
    answer_bytes: bytes | None = None
    """What it sends to whatever comes first, in place of RPC."""
    has_no_rule: bool = False
    """Whether it takes Kerberos, and ends the connection once it has a proof of whom it is with."""
    breaks: list[str] = field(default_factory=list)
    """The next calls of these methods end the connection, when they are done or `before …`."""

    def __post_init__(self) -> None:
        self.calls: list[RpcCall] = []
        self.contexts: list[Any] = []
        """What was said of whose calls they are, of each connection."""
        self.longest_wrapped = 0
        self.connections = 0
        self._open: list[socket.socket] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.hang_up()
        self._thread.join()

    def hang_up(self) -> None:
        """Ends what is open, as a server does with idle connections."""
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._open.clear()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError), connection:
            _Session(self, connection).run()


class _Session:
    def __init__(self, server: FakeRpcServer, connection: socket.socket) -> None:
        self.server = server
        self.connection = connection
        self.layer: Layer | None = None
        self.buffer = b""

    def run(self) -> None:
        server = self.server
        head = self._read(7)
        if server.answer_bytes is not None:
            self.connection.sendall(server.answer_bytes)
            return
        assert head[:5] == b"hrpc\x09", head
        user = self._authenticate() if head[6] == wire.AUTH_SASL else None
        if user is None and (server.token or server.service) is not None:
            self._refuse("org.apache.hadoop.security.AccessControlException", "SIMPLE is off")
            return
        _, body = self._next()
        context = wire.MESSAGES.read("ConnectionContext", body[0])
        assert context.protocol == server.protocol.name
        server.contexts.append(context)
        while True:
            header, parts = self._next()
            about = wire.MESSAGES.read("RequestHeader", parts[0])
            assert (about.protocol, about.protocol_version) == (server.protocol.name, 1)
            name = about.method[0].upper() + about.method[1:]
            call = RpcCall(
                about.method,
                server.protocol.schema.read(f"{name}Request", parts[1]),
                user or context.user.effective_user,
                header.call_id,
                header.client_id,
                header.retry_count,
            )
            if f"before {call.method}" in server.breaks:
                server.breaks.remove(f"before {call.method}")
                return
            server.calls.append(call)
            try:
                answer = server.handler(call)
            except JavaError as error:
                self._refuse(error.exception, error.message, header.call_id, wire.STATUS_ERROR)
                continue
            if call.method in server.breaks:
                server.breaks.remove(call.method)
                return
            self._send(
                wire.frame(
                    wire.MESSAGES.new("RpcResponseHeader", call_id=header.call_id, status=0),
                    answer,
                )
            )

    def _authenticate(self) -> str | None:
        """The user of a token; None where names are believed."""
        token = self.server.token
        self._next()  # NEGOTIATE
        if self.server.has_no_rule:
            self._sasl(wire.NEGOTIATE, auth=("KERBEROS", "GSSAPI", "rm", "rm.example"))
            self._next()
            raise EOFError
        if self.server.service is not None:
            return self._authenticate_by_kerberos(self.server.service)
        if token is None:
            self._sasl(wire.SUCCESS)
            return None
        challenge = (
            f'realm="default",nonce="{NONCE}",qop="{self.server.qop}",charset=utf-8,'
            f'cipher="rc4,3des",algorithm=md5-sess,maxbuf={self.server.largest_bytes}'
        )
        auth = ("TOKEN", "DIGEST-MD5", "", "default")
        self._sasl(wire.NEGOTIATE, auth=auth, challenge=challenge.encode())
        told = self._told().decode()
        pairs = {name: quoted or bare for name, quoted, bare in _PAIR.findall(told)}
        session, expected = _proof(token, pairs, "AUTHENTICATE")
        if pairs["response"] != expected:
            self._refuse("javax.security.sasl.SaslException", "DIGEST-MD5: Mismatched response.")
            raise EOFError
        _, mutual = _proof(token, pairs, "")
        self._sasl(wire.SUCCESS, f"rspauth={mutual}".encode())
        if pairs["qop"] != "auth":
            self.layer = layer_of(session, pairs.get("cipher"), 1 << 20, "server")
        return self.server.owner

    def _authenticate_by_kerberos(self, service: str) -> str:
        """RFC 4752."""
        from knit._cluster.rpc.kerberos import _BITS, _KerberosLayer
        from tests.fakes.realm import Acceptor

        protocol, _, host = service.partition("/")
        self._sasl(wire.NEGOTIATE, auth=("KERBEROS", "GSSAPI", protocol, host))
        acceptor = Acceptor()
        self._sasl(wire.CHALLENGE, acceptor.step(self._told()))
        assert self._told() == b""
        offered = [bit for each, bit in _BITS.items() if each.value in self.server.qop.split(",")]
        offer = bytes((sum(offered),)) + self.server.largest_bytes.to_bytes(3, "big")
        self._sasl(wire.CHALLENGE, acceptor.wrap(offer, confidential=False))
        answer, _ = acceptor.unwrap(self._told())
        assert answer[0] in offered, answer
        self._sasl(wire.SUCCESS)
        if answer[0] != 1:
            self.layer = _KerberosLayer(acceptor, 1 << 16, confidential=answer[0] == 4)
        return self.server.owner

    def _told(self) -> bytes:
        """What the client says next while it is let in."""
        token: bytes = wire.MESSAGES.read("Sasl", self._next()[1][0]).token
        return token

    def _sasl(
        self,
        state: int,
        token: bytes | None = None,
        *,
        auth: tuple[str, str, str, str] | None = None,
        challenge: bytes | None = None,
    ) -> None:
        message = wire.MESSAGES.new("Sasl", state=state, token=token)
        if auth is not None:
            names = ("method", "mechanism", "protocol", "server_id")
            made = message.auths.add(**dict(zip(names, auth, strict=True)))
            if challenge is not None:
                made.challenge = challenge
        header = wire.MESSAGES.new("RpcResponseHeader", call_id=2**32 - 33, status=0)
        self.connection.sendall(wire.frame(header, message))

    def _refuse(
        self, exception: str, message: str, call_id: int = 2**32 - 33, status: int = 2
    ) -> None:
        header = wire.MESSAGES.new(
            "RpcResponseHeader",
            call_id=call_id,
            status=status,
            exception=exception,
            message=message,
        )
        self._send(wire.frame(header))

    def _send(self, frame: bytes) -> None:
        if self.layer is None:
            self.connection.sendall(frame)
            return
        header = wire.MESSAGES.new("RpcResponseHeader", call_id=2**32 - 33, status=0)
        for start in range(0, len(frame), _PIECE_BYTES):
            piece = self.layer.wrap(frame[start : start + _PIECE_BYTES])
            message = wire.MESSAGES.new("Sasl", state=wire.WRAP, token=piece)
            self.connection.sendall(wire.frame(header, message))

    def _next(self) -> tuple[Any, list[bytes]]:
        frame = self._frame()
        header, *parts = wire.delimited(frame)
        return wire.MESSAGES.read("RpcRequestHeader", header), parts

    def _frame(self) -> bytes:
        if self.layer is None:
            return self._read(struct.unpack(">i", self._read(4))[0])
        while (
            len(self.buffer) < 4 or len(self.buffer) < 4 + struct.unpack(">i", self.buffer[:4])[0]
        ):
            outer = self._read(struct.unpack(">i", self._read(4))[0])
            token = wire.MESSAGES.read("Sasl", wire.delimited(outer)[1]).token
            self.server.longest_wrapped = max(self.server.longest_wrapped, len(token))
            self.buffer += self.layer.unwrap(token)
        (size,) = struct.unpack(">i", self.buffer[:4])
        frame, self.buffer = self.buffer[4 : 4 + size], self.buffer[4 + size :]
        return frame

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.connection.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data


_PAIR = re.compile(r'([a-z-]+)=(?:"([^"]*)"|([^",]+))')


def _proof(token: Token, pairs: dict[str, str], verb: str) -> tuple[bytes, str]:
    """The session's hash, and a proof of it: RFC 2831, written down a second time."""

    def md5(data: bytes) -> bytes:
        return hashlib.md5(data, usedforsecurity=False).digest()

    password = base64.b64encode(token.password).decode()
    secret = md5(f"{pairs['username']}:{pairs['realm']}:{password}".encode())
    session = md5(secret + f":{NONCE}:{pairs['cnonce']}".encode())
    about = f"{verb}:{pairs['digest-uri']}" + ("" if pairs["qop"] == "auth" else ":" + "0" * 32)
    whole = f"{session.hex()}:{NONCE}:{pairs['nc']}:{pairs['cnonce']}:{pairs['qop']}:"
    return session, md5((whole + md5(about.encode()).hex()).encode()).hex()
