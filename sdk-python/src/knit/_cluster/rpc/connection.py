"""One connection to a daemon's RPC port, which many calls share."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from urllib3.util import wait_for_read

from knit._cluster.configuration.principals import ServerPrincipal
from knit._cluster.rest.client import LARGEST_ANSWER_BYTES
from knit._cluster.rest.daemons import Daemon
from knit._cluster.rpc import problems
from knit._cluster.rpc.protection import Layer, Protection, SaslRefusedError
from knit._cluster.rpc.sasl import Agreement, Identity, UnknownUserError, negotiate
from knit._cluster.rpc.wire import (
    MESSAGES,
    SASL_CALL,
    STATUS_SUCCESS,
    WRAP,
    MalformedError,
    connection_header,
    context_frame,
    delimited,
    sasl_frame,
    signed,
)
from knit._values.deadlines import Deadline
from knit.exceptions import ClusterError

_PIECE_BYTES = 1 << 20
_READ_SECONDS = 3600.0
"""How long the reader waits before it looks again, which it need not: answers wake it."""
_LARGEST_HANDSHAKE_BYTES = 1 << 20
_LAST_WORDS_SECONDS = 0.5
"""How long to wait for what a server has said that has closed the connection: it is on its way."""


@attrs.frozen(kw_only=True)
class Endpoint:
    """A daemon's RPC port, and how it is to be spoken to."""

    host: str
    port: int
    daemon: Daemon
    protocol: str
    """Its name in Java."""
    principal: ServerPrincipal | None = None
    """Who it has to be, where tickets are used."""
    protections: Sequence[Protection] = (Protection.AUTHENTICATION,)

    @property
    def place(self) -> str:
        """For messages."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@attrs.frozen
class Answer:
    """What came to a call."""

    header: Any
    body: bytes = attrs.field(repr=False)


class _Waiting:
    """A call that nobody has answered yet."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.answer: Answer | None = None


