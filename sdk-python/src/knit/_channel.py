"""The way to one Application Master: channels, and what its statuses mean."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, TypeVar

from knit._deadlines import Deadline, pauses
from knit._tls import SERVER_NAME, ClientTls
from knit.exceptions import (
    ApplicationError,
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

_Q = TypeVar("_Q")
_R = TypeVar("_R")
_R_co = TypeVar("_R_co", covariant=True)

_OPTIONS = (
    ("grpc.ssl_target_name_override", SERVER_NAME),
    # A proxy in the environment is for the web, not for the nodes of a cluster.
    ("grpc.enable_http_proxy", 0),
    # A node that vanished without a word is noticed within these two together.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # 100,000 containers are one answer of some 30 MB.
    ("grpc.max_receive_message_length", -1),
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


def from_rpc_error(error: grpc.RpcError, what: str) -> KnitError:
    """
    Returns what a failed call means.

    Args:
        error: As raised by a call of gRPC.
        what: What was tried, as the beginning of a sentence.
    """
    code = getattr(error, "code", lambda: None)()
    name = code.name if code is not None else "UNKNOWN"
    details = (getattr(error, "details", lambda: None)() or "no details").strip()
    said = details if details.endswith((".", "!", "?")) else f"{details}."
    advice = _ADVICE.get(name)
    message = f"{what}: {said}" + (f" {advice}" if advice else "")
    return _BY_STATUS.get(name, ApplicationError)(message)


class ResponseStream(Protocol[_R_co]):
    """What a streaming call returns."""

    def __iter__(self) -> Iterator[_R_co]: ...
    def __next__(self) -> _R_co: ...
    def cancel(self) -> object: ...


Locate = Callable[[Deadline, int], tuple[str, ClientTls]]
"""
Finds the Application Master: its address, and the means to be let in.

The second argument says how many calls in a row the last address known did not answer.
"""


class Connection:
    """
    A channel to the Application Master, made when first needed and made anew when it has moved.

    Threads may share it.
    """

    def __init__(self, locate: Locate) -> None:
        self._locate = locate
        self._lock = threading.Lock()
        # Guarded by _lock, under which nothing is waited for.
        self._address: str | None = None
        self._channel: grpc.Channel | None = None
        self._closed = False

    def call(
        self,
        pick: Callable[[grpc.Channel], grpc.UnaryUnaryMultiCallable[_Q, _R]],
        request: _Q,
        *,
        what: str,
        timeout: timedelta,
        repeatable: bool = True,
    ) -> _R:
        """
        Makes one call, finding the Application Master first where needed.

        Args:
            pick: The method of a stub on this channel.
            request: What is sent.
            what: What is tried, as the beginning of a sentence.
            timeout: For everything together.
            repeatable: Whether a call that was cut off may be made again.
        """
        import grpc

        deadline = Deadline.after(timeout)
        pause = pauses(0.05, 1.0)
        lost: list[ConnectionLostError] = []
        while True:
            channel = self._ready(deadline, what, len(lost), lost[-1] if lost else None)
            cause: Exception
            try:
                return pick(channel)(request, timeout=max(0.001, deadline.remaining_seconds))
            except grpc.RpcError as error:
                meaning, cause = from_rpc_error(error, what), error
            except ValueError as error:  # grpc says so of a closed channel
                if self._closed:
                    raise self._closed_error(what) from error
                meaning, cause = self._closed_error(what), error
            if not isinstance(meaning, ConnectionLostError) or not repeatable:
                raise meaning from cause
            lost.append(meaning)
            wait = next(pause)
            if deadline.remaining_seconds <= wait:
                raise meaning from cause
            time.sleep(wait)

    def stream(
        self,
        pick: Callable[[grpc.Channel], Callable[[], ResponseStream[_R]]],
        *,
        what: str,
        deadline: Deadline,
        failures: int,
    ) -> ResponseStream[_R]:
        """
        Begins a streaming call.

        Args:
            pick: Makes the call on this channel.
            what: What is tried, as the beginning of a sentence.
            deadline: For finding the Application Master.
            failures: How many streams broke in a row before this one.
        """
        earlier = ConnectionLostError(f"{what}: the stream broke.") if failures else None
        channel = self._ready(deadline, what, failures, earlier)
        try:
            return pick(channel)()
        except ValueError as error:  # grpc says so of a closed channel
            raise self._closed_error(what) from error

    def close(self) -> None:
        """Closes the channel, and with it every call on it. Calling it again is safe."""
        with self._lock:
            self._closed = True
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _ready(
        self,
        deadline: Deadline,
        what: str,
        failures: int,
        lost: ConnectionLostError | None,
    ) -> grpc.Channel:
        """The channel to use now."""
        with self._lock:
            if self._closed:
                raise self._closed_error(what)
            if self._channel is not None and lost is None:
                return self._channel
        try:
            address, tls = self._locate(deadline, failures)
        except WaitTimeoutError:
            # That it was there and is gone says more than that it did not come back.
            if lost is not None:
                raise lost from None
            raise
        old: grpc.Channel | None = None
        with self._lock:
            if self._closed:
                raise self._closed_error(what)
            if self._channel is None or address != self._address:
                old, self._channel = self._channel, open_channel(address, tls)
                self._address = address
            channel = self._channel
        if old is not None:
            old.close()
        return channel

    @staticmethod
    def _closed_error(what: str) -> ConnectionLostError:
        return ConnectionLostError(f"{what}: the connection was closed by this program.")


def open_channel(address: str, tls: ClientTls) -> grpc.Channel:
    """Returns a channel to an Application Master; it connects with its first call."""
    import grpc

    credentials = grpc.ssl_channel_credentials(
        root_certificates=tls.ca, private_key=tls.key, certificate_chain=tls.cert
    )
    return grpc.secure_channel(address, credentials, options=_OPTIONS)
