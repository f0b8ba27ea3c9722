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
from knit._wire.calls.application import get_application
from knit._wire.calls.call import Call, ServiceName
from knit._wire.channel import check_size, open_channel
from knit._wire.statuses import (
    ConnectionClosedError,
    HandshakeRefusedError,
    from_rpc_error,
    may_pass,
    never_connected,
)
from knit._wire.tls import ClientTls
from knit.exceptions import (
    CLUSTER_SILENCE,
    ApplicationNotRunningError,
    HistoryLostError,
    KnitError,
    PositionOutOfRangeError,
    RpcTimeoutError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    import grpc
    from google.protobuf.message import Message

    from knit.v1.application_service_pb2_grpc import ApplicationServiceStub
    from knit.v1.container_service_pb2_grpc import ContainerServiceStub
    from knit.v1.event_service_pb2_grpc import EventServiceStub
    from knit.v1.key_value_service_pb2_grpc import KeyValueServiceStub
    from knit.v1.log_service_pb2_grpc import LogServiceStub

_FAIR_SECONDS = 1.0
"""Where the last try had less than this, that it had no answer says less than the one before it."""

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
    events: EventServiceStub
    kv: KeyValueServiceStub
    logs: LogServiceStub

    @classmethod
    def over(cls, channel: grpc.Channel) -> Stubs:
        # Made with their channel and never later: on one that another thread has closed gRPC says
        # so of calls, and crashes over stubs.
        from knit.v1.application_service_pb2_grpc import ApplicationServiceStub
        from knit.v1.container_service_pb2_grpc import ContainerServiceStub
        from knit.v1.event_service_pb2_grpc import EventServiceStub
        from knit.v1.key_value_service_pb2_grpc import KeyValueServiceStub
        from knit.v1.log_service_pb2_grpc import LogServiceStub

        return cls(
            channel,
            ApplicationServiceStub(channel),
            ContainerServiceStub(channel),
            EventServiceStub(channel),
            KeyValueServiceStub(channel),
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
        self._history_id: str | None = None
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
        return self._call(call, deadline, [])

    def change(self, make: Callable[[str], Call[_T]], deadline: Deadline) -> _T:
        """
        Makes a call that changes something: once, however often it has to be sent.

        It names the history it belongs to, so that an Application Master that was started anew
        does not do once more what the one before it may have done.

        Args:
            make: Makes the call for a history.
            deadline: For everything together.

        Raises:
            HistoryLostError: The Application Master was replaced, after it may have done it.
        """
        history_id = self._history_id or self._ask_history(deadline)
        while True:
            call, sent = make(history_id), list[KnitError]()
            try:
                return self._call(call, deadline, sent)
            except PositionOutOfRangeError as error:
                if error.reason is not None:
                    raise
                meaning: KnitError = error  # an Application Master of knit 1.0
            except HistoryLostError as error:
                meaning = error
            now = self._ask_history(deadline)
            # The last try is the one that was refused.
            if len(sent) > 1 or now == history_id:
                raise HistoryLostError(
                    f"{call.what}: its Application Master was replaced meanwhile, and the "
                    "application began anew. What was asked for may have been done before that, "
                    "and is then gone with it. List what there is now, then decide."
                ) from meaning
            history_id = now  # it was never sent to the one before

    def _ask_history(self, deadline: Deadline) -> str:
        self._history_id = self.call(get_application("the application"), deadline).history_id
        return self._history_id

    def _call(self, call: Call[_T], deadline: Deadline, sent: list[KnitError]) -> _T:
        """Makes one call; `sent` is how the tries went that may have arrived all the same."""
        import grpc

        what = call.what
        check_size(call.request, what)
        steps = pauses(0.05, 1.0)
        lost: list[KnitError] = []
        while True:
            stubs = self._ready(deadline, what, len(lost), lost[-1] if lost else None, None)
            cause: Exception
            left = deadline.remaining_seconds
            try:
                method = stubs.method(call.service, call.method)
                answer = method(call.request, timeout=_timeout(deadline))
            except grpc.RpcError as error:
                meaning, cause = from_rpc_error(error, what, self._address), error
                if not never_connected(error):
                    sent.append(meaning)
            except ValueError as error:  # grpc says so of a closed channel
                if self._closed.is_set():
                    raise self._closed_error(what) from error
                meaning, cause = self._closed_error(what), error
            else:
                return call.read(answer)
            if not (call.is_repeatable and may_pass(meaning)):
                if lost and left < _FAIR_SECONDS and isinstance(meaning, RpcTimeoutError):
                    raise lost[-1] from cause
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
            begin = stubs.method(service, method)
            begun: ResponseStream[Any] = begin(request, timeout=_timeout(deadline))
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


def _timeout(deadline: Deadline) -> float | None:
    """For gRPC, which takes an endless one for one that is over."""
    left = deadline.remaining_seconds
    return None if left == math.inf else max(0.001, left)


_CONNECTIONS: weakref.WeakSet[Connection] = weakref.WeakSet()
_LEFT_TO_THE_PARENT: list[Stubs] = []


def _after_fork() -> None:
    for connection in list(_CONNECTIONS):
        connection._begin_anew()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_after_fork)
