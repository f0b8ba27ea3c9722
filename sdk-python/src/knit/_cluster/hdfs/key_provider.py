"""
The service that keeps the keys of HDFS's encryption zones (Hadoop's KMS).

A program that reads a file in such a zone asks it for the file's key, and so needs a delegation
token for it, beside the file system's.
"""

from __future__ import annotations

import re
from datetime import timedelta

from knit._cluster.rest.answer_errors import json_of
from knit._cluster.rest.client import HttpClient
from knit._cluster.rest.daemons import KEY_MANAGEMENT_SERVER
from knit._cluster.rest.failover import DaemonClient
from knit._cluster.security.tokens import KMS_KIND, MalformedTokenError, Token
from knit._values.deadlines import Deadline
from knit.exceptions import ClusterResponseError, ConfigurationError

PROVIDER_PROPERTIES = ("hadoop.security.key.provider.path", "dfs.encryption.key.provider.uri")
_FORM = re.compile(
    r"kms://(?P<scheme>https?)@(?P<hosts>[^\s:/;@?#]+(?:;[^\s:/;@?#]+)*)"
    r"(?::(?P<port>\d{1,5}))?(?P<path>/[^\s?#]*)?(?:#.*)?",
    re.IGNORECASE,
)
_PORT = 9600


class KeyManagementServer:
    """
    A KMS, or several that share their keys. Threads may share it.

    Args:
        http: The connections.
        uri: Where they are, as Hadoop writes it: `kms://https@host1;host2:9600/kms`.
        timeout: For each call that is given no deadline of its own.

    Raises:
        ConfigurationError: `uri` is not of this form.
    """

    def __init__(
        self, http: HttpClient, uri: str, *, timeout: timedelta = timedelta(seconds=30)
    ) -> None:
        match = _FORM.fullmatch(uri)
        if match is None:
            raise ConfigurationError(
                f"The key provider {uri!r} ({' or '.join(PROVIDER_PROPERTIES)}) is not of the form "
                "kms://https@HOST1;HOST2:PORT/kms. Correct it."
            )
        self.service = uri.partition("#")[0]
        """For whom its tokens are good: all of them together."""
        self.timeout = timeout
        port, path = int(match["port"] or _PORT), (match["path"] or "").rstrip("/")
        hosts = match["hosts"].split(";")
        self.addresses = [(host, port) for host in hosts]
        """Where each of them is."""
        bases = [f"{match['scheme'].lower()}://{host}:{port}{path}" for host in hosts]
        self._daemon = DaemonClient(http, KEY_MANAGEMENT_SERVER, bases)

    def delegation_token(self, renewer: str, *, timeout: timedelta | None = None) -> Token:
        """
        A delegation token of ours, good for all of them.

        Args:
            renewer: Who may renew and cancel it, a principal; empty: nobody.
            timeout: Default: this object's.

        Raises:
            AccessDeniedError: It gives us none.
            ClusterError: It does not answer, or not with a token.
        """
        what = "Asking for a delegation token of the key management server"
        response = self._daemon.request(
            "GET",
            "/v1/",
            what=what,
            deadline=Deadline.of(timeout, default=self.timeout),
            query={"op": "GETDELEGATIONTOKEN", "renewer": renewer},
        )
        found = json_of(response, what, KEY_MANAGEMENT_SERVER).get("Token")
        text = found.get("urlString") if isinstance(found, dict) else None
        try:
            token = Token.from_url_string(text if isinstance(text, str) else "")
        except MalformedTokenError as error:
            raise ClusterResponseError(
                f"{what}: {self._daemon.active_url} gave none ({error}). Is a key management "
                f"server what {' or '.join(PROVIDER_PROPERTIES)} names?",
                url=self._daemon.active_url,
            ) from None
        return token.replace(kind=KMS_KIND, service=self.service)
