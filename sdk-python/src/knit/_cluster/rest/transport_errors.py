"""What a request means that got no answer, in our words."""

from __future__ import annotations

import http.client
import socket
import ssl
from datetime import timedelta
from urllib.parse import urlsplit

from urllib3 import exceptions as urllib3_errors

from knit._cluster.rest.daemons import Daemon
from knit.exceptions import (
    ClusterError,
    ClusterTimeoutError,
    ClusterUnreachableError,
    WrongPortError,
)

#: By TLS 1.3, and by what Java has of older ones.
_WANTS_CERTIFICATE = ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE")

_NOT_YET_VALID, _EXPIRED, _OTHER_HOST, _OTHER_ADDRESS = 9, 10, 62, 64
"""OpenSSL's codes of what is wrong with a certificate, whoever has signed it."""
_ITS_TIME = (
    "Its administrators have to renew it; or this machine's clock is wrong (timedatectl), which "
    "knit doctor compares."
)
_ITS_NAME = (
    "Name the host in the Hadoop configuration as its certificate does; or its administrators have "
    "to make one with the name it goes by."
)
_BY_VERIFICATION = {
    _NOT_YET_VALID: _ITS_TIME,
    _EXPIRED: _ITS_TIME,
    _OTHER_HOST: _ITS_NAME,
    _OTHER_ADDRESS: _ITS_NAME,
}

_WITHOUT_CERTIFICATE = (
    "A server that wants a certificate of its clients (dfs.client.https.need-auth, "
    "hadoop.ssl.require.client.cert) is out of reach, for knit has none: use a gateway "
    "(knit.resourcemanager.url, knit.webhdfs.url)."
)


def transport_error(
    error: Exception,
    url: str,
    what: str,
    daemon: Daemon,
    timeout: timedelta,
    *,
    distrust: str = "",
) -> ClusterError:
    """
    The error for a request that got no answer we can read as HTTP.

    Args:
        error: What was raised.
        url: Where it went.
        what: What was tried.
        daemon: What ought to answer there.
        timeout: How long it was given.
        distrust: Why some of those are not trusted who were meant to be, in sentences.
    """
    address = url.partition("?")[0]
    parts = urlsplit(url)
    place = f"{parts.hostname}:{_port_of(url) or (443 if parts.scheme == 'https' else 80)}"
    cause = _innermost(error)
    if isinstance(cause, ClusterError):
        # Raised by the reader of a body, and wrapped on its way through the library.
        return cause
    if isinstance(error, urllib3_errors.NameResolutionError):
        return _unknown_host(cause, url, what, daemon)
    # A refused connection is a NewConnectionError, which inherits from the timeouts' class.
    if isinstance(error, urllib3_errors.NewConnectionError):
        return ClusterUnreachableError(
            f"{what}: no connection to {place} ({_reason(cause)}). Is the {daemon.name} running "
            f"there? Its address comes from {daemon.property}; the usual port is "
            f"{daemon.web_ports}.",
            url=address,
        )
    if isinstance(error, urllib3_errors.TimeoutError | TimeoutError):
        return ClusterTimeoutError(
            f"{what}: {place} did not answer within {timeout.total_seconds():.3g} s. Is the "
            f"{daemon.name} at {address} overloaded, or a firewall in between? "
            "Try again, or allow more time (timeout=).",
            url=address,
        )
    if isinstance(error, urllib3_errors.SSLError | ssl.SSLError):
        return _tls_error(cause, what, address, place, daemon, distrust)
    if isinstance(cause, http.client.BadStatusLine) and not isinstance(
        cause, http.client.RemoteDisconnected
    ):
        return WrongPortError(
            f"{what}: {place} answered, but not in HTTP. That is not the {daemon.name}'s web port "
            f"(usually {daemon.web_ports}), or it wants https. Correct {daemon.property}.",
            url=address,
        )
    if isinstance(error, urllib3_errors.LocationParseError | urllib3_errors.InvalidHeader):
        return ClusterUnreachableError(
            f"{what}: {address} is not an address that can be called ({_reason(cause)}). "
            f"Correct {daemon.property}.",
            url=address,
        )
    return ClusterUnreachableError(
        f"{what}: {place} closed the connection before it had answered ({_reason(cause)}). Either "
        f"the {daemon.name} is going down, or this is not its web port (usually "
        f"{daemon.web_ports}). Its address comes from {daemon.property}."
        # With TLS 1.3 it may be gone before it can be heard why.
        + (f" {_WITHOUT_CERTIFICATE}" if parts.scheme == "https" else ""),
        url=address,
    )


def unknown_host_error(url: str, what: str, daemon: Daemon) -> ClusterUnreachableError | None:
    """
    The error for a host that has no address, caused by a `socket.gaierror`; None where it has one.

    For Kerberos, which is asked for a host by its name before anybody connects to it.
    """
    host = urlsplit(url).hostname
    if not host:
        return None
    try:
        socket.getaddrinfo(host, None)
    except socket.gaierror as error:
        found = _unknown_host(error, url, what, daemon)
        found.__cause__ = error
        return found
    except (OSError, UnicodeError):
        return None
    return None


def _unknown_host(
    cause: BaseException, url: str, what: str, daemon: Daemon
) -> ClusterUnreachableError:
    return ClusterUnreachableError(
        f"{what}: the host {urlsplit(url).hostname} is not known here ({_reason(cause)}). Check "
        f"{daemon.property}, or make the name resolvable on this machine.",
        url=url.partition("?")[0],
    )


def _port_of(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:  # beyond 65535
        return None


def _tls_error(
    cause: BaseException, what: str, address: str, place: str, daemon: Daemon, distrust: str
) -> ClusterError:
    text = str(cause)
    if any(
        sign in text
        for sign in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "_EOF_")
    ):
        return WrongPortError(
            f"{what}: {place} does not speak https. Either its policy is http (dfs.http.policy, "
            f"yarn.http.policy), or the port is another one: usually {daemon.web_ports}. "
            f"Correct {daemon.property}.",
            url=address,
        )
    said = (
        f"{what}: no TLS connection to {place} ({_reason(cause)}). Check the port and the "
        f"certificate of the server, and knit.tls.ca-file. {_WITHOUT_CERTIFICATE}"
    )
    if isinstance(cause, ssl.SSLCertVerificationError):
        remedy = _BY_VERIFICATION.get(cause.verify_code) or (
            distrust
            or "Name the authority that signed it: as a PEM file in knit.tls.ca-file or "
            "SSL_CERT_FILE, or in the truststore of Hadoop's ssl-client.xml."
        )
        said = (
            f"{what}: the certificate of {place} is not trusted here ({cause.verify_message}). "
            f"{remedy}"
        )
    elif any(sign in text for sign in _WANTS_CERTIFICATE):
        said = (
            f"{what}: {place} wants a certificate of its clients ({_reason(cause)}). "
            f"{_WITHOUT_CERTIFICATE}"
        )
    failure = ClusterUnreachableError(said, url=address)
    failure._is_lasting = True
    return failure


def _innermost(error: BaseException) -> BaseException:
    """The cause beneath urllib3's wrapping."""
    seen: BaseException = error
    while True:
        inner = seen.__cause__ or seen.__context__ or _argument(seen)
        if inner is None:
            return seen
        seen = inner


def _argument(error: BaseException) -> BaseException | None:
    return next((value for value in error.args if isinstance(value, BaseException)), None)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
