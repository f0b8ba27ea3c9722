"""
Which of two ways leads to a daemon: its web server, or its RPC.

What the cluster says decides, once for each client, and is remembered:

* A gateway that the configuration names, and `knit.door`, leave no choice.
* Without Kerberos it is the web server, until that refuses what RPC may allow, or is not there
  while the RPC port is. A refusal that Hadoop itself speaks out, such as a missing permission, is
  the same by both; one without such a word comes from what stands before it, or from a daemon
  whose REST is closed.
* With Kerberos it is the web server where that asks for a ticket. One that answers anybody knows
  nobody, so there it is RPC.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Generic, TypeVar

import attrs

from knit._cluster.rest.client import HttpClient
from knit._cluster.rest.daemons import Daemon
from knit._values.deadlines import Deadline
from knit._values.forks import PerProcess
from knit.exceptions import (
    ClusterError,
    ClusterTimeoutError,
    ClusterUnreachableError,
    ConfigurationError,
    KerberosError,
    StandbyError,
    WebHdfsDisabledError,
    WrongPortError,
)

_PROBE = timedelta(seconds=10)
"""How long a web server may take to say whether it wants a ticket."""
_FORBIDDEN, _METHOD_NOT_ALLOWED = 403, 405
_NOBODY_THERE = (ClusterUnreachableError, ClusterTimeoutError, WrongPortError)

_log = logging.getLogger("knit")
_Door = TypeVar("_Door")
_T = TypeVar("_T")


@attrs.frozen(kw_only=True)
class Choice:
    """What is known of a daemon before it is asked."""

    daemon: Daemon
    forced: str | None
    """`rest` or `rpc` where there is no choice."""
    kerberos: bool
    base_urls: Callable[[], Sequence[str]]
    """Where its web server may answer. May raise ConfigurationError."""


class Doors(Generic[_Door]):
    """
    Both ways to one daemon, of which one is taken. Threads may share it.

    Args:
        choice: What is known before.
        http: What asks the web server.
        rest: Makes the way by its web server.
        rpc: Makes the way by RPC.
    """

    def __init__(
        self,
        choice: Choice,
        http: HttpClient,
        *,
        rest: Callable[[], _Door],
        rpc: Callable[[], _Door],
    ) -> None:
        self._choice = choice
        self._http = http
        self._make = {"rest": rest, "rpc": rpc}
        self._lock = PerProcess(threading.Lock)
        self._chosen: tuple[str, _Door] | None = None
        self._other: _Door | None = None  # tried, and not taken before it has answered
        self._made: list[_Door] = []
        self._has_answered = False

    def chosen(self) -> _Door:
        """
        The way that is taken.

        Raises:
            ConfigurationError: An address is missing.
        """
        return self._taken()[1]

    def through(self, call: Callable[[_Door], _T]) -> _T:
        """
        What a call comes to, by the way that leads there.

        Where one way turns out to be closed, the call is made by the other one, and so are those
        that follow.
        """
        kind, door = self._taken()
        try:
            found = call(door)
        except ClusterError as error:
            other = self._instead(kind, error)
            if other is None:
                raise
            try:
                found = call(other)
            except (*_NOBODY_THERE, KerberosError) as missing:
                if missing._is_undecided:
                    raise
                # There is no other way, so what this one says is what there is to be done.
                _log.debug("%s", missing)
                raise error from None
            except ClusterError:
                self._take("rpc", other)
                raise
            self._take("rpc", other)
        self._has_answered = True
        return found

    def close(self) -> None:
        """Closes what was opened, by either way."""
        with self._lock.get():
            made = list(self._made)
        for door in made:
            close = getattr(door, "close", None)
            if close is not None:
                close()

    def _taken(self) -> tuple[str, _Door]:
        if self._chosen is None:
            with self._lock.get():
                if self._chosen is None:
                    kind = self._choice.forced or self._by_asking()
                    self._chosen = kind, self._open(kind)
        return self._chosen

    def _open(self, kind: str) -> _Door:
        door = self._make[kind]()
        self._made.append(door)
        return door

    def _take(self, kind: str, door: _Door) -> None:
        with self._lock.get():
            self._chosen = kind, door

    def _instead(self, kind: str, error: ClusterError) -> _Door | None:
        """
        The other way, if the failure of this one says that it is closed.

        It is not taken yet: calls of other threads would learn of an address that nobody gave.
        """
        name = self._choice.daemon.name
        if self._choice.forced is not None or kind != "rest":
            return None
        if isinstance(error, KerberosError | StandbyError):  # it is the same by RPC
            return None
        if error._is_undecided:
            return None
        if isinstance(error, WebHdfsDisabledError):
            why = "does not serve WebHDFS"
        elif error.status in (_FORBIDDEN, _METHOD_NOT_ALLOWED) and error.exception is None:
            why = f"refuses REST ({error.status})"
        elif isinstance(error, _NOBODY_THERE) and not (self._has_answered or error._is_lasting):
            why = "has no web server where one is looked for"
        else:
            return None
        with self._lock.get():
            if self._chosen is not None and self._chosen[0] == "rpc":
                return self._chosen[1]
            if self._other is None:
                try:
                    self._other = self._open("rpc")
                except ConfigurationError:
                    return None
                _log.debug("the %s %s, so Hadoop's RPC is tried", name, why)
            return self._other

    def _by_asking(self) -> str:
        if not self._choice.kerberos:
            return "rest"
        daemon = self._choice.daemon
        for base_url in self._choice.base_urls():
            try:
                response = self._http.request(
                    "GET",
                    base_url + daemon.greeting,
                    what=f"Asking the {daemon.name} whether it wants a ticket",
                    daemon=daemon,
                    deadline=Deadline.after(_PROBE),
                    authenticate=False,
                )
            except ClusterError as error:
                _log.debug("%s", error)
                continue
            wanted = response.headers.get("www-authenticate", "").lower()
            if response.status == 401 and "negotiate" in wanted:
                return "rest"
            _log.debug(
                "the web server of the %s at %s answers anybody (%d), so it is spoken to by RPC",
                daemon.name,
                base_url,
                response.status,
            )
            return "rpc"
        _log.debug("no web server of the %s answers, so it is spoken to by RPC", daemon.name)
        return "rpc"
