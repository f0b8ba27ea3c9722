"""
Kerberos without a KDC: tickets that a test makes end, and web servers that ask for them.

The tokens say in clear whose they are and for whom. What is real is the talk over HTTP.
"""

from __future__ import annotations

import base64
import itertools
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from knit._cluster.security.tickets import Tickets
from tests.fakes.server import Answer, FakeServer, Request

if TYPE_CHECKING:
    from knit._cluster.security.gssapi import Credentials, SecurityContext
    from knit.exceptions import KerberosError


class FakeContext:
    """One handshake: what the server has to answer is known to this and to that server."""

    def __init__(self, token: bytes) -> None:
        self._token = token
        self.is_complete = False
        self.is_closed = False

    def step(self, token: bytes) -> bytes:
        from knit._cluster.security.gssapi import DEFECTIVE_TOKEN, GssError

        if token != proof_for(self._token):
            raise GssError(DEFECTIVE_TOKEN, 0, "Token was invalid")
        self.is_complete = True
        return b""

    def close(self) -> None:
        self.is_closed = True


class FakeTickets(Tickets):
    """Tickets of one principal, until `problem` says that there are none."""

    def __init__(self, principal: str = "alice@EXAMPLE.COM") -> None:
        super().__init__()
        self.owner = principal
        self.refusal: KerberosError | None = None
        self.unknown_hosts: set[str] = set()
        self.contexts: list[FakeContext] = []
        self._numbers = itertools.count(1)

    def credentials(self, what: str) -> Credentials:
        raise NotImplementedError

    def principal(self, what: str = "Asking who we are") -> str:
        return self.owner

    def begin(self, target: str, what: str, **_: object) -> tuple[SecurityContext, bytes]:
        from knit.exceptions import ServerIdentityError

        if self.refusal is not None:
            raise self.refusal
        if target.partition("@")[2] in self.unknown_hosts:
            raise ServerIdentityError(f"{what}: the KDC knows no {target}.")
        token = f"{next(self._numbers)} {self.owner} {target}".encode()
        context = FakeContext(token)
        self.contexts.append(context)
        return context, token  # type: ignore[return-value]


def proof_for(token: bytes) -> bytes:
    return b"proof of " + token


class Spnego:
    """
    Hadoop's `AuthenticationFilter` with Kerberos, before a fake server.

    Args:
        server: It is asked for what passes.
    """

    def __init__(self, server: FakeServer) -> None:
        self.cookies: dict[str, str] = {}
        """Whose each is."""
        self.tokens: list[str] = []
        """Every token that came, in order."""
        self.proves: Callable[[bytes], bytes | None] = proof_for
        """What it answers to a token; None for nothing at all."""
        self.cookie_seconds = 36_000.0
        self.gives_cookies = True
        self.behind: Callable[[Request], Answer] = server.answer
        """Who answers what passes."""
        self._lock = threading.Lock()
        server.answer = self._answer  # type: ignore[method-assign]

    def forget_cookies(self) -> None:
        """As a server does that is restarted."""
        self.cookies.clear()

    def _answer(self, request: Request) -> Answer:
        cookie = request.headers.get("cookie", "").removeprefix("hadoop.auth=").strip('"')
        negotiate = request.headers.get("authorization", "")
        if "delegation" in request.query:
            return self.behind(request)
        if cookie in self.cookies:
            return self._pass(request, self.cookies[cookie])
        if not negotiate.startswith("Negotiate "):
            answer = Answer.html(401, "Authentication required")
            answer.headers |= {
                "WWW-Authenticate": "Negotiate",
                "Set-Cookie": "hadoop.auth=; Path=/",
            }
            return answer
        token = negotiate.removeprefix("Negotiate ")
        with self._lock:
            replayed = token in self.tokens
            self.tokens.append(token)
        if replayed:
            return Answer.html(403, "GSSException: (Mechanism level: Request is a replay (34))")
        raw = base64.b64decode(token)
        principal = raw.split()[1].decode()
        user = principal.partition("@")[0]
        answer = self._pass(request, user)
        proof = self.proves(raw)
        if proof is not None:
            answer.headers["WWW-Authenticate"] = f"Negotiate {base64.b64encode(proof).decode()}"
        if self.gives_cookies:
            end = int((time.time() + self.cookie_seconds) * 1000)
            value = f"u={user}&p={principal}&t=kerberos&e={end}&s=signature{len(self.tokens)}="
            self.cookies[value] = user
            answer.headers["Set-Cookie"] = f'hadoop.auth="{value}"; Path=/; Secure; HttpOnly'
        return answer

    def _pass(self, request: Request, user: str) -> Answer:
        # A name in the query is nothing that Hadoop believes here.
        query = {**request.query, "user.name": user}
        known = Request(request.method, request.path, query, request.headers, request.body)
        return self.behind(known)
