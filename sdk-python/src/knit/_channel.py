"""The way to one Application Master: channels, and what its statuses mean."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Protocol, TypeVar

import attrs

from knit._tls import SERVER_NAME, ClientTls
from knit._values.deadlines import Deadline, Pause, pauses
from knit.exceptions import (
    CLUSTER_SILENCE,
    ApplicationError,
    ApplicationNotRunningError,
    ConnectionLostError,
    ContainerNotFoundError,
    InvalidRequestError,
    KnitError,
    PositionOutOfRangeError,
    ResourceExhaustedError,
    RpcTimeoutError,
    WaitTimeoutError,
    WrongStateError,
)

if TYPE_CHECKING:
    import grpc
    from google.protobuf.message import Message

    from knit.v1.application_service_pb2_grpc import ApplicationServiceStub
    from knit.v1.container_service_pb2_grpc import ContainerServiceStub
    from knit.v1.log_service_pb2_grpc import LogServiceStub

_Q = TypeVar("_Q", bound="Message")
_R = TypeVar("_R")
_R_co = TypeVar("_R_co", covariant=True)

LARGEST_MESSAGE_BYTES = 16 * 1024 * 1024
"""The most that an Application Master takes or sends at once, by the contract."""

_OPTIONS = (
    ("grpc.ssl_target_name_override", SERVER_NAME),
    # A proxy in the environment is for the web, not for the nodes of a cluster.
    ("grpc.enable_http_proxy", 0),
    # A node that vanished without a word is noticed within these two together.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # The same to newer versions of grpcio, which wait a minute unless told in these words.
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", LARGEST_MESSAGE_BYTES),
    ("grpc.max_send_message_length", LARGEST_MESSAGE_BYTES),
    # A restarted Application Master is found again soon; the default waits up to 2 minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)

_BY_STATUS: dict[str, type[KnitError]] = {
    "ABORTED": WrongStateError,
    "ALREADY_EXISTS": WrongStateError,
    "CANCELLED": ConnectionLostError,
    "DATA_LOSS": ApplicationError,
    "DEADLINE_EXCEEDED": RpcTimeoutError,
    "FAILED_PRECONDITION": WrongStateError,
    "INTERNAL": ApplicationError,
    "INVALID_ARGUMENT": InvalidRequestError,
    "NOT_FOUND": ContainerNotFoundError,
    "OUT_OF_RANGE": PositionOutOfRangeError,
    "PERMISSION_DENIED": ApplicationError,
    "RESOURCE_EXHAUSTED": ResourceExhaustedError,
    "UNAUTHENTICATED": ApplicationError,
    "UNAVAILABLE": ConnectionLostError,
    "UNIMPLEMENTED": ApplicationError,
    "UNKNOWN": ApplicationError,
}
_HANDSHAKE_SIGNS = ("handshake failed", "CERTIFICATE_", "TLSV1_ALERT", "SSLV3_ALERT")
_CERTIFICATE_REASONS = {
    "not yet valid": "is not valid yet",
    "has expired": "is no longer valid",
    "CERTIFICATE_EXPIRED": "is not valid yet, or no longer",
}
_ADVICE = {
    "CANCELLED": "Try again.",
    "DEADLINE_EXCEEDED": "It may have been done all the same; look before you repeat it.",
    "INTERNAL": "The Application Master's log may say more.",
    "PERMISSION_DENIED": "Use the credentials the application was submitted with.",
    "UNAUTHENTICATED": "Use the credentials the application was submitted with.",
    "UNAVAILABLE": "Check that its node can be reached from here, and try again.",
    "UNIMPLEMENTED": "The application was submitted by an older knit, which cannot do this.",
    "UNKNOWN": "The Application Master's log may say more.",
}


class ConnectionClosedError(ConnectionLostError):
    """This program closed the connection, so nothing is to be tried again."""


class HandshakeRefusedError(ConnectionLostError):
    """Something answers, and one side does not accept the other's certificate."""


class CertificateDateError(HandshakeRefusedError):
    """A certificate is not valid now, which trying again does not change."""