class Connection:
    """
    A connection on which both ends know each other. Threads may share it.

    A thread of its own reads, so that calls do not wait for each other, and an end that the server
    makes of an idle connection is known before the next call.

    Args:
        endpoint: Where to.
        identity: Who we are there.
        what: What it is made for, for messages.
        deadline: By when it has to stand.
        connect_seconds: How long to wait for the connection itself at most.

    Raises:
        ClusterError: There is no connection, or the server does not want it.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        identity: Identity,
        *,
        what: str,
        deadline: Deadline,
        connect_seconds: float,
    ) -> None:
        self.endpoint = endpoint
        self._sending = threading.Lock()
        self._state = threading.Lock()
        self._waiting: dict[int, _Waiting] = {}
        self._end: str | None = None
        self._cause: Exception | None = None
        """What was read that is no answer."""
        self._refusal: Answer | None = None
        """What the server said of the connection as a whole."""
        self._is_read = threading.Event()
        """Nothing more comes."""
        self._layer: Layer | None = None
        self._unwrapped = bytearray()
        self._agreement = Agreement(method="SIMPLE")
        self._socket = self._connect(what, deadline, connect_seconds)
        try:
            self._shake_hands(identity, what, deadline)
        except BaseException:
            self._socket.close()
            raise
        # Of its own, for a socket's timeout is the object's: answers may come any time, and
        # whoever sends has a deadline. Both are non-blocking beneath.
        self._reading = self._socket.dup()
        self._reading.settimeout(_READ_SECONDS)
        threading.Thread(target=self._read, name=f"knit-rpc-{endpoint.place}", daemon=True).start()

    @property
    def is_open(self) -> bool:
        """Whether it can take calls, as far as is known."""
        return self._end is None

    @property
    def method(self) -> str:
        """How we proved who we are: SIMPLE, TOKEN or KERBEROS."""
        return self._agreement.method

    def call(self, call_id: int, frame: bytes, *, what: str, deadline: Deadline) -> Answer:
        """
        Sends one call and waits for its answer.

        Args:
            call_id: Its number, which no other call has that waits.
            frame: The call.
            what: What is tried, for messages.
            deadline: By when.

        Raises:
            UnsentError: Nothing was sent.
            BrokenError: It was, and the connection broke.
            ClusterTimeoutError: No answer in time.
        """
        waiting = _Waiting()
        self._look_whether_it_ended()
        with self._state:
            if self._refusal is not None:
                return self._refusal
            if self._end is not None:
                cause = self._cause
                unsent = (
                    self._lost(self._end, what) if cause is None else self._nonsense(cause, what)
                )
                raise problems.UnsentError(unsent)
            self._waiting[call_id] = waiting
        try:
            try:
                self._send_call(frame, what, deadline)
            except problems.UnsentError:
                if self._refusal is None:
                    raise
                return self._refusal
            if not waiting.done.wait(_seconds(deadline)):
                raise self._too_late(what, deadline)
        finally:
            with self._state:
                self._waiting.pop(call_id, None)
        if waiting.answer is None:
            if self._cause is not None:
                raise self._nonsense(self._cause, what) from self._cause
            raise problems.BrokenError(self._lost(self._end or "it was closed", what))
        return waiting.answer

    def close(self) -> None:
        """Ends it; calls that wait are told."""
        self._finish("it was closed here")

    def _connect(self, what: str, deadline: Deadline, connect_seconds: float) -> socket.socket:
        endpoint = self.endpoint
        seconds = max(0.001, min(deadline.remaining_seconds, connect_seconds))
        try:
            made = socket.create_connection((endpoint.host, endpoint.port), timeout=seconds)
        except OSError as error:
            raise problems.no_connection(error, endpoint.place, what, endpoint.daemon) from error
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return made

    def _shake_hands(self, identity: Identity, what: str, deadline: Deadline) -> None:
        endpoint = self.endpoint

        def send(frame: bytes) -> None:
            self._set_time(self._socket, what, deadline)
            self._socket.sendall(frame)

        def receive() -> Any:
            self._set_time(self._socket, what, deadline)
            answer = self._split(self._frame(self._socket, _LARGEST_HANDSHAKE_BYTES))
            if answer.header.status != STATUS_SUCCESS:
                raise problems.said_no(
                    answer.header.exception,
                    answer.header.message,
                    endpoint.place,
                    what,
                    endpoint.daemon,
                )
            return MESSAGES.read("Sasl", answer.body)

        try:
            send(connection_header(sasl=identity.uses_sasl))
            if identity.uses_sasl:
                self._agreement = negotiate(
                    identity,
                    endpoint.protections,
                    endpoint.principal,
                    address=self._socket.getpeername()[0],
                    what=what,
                    send=send,
                    receive=receive,
                )
                mechanism = self._agreement.mechanism
                self._layer = None if mechanism is None else mechanism.layer
            try:
                send(self._wrapped(self._context(identity)))
            except OSError:
                self._raise_last_words(receive)
                raise
        except TimeoutError as error:
            raise problems.too_late(
                endpoint.place, what, endpoint.daemon, deadline.total
            ) from error
        except OSError as error:
            if isinstance(error, ClusterError):
                raise
            raise self._lost(error.strerror or str(error), what) from error
        except UnknownUserError as error:
            raise problems.unknown_user(
                error.principal, endpoint.place, what, endpoint.daemon
            ) from error
        except SaslRefusedError as error:
            raise problems.no_trust(error.sentence, endpoint.place, what) from error
        except (_NotRpcError, _TooLargeError, MalformedError, _decode_error()) as error:
            raise self._nonsense(error, what) from error

    @staticmethod
    def _raise_last_words(receive: Callable[[], Any]) -> None:
        """Raises what the server said before it closed the connection, if it said anything."""
        try:
            receive()
        except OSError as error:
            if isinstance(error, ClusterError):
                raise

    def _look_whether_it_ended(self) -> None:
        """
        Takes note of an end that has come while nobody waited for anything.

        Else what is sent next would be lost without anybody knowing whether it was done.
        """
        with self._state:
            if self._waiting or self._end is not None:
                return
        try:
            is_over = wait_for_read(self._socket, timeout=0) and not self._socket.recv(
                1, socket.MSG_PEEK
            )
        except (OSError, ValueError):  # the reader has just closed it
            is_over = True
        if is_over:
            self._is_read.wait(_LAST_WORDS_SECONDS)
            self._finish("the other end closed it")

    def _context(self, identity: Identity) -> bytes:
        """Whose calls these are. Who has proved it claims no name beside it."""
        effective: str | None = identity.proxied_user
        real: str | None = None
        if self.method == "SIMPLE":
            effective = identity.proxied_user or identity.user
            real = identity.user if identity.proxied_user else None
        elif self.method == "TOKEN":
            effective = None
        return context_frame(self.endpoint.protocol, effective, real)

    def _send_call(self, frame: bytes, what: str, deadline: Deadline) -> None:
        """
        Sends all of it, or ends the connection.

        The server does nothing before it has all of a call.
        """
        if not self._sending.acquire(
            timeout=min(deadline.remaining_seconds, threading.TIMEOUT_MAX)
        ):
            raise self._too_late(what, deadline)
        try:
            left = deadline.remaining_seconds
            if left <= 0:  # nothing was sent, and others wait on this connection
                raise self._too_late(what, deadline)
            self._send(frame, left, what, deadline)
        finally:
            self._sending.release()

    def _send(self, frame: bytes, seconds: float, what: str, deadline: Deadline) -> None:
        endpoint = self.endpoint
        try:
            self._socket.settimeout(min(seconds, _READ_SECONDS))
            self._socket.sendall(self._wrapped(frame))
        except TimeoutError as error:
            self._finish("a call was sent in part")
            raise problems.too_late(
                endpoint.place, what, endpoint.daemon, deadline.total
            ) from error
        except Exception as error:
            # The server may have said why before it closed the connection.
            self._is_read.wait(_LAST_WORDS_SECONDS)
            self._finish(f"a call could not be sent: {error}")
            raise problems.UnsentError(self._lost(str(error), what)) from error
        except BaseException:
            self._finish("a call was sent in part")
            raise

    def _wrapped(self, frame: bytes) -> bytes:
        layer = self._layer
        if layer is None:
            return frame
        size = layer.largest_bytes
        pieces = (frame[start : start + size] for start in range(0, len(frame), size))
        return b"".join(sasl_frame(WRAP, layer.wrap(piece)) for piece in pieces)

    def _read(self) -> None:
        why = "it ended"
        try:
            while True:
                answer = self._split(self._next_frame())
                with self._state:
                    waiting = self._waiting.get(signed(answer.header.call_id))
                if waiting is not None:  # else whoever waited has given up
                    waiting.answer = answer
                    waiting.done.set()
                elif signed(answer.header.call_id) < 0:
                    # It refuses the connection, and so all that is sent on it.
                    self._refuse(answer)
        except OSError as error:
            why = error.strerror or str(error) or why
        except SaslRefusedError as error:
            why = error.sentence
        except Exception as error:
            why = str(error) or type(error).__name__
            self._cause = error
        finally:
            self._is_read.set()
            self._finish(why)

    def _refuse(self, answer: Answer) -> None:
        with self._state:
            self._refusal = answer
            waiting = list(self._waiting.values())
        for one in waiting:
            one.answer = answer
            one.done.set()

    def _next_frame(self) -> bytes:
        if self._layer is None:
            return self._frame(self._reading, LARGEST_ANSWER_BYTES)
        while True:
            if len(self._unwrapped) >= 4:
                size = _size(bytes(self._unwrapped[:4]), LARGEST_ANSWER_BYTES)
                if len(self._unwrapped) >= 4 + size:
                    frame = bytes(self._unwrapped[4 : 4 + size])
                    del self._unwrapped[: 4 + size]
                    return frame
            outer = self._split(self._frame(self._reading, LARGEST_ANSWER_BYTES))
            message = MESSAGES.read("Sasl", outer.body)
            if signed(outer.header.call_id) != SASL_CALL or message.state != WRAP:
                raise MalformedError("it came unprotected")
            self._unwrapped += self._layer.unwrap(message.token)

    def _frame(self, source: socket.socket, limit: int) -> bytes:
        return _receive(source, _size(_receive(source, 4), limit))

    @staticmethod
    def _split(frame: bytes) -> Answer:
        parts = delimited(frame)
        if not parts:
            raise MalformedError("an empty frame")
        header = MESSAGES.read("RpcResponseHeader", parts[0])
        return Answer(header, parts[1] if len(parts) > 1 else b"")

    def _set_time(self, of: socket.socket, what: str, deadline: Deadline) -> None:
        left = deadline.remaining_seconds
        if left <= 0:
            raise self._too_late(what, deadline)
        of.settimeout(min(left, _READ_SECONDS))

    def _too_late(self, what: str, deadline: Deadline) -> ClusterError:
        return problems.too_late(self.endpoint.place, what, self.endpoint.daemon, deadline.total)

    def _nonsense(self, error: Exception, what: str) -> ClusterError:
        """The error for what came and is no answer."""
        endpoint = self.endpoint
        if isinstance(error, _NotRpcError):
            return problems.not_rpc(error.began, endpoint.place, what, endpoint.daemon)
        if isinstance(error, _TooLargeError):
            return problems.too_large(error.size, error.limit, endpoint.place, what)
        return problems.unreadable(error, endpoint.place, what, endpoint.daemon)

    def _lost(self, why: str, what: str) -> ClusterError:
        return problems.lost(why, self.endpoint.place, what, self.endpoint.daemon)

    def _finish(self, why: str) -> None:
        with self._state:
            if self._end is not None:
                return
            self._end = why
            waiting = list(self._waiting.values())
        for one in waiting:
            one.done.set()
        # shutdown, since close alone does not wake the reader.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        reading: socket.socket | None = getattr(self, "_reading", None)
        if reading is not None:
            reading.close()


class _TooLargeError(Exception):
    def __init__(self, size: int, limit: int) -> None:
        super().__init__(size, limit)
        self.size = size
        self.limit = limit


class _NotRpcError(Exception):
    def __init__(self, began: bytes) -> None:
        super().__init__(began)
        self.began = began


def _size(head: bytes, limit: int) -> int:
    """How many bytes follow."""
    (size,) = struct.unpack(">i", head)
    if size < 0 or head == b"HTTP" or head[:2] == b"\x15\x03":
        raise _NotRpcError(head)
    if size > limit:
        raise _TooLargeError(size, limit)
    return int(size)


def _seconds(deadline: Deadline) -> float:
    """What is left, as locks take it."""
    return min(deadline.remaining_seconds, threading.TIMEOUT_MAX)


def _receive(source: socket.socket, size: int) -> bytes:
    pieces: list[bytes] = []
    left = size
    while left:
        piece = source.recv(min(left, _PIECE_BYTES))
        if not piece:
            raise ConnectionResetError("the other end closed it")
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _decode_error() -> type[Exception]:
    from google.protobuf.message import DecodeError

    return DecodeError
