"""Delegation tokens as HDFS, YARN and the KMS issue them."""

from __future__ import annotations

import itertools
import threading
from datetime import timedelta

from knit._cluster.security.serialized import blob, vlong
from knit._cluster.security.tokens import Token
from tests.fakes.server import now_ms


def identifier(
    owner: str, renewer: str, *, life: timedelta = timedelta(days=7), number: int = 1
) -> bytes:
    """What a token says of itself, as a Writable."""
    issued = now_ms()
    ends = issued + life // timedelta(milliseconds=1)
    texts = b"".join(blob(text.encode()) for text in (owner, renewer, ""))
    return b"\0" + texts + vlong(issued) + vlong(ends) + vlong(number) + vlong(1)


def short_name(principal: str) -> str:
    return principal.partition("@")[0].partition("/")[0]


class Issuer:
    """Issues tokens, and knows whose each is, until it is cancelled."""

    def __init__(self, kind: str, service: str) -> None:
        self.kind = kind
        self.service = service
        self.life = timedelta(days=7)
        self.issued: list[Token] = []
        self._owners: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def issue(self, owner: str, renewer: str) -> Token:
        with self._lock:
            number = next(self._numbers)
            data = identifier(owner, short_name(renewer), life=self.life, number=number)
            token = Token(data, b"password %d" % number, self.kind, self.service)
            self.issued.append(token)
            self._owners[token.url_string()] = owner
            return token

    def owner_of(self, url_string: str) -> str | None:
        return self._owners.get(url_string)

    @property
    def live(self) -> list[Token]:
        """Those that were issued and not cancelled."""
        return [token for token in self.issued if token.url_string() in self._owners]

    def cancel(self, url_string: str) -> bool:
        """False where there is none such."""
        with self._lock:
            return self._owners.pop(url_string, None) is not None

    def cancel_all(self) -> None:
        with self._lock:
            self._owners.clear()