def from_rpc_error(error: grpc.RpcError, what: str, address: str | None = None) -> KnitError:
    """
    Returns what a failed call means.

    Args:
        error: As raised by a call of gRPC.
        what: What was tried, as the beginning of a sentence.
        address: Who was called.
    """
    code = getattr(error, "code", lambda: None)()
    name = code.name if code is not None else "UNKNOWN"
    details = (getattr(error, "details", lambda: None)() or "no details").strip()
    if name == "UNAVAILABLE" and any(sign in details for sign in _HANDSHAKE_SIGNS):
        return _handshake_refused(details, what, address or "its address")
    said = details if details.endswith((".", "!", "?")) else f"{details}."
    advice = _ADVICE.get(name)
    if address is not None and never_connected(error):
        advice = f"Check that {address} can be reached from here, and try again."
    message = f"{what}: {said}" + (f" {advice}" if advice else "")
    return _BY_STATUS.get(name, ApplicationError)(message)


def _handshake_refused(details: str, what: str, address: str) -> HandshakeRefusedError:
    reason = next((said for sign, said in _CERTIFICATE_REASONS.items() if sign in details), None)
    if reason is not None:
        now = datetime.now(timezone.utc)
        return CertificateDateError(
            f"{what}: the certificates of the application are refused: one {reason}. The clock "
            f"of this machine, by which it is {now:%Y-%m-%d %H:%M} UTC, or that of {address} is "
            "wrong, or that of the machine that submitted it was. Set it right; an application "
            "whose certificates are wrong can be ended with knit kill."
        )
    return HandshakeRefusedError(
        f"{what}: {address} answers and the TLS handshake fails ({details}). Another program may "
        "listen there by now, or the credentials are another application's."
    )


def never_connected(error: grpc.RpcError) -> bool:
    """Whether no connection was made at all, rather than one broken."""
    details = getattr(error, "details", lambda: None)() or ""
    return "failed to connect" in details and not any(s in details for s in _HANDSHAKE_SIGNS)


def may_pass(meaning: KnitError) -> bool:
    """Whether trying again may help."""
    lost = isinstance(meaning, ConnectionLostError)
    return lost and not isinstance(meaning, CertificateDateError)


def check_size(request: Message, what: str) -> None:
    """
    Refuses what an Application Master would refuse without a word.

    Raises:
        ResourceExhaustedError: The request is too large.
    """
    size = request.ByteSize()
    if size > LARGEST_MESSAGE_BYTES:
        raise ResourceExhaustedError(
            f"{what}: the request has {size:,} bytes, and an Application Master takes "
            f"{LARGEST_MESSAGE_BYTES:,} at most. Ask for less at a time."
        )


class ResponseStream(Protocol[_R_co]):
    """What a streaming call returns."""

    def __iter__(self) -> Iterator[_R_co]: ...
    def __next__(self) -> _R_co: ...
    def cancel(self) -> object: ...


@attrs.frozen
class Stubs:
    """A channel, and what can be called on it."""

    channel: grpc.Channel
    application: ApplicationServiceStub
    containers: ContainerServiceStub
    logs: LogServiceStub

    @classmethod
    def over(cls, channel: grpc.Channel) -> Stubs:
        # Made with their channel and never later: on one that another thread has closed gRPC says
        # so of calls, and crashes over stubs.
        from knit.v1.application_service_pb2_grpc import ApplicationServiceStub
        from knit.v1.container_service_pb2_grpc import ContainerServiceStub
        from knit.v1.log_service_pb2_grpc import LogServiceStub

        return cls(
            channel,
            ApplicationServiceStub(channel),
            ContainerServiceStub(channel),
            LogServiceStub(channel),
        )


Locate = Callable[[Deadline, int, Pause], "tuple[str, ClientTls]"]
"""
Finds the Application Master: its address, and the means to be let in.

The second argument says how many calls in a row the last address known did not answer, the third
how to wait.
"""


