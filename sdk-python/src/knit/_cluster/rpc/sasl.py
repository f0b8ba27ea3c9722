"""
How both ends of a connection agree on who they are, and on what protects the rest of it.

The server names the ways it knows; the first of them that we can go is taken, as Hadoop's own
clients do it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs

from knit._cluster.configuration.principals import ServerPrincipal
from knit._cluster.rpc.digest_md5 import DigestMd5
from knit._cluster.rpc.kerberos import Kerberos, target_of
from knit._cluster.rpc.protection import Layer, Protection, SaslRefusedError
from knit._cluster.rpc.wire import CHALLENGE, INITIATE, NEGOTIATE, RESPONSE, SUCCESS, sasl_frame
from knit._cluster.security.tickets import Tickets
from knit._cluster.security.tokens import Token

_MOST_STEPS = 10
"""Kerberos takes four and a token two; a server that goes on and on is none."""


class Mechanism(Protocol):
    """One way to prove who we are."""

    @property
    def is_complete(self) -> bool:
        """Whether the server may say that it is content."""

    @property
    def layer(self) -> Layer | None:
        """What protects all that follows; None where nothing was agreed on."""

    def respond(self, challenge: bytes) -> bytes:
        """What we say to what the server said; to nothing at first."""

    def close(self) -> None:
        """Gives back what a library holds for it."""


@attrs.frozen(kw_only=True)
class Identity:
    """Who we are to a server that asks."""

    user: str | None = None
    """The name that a cluster with simple authentication believes. None: no name is claimed."""
    tickets: Tickets | None = None
    """Whose tickets prove it. None: none are used."""
    token: Token | None = attrs.field(default=None, repr=False)
    """What proves it without a ticket."""
    proxied_user: str | None = None
    """For whom the calls are, where that is somebody else."""

    @property
    def uses_sasl(self) -> bool:
        """Whether there is anything to prove."""
        return self.tickets is not None or self.token is not None

    @property
    def principal(self) -> str:
        """Who our tickets say that we are; empty without any."""
        return "" if self.tickets is None else self.tickets.principal()


class UnknownUserError(Exception):
    """
    A server knew who we are, and then ended the connection without a word.

    So does one whose rules make no user of the principal; that it tells its own log alone.
    """

    def __init__(self, principal: str) -> None:
        super().__init__(principal)
        self.principal = principal


@attrs.frozen(kw_only=True)
class Agreement:
    """What came of it."""

    method: str
    """SIMPLE, TOKEN or KERBEROS."""
    mechanism: Mechanism | None = None
    """What holds the keys of the protection. None for SIMPLE, which is agreed on without talk."""


def negotiate(
    identity: Identity,
    protections: Sequence[Protection],
    server: ServerPrincipal | None,
    *,
    address: str,
    what: str,
    send: Callable[[bytes], None],
    receive: Callable[[], Any],
) -> Agreement:
    """
    Talks until both sides are content.

    Args:
        identity: Who we are, with something that proves it.
        protections: What may protect the connection, the best liked first.
        server: Who the server has to be, where tickets are used.
        address: The other end of the connection, an IP address.
        what: What it is done for, for messages.
        send: Sends a frame.
        receive: The next SASL message.

    Raises:
        SaslRefusedError: There is no way, or the server breaks off.
        UnknownUserError: It breaks off once it knows who we are.
        KerberosError: There is no ticket, or none that serves.
    """
    send(sasl_frame(NEGOTIATE))
    mechanism: Mechanism | None = None
    method = ""
    try:
        for _ in range(_MOST_STEPS):
            try:
                message = receive()
            except ConnectionResetError as error:
                if method == "KERBEROS" and mechanism is not None and mechanism.is_complete:
                    raise UnknownUserError(identity.principal) from error
                raise
            if message.state == NEGOTIATE and mechanism is None:
                auth, mechanism = _choose(
                    message.auths, identity, protections, server, address, what
                )
                method = auth.method
                send(sasl_frame(INITIATE, mechanism.respond(auth.challenge), auth))
            elif message.state == CHALLENGE and mechanism is not None:
                send(sasl_frame(RESPONSE, mechanism.respond(message.token)))
            elif message.state == SUCCESS:
                if mechanism is None:
                    # As Hadoop's clients, which do not fall back unless they are told to: whoever
                    # answers in the server's place could otherwise have us say anything.
                    raise SaslRefusedError(
                        "the server wants no proof at all, while the configuration here says that "
                        f"the cluster authenticates with Kerberos. {_WITHOUT_KERBEROS}"
                    )
                if message.token:
                    mechanism.respond(message.token)
                if not mechanism.is_complete:
                    raise SaslRefusedError("the server was content before it had proved itself")
                return Agreement(method=method, mechanism=mechanism)
            else:
                raise SaslRefusedError(f"the server sent a message of state {message.state}")
        raise SaslRefusedError(f"the server was not content after {_MOST_STEPS} messages")
    except BaseException:
        if mechanism is not None:
            mechanism.close()
        raise


_WITHOUT_KERBEROS = (
    "Where that is the cluster that is meant, it does without Kerberos: have "
    "hadoop.security.authentication be simple in the core-site.xml used here. Else correct the "
    "address"
)


def _choose(
    auths: Sequence[Any],
    identity: Identity,
    protections: Sequence[Protection],
    server: ServerPrincipal | None,
    address: str,
    what: str,
) -> tuple[Any, Mechanism]:
    """The first of the server's ways that we can go."""
    for auth in auths:
        if (auth.method, auth.mechanism) == ("TOKEN", "DIGEST-MD5") and identity.token is not None:
            return auth, DigestMd5.of_token(
                identity.token, protections, protocol=auth.protocol, server_id=auth.server_id
            )
        if (auth.method, auth.mechanism) == ("KERBEROS", "GSSAPI") and identity.tickets and server:
            target = target_of(server, auth.protocol, auth.server_id, address)
            return auth, Kerberos(target, identity.tickets, protections, what)
    offered = ", ".join(auth.method for auth in auths) or "nothing"
    held = [
        name
        for name, has in (
            ("a token", identity.token is not None),
            ("Kerberos", identity.tickets is not None),
        )
        if has
    ]
    kerberos_in_vain = identity.tickets and not any(auth.method == "KERBEROS" for auth in auths)
    raise SaslRefusedError(
        f"the server takes {offered}, and we have {' and '.join(held)}"
        + (f". {_WITHOUT_KERBEROS}" if kerberos_in_vain else "")
    )
