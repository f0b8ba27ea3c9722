"""How the fake Application Master refuses: a status, a reason for programs, and a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import grpc

from knit._wire.error_info import DETAILS_KEY, ErrorInfo, write


class Refusal(Exception):  # noqa: N818 - it is no error of the fake's
    """A call is refused, and nothing was done."""

    def __init__(
        self, status: str, reason: str, text: str, facts: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(text)
        self.status = grpc.StatusCode[status]
        self.reason = reason
        self.facts = {name: str(value) for name, value in (facts or {}).items()}

    def abort(self, context: grpc.ServicerContext) -> NoReturn:
        """Says so to the caller."""
        text = str(self)
        info = ErrorInfo(reason=self.reason, facts=self.facts)
        details = write(self.status.value[0], text, info)
        context.set_trailing_metadata(((DETAILS_KEY, details),))
        context.abort(self.status, text)
        raise AssertionError("abort raises")


def no_such_service(name: str) -> Refusal:
    return Refusal(
        "NOT_FOUND", "NO_SUCH_SERVICE", f"There is no service {name!r}.", {"service_name": name}
    )


def no_such_container(what: object) -> Refusal:
    return Refusal("NOT_FOUND", "NO_SUCH_CONTAINER", f"This application never held {what}.")


def invalid(text: str) -> Refusal:
    return Refusal("INVALID_ARGUMENT", "INVALID_ARGUMENT", text)


def history_lost() -> Refusal:
    return Refusal(
        "OUT_OF_RANGE", "HISTORY_LOST", "This Application Master knows nothing of that history."
    )
