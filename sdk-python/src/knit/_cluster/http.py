"""
The one place where requests leave for the cluster.

Proxies in the environment are not looked at: a cluster's daemons are reached directly, or through
a gateway that the configuration names.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import attrs
import urllib3
from urllib3.response import BaseHTTPResponse

from knit._cluster.auth import Authentication
from knit._cluster.errors import Daemon, json_problem, transport_error
from knit._deadlines import Deadline
from knit.exceptions import ClusterTimeoutError, ConfigurationError

_BLOCK_BYTES = 1 << 20


@attrs.frozen
class Response:
    """An answer, read to its end."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self, what: str, daemon: Daemon) -> dict[str, Any]:
        """
        The body as a JSON object; an empty one for an empty body.

        Raises:
            ClusterResponseError: It is anything else.
            WrongPortError: It is a web page, so something else answers there.
        """
        if not self.body:
            return {}
        try:
            value = json.loads(self.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise json_problem(self, what, daemon)
        return value


def check_time(deadline: Deadline, what: str, url: str) -> None:
    """Raises ClusterTimeoutError once the time is up."""
    if deadline.is_over:
        raise ClusterTimeoutError(
            f"{what}: {plain(url)} did not answer within {deadline.total.total_seconds():.3g} s. "
            "Try again, or allow more time (timeout=).",
            url=plain(url),
        )


def plain(url: str) -> str:
    """The URL without its query, which may say more than a message should."""
    return url.partition("?")[0]


class HttpClient:
    """
    A pool of connections to the cluster's daemons. Threads may share it.

    Args:
        authentication: Who we are.
        ca_file: A PEM file with the authorities to trust. Default: the system's.

    Raises:
        ConfigurationError: `ca_file` cannot be used.
    """

    def __init__(self, authentication: Authentication, *, ca_file: str | None = None) -> None:
        self.authentication = authentication
        self._ca_file = ca_file
        options: dict[str, Any] = {}
        if ca_file is not None:
            options["ssl_context"] = _ssl_context(ca_file)
        self._pool = urllib3.PoolManager(
            num_pools=64, maxsize=16, block=False, retries=False, blocksize=_BLOCK_BYTES, **options
        )

    def close(self) -> None:
        """Closes the connections that are not in use."""
        self._pool.clear()

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
            connect_seconds: How long to wait for a connection at most.

        Raises:
            ClusterError: No answer: unreachable, too late, or not HTTP.
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
        )
        content = b"".join(self.chunks(response, url, what=what, daemon=daemon, deadline=deadline))
        return Response(url, response.status, _headers(response), content)

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
    ) -> BaseHTTPResponse:
        """Like `request`, but leaves the body to be read with `chunks`, or with `release_conn`."""
        check_time(deadline, what, url)
        parameters = dict(query or {})
        all_headers = {"Accept": "application/json", **(headers or {})}
        if authenticate:
            parameters.update(self.authentication.query())
            all_headers.update(self.authentication.headers(url))
        target = url
        if parameters:
            target += ("&" if "?" in url else "?") + urlencode(parameters)
        remaining = deadline.remaining_seconds
        connect = min(remaining, connect_seconds) if connect_seconds else remaining
        try:
            return self._pool.request(
                method,
                target,
                body=body,
                headers=all_headers,
                timeout=urllib3.Timeout(total=remaining, connect=connect),
                preload_content=False,
                redirect=False,
                retries=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise transport_error(error, url, what, daemon, deadline.total) from error

    def chunks(
        self,
        response: BaseHTTPResponse,
        url: str,
        *,
        what: str,
        daemon: Daemon,
        deadline: Deadline,
    ) -> Iterator[bytes]:
        """
        The body as it arrives. Leaving early closes the connection.

        Raises:
            ClusterTimeoutError: The time is up.
            ClusterUnreachableError: The connection broke.
        """
        complete = False
        try:
            while data := response.read1(_BLOCK_BYTES):
                yield data
                check_time(deadline, what, url)
            complete = True
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if isinstance(error, ClusterTimeoutError):
                raise
            raise transport_error(error, url, what, daemon, deadline.total) from error
        finally:
            if complete:
                response.release_conn()
            else:
                response.close()


def _headers(response: BaseHTTPResponse) -> Mapping[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _ssl_context(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ConfigurationError(
            f"The authorities in {ca_file} (knit.tls.ca-file) cannot be read: "
            f"{error.strerror or error}. It has to be a file of PEM certificates."
        ) from error


def base_of(url: str) -> str:
    """`scheme://host:port` of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
