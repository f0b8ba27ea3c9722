"""What a failed call to an Application Master means, in our words."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from knit._wire.error_info import error_info
from knit.exceptions import (
    ApplicationError,
    ConnectionLostError,
    ContainerNotFoundError,
    EventsForgottenError,
    HistoryLostError,
    InvalidRequestError,
    KeyNotFoundError,
    KnitError,
    LeaseEndedError,
    LogsNeedKerberosError,
    NotPermittedError,
    PositionOutOfRangeError,
    ResourceExhaustedError,
    RpcTimeoutError,
    ServiceNotFoundError,
    StoreLimitError,
    WrongStateError,
)

if TYPE_CHECKING:
    import grpc


_BY_STATUS: dict[str, type[KnitError]] = {
    "ABORTED": WrongStateError,
    "ALREADY_EXISTS": WrongStateError,
    "CANCELLED": ConnectionLostError,
    "DATA_LOSS": ApplicationError,
    "DEADLINE_EXCEEDED": RpcTimeoutError,
    "FAILED_PRECONDITION": WrongStateError,
    "INTERNAL": ApplicationError,
    "INVALID_ARGUMENT": InvalidRequestError,
    "NOT_FOUND": ContainerNotFoundError,
    "OUT_OF_RANGE": PositionOutOfRangeError,
    "PERMISSION_DENIED": NotPermittedError,
    "RESOURCE_EXHAUSTED": ResourceExhaustedError,
    "UNAUTHENTICATED": NotPermittedError,
    "UNAVAILABLE": ConnectionLostError,
    "UNIMPLEMENTED": ApplicationError,
    "UNKNOWN": ApplicationError,
}
_BY_REASON: dict[str, type[KnitError]] = {
    "CONTAINER_ENDED": WrongStateError,
    "DRIVER_ENDED": WrongStateError,
    "EVENTS_FORGOTTEN": EventsForgottenError,
    "HISTORY_LOST": HistoryLostError,
    "KEY_TOO_LARGE": StoreLimitError,
    "LOGS_NEED_KERBEROS": LogsNeedKerberosError,
    "NO_SUCH_CONTAINER": ContainerNotFoundError,
    "NO_SUCH_KEY": KeyNotFoundError,
    "NO_SUCH_LEASE": LeaseEndedError,
    "NO_SUCH_SERVICE": ServiceNotFoundError,
    "STORE_FULL": StoreLimitError,
    "VALUE_TOO_LARGE": StoreLimitError,
}
"""Reasons that tell more than the status they come with."""
_HANDSHAKE_SIGNS = ("handshake failed", "CERTIFICATE_", "TLSV1_ALERT", "SSLV3_ALERT")
_CERTIFICATE_REASONS = {
    "not yet valid": "is not valid yet",
    "has expired": "is no longer valid",
    "CERTIFICATE_EXPIRED": "is not valid yet, or no longer",
}
_ADVICE = {
    "CANCELLED": "Try again.",
    "DEADLINE_EXCEEDED": "It may have been done all the same; look before you repeat it.",
    "INTERNAL": "The Application Master's log may say more.",
    "UNAVAILABLE": "Check that its node can be reached from here, and try again.",
    "UNIMPLEMENTED": "The application was submitted by an older knit, which cannot do this.",
    "UNKNOWN": "The Application Master's log may say more.",
}


class ConnectionClosedError(ConnectionLostError):
    """This program closed the connection, so nothing is to be tried again."""


class HandshakeRefusedError(ConnectionLostError):
    """Something answers, and one side does not accept the other's certificate."""


class CertificateDateError(HandshakeRefusedError):
    """A certificate is not valid now, which trying again does not change."""


def from_rpc_error(error: grpc.RpcError, what: str, address: str | None = None) -> KnitError:
    """
    Returns what a failed call means.

    Args:
        error: As raised by a call of gRPC.
        what: What was tried, as the beginning of a sentence.
        address: Who was called.
    """
    code = getattr(error, "code", lambda: None)()
    name = code.name if code is not None else "UNKNOWN"
    details = (getattr(error, "details", lambda: None)() or "no details").strip()
    if name == "UNAVAILABLE" and any(sign in details for sign in _HANDSHAKE_SIGNS):
        return _handshake_refused(details, what, address or "its address")
    said = details if details.endswith((".", "!", "?")) else f"{details}."
    advice = _ADVICE.get(name)
    if address is not None and never_connected(error):
        advice = f"Check that {address} can be reached from here, and try again."
    message = f"{what}: {said}" + (f" {advice}" if advice else "")
    info = error_info(error)
    kind = _BY_REASON.get(info.reason or "") or _BY_STATUS.get(name, ApplicationError)
    meaning = kind(message)
    if info.reason is not None:
        meaning.reason, meaning.facts = info.reason, dict(info.facts)
    return meaning


def _handshake_refused(details: str, what: str, address: str) -> HandshakeRefusedError:
    reason = next((said for sign, said in _CERTIFICATE_REASONS.items() if sign in details), None)
    if reason is not None:
        now = datetime.now(timezone.utc)
        return CertificateDateError(
            f"{what}: the certificates of the application are refused: one {reason}. The clock "
            f"of this machine, by which it is {now:%Y-%m-%d %H:%M} UTC, or that of {address} is "
            "wrong, or that of the machine that submitted it was. Set it right; an application "
            "whose certificates are wrong can be ended with knit kill."
        )
    return HandshakeRefusedError(
        f"{what}: {address} answers and the TLS handshake fails ({details}). Another program may "
        "listen there by now, or the credentials are another application's."
    )


def never_connected(error: grpc.RpcError) -> bool:
    """Whether no connection was made at all, rather than one broken."""
    details = getattr(error, "details", lambda: None)() or ""
    return "failed to connect" in details and not any(s in details for s in _HANDSHAKE_SIGNS)


def may_pass(meaning: KnitError) -> bool:
    """Whether trying again may help."""
    lost = isinstance(meaning, ConnectionLostError)
    return lost and not isinstance(meaning, CertificateDateError)


def may_resume(error: grpc.RpcError) -> bool:
    """Whether a stream broke rather than was refused."""
    code = getattr(error, "code", lambda: None)()
    name = code.name if code is not None else "UNKNOWN"
    if name in ("UNAVAILABLE", "CANCELLED"):
        return True
    # A process that is killed, or a proxy in between, can end a stream without a status.
    details = getattr(error, "details", lambda: None)() or ""
    return name in ("INTERNAL", "UNKNOWN") and ("RST_STREAM" in details or "Stream rem" in details)
