"""Pooled connections that hear what a server says before they are done with what they send."""

from __future__ import annotations

import errno
import ssl
from typing import Any

import urllib3
from urllib3.connection import HTTPSConnection


class _HttpsConnection(HTTPSConnection):
    """
    One that tells of a server that hangs up as a connection without TLS does.

    A DataNode that refuses a file, for its quota is used up, says so while the file is on its way,
    and hangs up. urllib3 then reads what was said, where the system calls it a broken pipe; OpenSSL
    has a word of its own for it.
    """

    def send(self, data: Any) -> None:
        try:
            super().send(data)
        except ssl.SSLEOFError as error:
            raise BrokenPipeError(errno.EPIPE, error.strerror or "Broken pipe") from error


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


class Connections(urllib3.PoolManager):
    """urllib3's pool of connections, with those over TLS as above."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.pool_classes_by_scheme = {
            "http": urllib3.HTTPConnectionPool,
            "https": _HttpsPool,
        }
