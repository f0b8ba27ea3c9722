"""Calls: what each status means, deadlines, and who is let in."""

from __future__ import annotations

import time
from datetime import timedelta

import grpc
import pytest

from knit import (
    Application,
    ApplicationError,
    ConnectionLostError,
    ContainerNotFoundError,
    InvalidRequestError,
    KnitError,
    PositionOutOfRangeError,
    ResourceExhaustedError,
    RpcTimeoutError,
    WrongStateError,
)
from knit._channel import from_rpc_error, open_channel
from knit._tls import ApplicationTls
from knit.testing import FakeApplicationMaster, Fault
from knit.v1 import application_service_pb2
from knit.v1.application_service_pb2_grpc import ApplicationServiceStub

MEANINGS: dict[grpc.StatusCode, type[KnitError]] = {
    grpc.StatusCode.ABORTED: WrongStateError,
    grpc.StatusCode.ALREADY_EXISTS: WrongStateError,
    grpc.StatusCode.CANCELLED: ConnectionLostError,
    grpc.StatusCode.DATA_LOSS: ApplicationError,
    grpc.StatusCode.DEADLINE_EXCEEDED: RpcTimeoutError,
    grpc.StatusCode.FAILED_PRECONDITION: WrongStateError,
    grpc.StatusCode.INTERNAL: ApplicationError,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    grpc.StatusCode.NOT_FOUND: ContainerNotFoundError,
    grpc.StatusCode.OUT_OF_RANGE: PositionOutOfRangeError,
    grpc.StatusCode.PERMISSION_DENIED: ApplicationError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhaustedError,
    grpc.StatusCode.UNAUTHENTICATED: ApplicationError,
    grpc.StatusCode.UNAVAILABLE: ConnectionLostError,
    grpc.StatusCode.UNIMPLEMENTED: ApplicationError,
    grpc.StatusCode.UNKNOWN: ApplicationError,
}
FAILURES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


class Failure(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return "so it is"


@pytest.mark.parametrize("code", FAILURES, ids=lambda code: code.name)
def test_every_status_has_a_meaning(code: grpc.StatusCode) -> None:
    error = from_rpc_error(Failure(code), "Asking")
    assert type(error) is MEANINGS[code]
    assert str(error).startswith("Asking: so it is.")


def test_an_error_without_a_status_has_a_meaning_too() -> None:
    assert type(from_rpc_error(grpc.RpcError(), "Asking")) is ApplicationError


@pytest.mark.parametrize(
    "code",
    [code for code in FAILURES if MEANINGS[code] is not ConnectionLostError],
    ids=lambda code: code.name,
)
def test_a_status_from_the_wire_raises_its_meaning(
    fake: FakeApplicationMaster, application: Application, code: grpc.StatusCode
) -> None:
    fake.fail_next(Fault(status=code.name))
    with pytest.raises(MEANINGS[code], match=r"Listing the containers .*told to fail"):
        application.containers()


def test_a_call_ends_by_its_deadline(fake: FakeApplicationMaster, application: Application) -> None:
    fake.fail_next(Fault(delay=timedelta(seconds=3)))
    began = time.monotonic()
    with pytest.raises(RpcTimeoutError, match="may have been done"):
        application.containers(timeout=timedelta(seconds=0.3))
    assert time.monotonic() - began < 2


def test_a_call_that_is_always_refused_ends_by_its_deadline(
    fake: FakeApplicationMaster, application: Application
) -> None:
    fake.fail_next(Fault(status="UNAVAILABLE", count=1000))
    began = time.monotonic()
    with pytest.raises(ConnectionLostError):
        application.containers(timeout=timedelta(seconds=1))
    assert time.monotonic() - began < 20
    assert len(fake.calls) > 1


def test_a_call_that_was_cut_off_is_made_again(
    fake: FakeApplicationMaster, application: Application
) -> None:
    fake.fail_next(Fault(status="UNAVAILABLE", count=2))
    assert len(application.containers()) == 3
    assert fake.calls == ["ListContainers"] * 3


def test_a_call_finds_an_application_master_that_has_moved(
    fake: FakeApplicationMaster, application: Application
) -> None:
    assert application.containers()
    before = fake.address
    fake.restart()
    assert fake.address != before
    assert application.containers()


def test_a_call_after_close_is_refused(application: Application) -> None:
    assert application.containers()
    application.close()
    with pytest.raises(ConnectionLostError, match="closed by this program"):
        application.containers()


def get_application(channel: grpc.Channel) -> grpc.StatusCode:
    try:
        ApplicationServiceStub(channel).GetApplication(
            application_service_pb2.GetApplicationRequest(), timeout=5
        )
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return grpc.StatusCode.OK


def test_only_the_applications_own_clients_are_let_in(fake: FakeApplicationMaster) -> None:
    address, tls, stranger = fake.address, fake.tls.client, ApplicationTls.generate().client
    assert address is not None
    override = (("grpc.ssl_target_name_override", "knit-application-master"),)

    def secure(*, key: bytes | None, cert: bytes | None) -> grpc.Channel:
        credentials = grpc.ssl_channel_credentials(tls.ca, key, cert)
        return grpc.secure_channel(address or "", credentials, options=override)

    channels = {
        "own": open_channel(address, tls),
        "plaintext": grpc.insecure_channel(address),
        "no certificate": secure(key=None, cert=None),
        "certificate of another application": secure(key=stranger.key, cert=stranger.cert),
        "trusts another authority": open_channel(address, stranger),
    }
    codes = {who: get_application(channel) for who, channel in channels.items()}
    for channel in channels.values():
        channel.close()
    assert codes.pop("own") is grpc.StatusCode.OK
    assert set(codes.values()) == {grpc.StatusCode.UNAVAILABLE}, codes
    assert fake.calls == ["GetApplication"]


def test_a_proxy_in_the_environment_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, application: Application
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert application.containers()
