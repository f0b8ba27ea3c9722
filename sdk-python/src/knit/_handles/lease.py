"""Leases of the key-value store, kept for as long as their `with` block lasts."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from datetime import timedelta
from types import TracebackType
from typing import Protocol

from knit.exceptions import KnitError, LeaseEndedError

KEEPS_A_LIFE = 3
"""How often a lease is kept within its time to live: two tries may fail."""

_log = logging.getLogger("knit")


class Keeper(Protocol):
    """What a lease asks of its store."""

    def keep_lease(self, lease_id: int, *, timeout: timedelta | None = None) -> timedelta:
        """Keeps it for another time to live."""

    def revoke_lease(self, lease_id: int, *, timeout: timedelta | None = None) -> int:
        """Ends it."""


class Lease:
    """
    A promise to be alive: keys that name it are deleted when it has not been kept in time.

    Within its `with` block a thread of its own keeps it; leaving the block ends it, and its keys
    go at once. Without the block, `keep` does that. The thread ends with the program, and the
    lease then ends by itself.

    Args:
        store: Where it is.
        lease_id: Its number.
        time_to_live: How long it lasts without being kept.
        asked_at: When it was asked for, by `time.monotonic`: the Application Master counts from
            some time after that, so that here it ends first.
    """

    def __init__(
        self, store: Keeper, lease_id: int, time_to_live: timedelta, *, asked_at: float
    ) -> None:
        self._store = store
        self._lease_id = lease_id
        self._time_to_live = time_to_live
        self._ends_at = asked_at + time_to_live.total_seconds()
        self._left = threading.Event()
        self._lost: KnitError | None = None
        self._thread: threading.Thread | None = None

    @property
    def lease_id(self) -> int:
        """Its number."""
        return self._lease_id

    @property
    def time_to_live(self) -> timedelta:
        """How long it lasts without being kept."""
        return self._time_to_live

    @property
    def is_lost(self) -> bool:
        """Whether it is known to have ended, or was not kept for so long that it must have."""
        return self._lost is not None or time.monotonic() > self._ends_at

    def __repr__(self) -> str:
        return f"Lease({self._lease_id}, {self._time_to_live.total_seconds():g} s)"

    def keep(self, *, timeout: timedelta | None = None) -> None:
        """
        Keeps it for another time to live, counted from when the Application Master hears of it.

        Raises:
            LeaseEndedError: It has ended, and its keys are gone.
        """
        asked_at = time.monotonic()
        try:
            left = self._store.keep_lease(self._lease_id, timeout=timeout)
        except LeaseEndedError as error:
            self._lost = error
            raise
        # Counted from the question: it may have lain on its way for as long as it took.
        self._ends_at = asked_at + left.total_seconds()

    def revoke(self, *, timeout: timedelta | None = None) -> int:
        """Ends it now, and returns how many keys went with it. Calling it again is safe."""
        self._left.set()
        return self._store.revoke_lease(self._lease_id, timeout=timeout)

    def check(self) -> None:
        """
        Does nothing while it lasts.

        Raises:
            LeaseEndedError: It has ended, or must have.
        """
        if not self.is_lost:
            return
        said = self._lost.message if self._lost is not None else "it could not be kept in time."
        raise LeaseEndedError(
            f"The lease {self._lease_id} has ended, and the keys that lived with it are gone or "
            f"about to go: {said} Ask for another lease, and write them again."
        ) from self._lost

    def __enter__(self) -> Lease:
        self._thread = threading.Thread(
            target=self._keep_it, name=f"knit-lease-{self._lease_id}", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._left.set()
        # What cannot be told ends by itself, when its time is up.
        with contextlib.suppress(KnitError):
            self.revoke(timeout=self._time_to_live)

    def _keep_it(self) -> None:
        interval = self._time_to_live / KEEPS_A_LIFE
        while not self._left.wait(interval.total_seconds()):
            self._try_to_keep(interval)
            if self._lost is not None:
                if not self._left.is_set():
                    _log.warning("%s", self._lost.message)
                return

    def _try_to_keep(self, interval: timedelta) -> None:
        try:
            self.keep(timeout=interval)  # no longer than until the next try
        except KnitError as error:
            _log.debug("%r was not kept: %s", self, error.message)
