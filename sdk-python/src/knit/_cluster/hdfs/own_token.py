"""The delegation token that a client holds for itself, so that data moves without tickets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta

from knit._cluster.security.tokens import MalformedTokenError, Token, TokenIdentifier

FETCHED_ANEW_AFTER = timedelta(hours=1)
"""However long it is good for: what begins with a token, such as an upload, ends with it."""
_USED_OF_ITS_LIFE = 0.75


class OwnToken:
    """
    Fetches a delegation token as it is first needed, and anew before it ends. Threads may share it.

    With a ticket alone the NameNode makes a token for each redirect, for DataNodes take no tickets:
    one for all of them is kinder. It is not that of any submission, which YARN cancels.

    Args:
        fetch: Fetches a token, by the ticket.
    """

    def __init__(self, fetch: Callable[[], Token]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._held: str | None = None
        self._good_until = 0.0
        """By the monotonic clock."""

    def url_string(self) -> str:
        """The token. What `fetch` raises is passed on."""
        with self._lock:
            if self._held is None or time.monotonic() >= self._good_until:
                began = time.monotonic()
                token = self._fetch()
                self._held = token.url_string()
                self._good_until = began + _use(token) / timedelta(seconds=1)
            return self._held

    def forget(self, url_string: str) -> None:
        """Has another one fetched the next time, unless that was done already."""
        with self._lock:
            if self._held == url_string:
                self._held = None

    @property
    def held(self) -> str | None:
        """The token, if one was fetched."""
        return self._held


def _use(token: Token) -> timedelta:
    """For how long a new token is used. How long its first interval is it does not say."""
    try:
        found = TokenIdentifier.of(token)
    except MalformedTokenError:
        found = None
    if found is None or found.max_time is None or found.issue_time is None:
        return FETCHED_ANEW_AFTER
    # Both by the clock of who issued it.
    life = max(timedelta(), found.max_time - found.issue_time)
    return min(FETCHED_ANEW_AFTER, life * _USED_OF_ITS_LIFE)
