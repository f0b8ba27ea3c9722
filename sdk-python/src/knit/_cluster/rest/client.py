"""
The one place where requests leave for the cluster.

Proxies in the environment are not looked at: a cluster's daemons are reached directly, or through
a gateway that the configuration names.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Generator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import urllib3
from urllib3.response import BaseHTTPResponse

from knit._cluster.rest.answer_errors import status_error
from knit._cluster.rest.answers import Response, base_of, plain
from knit._cluster.rest.authentication import Authentication, Exchange
from knit._cluster.rest.connections import Connections
from knit._cluster.rest.daemons import Daemon
from knit._cluster.rest.transport_errors import transport_error, unknown_host_error
from knit._cluster.rest.trust import Trust
from knit._values.deadlines import Deadline
from knit._values.forks import PerProcess
from knit.exceptions import (
    ClusterError,
    ClusterResponseError,
    ClusterTimeoutError,
    KerberosError,
    ServerIdentityError,
)

_BLOCK_BYTES = 1 << 20
LARGEST_ANSWER_BYTES = 128 * 1024 * 1024
"""Of one that is read as a whole: 30,000 applications, or 40,000 nodes, and their like."""
#: urllib3 takes no time at all for a mistake of its caller's.
_LEAST_SECONDS = 0.001
_SECRETS = re.compile(r"(\bdelegation=)[^&\s]+")


def check_time(deadline: Deadline, what: str, url: str) -> None:
    """Raises ClusterTimeoutError once the time is up."""
    if deadline.is_over:
        raise ClusterTimeoutError(
            f"{what}: {plain(url)} did not answer within {deadline.total.total_seconds():.3g} s. "
            "Try again, or allow more time (timeout=).",
            url=plain(url),
        )


class _Discreet(logging.Filter):
    """Keeps tokens, which Hadoop sends as a part of addresses, out of urllib3's debugging log."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                _SECRETS.sub(r"\1…", part) if isinstance(part, str) else part
                for part in record.args
            )
        return True


_DISCREET = _Discreet()


