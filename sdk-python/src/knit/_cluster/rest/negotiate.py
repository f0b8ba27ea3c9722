"""
SPNEGO, as Hadoop's web servers speak it: one token for a handshake, then a cookie.

Neither is written anywhere, and no token is sent twice.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from urllib3 import HTTPHeaderDict

from knit._cluster.rest.answers import plain
from knit._cluster.security.gssapi import GssError, SecurityContext
from knit._cluster.security.tickets import WEB_SERVICE, Tickets
from knit.exceptions import KerberosError, ServerIdentityError

if TYPE_CHECKING:
    from knit._cluster.rest.daemons import Daemon

_COOKIE = re.compile(r'^\s*hadoop\.auth=("?)([^";]*)\1')
_COOKIE_END = re.compile(r"(?:^|&)e=(\d{1,18})(?:&|$)")
_CHALLENGE = re.compile(r"(?:^|[\s,])Negotiate(?:\s+([A-Za-z0-9+/]+=*))?(?:\s*,|\s*$)", re.I)
#: Before a cookie's own end it is no longer used: a request may be long on its way, or with us.
_COOKIE_SPARE_SECONDS = 60.0

_Place = tuple[str, str, int]


class KerberosAuthentication:
    """
    Kerberos to web servers. Threads and forked processes may share it.

    Args:
        tickets: Whose.
        acting_for: The user to act for; the principal has to be allowed to.
        proof_required: Whether an answer without a proof of the server's is an error from the
            first one on. Without that it is one as soon as a server has proved itself once, for
            web servers with Hadoop's defaults know no Kerberos.
        short_name: Asks for the name that the cluster has for the principal.
    """

    def __init__(
        self,
        tickets: Tickets,
        *,
        acting_for: str | None = None,
        proof_required: bool = False,
        short_name: Callable[[], str],
    ) -> None:
        self.tickets = tickets
        self.acting_for = acting_for
        self._proof_required = proof_required
        self._short_name = short_name
        # Each use is one operation of a dict, which needs no lock: one that a thread holds while
        # another forks would stay held in the child.
        self._cookies: dict[_Place, _Cookie] = {}
        self._proven: set[_Place] = set()
        self._user: str | None = acting_for

    @property
    def user(self) -> str:
        """The name the cluster knows us by: asked for once."""
        if self._user is None:
            self._user = self._short_name()
        return self._user

    def query(self, daemon: Daemon) -> Mapping[str, str]:
        return {} if self.acting_for is None else {daemon.acting_for: self.acting_for}

    def has_proved(self, url: str) -> bool:
        """Whether the server of this URL has proved who it is, and so knows who we are."""
        return _place(url) in self._proven

    def needs_greeting(self, url: str, *, only_once: bool) -> bool:
        # A server that was restarted takes the cookies of before no more.
        cookie = self._cookies.get(_place(url))
        return only_once or cookie is None or not cookie.is_good

    def exchange(self, url: str, what: str) -> _ByCookie | _ByToken | _Unproved:
        """
        The proof for one request, and what to do with its answer.

        Raises:
            KerberosError: There is no ticket, or the KDC is not reached.
        """
        place = _place(url)
        cookie = self._cookies.get(place)
        if cookie is not None and cookie.is_good:
            return _ByCookie(self, place, cookie)
        if not place[1]:
            return _Unproved(KerberosError(f"{what}: {plain(url)} names no host."))
        try:
            context, token = self.tickets.begin(f"{WEB_SERVICE}@{place[1]}", what)
        except ServerIdentityError as error:
            # Web servers with Hadoop's defaults need no principal, and want no proof.
            if self._proof_required or place in self._proven:
                raise
            return _Unproved(error)
        return _ByToken(self, place, context, token, what)

    def accept_cookie(self, place: _Place, headers: HTTPHeaderDict) -> None:
        for said in headers.getlist("set-cookie"):
            match = _COOKIE.match(said)
            if match and match.group(2):
                self._cookies[place] = _Cookie(match.group(2))

    def forget(self, place: _Place, cookie: _Cookie) -> None:
        # Another thread may have a newer one by now.
        if self._cookies.get(place) is cookie:
            self._cookies.pop(place, None)

    def check_proof(
        self,
        context: SecurityContext,
        place: _Place,
        status: int,
        headers: HTTPHeaderDict,
        what: str,
    ) -> None:
        """Raises ServerIdentityError unless a server has proved, or need not prove, who it is."""
        token = next(filter(None, _tokens(headers)), None)
        address = f"{place[0]}://{place[1]}:{place[2]}"
        if token is None:
            missed = self._proof_required or place in self._proven
            # What fails before it comes to Kerberos, a daemon that starts up as an example, is
            # told by its status. Those here would be believed.
            if missed and (status < 400 or status == 404):
                raise ServerIdentityError(
                    f"{what}: {address} answered without proving who it is, which Kerberos makes "
                    "every server do. Either something stands between us and the cluster, or "
                    "this server was set up anew without Kerberos (hadoop.http.authentication."
                    "type). Ask the cluster's administrators.",
                    url=address,
                    status=status,
                )
            return
        try:
            context.step(base64.b64decode(token, validate=True))
            proved = context.is_complete
            said = "it wants to go on talking"
        except (GssError, binascii.Error) as error:
            proved, said = False, str(error)
        if not proved:
            raise ServerIdentityError(
                f"{what}: {address} could not prove that it is {WEB_SERVICE}@{place[1]} ({said}). "
                "Something else may answer in its place. Ask the cluster's administrators.",
                url=address,
                status=status,
            )
        self._proven.add(place)


class _Cookie:
    """What a server gave us to come back with."""

    def __init__(self, value: str) -> None:
        self.value = value
        end = _COOKIE_END.search(value)
        self._ends_at = float("inf") if end is None else int(end.group(1)) / 1000

    @property
    def is_good(self) -> bool:
        return time.time() < self._ends_at - _COOKIE_SPARE_SECONDS


class _ByCookie:
    """A request with the cookie of an earlier handshake."""

    def __init__(self, owner: KerberosAuthentication, place: _Place, cookie: _Cookie) -> None:
        self._owner, self._place, self._cookie = owner, place, cookie

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Cookie": f'hadoop.auth="{self._cookie.value}"'}

    def answered(self, status: int, headers: HTTPHeaderDict) -> bool:
        if status == 401:
            self._owner.forget(self._place, self._cookie)
            return True
        self._owner.accept_cookie(self._place, headers)
        return False

    def close(self) -> None:
        pass


class _ByToken:
    """A request with a token of its own, whose answer proves who the server is."""

    def __init__(
        self,
        owner: KerberosAuthentication,
        place: _Place,
        context: SecurityContext,
        token: bytes,
        what: str,
    ) -> None:
        self._owner, self._place, self._context, self._what = owner, place, context, what
        self._token = token

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Negotiate {base64.b64encode(self._token).decode('ascii')}"}

    def answered(self, status: int, headers: HTTPHeaderDict) -> bool:
        if status != 401:
            self._owner.check_proof(self._context, self._place, status, headers, self._what)
            self._owner.accept_cookie(self._place, headers)
        return False

    def close(self) -> None:
        self._context.close()


class _Unproved:
    """A request to a server that the KDC does not know, which may not want Kerberos."""

    headers: Mapping[str, str] = {}

    def __init__(self, error: KerberosError) -> None:
        self._error = error

    def answered(self, status: int, headers: HTTPHeaderDict) -> bool:
        if status == 401:
            raise self._error
        return False

    def close(self) -> None:
        pass


def _tokens(headers: HTTPHeaderDict) -> list[str]:
    return [
        found.group(1) or ""
        for said in headers.getlist("www-authenticate")
        for found in _CHALLENGE.finditer(said)
    ]


def _place(url: str) -> _Place:
    try:
        parts = urlsplit(url)
        scheme, port = parts.scheme.lower(), parts.port
    except ValueError:
        return "", "", 0  # which urllib3 has words for
    return scheme, parts.hostname or "", port or (443 if scheme == "https" else 80)
