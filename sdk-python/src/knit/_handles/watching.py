"""Streams of what changes, which go on where they were when a connection breaks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from knit._cluster.patience import Notice as Waiting
from knit._handles.session import Session
from knit._values.deadlines import Deadline, Pause, pauses
from knit._values.references import Position
from knit._wire.calls.events import watch_events
from knit._wire.connection import ResponseStream
from knit._wire.event_cursor import EventCursor
from knit._wire.statuses import (
    CertificateDateError,
    ConnectionClosedError,
    from_rpc_error,
    may_resume,
    never_connected,
)
from knit.exceptions import (
    ApplicationNotFoundError,
    ApplicationNotRunningError,
    ConnectionLostError,
    EventsForgottenError,
    HistoryLostError,
    KnitError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    import grpc

    from knit.v1 import event_service_pb2

_T = TypeVar("_T")

UNREACHED_PATIENCE = timedelta(seconds=60)
"""
How long an Application Master is tried that was never reached: its port may be closed to this
machine for good. One that was reached once is looked for as long as the application lives.
"""


Rest: TypeAlias = Callable[[Position, KnitError, Deadline, Pause], Iterable[tuple[Position, _T]]]
"""
What followed a position, each with its own, from elsewhere than the Application Master, which has
left: told so by this error. It has until this deadline, and waits by this.
"""


class _LeftError(Exception):
    """The watch was closed while it waited."""


class Watch(Generic[_T]):
    """
    What changes, in order, each change once.

    It is an iterator, which waits for the next change. When the connection breaks it goes on by
    itself after the last change that came, for as long as the application lives: none is left out
    and none comes twice. It ends after the application has ended and everything was told. Who
    reads slowly costs the Application Master nothing but a number; but it keeps only the last
    100,000 changes, and who falls behind them is told so.

    Leaving its `with` block, or `close`, ends it, also in another thread that waits for it.

    Raises:
        WaitTimeoutError: While iterating; its time is up.
        EventsForgottenError: Likewise; what follows the position is kept no more. List again
            what is watched, and watch from the position that the list names.
        HistoryLostError: Likewise; the Application Master was started anew, and the application
            with it. List again, and watch from there.
        ApplicationNotRunningError: Likewise; the Application Master left before all was told. (Of
            events, the rest is then read from what it wrote down: this is raised where that is
            not to be had.)
        ConnectionLostError: Likewise; the Application Master was never reached.
    """

    def __init__(
        self,
        session: Session,
        request: event_service_pb2.WatchEventsRequest,
        read: Callable[[event_service_pb2.Event, Position], Iterable[_T]],
        *,
        what: str,
        after: Position | None,
        deadline: Deadline,
        until: int | None = None,
        rest: Rest[_T] | None = None,
    ) -> None:
        self._open: Callable[..., ResponseStream[event_service_pb2.WatchEventsResponse]] = (
            session.opener("events", "WatchEvents", what=what, deadline=deadline)
        )
        self._address: Callable[[], str | None] = lambda: session.connection.address
        self._cursor = EventCursor(request, what=what, after=after)
        self._read = read
        self._what = what
        self._deadline = deadline
        self._until = until
        self._rest = rest
        self._closed = threading.Event()
        self._lock = threading.Lock()
        # Guarded by _lock, so that close() of another thread ends the right call.
        self._call: ResponseStream[event_service_pb2.WatchEventsResponse] | None = None
        self._items = self._iterate()

    @classmethod
    def _of(cls, session: Session, items: Iterator[_T], *, what: str) -> Watch[_T]:
        """A watch of what is known already, as of an application that has ended."""
        watch = cls(
            session,
            watch_events(),
            lambda *_: (),
            what=what,
            after=None,
            deadline=Deadline.never(),
        )
        watch._items = items
        return watch

    @property
    def position(self) -> Position | None:
        """Where it stands: another watch goes on from here. None before anything was heard."""
        return self._cursor.position

    def __iter__(self) -> Iterator[_T]:
        return self

    def __next__(self) -> _T:
        return next(self._items)

    def close(self) -> None:
        """Ends the watch. Calling it again is safe."""
        self._closed.set()
        with self._lock:
            call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def __enter__(self) -> Watch[_T]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _iterate(self) -> Iterator[_T]:
        try:
            yield from self._changes()
        except _LeftError:
            return
        finally:
            self.close()

    def _changes(self) -> Iterator[_T]:
        import grpc

        failures, steps, notice = 0, pauses(0.1, 2.0), Waiting()
        unreached: Deadline | None = None
        was_reached = False
        lost: KnitError | None = None
        if self._is_caught_up():
            return
        while True:
            began_at = self.position
            try:
                for response in self._begin(failures, lost):
                    was_reached = True
                    event = self._cursor.accept(response)
                    if event is not None:
                        assert self.position is not None  # noqa: S101 - the event's
                        yield from self._read(event, self.position)
                    if self._is_caught_up():
                        return
                return
            except grpc.RpcError as error:
                lost = self._meaning(error)
                was_reached = was_reached or not never_connected(error)
            except ConnectionClosedError:
                if self._closed.is_set():
                    raise _LeftError from None
                raise
            except (ApplicationNotRunningError, ApplicationNotFoundError) as error:
                yield from self._told_by_others(error)
                return
            if began_at != self.position:
                failures, steps, notice = 0, pauses(0.1, 2.0), Waiting()
            failures += 1
            if not was_reached:
                unreached = unreached or Deadline.after(UNREACHED_PATIENCE)
                if unreached.is_over:
                    raise lost
            notice.waiting(f"{lost.message} Trying again, as long as the application lives.")
            self._wait(next(steps))

    def _told_by_others(self, gone: KnitError) -> Iterator[_T]:
        """What the Application Master had not told yet when it left."""
        position = self.position
        if self._rest is None or position is None:
            raise gone
        for following, item in self._rest(position, gone, self._deadline, self._wait):
            if self._until is not None and following.sequence > self._until:
                return
            self._cursor.position = following
            yield item

    def _is_caught_up(self) -> bool:
        position = self._cursor.position
        return self._until is not None and position is not None and position.sequence >= self._until

    def _meaning(self, error: grpc.RpcError) -> ConnectionLostError:
        """What a broken call means, if it may be begun again; else that is raised."""
        if self._closed.is_set():
            raise _LeftError from error
        self._check_deadline(error)
        meaning = from_rpc_error(error, self._what, self._address())
        if isinstance(meaning, EventsForgottenError):
            self._advise(
                meaning, "List again what is watched, and watch from the position the list names."
            )
        elif isinstance(meaning, HistoryLostError):
            self._advise(
                meaning,
                "The application began anew with another Application Master: list again what is "
                "watched, and watch from the position the list names.",
            )
        resumes = may_resume(error) and not isinstance(meaning, CertificateDateError)
        if not resumes:
            raise meaning from error
        return meaning if isinstance(meaning, ConnectionLostError) else _lost(meaning)

    @staticmethod
    def _advise(error: KnitError, advice: str) -> None:
        error.args = (f"{error.message} {advice}",)

    def _begin(
        self, failures: int, lost: KnitError | None
    ) -> Iterable[event_service_pb2.WatchEventsResponse]:
        self._wait(0)
        call = self._open(
            self._cursor.next_request(), failures=failures, lost=lost, pause=self._wait
        )
        with self._lock:
            self._call = call
        if self._closed.is_set():  # by another thread, before it could see this call
            call.cancel()
        return call

    def _wait(self, seconds: float) -> None:
        """Waits; leaves if nobody wants to know any more."""
        self._check_deadline()
        if self._closed.wait(min(seconds, self._deadline.remaining_seconds)):
            raise _LeftError

    def _check_deadline(self, error: Exception | None = None) -> None:
        code = getattr(error, "code", lambda: None)()
        # gRPC's clock may be a little ahead of ours.
        ran_out = code is not None and code.name == "DEADLINE_EXCEEDED"
        if self._deadline.is_over or ran_out:
            seconds = self._deadline.total.total_seconds()
            raise WaitTimeoutError(
                f"{self._what}: the {seconds:g} s that were given are over. What was told until "
                "then was all there was; watch on from the position it stands at."
            ) from error


def _lost(meaning: KnitError) -> ConnectionLostError:
    return ConnectionLostError(meaning.message)
