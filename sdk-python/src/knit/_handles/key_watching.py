"""Watching the keys of a store."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from knit._handles.session import Session
from knit._handles.watching import Watch
from knit._values.deadlines import Deadline, pauses
from knit._values.events import EventKind
from knit._values.kv import Key, KeyChange, key_range, range_of
from knit._values.references import Position
from knit._wire.calls import kv as calls
from knit._wire.calls.events import watch_events
from knit.exceptions import (
    ApplicationNotRunningError,
    EventsForgottenError,
    HistoryLostError,
    InvalidRequestError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from knit.v1 import event_service_pb2, key_value_pb2


class KeyWatching:
    """The part of `KeyValueStore` that watches."""

    _session: Session

    def wait(self, key: Key, *, timeout: timedelta | None = None) -> bytes:
        """
        Returns the value of a key, and waits for it to be there.

        It watches, and does not ask again and again; nothing is missed in between.

        Args:
            key: The key.
            timeout: Default: none.

        Raises:
            WaitTimeoutError: It did not come in time.
            ApplicationNotRunningError: The application ended before it came.
        """
        deadline = Deadline.never() if timeout is None else Deadline.after(timeout)
        keys = range_of(key)
        steps = pauses(0.02, 2.0)
        while True:
            call = calls.read_range(self._session.application_id, keys)
            page = self._session.connection.call(call, deadline.at_most(self._session.timeout))
            if page.key_values:
                return page.key_values[0].value
            after = Position(page.sequence, page.history_id)
            try:
                with self._watch(keys, after, deadline, with_values=True) as watch:
                    for change in watch:
                        if change.current is not None:
                            return change.current.value
            except (EventsForgottenError, HistoryLostError):
                # Looked at anew; not at once, for whoever forgets each time would keep us busy.
                time.sleep(min(next(steps), deadline.remaining_seconds))
                continue
            except WaitTimeoutError as error:
                raise WaitTimeoutError(
                    f"Waited {deadline.total.total_seconds():g} s for the key {key!r} of "
                    f"{self._session.application_id}, and nobody wrote it. Give more time "
                    "(timeout=), or look whether its writer runs."
                ) from error
            raise ApplicationNotRunningError(
                f"{self._session.application_id} has ended, and nobody had written the key {key!r}."
            )

    def watch(
        self,
        key: Key | None = None,
        *,
        start: Key | None = None,
        end: Key | None = None,
        prefix: Key | None = None,
        after: Position | int | None = None,
        with_values: bool = True,
        timeout: timedelta | None = None,
    ) -> Watch[KeyChange]:
        """
        Watches keys: every change of them in order, with what was there before.

        Changes of one transaction have the same revision and follow each other. See `Watch` for
        what it does when the connection breaks, and `watch.position` for going on later.

        Args:
            key: Only this one.
            start: Instead: from this key on.
            end: To before this one.
            prefix: Instead: all that begin so.
            after: Only what came after this moment: a position, or a revision. Default: from now
                on.
            with_values: Whether values come along, now and before.
            timeout: For the whole watch. Default: none.

        Raises:
            WaitTimeoutError: While iterating; the time is up.
            EventsForgottenError: While iterating; what follows `after` is kept no more.
        """
        if key is not None and (start, end, prefix) != (None, None, None):
            raise InvalidRequestError("Watch a key, or a range of keys: not both.")
        keys = key_range(start, end, prefix) if key is None else range_of(key)
        deadline = Deadline.never() if timeout is None else Deadline.after(timeout)
        if isinstance(after, Position):
            return self._watch(keys, after, deadline, with_values=with_values)
        call = calls.read_range(self._session.application_id, keys, count_only=True)
        page = self._session.connection.call(call, deadline)
        begins = Position(page.sequence if after is None else after, page.history_id)
        return self._watch(keys, begins, deadline, with_values=with_values)

    def _watch(
        self,
        keys: key_value_pb2.KeyRange,
        after: Position,
        deadline: Deadline,
        *,
        with_values: bool,
    ) -> Watch[KeyChange]:
        def read(event: event_service_pb2.Event, _: Position) -> list[KeyChange]:
            return [
                KeyChange._from_proto(change.key, event.sequence)
                for change in event.changes
                if change.HasField("key")
            ]

        return Watch(
            self._session,
            watch_events(kinds=[EventKind.KEY], key_ranges=[keys], with_values=with_values),
            read,
            what=f"Watching keys of {self._session.application_id}",
            after=after,
            deadline=deadline,
        )