class Connection:
    """
    A channel to the Application Master, made when first needed and made anew when it has moved.

    Threads may share it, and so may a forked process, which gets a channel of its own.
    """

    def __init__(self, locate: Locate) -> None:
        self._locate = locate
        self._lock = threading.Lock()
        # Guarded by _lock, under which nothing is waited for.
        self._address: str | None = None
        self._stubs: Stubs | None = None
        self._closed = threading.Event()
        _CONNECTIONS.add(self)

    @property
    def address(self) -> str | None:
        """Where the Application Master was found last."""
        return self._address

    def call(
        self,
        pick: Callable[[Stubs], grpc.UnaryUnaryMultiCallable[_Q, _R]],
        request: _Q,
        *,
        what: str,
        deadline: Deadline,
        repeatable: bool = True,
    ) -> _R:
        """
        Makes one call, finding the Application Master first where needed.

        Args:
            pick: The method.
            request: What is sent.
            what: What is tried, as the beginning of a sentence.
            deadline: For everything together.
            repeatable: Whether a call that was cut off may be made again.
        """
        import grpc

        check_size(request, what)
        steps = pauses(0.05, 1.0)
        lost: list[KnitError] = []
        while True:
            stubs = self._ready(deadline, what, len(lost), lost[-1] if lost else None, None)
            cause: Exception
            try:
                return pick(stubs)(request, timeout=max(0.001, deadline.remaining_seconds))
            except grpc.RpcError as error:
                meaning, cause = from_rpc_error(error, what, self._address), error
            except ValueError as error:  # grpc says so of a closed channel
                if self._closed.is_set():
                    raise self._closed_error(what) from error
                meaning, cause = self._closed_error(what), error
            if not (repeatable and may_pass(meaning)):
                raise meaning from cause
            lost.append(meaning)
            wait = next(steps)
            if deadline.remaining_seconds <= wait:
                raise meaning from cause
            self._pause(wait, what)

    def stream(
        self,
        pick: Callable[[Stubs], Callable[[], ResponseStream[_R]]],
        *,
        what: str,
        deadline: Deadline,
        failures: int,
        lost: KnitError | None,
        pause: Pause,
    ) -> ResponseStream[_R]:
        """
        Begins a streaming call.

        Args:
            pick: Makes the call.
            what: What is tried, as the beginning of a sentence.
            deadline: For finding the Application Master.
            failures: How many streams broke in a row before this one.
            lost: How the last of them did.
            pause: How to wait while it is looked for.
        """
        stubs = self._ready(deadline, what, failures, lost, pause)
        try:
            return pick(stubs)()
        except ValueError as error:  # grpc says so of a closed channel
            raise self._closed_error(what) from error

    def close(self) -> None:
        """Closes the channel, and with it every call on it. Calling it again is safe."""
        with self._lock:
            self._closed.set()
            stubs, self._stubs = self._stubs, None
        if stubs is not None:
            stubs.channel.close()

    def _ready(
        self,
        deadline: Deadline,
        what: str,
        failures: int,
        lost: KnitError | None,
        pause: Pause | None,
    ) -> Stubs:
        """What to call now."""
        with self._lock:
            if self._closed.is_set():
                raise self._closed_error(what)
            if self._stubs is not None and lost is None:
                return self._stubs

        def wait(seconds: float) -> None:
            if pause is None:
                self._pause(seconds, what)
            else:
                pause(seconds)
                self._pause(0, what)

        try:
            address, tls = self._locate(deadline, failures, wait)
        except (WaitTimeoutError, *CLUSTER_SILENCE) as error:
            # That it was there and is gone says more than that it did not come back.
            if lost is not None:
                raise lost from error
            raise
        except ApplicationNotRunningError as error:
            # One that does not let us in may well be there.
            if isinstance(lost, HandshakeRefusedError):
                raise lost from error
            raise
        old: Stubs | None = None
        with self._lock:
            if self._closed.is_set():
                raise self._closed_error(what)
            if self._stubs is None or address != self._address:
                old, self._stubs = self._stubs, Stubs.over(open_channel(address, tls))
                self._address = address
            stubs = self._stubs
        if old is not None:
            old.channel.close()
        return stubs

    def _pause(self, seconds: float, what: str) -> None:
        if self._closed.wait(seconds):
            raise self._closed_error(what)

    def _begin_anew(self) -> None:
        """In a process that was forked: its parent's threads, and so its channels, are not here."""
        was_closed = self._closed.is_set()
        self._lock, self._closed = threading.Lock(), threading.Event()
        if was_closed:
            self._closed.set()
        if self._stubs is not None:
            # Closing it here would wait for threads of the parent's, or end its calls.
            _LEFT_TO_THE_PARENT.append(self._stubs)
            self._stubs = None

    @staticmethod
    def _closed_error(what: str) -> ConnectionClosedError:
        return ConnectionClosedError(f"{what}: the connection was closed by this program.")


_CONNECTIONS: weakref.WeakSet[Connection] = weakref.WeakSet()
_LEFT_TO_THE_PARENT: list[Stubs] = []


def _after_fork() -> None:
    for connection in list(_CONNECTIONS):
        connection._begin_anew()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_after_fork)


def open_channel(address: str, tls: ClientTls) -> grpc.Channel:
    """Returns a channel to an Application Master; it connects with its first call."""
    import grpc

    credentials = grpc.ssl_channel_credentials(
        root_certificates=tls.ca, private_key=tls.key, certificate_chain=tls.cert
    )
    return grpc.secure_channel(address, credentials, options=_OPTIONS)
