"""What it means in our words that a call by RPC came to nothing."""

from __future__ import annotations

import re
import socket
from datetime import timedelta

from knit._cluster.rest.answer_errors import exception_error, first_line, means_standby
from knit._cluster.rest.daemons import Daemon
from knit._cluster.security.name_rules import RULES_PROPERTY, rule_for
from knit.exceptions import (
    AccessDeniedError,
    ClusterError,
    ClusterResponseError,
    ClusterTimeoutError,
    ClusterUnreachableError,
    KerberosError,
    StandbyError,
    WrongPortError,
)

_WRAPPERS = ("YarnException", "IOException", "RemoteException", "UndeclaredThrowableException")
_INNER = re.compile(r"((?:[a-z_0-9]+\.)+[A-Z][\w$]*(?:Exception|Error)): ")


class UnsentError(Exception):
    """A connection failed before a call had left, so nothing came of it."""

    def __init__(self, error: ClusterError) -> None:
        super().__init__(error)
        self.error = error


class BrokenError(Exception):
    """A connection broke after a call had left, and nobody knows what came of it."""

    def __init__(self, error: ClusterError) -> None:
        super().__init__(error)
        self.error = error


def no_connection(error: OSError, place: str, what: str, daemon: Daemon) -> ClusterError:
    """The error where nothing could be connected to."""
    host = place.rpartition(":")[0]
    if isinstance(error, socket.gaierror):
        return ClusterUnreachableError(
            f"{what}: the host {host} is not known here ({_reason(error)}). Check "
            f"{daemon.rpc_property}, or make the name resolvable on this machine.",
            url=place,
        )
    if isinstance(error, TimeoutError):
        return ClusterTimeoutError(
            f"{what}: {place} took no connection in time. Is a firewall in between? Its address "
            f"comes from {daemon.rpc_property}.",
            url=place,
        )
    return ClusterUnreachableError(
        f"{what}: no connection to {place} ({_reason(error)}). Is the {daemon.name} running "
        f"there? Its address comes from {daemon.rpc_property}; the usual port of its RPC is "
        f"{daemon.rpc_port}.",
        url=place,
    )


def no_trust(sentence: str, place: str, what: str) -> ClusterError:
    """The error where both ends found no way to prove who they are."""
    return AccessDeniedError(f"{what}: {place} answers, but {sentence}.", url=place)


def lost(why: str, place: str, what: str, daemon: Daemon) -> ClusterError:
    """The error for a connection that ended with a call unanswered."""
    return ClusterUnreachableError(
        f"{what}: {place} closed the connection before it had answered ({why}). Either the "
        f"{daemon.name} is going down, or this is not its RPC port (usually {daemon.rpc_port}). "
        f"Its address comes from {daemon.rpc_property}.",
        url=place,
    )


def unknown_user(principal: str, place: str, what: str, daemon: Daemon) -> ClusterError:
    """
    The error for a connection that ended once the server knew who we are.

    Of the same kind as that for any lost connection: it may just be going down.
    """
    return ClusterUnreachableError(
        f"{what}: {place} took our ticket as {principal} and closed the connection without a word. "
        f"Either the {daemon.name} is going down, or no rule of its {RULES_PROPERTY} makes a user "
        f'of that, and its log has "No rules applied". {rule_for(principal)}',
        url=place,
    )


def too_late(place: str, what: str, daemon: Daemon, patience: timedelta) -> ClusterTimeoutError:
    """The error for an answer that did not come in time."""
    return ClusterTimeoutError(
        f"{what}: {place} did not answer within {patience.total_seconds():.3g} s. Is the "
        f"{daemon.name} there overloaded, or a firewall in between? Try again, or allow more "
        "time (timeout=).",
        url=place,
    )


def not_rpc(began: bytes, place: str, what: str, daemon: Daemon) -> ClusterError:
    """The error for an answer that is none of Hadoop's RPC."""
    kind = "HTTP" if began == b"HTTP" else "https" if began[:1] == b"\x15" else "something else"
    return WrongPortError(
        f"{what}: {place} answered, but not in Hadoop's RPC (in {kind}). That is not the "
        f"{daemon.name}'s RPC port, which is usually {daemon.rpc_port}. Correct "
        f"{daemon.rpc_property}.",
        url=place,
    )


def too_large(size: int, limit: int, place: str, what: str) -> ClusterError:
    """The error for an answer that is not read."""
    return ClusterResponseError(
        f"{what}: {place} answered with {size // 1024**2} MiB, and more than "
        f"{limit // 1024**2} MiB are not read. Ask for less: for applications in fewer states, of "
        "one user, or of a shorter time.",
        url=place,
    )


def unreadable(why: object, place: str, what: str, daemon: Daemon) -> ClusterError:
    """The error for an answer that is no message of this protocol."""
    return ClusterResponseError(
        f"{what}: the {daemon.name} at {place} answered something that cannot be read ({why}). Is "
        f"this its RPC port, usually {daemon.rpc_port}? Its address comes from "
        f"{daemon.rpc_property}.",
        url=place,
    )


def said_no(exception: str, message: str, place: str, what: str, daemon: Daemon) -> ClusterError:
    """
    What an exception of the server's means.

    Args:
        exception: Its class in Java, with the package.
        message: Its message, perhaps with its stack.
        place: Who sent it.
        what: What was tried.
        daemon: What answers there.
    """
    message = message.removeprefix(f"{exception}: ")
    name = _simple(exception)
    inner = _INNER.match(message)
    if name in _WRAPPERS and inner is not None:
        # YARN wraps whatever it was.
        name, message = _simple(inner[1]), message[inner.end() :]
    error: ClusterError
    if means_standby(name, message):
        error = StandbyError(
            f"{what}: the {daemon.name} at {place} is on standby, or not ready yet "
            f"({first_line(message)}). Name the active one, or both with Hadoop's HA properties; "
            "if this is a failover, try again in a moment.",
            url=place,
        )
        error._is_starting = name == "RetriableException"
    elif name == "SaslException" and message.startswith("DIGEST-MD5"):
        error = AccessDeniedError(
            f"{what}: the {daemon.name} at {place} does not take our token "
            f"({first_line(message)}). It may be another cluster's, or not be what was given out.",
            url=place,
        )
    elif name == "SaslException":
        error = KerberosError(
            f"{what}: the {daemon.name} at {place} does not take our ticket "
            f"({first_line(message)}). Its own log says why. Mostly the clocks differ, or its "
            "keytab is older than its principal's key.",
            url=place,
        )
    else:
        error = exception_error(name, message, what, daemon, place=place, url=place)
    error.exception = name or None
    return error


def _simple(name: str) -> str:
    """A Java class's name without its package and what it is nested in."""
    return name.rpartition(".")[2].rpartition("$")[2]


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
