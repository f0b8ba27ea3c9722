"""Reasons of refusals, as they come beside a status."""

from __future__ import annotations

import random
from typing import Any

import grpc
import pytest

from knit import exceptions
from knit._wire.error_info import DETAILS_KEY, ErrorInfo, error_info, read, write
from knit._wire.statuses import from_rpc_error

INFO = ErrorInfo(reason="STORE_FULL", facts={"store_bytes": "67", "limit_bytes": "64"})


class Refused(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode, details: bytes | None) -> None:
        self._code = code
        self._details = details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return "It is refused."

    def trailing_metadata(self) -> Any:
        others = ("x", "y"), ("other-bin", b"\xff")
        return others if self._details is None else (*others, (DETAILS_KEY, self._details))


def test_what_is_written_is_read() -> None:
    assert read(write(8, "It is full.", INFO)) == INFO


def test_googles_own_messages_are_read() -> None:
    """As any gRPC server makes them: `google.rpc.Status` with an `ErrorInfo`, byte for byte."""
    reason, domain = b"\x0a\x0bNO_SUCH_KEY", b"\x12\x04knit"
    fact = b"\x1a\x08\x0a\x03key\x12\x01k"
    info = reason + domain + fact
    url = b"type.googleapis.com/google.rpc.ErrorInfo"
    detail = b"\x0a" + bytes([len(url)]) + url + b"\x12" + bytes([len(info)]) + info
    status = b"\x08\x05\x12\x03not\x1a" + bytes([len(detail)]) + detail
    assert read(status) == ErrorInfo(reason="NO_SUCH_KEY", facts={"key": "k"})


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        ("NOT_FOUND", "NO_SUCH_KEY", exceptions.KeyNotFoundError),
        ("NOT_FOUND", "NO_SUCH_SERVICE", exceptions.ServiceNotFoundError),
        ("NOT_FOUND", "NO_SUCH_CONTAINER", exceptions.ContainerNotFoundError),
        ("NOT_FOUND", "NO_SUCH_LEASE", exceptions.LeaseEndedError),
        ("FAILED_PRECONDITION", "NO_SUCH_LEASE", exceptions.LeaseEndedError),
        ("FAILED_PRECONDITION", "UPDATE_UNDER_WAY", exceptions.WrongStateError),
        ("ALREADY_EXISTS", "SERVICE_EXISTS", exceptions.WrongStateError),
        ("OUT_OF_RANGE", "HISTORY_LOST", exceptions.HistoryLostError),
        ("OUT_OF_RANGE", "EVENTS_FORGOTTEN", exceptions.EventsForgottenError),
        ("OUT_OF_RANGE", "OFFSET_PAST_END", exceptions.PositionOutOfRangeError),
        ("RESOURCE_EXHAUSTED", "VALUE_TOO_LARGE", exceptions.StoreLimitError),
        ("RESOURCE_EXHAUSTED", "TOO_MANY_CONTAINERS", exceptions.ResourceExhaustedError),
        ("PERMISSION_DENIED", "PERMISSION_DENIED", exceptions.NotPermittedError),
        ("FAILED_PRECONDITION", "A_REASON_OF_TOMORROW", exceptions.WrongStateError),
    ],
)
def test_the_reason_decides_the_class_and_both_are_told(
    code: str, reason: str, kind: type[exceptions.KnitError]
) -> None:
    info = ErrorInfo(reason=reason, facts={"a": "1"})
    status = grpc.StatusCode[code]
    error = from_rpc_error(Refused(status, write(status.value[0], "", info)), "Asking")
    assert type(error) is kind
    assert (error.reason, dict(error.facts)) == (reason, {"a": "1"})
    assert error.message.startswith("Asking: It is refused.")


def test_without_details_there_is_no_reason() -> None:
    error = from_rpc_error(Refused(grpc.StatusCode.NOT_FOUND, None), "Asking")
    assert (error.reason, dict(error.facts)) == (None, {})


def test_another_servers_details_say_nothing() -> None:
    other = write(5, "", INFO).replace(b"\x12\x04knit", b"\x12\x04kniT")
    assert read(other) == ErrorInfo()
    assert error_info(grpc.RpcError()) == ErrorInfo()


def test_damaged_details_say_nothing_and_do_no_harm() -> None:
    data, dice = write(8, "It is full.", INFO), random.Random(7)
    for _ in range(2000):
        broken = bytearray(data)
        for _ in range(dice.randrange(1, 4)):
            broken[dice.randrange(len(broken))] = dice.randrange(256)
        found = read(bytes(broken[: dice.randrange(len(broken) + 1)]))
        assert found.reason is None or isinstance(found.reason, str)


def test_it_is_in_nobodys_way() -> None:
    """The names are in a pool of our own: who has googleapis' messages can load them, too."""
    from google.protobuf import descriptor_pool

    read(write(8, "", INFO))
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("knit.internal.Status")