class HttpClient:
    """
    A pool of connections to the cluster's daemons. Threads may share it.

    After a fork the child connects anew: on a connection that two processes share, each would
    read answers to the other.

    Args:
        authentication: Who we are.
        trust: Which servers are trusted over https. Default: those that this machine does.
    """

    def __init__(self, authentication: Authentication, *, trust: Trust | None = None) -> None:
        self.authentication = authentication
        self._trust = trust or Trust()
        self._options: dict[str, Any] = {}
        if self._trust.context is not None:
            self._options["ssl_context"] = self._trust.context
        # That of the parent is not cleared: its locks may be held for ever.
        self._pool = PerProcess(self._new_pool)
        for name in ("urllib3.connectionpool", "urllib3.poolmanager"):
            logging.getLogger(name).addFilter(_DISCREET)  # once, however often it is added

    def _new_pool(self) -> urllib3.PoolManager:
        return Connections(
            num_pools=64,
            maxsize=16,
            block=False,
            retries=False,
            blocksize=_BLOCK_BYTES,
            **self._options,
        )

    def close(self) -> None:
        """Closes the connections that are not in use."""
        self._pool.get().clear()

    def request(
        self,
        method: str,
        url: str,
        *,
        what: str,
        daemon: Daemon,
        deadline: Deadline,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        authenticate: bool = True,
        connect_seconds: float | None = None,
        answer_seconds: float | None = None,
    ) -> Response:
        """
        Sends one request to one address and reads the answer, whatever its status.

        Args:
            method: GET, PUT, POST or DELETE.
            url: The address; `query` is added to it.
            what: What is being done, for messages: "Asking for the queues".
            daemon: What ought to answer there.
            deadline: When it is to be over.
            query: Parameters, not yet encoded.
            body: Bytes, or an open file together with a Content-Length header.
            headers: More headers.
            authenticate: False where the URL already says who we are.
            connect_seconds: How long to wait for a connection at most, and for each block of the
                body to leave.
            answer_seconds: How long to wait for the answer at most, once the body has been sent.

        Raises:
            ClusterError: No answer: unreachable, too late, too large, or not HTTP.
        """
        response = self.open(
            method,
            url,
            what=what,
            daemon=daemon,
            deadline=deadline,
            query=query,
            body=body,
            headers=headers,
            authenticate=authenticate,
            connect_seconds=connect_seconds,
            answer_seconds=answer_seconds,
        )
        blocks, size = [], 0
        chunks = self.chunks(response, url, what=what, daemon=daemon, deadline=deadline)
        for block in chunks:
            size += len(block)
            if size > LARGEST_ANSWER_BYTES:
                chunks.close()
                raise ClusterResponseError(
                    f"{what}: {plain(url)} answered with more than "
                    f"{LARGEST_ANSWER_BYTES // 1024**2} MiB, which is not read. Ask for less: for "
                    "applications in fewer states, of one user, or of a shorter time.",
                    url=plain(url),
                    status=response.status,
                )
            blocks.append(block)
        return Response(url, response.status, _headers(response), b"".join(blocks))

    def open(
        self,
        method: str,
        url: str,
        *,
        what: str,
        daemon: Daemon,
        deadline: Deadline,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        authenticate: bool = True,
        connect_seconds: float | None = None,
        answer_seconds: float | None = None,
    ) -> BaseHTTPResponse:
        """Like `request`, but leaves the body to be read with `chunks`, or with `release_conn`."""
        timing = (deadline, connect_seconds, answer_seconds)
        parts = (method, url, what, daemon, query, body, headers)
        if not authenticate:
            check_time(deadline, what, url)
            return self._send(*parts, {}, {}, *timing)
        # What is read from a file is gone once it has been sent, to whomever.
        only_once = hasattr(body, "read")
        if body is not None and self.authentication.needs_greeting(url, only_once=only_once):
            self._greet(url, what, daemon, deadline)
        parameters = self.authentication.query(daemon)
        tries_left = 1 if only_once else 2
        while True:
            check_time(deadline, what, url)
            exchange = self._exchange(url, what, daemon)
            try:
                response = self._send(*parts, parameters, exchange.headers, *timing)
                tries_left -= 1
                try:
                    again = exchange.answered(response.status, _all_headers(response))
                except BaseException:
                    response.close()
                    raise
            finally:
                exchange.close()
            if not (again and tries_left):
                return response
            response.close()

    def _exchange(self, url: str, what: str, daemon: Daemon) -> Exchange:
        try:
            return self.authentication.exchange(url, what)
        except KerberosError as error:
            # The KDC knows no such server, or no such realm: of a host without an address neither
            # is news, and another member of a pair may have one.
            unknown = (
                unknown_host_error(url, what, daemon)
                if type(error) in (ServerIdentityError, KerberosError)
                else None
            )
            if unknown is None:
                raise
            raise unknown from unknown.__cause__

    def _greet(self, url: str, what: str, daemon: Daemon, deadline: Deadline) -> None:
        """Has a server prove who it is, and take our proof, before it is sent a body."""
        response = self.request(
            "GET", base_of(url) + daemon.greeting, what=what, daemon=daemon, deadline=deadline
        )
        if response.status == 401:
            raise status_error(response, what, daemon)

    def _send(
        self,
        method: str,
        url: str,
        what: str,
        daemon: Daemon,
        query: Mapping[str, str] | None,
        body: Any,
        headers: Mapping[str, str] | None,
        more_query: Mapping[str, str],
        more_headers: Mapping[str, str],
        deadline: Deadline,
        connect_seconds: float | None,
        answer_seconds: float | None,
    ) -> BaseHTTPResponse:
        parameters = {**(query or {}), **more_query}
        all_headers = {"Accept": "application/json", **(headers or {}), **more_headers}
        target = url
        if parameters:
            target += ("&" if "?" in url else "?") + urlencode(parameters)
        remaining = max(_LEAST_SECONDS, deadline.remaining_seconds)
        connect = min(remaining, connect_seconds) if connect_seconds else remaining
        if answer_seconds is None:
            timeout = urllib3.Timeout(total=remaining, connect=connect)
        else:  # a total would count the time that the body takes
            timeout = urllib3.Timeout(connect=connect, read=answer_seconds)
        try:
            return self._pool.get().request(
                method,
                target,
                body=body,
                headers=all_headers,
                timeout=timeout,
                preload_content=False,
                redirect=False,
                retries=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            _hush(error)
            patience = deadline.total if answer_seconds is None else timedelta(seconds=connect)
            raise self._problem(error, url, what, daemon, patience) from error

    def _problem(
        self, error: Exception, url: str, what: str, daemon: Daemon, patience: timedelta
    ) -> ClusterError:
        return transport_error(error, url, what, daemon, patience, distrust=self._trust.problem)

    def chunks(
        self,
        response: BaseHTTPResponse,
        url: str,
        *,
        what: str,
        daemon: Daemon,
        deadline: Deadline,
        stalled_seconds: float | None = None,
    ) -> Generator[bytes, None, None]:
        """
        The body as it arrives. Leaving early closes the connection.

        Args:
            response: Whose.
            url: Where it comes from.
            what: What is being done, for messages.
            daemon: What answers there.
            deadline: When all of it has to be here.
            stalled_seconds: How long to wait for more of it at most.

        Raises:
            ClusterTimeoutError: The time is up.
            ClusterUnreachableError: The connection broke.
        """
        complete = False
        socket = _socket_of(response)
        usual_seconds = None if socket is None else socket.gettimeout()
        try:
            while True:
                if socket is not None and socket.fileno() >= 0:  # else all of it has come
                    # It has the time yet that the head was given.
                    remaining = max(_LEAST_SECONDS, deadline.remaining_seconds)
                    socket.settimeout(min(remaining, stalled_seconds or remaining))
                data = response.read1(_BLOCK_BYTES)
                if not data:
                    break
                yield data
                check_time(deadline, what, url)
            complete = True
            if socket is not None and socket.fileno() >= 0:
                # Whoever is given the connection next may send more than fits what is left here.
                socket.settimeout(usual_seconds)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if isinstance(error, ClusterTimeoutError):
                raise
            patience = (
                deadline.total if stalled_seconds is None else timedelta(seconds=stalled_seconds)
            )
            raise self._problem(error, url, what, daemon, patience) from error
        finally:
            if complete:
                response.release_conn()
            else:
                response.close()


def _hush(error: BaseException | None) -> None:
    """Takes tokens out of an error whose text is a whole address, and out of those behind it."""
    while error is not None:
        error.args = tuple(
            _SECRETS.sub(r"\1…", part) if isinstance(part, str) else part for part in error.args
        )
        error = error.__cause__ or error.__context__


def _socket_of(response: BaseHTTPResponse) -> Any:
    """The socket that a body comes from; None where it has come."""
    connection = getattr(response, "connection", None)
    found = getattr(connection, "sock", None)
    if found is None:
        # Where the connection ends with the answer, only the answer holds it.
        buffered = getattr(getattr(response, "_fp", None), "fp", None)
        found = getattr(getattr(buffered, "raw", None), "_sock", None)
    return found


def _all_headers(response: BaseHTTPResponse) -> urllib3.HTTPHeaderDict:
    """Those that come several times too, as challenges and cookies do."""
    headers = response.headers
    if isinstance(headers, urllib3.HTTPHeaderDict):
        return headers
    return urllib3.HTTPHeaderDict(headers)


def _headers(response: BaseHTTPResponse) -> Mapping[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}
