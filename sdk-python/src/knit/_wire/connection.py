"""A connection to the Application Master that outlives the breaks of its channels."""

from __future__ import annotations

import math
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs

from knit._values.deadlines import Deadline, Pause, pauses
from knit._wire.calls import Call, ServiceName
from knit._wire.channel import check_size, open_channel
from knit._wire.statuses import (
    ConnectionClosedError,
    HandshakeRefusedError,
    from_rpc_error,
    may_pass,
)
from knit._wire.tls import ClientTls
from knit.exceptions import CLUSTER_SILENCE, ApplicationNotRunningError, KnitError, WaitTimeoutError

if TYPE_CHECKING:
    import grpc
    from google.protobuf.message import Message

    from knit.v1.application_service_pb2_grpc import ApplicationServiceStub
    from knit.v1.container_service_pb2_grpc import ContainerServiceStub
    from knit.v1.log_service_pb2_grpc import LogServiceStub

_T = TypeVar("_T")
_R_co = TypeVar("_R_co", covariant=True)


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

    def method(self, service: ServiceName, name: str) -> Callable[..., Any]:
        """What makes a call."""
        found: Callable[..., Any] = getattr(getattr(self, service), name)
        return found


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
        call: Call[_T],
        deadline: Deadline,
    ) -> _T:
        """
        Makes one call, finding the Application Master first where needed.

        Args:
            call: Which one.
            deadline: For everything together.
        """
        import grpc

        what = call.what
        check_size(call.request, what)
        steps = pauses(0.05, 1.0)
        lost: list[KnitError] = []
        while True:
            stubs = self._ready(deadline, what, len(lost), lost[-1] if lost else None, None)
            cause: Exception
            try:
                method = stubs.method(call.service, call.method)
                answer = method(call.request, timeout=max(0.001, deadline.remaining_seconds))
            except grpc.RpcError as error:
                meaning, cause = from_rpc_error(error, what, self._address), error
            except ValueError as error:  # grpc says so of a closed channel
                if self._closed.is_set():
                    raise self._closed_error(what) from error
                meaning, cause = self._closed_error(what), error
            else:
                return call.read(answer)
            if not (call.is_repeatable and may_pass(meaning)):
                raise meaning from cause
            lost.append(meaning)
            wait = next(steps)
            if deadline.remaining_seconds <= wait:
                raise meaning from cause
            self._pause(wait, what)

    def stream(
        self,
        service: ServiceName,
        method: str,
        request: Message,
        *,
        what: str,
        deadline: Deadline,
        failures: int,
        lost: KnitError | None,
        pause: Pause,
    ) -> ResponseStream[Any]:
        """
        Begins a streaming call.

        Args:
            service: Of the contract.
            method: Of the service.
            request: What is sent.
            what: What is tried, as the beginning of a sentence.
            deadline: For finding the Application Master, and for the stream.
            failures: How many streams broke in a row before this one.
            lost: How the last of them did.
            pause: How to wait while it is looked for.
        """
        stubs = self._ready(deadline, what, failures, lost, pause)
        try:
            left = deadline.remaining_seconds
            timeout = None if left == math.inf else max(0.001, left)
            begun: ResponseStream[Any] = stubs.method(service, method)(request, timeout=timeout)
            return begun
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
