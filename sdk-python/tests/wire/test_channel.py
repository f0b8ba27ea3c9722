"""Calls: what each status means, deadlines, and who is let in."""

from __future__ import annotations

import contextlib
import socket
import threading
from datetime import timedelta
from typing import Any

import grpc
import pytest

from knit import (
    Application,
    ApplicationError,
    ConnectionLostError,
    ContainerNotFoundError,
    InvalidRequestError,
    KnitError,
    NotPermittedError,
    PositionOutOfRangeError,
    ResourceExhaustedError,
    RpcTimeoutError,
    WrongStateError,
)
from knit._wire import connection
from knit._wire.channel import _OPTIONS, open_channel
from knit._wire.connection import Stubs
from knit._wire.statuses import from_rpc_error
from knit._wire.tls import ApplicationTls, ClientTls
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
    grpc.StatusCode.PERMISSION_DENIED: NotPermittedError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhaustedError,
    grpc.StatusCode.UNAUTHENTICATED: NotPermittedError,
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


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ("Ssl handshake failed: CERTIFICATE_VERIFY_FAILED: certificate has expired", "no longer"),
        ("CERTIFICATE_VERIFY_FAILED: certificate is not yet valid", "is not valid yet. The clock"),
        ("Ssl handshake failed: WRONG_VERSION_NUMBER", "node-1:4711 answers and the TLS handshake"),
        ("failed to connect to all addresses", "Check that node-1:4711 can be reached from here"),
    ],
)
def test_why_no_connection_was_made_is_told(details: str, expected: str) -> None:
    failure = Failure(grpc.StatusCode.UNAVAILABLE)
    failure.details = lambda: details  # type: ignore[method-assign]
    assert expected in str(from_rpc_error(failure, "Asking", "node-1:4711"))


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


def test_a_call_that_gets_no_answer_ends_by_its_deadline(
    fake: FakeApplicationMaster, application: Application
) -> None:
    fake.fail_next(Fault(delay=timedelta(seconds=3)))
    with pytest.raises(RpcTimeoutError, match="may have been done"):
        application.containers(timeout=timedelta(seconds=0.3))


def test_a_call_that_is_always_refused_shares_its_time_among_its_tries(
    fake: FakeApplicationMaster, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    make_stubs = Stubs.over

    def over(channel: grpc.Channel) -> Stubs:
        stubs = make_stubs(channel)
        method = stubs.containers.ListContainers

        def noting(request: object, *, timeout: float) -> object:
            given.append(timeout)
            return method(request, timeout=timeout)  # type: ignore[arg-type]

        stubs.containers.ListContainers = noting  # type: ignore[assignment]
        return stubs

    monkeypatch.setattr(Stubs, "over", over)
    fake.fail_next(Fault(status="UNAVAILABLE", count=1000))
    with pytest.raises(ConnectionLostError):
        application.containers(timeout=timedelta(seconds=1))
    assert given == sorted(given, reverse=True)
    assert len(given) > 1
    assert given[0] <= 1


def test_what_was_refused_is_told_where_the_time_ends_in_the_last_try(
    fake: FakeApplicationMaster, application: Application
) -> None:
    fake.fail_next(Fault(status="UNAVAILABLE"))
    fake.fail_next(Fault(delay=timedelta(seconds=30)))
    with pytest.raises(ConnectionLostError, match="told to fail"):
        application.containers(timeout=timedelta(seconds=0.9))
    assert fake.calls == ["ListContainers"] * 2


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


def test_one_that_has_moved_leaves_no_channel_behind(
    fake: FakeApplicationMaster, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Stubs] = []

    def noting(address: str, tls: ClientTls) -> grpc.Channel:
        channel = open_channel(address, tls)
        opened.append(Stubs.over(channel))
        return channel

    monkeypatch.setattr(connection, "open_channel", noting)
    assert application.containers()
    fake.restart()
    assert application.containers()
    first, second = (stubs.application.GetApplication for stubs in opened)
    request = application_service_pb2.GetApplicationRequest()
    assert second(request, timeout=5).application.application_id == fake.application_id
    with pytest.raises(ValueError, match="closed"):
        first(request, timeout=5)
    application.close()
    with pytest.raises(ValueError, match="closed"):
        second(request, timeout=5)


def test_the_transport_is_told_what_the_contract_says(
    fake: FakeApplicationMaster, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, object] = {}
    secure_channel = grpc.secure_channel

    def noting(address: str, credentials: object, options: Any) -> grpc.Channel:
        given.update(options)
        return secure_channel(address, credentials, options=options)  # type: ignore[arg-type]

    monkeypatch.setattr(grpc, "secure_channel", noting)
    assert application.containers()
    # A node that vanished is noticed within 40 s, and both limits of the contract hold. Which of
    # the two names counts depends on the version of gRPC.
    assert given["grpc.keepalive_time_ms"] == 30_000
    assert given["grpc.keepalive_timeout_ms"] == given["grpc.http2.ping_timeout_ms"] == 10_000
    assert given["grpc.max_receive_message_length"] == 16 * 1024 * 1024
    assert given["grpc.max_send_message_length"] == 16 * 1024 * 1024


def test_the_fake_lets_clients_look_whether_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not ends every connection that was idle for two minutes."""
    given: dict[str, object] = {}
    server = grpc.server

    def noting(threads: Any, options: Any) -> grpc.Server:
        given.update(options)
        return server(threads, options=options)

    monkeypatch.setattr(grpc, "server", noting)
    with FakeApplicationMaster():
        assert given["grpc.http2.min_ping_interval_without_data_ms"] == 5_000
        assert given["grpc.keepalive_permit_without_calls"] == 1


def test_one_that_goes_silent_is_noticed(
    fake: FakeApplicationMaster, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its node vanished: no packet comes any more, and none says so. gRPC's own default is 60 s."""
    quick = {"grpc.keepalive_time_ms": 1_000, "grpc.http2.ping_timeout_ms": 1_000}
    options = tuple({**dict(_OPTIONS), **quick}.items())
    monkeypatch.setattr("knit._wire.channel._OPTIONS", options)
    relay = SilentRelay(fake.address or "")
    monkeypatch.setattr(fake, "_address", relay.address)
    assert application.containers()
    relay.is_silent = True
    with pytest.raises(ConnectionLostError):
        application.log_files(fake.containers()[0], timeout=timedelta(seconds=45))
    relay.close()


class SilentRelay:
    """Forwards a connection, until it swallows everything."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.is_silent = False
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for end in (self._listener, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._ends += [client, server]
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                if not self.is_silent:
                    target.sendall(data)


def test_what_is_larger_than_an_application_master_takes_is_not_sent(
    fake: FakeApplicationMaster, application: Application
) -> None:
    environment = {f"V{number}": "x" * 1_000_000 for number in range(17)}
    with pytest.raises(ResourceExhaustedError, match=r"17,\d{3},\d{3} bytes, .* takes 16,777,216"):
        application.add_containers(1, service="worker", environment=environment)
    assert fake.calls == ["GetApplication"]


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
