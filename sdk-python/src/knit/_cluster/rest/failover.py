"""A daemon that may be one of several: tries them in turn and remembers which is active."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from urllib3 import exceptions as urllib3_errors

from knit._cluster.members import summary
from knit._cluster.patience import Patience
from knit._cluster.rest.answer_errors import (
    check_status,
    is_standby,
    json_of,
    not_the_daemon,
    standby_error,
)
from knit._cluster.rest.answers import Response, base_of, http_time
from knit._cluster.rest.client import HttpClient
from knit._cluster.rest.daemons import Daemon
from knit._cluster.rest.gateway import url_of
from knit._values.deadlines import Deadline
from knit.exceptions import (
    ClusterError,
    ClusterResponseError,
    ClusterTimeoutError,
    ClusterUnreachableError,
    StandbyError,
    WrongPortError,
)

#: With others still to try, a host that swallows packets does not get the whole time.
_CONNECT_SECONDS = 4.0
#: As by RPC, and less than a call has: what is left is for the other way there.
_ALONE_CONNECT_SECONDS = 20.0
#: Of several failures, the first of these says most.
_TELLING = (WrongPortError, StandbyError, ClusterTimeoutError, ClusterUnreachableError)


class _UndecidedError(Exception):
    """A request may have been carried out, and must not be sent to another member."""

    def __init__(self, error: ClusterError) -> None:
        super().__init__(error)
        self.error = error


class DaemonClient:
    """
    Sends requests to whichever of some addresses is the active one. Threads may share it.

    Args:
        http: The connections.
        daemon: What answers there.
        base_urls: Where, likeliest first; at least one.
    """

    def __init__(self, http: HttpClient, daemon: Daemon, base_urls: Sequence[str]) -> None:
        self.http = http
        self.daemon = daemon
        self.base_urls = tuple(base_urls)
        self._patience = Patience(len(self.base_urls))
        # Written without a lock: a stale value costs one more try.
        self._active = 0
        self._clock = timedelta()

    @property
    def active_url(self) -> str:
        """The base URL that answered last, or the first to try."""
        return self.base_urls[self._active]

    def now(self) -> datetime:
        """The time by the daemon's clock, to a second; by this machine's before it has answered."""
        return datetime.now(timezone.utc) + self._clock

    def get_json(
        self,
        path: str,
        *,
        what: str,
        deadline: Deadline,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The JSON object at a path."""
        response = self.request("GET", path, what=what, deadline=deadline, query=query)
        return json_of(response, what, self.daemon)

    def request(
        self,
        method: str,
        path: str,
        *,
        what: str,
        deadline: Deadline,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
        redirects: bool = False,
        authenticate: bool = True,
    ) -> Response:
        """
        Sends one request to the active member and returns its answer.

        What passes by itself is waited for until the deadline: see `patience`.

        Args:
            method: GET, PUT, POST or DELETE.
            path: Below the base URL, with its leading slash.
            what: What is being done, for messages.
            deadline: For all tries together.
            query: Parameters.
            body: The body.
            headers: More headers.
            repeatable: Whether doing it twice is the same as once. Default: for GET only. What is
                not repeatable is sent again only where the first try certainly did nothing.
            redirects: Whether a redirect is an answer.
            authenticate: False where the query or the headers already say who we are.

        Raises:
            ClusterError: By what it was; see the exceptions' tree.
            KerberosRequiredError: It wants Kerberos.
        """
        repeatable = method == "GET" if repeatable is None else repeatable

        def ask_all() -> Response:
            failures: list[ClusterError] = []
            order = self._order()
            for position, index in enumerate(order):
                others = len(order) - position - 1 if repeatable else 0
                try:
                    response = self._try(
                        index,
                        method,
                        path,
                        what=what,
                        deadline=deadline.share(1 + others),
                        query=query,
                        body=body,
                        headers=headers,
                        repeatable=repeatable,
                        redirects=redirects,
                        authenticate=authenticate,
                    )
                except _TELLING as error:
                    failures.append(error)
                    if deadline.remaining_seconds <= 0:
                        break
                else:
                    self._active = index
                    return response
            raise summary(failures, what, self.daemon, _TELLING)

        try:
            return self._patience.insist(ask_all, deadline)
        except _UndecidedError as undecided:
            undecided.error._is_undecided = True
            raise undecided.error from undecided.error.__cause__

    def _order(self) -> list[int]:
        active = self._active
        return [active, *(index for index in range(len(self.base_urls)) if index != active)]

    def _try(
        self,
        index: int,
        method: str,
        path: str,
        *,
        what: str,
        deadline: Deadline,
        query: Mapping[str, str] | None,
        body: bytes | None,
        headers: Mapping[str, str] | None,
        repeatable: bool,
        redirects: bool,
        authenticate: bool,
    ) -> Response:
        url = url_of(self.base_urls[index], path)
        for attempt in (1, 2):
            try:
                response = self.http.request(
                    method,
                    url,
                    what=what,
                    daemon=self.daemon,
                    deadline=deadline,
                    query=query,
                    body=body,
                    headers=headers,
                    authenticate=authenticate,
                    connect_seconds=(
                        _CONNECT_SECONDS if len(self.base_urls) > 1 else _ALONE_CONNECT_SECONDS
                    ),
                )
                break
            except ClusterError as error:
                if _did_nothing(error):
                    raise
                if not repeatable:
                    raise _UndecidedError(error) from error
                # A pooled connection may have been closed by the other side in the meantime.
                if attempt == 2 or isinstance(
                    error, ClusterTimeoutError | WrongPortError | ClusterResponseError
                ):
                    raise
        self._patience.answered()
        there = http_time(response.headers.get("date"))
        if there is not None:
            self._clock = there - datetime.now(timezone.utc)
        if is_standby(response) or self._redirects_to_active(response):
            raise standby_error(response, what, self.daemon)
        if len(self.base_urls) > 1 and _knows_no_token(response):
            raise StandbyError(
                f"{what}: the {self.daemon.name} at {base_of(response.url)} does not know the "
                "delegation token that it is shown. It is on standby, or the token has ended: "
                "run kinit, or submit the application anew that this is a container of.",
                url=response.url.partition("?")[0],
                status=response.status,
            )
        try:
            check_status(response, what, self.daemon, redirects=redirects)
        except WrongPortError as error:
            found = error.answered_by or self._identify(self.base_urls[index], deadline)
            if found is None:
                raise
            raise not_the_daemon(response.url, what, self.daemon, found) from error
        return response

    def _identify(self, base_url: str, deadline: Deadline) -> str | None:
        """Which of Hadoop's daemons a web server belongs to; None if it does not say."""
        try:
            response = self.http.request(
                "GET",
                f"{base_url}/jmx",
                what="Asking a web server who it is",
                daemon=self.daemon,
                deadline=deadline,
                query={"qry": "Hadoop:service=*,name=JvmMetrics"},
            )
        except ClusterError:
            return None
        match = re.search(r"Hadoop:service=(\w+),name=JvmMetrics", response.text)
        return match.group(1) if match and response.status == 200 else None

    def _redirects_to_active(self, response: Response) -> bool:
        """
        A standby RM sends us to the active one, by the name it knows it by.

        Where it knows of none, it tells us to come again (`Refresh`), and nowhere to go.
        """
        if self.daemon.name != "ResourceManager" or response.status not in (302, 307):
            return False
        location = response.headers.get("location", "")
        if not location:
            return "refresh" in response.headers
        return base_of(location) != base_of(response.url) and "/ws/v1/" in location


def _knows_no_token(response: Response) -> bool:
    """Whether it was shown a token that it does not know: on standby an RM has loaded none."""
    return (
        response.status in (401, 403)
        and b"InvalidToken" in response.body
        and b"can't be found in cache" in response.body
        and "/ws/v1/cluster" in response.url
    )


def _did_nothing(error: ClusterError) -> bool:
    """Whether the request certainly never reached the daemon."""
    return isinstance(
        error.__cause__,
        urllib3_errors.NewConnectionError
        | urllib3_errors.ConnectTimeoutError
        | urllib3_errors.SSLError
        | urllib3_errors.LocationParseError
        | socket.gaierror,
    )
