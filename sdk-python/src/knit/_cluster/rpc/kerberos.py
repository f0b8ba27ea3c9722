"""SASL's GSSAPI mechanism (RFC 4752), and who the server has to be."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from knit._cluster.configuration.principals import ServerPrincipal
from knit._cluster.rpc.protection import (
    LARGEST_MESSAGE_BYTES,
    Layer,
    Protection,
    SaslRefusedError,
    describe,
)
from knit._cluster.security.gssapi import ContextFlag, GssError, SecurityContext
from knit._cluster.security.tickets import Tickets

_BITS = {Protection.AUTHENTICATION: 1, Protection.INTEGRITY: 2, Protection.PRIVACY: 4}
_FLAGS = (
    ContextFlag.MUTUAL
    | ContextFlag.REPLAY
    | ContextFlag.SEQUENCE
    | ContextFlag.INTEGRITY
    | ContextFlag.CONFIDENTIALITY
)


def target_of(server: ServerPrincipal, service: str, server_id: str, address: str) -> str:
    """
    The principal to ask a ticket for: what the server says it is, if it is to be that.

    Args:
        server: Who it has to be.
        service: The first part of the name that it goes by.
        server_id: The second, a host.
        address: The other end of the connection, an IP address.

    Raises:
        SaslRefusedError: It is to be somebody else.
    """
    # The realm it does not say, and the ticket is for the one in the configuration.
    told = f"{service}/{server_id}@{server.configured.rpartition('@')[2]}"
    if server.fits(told, address):
        return told
    if server.pattern:
        raise SaslRefusedError(
            f"the server says that it is {told}, which does not fit {server.property}.pattern, "
            f"{server.pattern}. Correct the property, or by what name the server is called"
        )
    raise SaslRefusedError(
        f"the server says that it is {told}, and by {server.property} it has to be "
        f"{server.at(address)}. Correct the property; _HOST in it stands for the name that "
        f"{address} resolves to here"
    )


class Kerberos:
    """
    Proves who we are by a ticket, and has the server prove who it is.

    Args:
        target: The server's principal.
        tickets: Whose.
        protections: What may protect the connection, the best liked first.
        what: What it is done for, for messages.

    Raises:
        KerberosError: There is no ticket.
    """

    def __init__(
        self, target: str, tickets: Tickets, protections: Sequence[Protection], what: str
    ) -> None:
        self._context = SecurityContext(
            target, mechanism="krb5", credentials=tickets.credentials(what), flags=_FLAGS
        )
        self._target, self._tickets, self._what = target, tickets, what
        self._protections = protections
        self._layer: Layer | None = None
        self._agreed = False

    @property
    def is_complete(self) -> bool:
        return self._agreed

    @property
    def layer(self) -> Layer | None:
        return self._layer

    def respond(self, challenge: bytes) -> bytes:
        try:
            if not self._context.is_complete:
                return self._context.step(challenge or None)
            return self._agree(challenge)
        except GssError as error:
            raise self._tickets.problem(error, self._what, self._target) from error

    def _agree(self, challenge: bytes) -> bytes:
        """Answers which protections the server offers, and how much it takes at a time."""
        offer, _ = self._context.unwrap(challenge)
        if len(offer) != 4:
            raise SaslRefusedError(f"the server offered its protections in {len(offer)} bytes")
        chosen = next((p for p in self._protections if _BITS[p] & offer[0]), None)
        if chosen is None:
            offered = [protection for protection, bit in _BITS.items() if bit & offer[0]]
            raise SaslRefusedError(
                f"the server offers as protection: {describe(offered)}; hadoop.rpc.protection "
                f"here allows: {describe(self._protections)}. Set it as the cluster has it"
            )
        largest = 0
        if chosen is not Protection.AUTHENTICATION:
            largest = LARGEST_MESSAGE_BYTES
            confidential = chosen is Protection.PRIVACY
            taken = int.from_bytes(offer[1:], "big")
            limit = self._context.wrap_size_limit(taken, confidential=confidential)
            self._layer = _KerberosLayer(self._context, limit, confidential=confidential)
        answer = bytes((_BITS[chosen],)) + largest.to_bytes(3, "big")
        self._agreed = True
        return self._context.wrap(answer, confidential=False)

    def close(self) -> None:
        self._context.close()


class _KerberosLayer:
    def __init__(self, context: SecurityContext, largest_bytes: int, *, confidential: bool) -> None:
        self._context = context
        self._confidential = confidential
        # The library counts messages in both directions in one place.
        self._lock = threading.Lock()
        self.largest_bytes = max(1, largest_bytes)

    def wrap(self, data: bytes) -> bytes:
        with self._lock:
            return self._context.wrap(data, confidential=self._confidential)

    def unwrap(self, data: bytes) -> bytes:
        with self._lock:
            found, encrypted = self._context.unwrap(data)
        if self._confidential and not encrypted:
            raise SaslRefusedError("the server sent in the clear what was to be encrypted")
        return found
