"""What a handle's methods have in common: whom they ask, and how patiently."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs

from knit._values.deadlines import Deadline, Pause
from knit._wire.calls.call import Call, Pages, ServiceName
from knit._wire.connection import Connection, ResponseStream
from knit.exceptions import HistoryLostError, InvalidRequestError, KnitError

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from knit.v1 import log_service_pb2

_T = TypeVar("_T")


@attrs.frozen
class Session:
    """A connection to the Application Master of one application."""

    application_id: str
    connection: Connection
    timeout: timedelta
    """For a call, unless it says another one."""

    def within(self, timeout: timedelta | None) -> Deadline:
        """The deadline of a call."""
        return Deadline.of(timeout, default=self.timeout)

    def call(self, call: Call[_T], timeout: timedelta | None) -> _T:
        """Makes a call."""
        return self.connection.call(call, self.within(timeout))

    def change(self, make: Callable[[str], Call[_T]], timeout: timedelta | None) -> _T:
        """Makes a call that changes something, once; see `Connection.change`."""
        return self.connection.change(make, self.within(timeout))

    def collect(self, pages: Pages[_T], deadline: Deadline) -> list[_T]:
        """All of a list that comes in pages."""
        while not pages.is_complete:
            try:
                pages.accept(self.connection.call(pages.next_call(), deadline))
            except (InvalidRequestError, HistoryLostError):  # noqa: PERF203
                # Another Application Master does not know the page.
                if not pages.begin_anew():
                    raise
        return pages.items

    def opener(
        self, service: ServiceName, method: str, *, what: str, deadline: Deadline
    ) -> Callable[..., ResponseStream[Any]]:
        """What begins a stream; see `Connection.stream`."""

        def begin(
            request: Message, *, failures: int, lost: KnitError | None, pause: Pause
        ) -> ResponseStream[Any]:
            return self.connection.stream(
                service,
                method,
                request,
                what=what,
                deadline=deadline,
                failures=failures,
                lost=lost,
                pause=pause,
            )

        return begin


class OpenLogs(Protocol):
    """Begins a call that reads logs."""

    def __call__(
        self,
        request: log_service_pb2.StreamLogsRequest,
        *,
        failures: int,
        lost: KnitError | None,
        pause: Pause,
    ) -> ResponseStream[log_service_pb2.StreamLogsResponse]:
        """
        Begins it.

        Args:
            request: What is wanted.
            failures: How many calls broke in a row before it.
            lost: How the last of them did.
            pause: How to wait while the Application Master is looked for.
        """
