"""The delegation token that a client holds for itself, so that data moves without tickets."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta

from knit._cluster.rest.answer_errors import INVALID_TOKEN
from knit._cluster.security.tokens import MalformedTokenError, Token, TokenIdentifier
from knit._values.deadlines import Deadline
from knit._values.forks import PerProcess
from knit.exceptions import ClusterError, KnitError

FETCHED_ANEW_AFTER = timedelta(hours=1)
"""However long it is good for: what begins with a token, such as an upload, ends with it."""
CANCELLING = timedelta(seconds=2)
"""How long a client that is closed may take to cancel its tokens; the others end by themselves."""
MOST_CANCELLED = 24
"""So many tokens are cancelled, the latest: of one an hour, those of the interval of one, a day."""
_USED_OF_ITS_LIFE = 0.75

_log = logging.getLogger("knit")


class OwnToken:
    """
    Fetches a delegation token as it is first needed, and anew before it ends. Threads may share it.

    With a ticket alone the NameNode makes a token for each redirect, for DataNodes take no tickets:
    one for all of them is kinder. It is not that of any submission, which YARN cancels.

    Args:
        fetch: Fetches a token, by the ticket.
        cancel: Has the NameNode forget one, within a time. Default: none is cancelled, as where
            they are somebody else's.
    """

    def __init__(
        self,
        fetch: Callable[[], Token],
        cancel: Callable[[Token, timedelta], None] | None = None,
    ) -> None:
        self._fetch = fetch
        self._cancel = cancel
        self._lock = PerProcess(threading.Lock)
        self._held: str | None = None
        self._good_until = 0.0
        """By the monotonic clock."""
        # Those that were replaced are good still, and what began with one may go on.
        self._fetched: deque[tuple[int, Token]] = deque(maxlen=MOST_CANCELLED)

    def url_string(self) -> str:
        """The token. What `fetch` raises is passed on."""
        with self._lock.get():
            if self._held is None or time.monotonic() >= self._good_until:
                began = time.monotonic()
                token = self._fetch()
                self._held = token.url_string()
                self._good_until = began + _use(token) / timedelta(seconds=1)
                self._fetched.append((os.getpid(), token))
            return self._held

    def forget(self, url_string: str) -> None:
        """Has another one fetched the next time, unless that was done already."""
        with self._lock.get():
            if self._held == url_string:
                self._held = None

    def close(self) -> None:
        """
        Cancels what was fetched, as far as that goes in `CANCELLING`. It raises nothing.

        A process that was forked leaves alone what its parent goes on with.
        """
        with self._lock.get():
            fetched = [token for pid, token in self._fetched if pid == os.getpid()]
            self._fetched.clear()
            self._held = None
        if self._cancel is None:
            return
        deadline = Deadline.after(CANCELLING)
        for token in reversed(fetched):
            if deadline.is_over:
                return
            try:
                self._cancel(token, deadline.remaining)
            except (KnitError, OSError, RuntimeError) as error:
                # RuntimeError is Python's at its end, where no thread can be started any more.
                _log.debug("a delegation token was not cancelled: %s", error)


def is_token_gone(error: ClusterError) -> bool:
    """Whether a token was not known: NameNode and DataNode wrap that into whatever they throw."""
    return INVALID_TOKEN in (error.exception or "") or INVALID_TOKEN in error.message


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
