"""What can be watched of an application."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from knit._handles import archived_logs
from knit._handles.collected import Collected
from knit._handles.container import Container, Owner
from knit._handles.events import Event, Snapshot, reading_events
from knit._handles.services import several
from knit._handles.session import Session
from knit._handles.watching import Watch
from knit._values.containers import ContainerState
from knit._values.deadlines import Deadline, Pause
from knit._values.events import EventKind
from knit._values.references import Position
from knit._values.service_status import ServiceStatus
from knit._wire.calls.application import get_application
from knit._wire.calls.events import watch_events
from knit.exceptions import (
    ApplicationNotFoundError,
    ApplicationNotRunningError,
    ConnectionLostError,
    KnitError,
)


class EventControl(Owner):
    """The part of `Application` that is about events."""

    _session: Session
    _collected: Collected

    if TYPE_CHECKING:

        def services(
            self, names: Iterable[str] | None = None, *, timeout: timedelta | None = None
        ) -> list[ServiceStatus]:
            """The services as they are; another part has it."""

        def _list(
            self, services: list[str], states: list[ContainerState], deadline: Deadline
        ) -> list[Container]:
            """The containers as they are listed; another part has it."""

    def snapshot(self, *, timeout: timedelta | None = None) -> Snapshot:
        """
        Lists the application, its services and its containers, and names the moment of it.

        The lists come in pages, so the last of thousands may be a moment newer than the position
        says; watching from there tells what changed meanwhile, so both together are right.
        """
        deadline = self._session.within(timeout)
        ask = get_application(self._session.application_id)
        description = self._session.connection.call(ask, deadline)
        services = self.services(timeout=deadline.remaining)
        return Snapshot(description, services, self._list([], [], deadline))

    def events(
        self,
        *,
        after: Position | int | None = None,
        kinds: Iterable[EventKind] | None = None,
        services: Iterable[str] | None = None,
        follow: bool = True,
        timeout: timedelta | None = None,
    ) -> Watch[Event]:
        """
        Watches what changes in the application, in order, each change once.

        Works after the end, too, from what the Application Master wrote down and YARN has
        collected; that is waited for, as long as the client's timeout, and for two minutes at
        least by who follows. Then the events of all its attempts come, one after the other, each
        with numbers of its own; after a position, those of its attempt. A watch that the
        Application Master leaves before all was told goes on there by itself.

        A broken connection is made again, and the watch goes on where it was. It waits for the
        Application Master to start, and names the moment it begins at before it returns.

        Args:
            after: Only what came after this moment: the `position` of an event, a snapshot or a
                description; or a sequence number, 0 for all that is kept. Default: from now on.
            kinds: Only changes of these. Default: of all but keys of the store.
            services: Of services and containers, only of these. Default: of all.
            follow: Whether to go on with what changes later, until the application has ended.
                Otherwise it ends with the last change there is now.
            timeout: For the whole watch. Default: none.

        Raises:
            ApplicationNotRunningError: It has ended, and nothing is known of its events.
            HistoryLostError: The position is of an Application Master that another has followed.
        """
        what = f"Watching the events of {self._session.application_id}"
        ask = get_application(self._session.application_id)
        wanted, names = list(kinds or ()), several("services", services)
        deadline = Deadline.never() if timeout is None else Deadline.after(timeout)
        collecting = self._session.timeout
        if follow:
            collecting = max(collecting, timedelta(seconds=archived_logs.PATIENCE_SECONDS))
        now: Position | None = None
        if not isinstance(after, Position) or not follow:
            try:
                now = self._session.connection.call(ask, deadline).position
            except (
                ApplicationNotRunningError,
                ApplicationNotFoundError,
                ConnectionLostError,
            ) as error:
                if not self._collected.is_due(error):
                    raise
                past = self._collected.events(
                    wanted,
                    names,
                    after=0 if after is None else after,
                    owner=self,
                    deadline=deadline.at_most(collecting),
                    gone=error,
                )
                return Watch._of(self._session, past, what=what)

        def rest(
            position: Position, gone: KnitError, deadline: Deadline, pause: Pause
        ) -> Iterator[tuple[Position, Event]]:
            if not self._collected.is_due(gone):
                raise gone
            for event in self._collected.events(
                wanted,
                names,
                after=position,
                owner=self,
                deadline=deadline.at_most(collecting),
                gone=gone,
                pause=pause,
            ):
                yield event.position, event

        begins = after if isinstance(after, Position) else now
        if isinstance(after, int) and now is not None:
            begins = Position(after, now.history_id)
        return Watch(
            self._session,
            watch_events(kinds=wanted, services=names),
            reading_events(self),
            what=what,
            after=begins,
            deadline=deadline,
            until=now.sequence if now is not None and not follow else None,
            rest=rest,
        )
