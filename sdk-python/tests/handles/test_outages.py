"""Calls, waits and streams outlive what the application outlives."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import attrs
import grpc
import pytest

from knit import (
    Application,
    ApplicationNotRunningError,
    ApplicationReport,
    ClusterTimeoutError,
    ClusterUnreachableError,
    ConnectionLostError,
    FinalStatus,
    KnitError,
    RpcTimeoutError,
    StandbyError,
    TicketExpiredError,
    TicketMissingError,
    WaitTimeoutError,
    YarnState,
)
from knit._cluster import patience
from knit._handles import locating, log_stream
from knit._values import deadlines
from knit._values.access import Role
from knit._values.deadlines import Deadline
from knit._wire import connection
from knit._wire.calls.application import get_application
from knit._wire.calls.call import ServiceName
from knit._wire.tls import ApplicationTls, ClientTls
from knit.testing import FakeApplicationMaster, Fault
from knit.v1 import application_service_pb2

LONG = timedelta(seconds=60)
SILENCES = [
    ClusterUnreachableError("no connection"),
    ClusterTimeoutError("no answer in time"),
    StandbyError("on standby, or still starting"),
]


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for between tries is not what these tests are about."""
    for module in (log_stream, connection, locating):
        monkeypatch.setattr(module, "pauses", lambda *_: deadlines.pauses(0.01, 0.05))
    monkeypatch.setattr(patience, "QUIET_SECONDS", 0)


class Yarn:
    """Answers as the fake's YARN does, but first with what it is given."""

    def __init__(self, fake: FakeApplicationMaster) -> None:
        self.fake = fake
        self.first: list[KnitError | ApplicationReport] = []
        self.timeouts: list[timedelta] = []
        self.keys: list[KnitError] = []

    def report(self, application_id: str, timeout: timedelta) -> ApplicationReport:
        self.timeouts.append(timeout)
        found = self.first.pop(0) if self.first else self.fake._report()
        if isinstance(found, KnitError):
            raise found
        return found

    def kill(self, application_id: str, timeout: timedelta) -> ApplicationReport:
        return self.report(application_id, timeout)

    def address(self, report: ApplicationReport, timeout: timedelta) -> str | None:
        return report.am_address

    def archive(self, application_id: str) -> object:
        raise AssertionError("nothing is read from there")

    def credentials(
        self, application_id: str, timeout: timedelta, *, role: Role = Role.OWNER
    ) -> ClientTls:
        if self.keys:
            raise self.keys.pop(0)
        return self.fake.tls.client


@pytest.fixture
def yarn(fake: FakeApplicationMaster) -> Yarn:
    return Yarn(fake)


@pytest.fixture
def handle(yarn: Yarn) -> Iterator[Application]:
    with Application(yarn, yarn.fake.application_id, timeout=LONG) as opened:  # type: ignore[arg-type]
        yield opened


# Waits


def test_a_wait_outlives_a_kerberos_ticket_and_finds_the_next(
    yarn: Yarn, handle: Application
) -> None:
    yarn.first = [yarn.fake._report(), *[TicketExpiredError("it has ended: kinit")] * 5]
    threading.Timer(0.3, yarn.fake.end).start()
    assert handle.wait(timeout=LONG).state is YarnState.FINISHED
    assert not yarn.first


def test_while_the_application_master_answers_a_ticket_may_be_gone_for_long(
    yarn: Yarn, handle: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No ticket is needed for that; and without it, nobody knows whether there is more to wait."""
    handle.describe()
    monkeypatch.setattr("knit._cluster.patience.OUTAGE", timedelta(0))
    yarn.first = [TicketExpiredError("it has ended: kinit")] * 20
    threading.Timer(0.5, yarn.fake.end).start()
    assert handle.wait(timeout=LONG).state is YarnState.FINISHED
    assert not yarn.first
    yarn.fake.stop()
    yarn.first = [TicketExpiredError("it has ended: kinit")] * 1000
    with pytest.raises(TicketExpiredError):
        handle.wait(timeout=LONG)


def test_a_wait_that_never_had_a_ticket_says_so_at_once(yarn: Yarn, handle: Application) -> None:
    yarn.first = [TicketMissingError("there is none: kinit")] * 2
    with pytest.raises(TicketMissingError):
        handle.wait(timeout=LONG)
    assert len(yarn.first) == 1


@pytest.mark.parametrize("silence", SILENCES, ids=lambda error: type(error).__name__)
def test_waiting_bears_a_resource_manager_that_does_not_answer(
    yarn: Yarn, handle: Application, silence: KnitError
) -> None:
    yarn.first = [silence] * 5
    yarn.fake.end()
    assert handle.wait(timeout=LONG).final_status is FinalStatus.SUCCEEDED
    assert yarn.first == []


def test_waiting_gives_up_a_resource_manager_that_stays_away(
    yarn: Yarn, handle: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "OUTAGE", timedelta())
    yarn.first = [SILENCES[0]]
    with pytest.raises(ClusterUnreachableError):
        handle.wait()


def test_what_is_silent_for_long_is_told_once(
    yarn: Yarn, handle: Application, caplog: pytest.LogCaptureFixture
) -> None:
    yarn.first = [SILENCES[0]] * 5
    yarn.fake.end()
    with caplog.at_level(logging.WARNING, "knit"):
        handle.wait(timeout=LONG)
    [record] = caplog.records
    assert record.message.startswith("no connection Trying again")


def test_a_wait_of_nothing_asks_once(yarn: Yarn, handle: Application) -> None:
    with pytest.raises(WaitTimeoutError, match=r"Waited 0 s .* it is RUNNING"):
        handle.wait(timeout=timedelta())
    assert yarn.timeouts == [locating.LEAST_QUESTION]
    yarn.first = [SILENCES[1]]
    with pytest.raises(WaitTimeoutError, match="no answer in time"):
        handle.wait(timeout=timedelta())
    yarn.fake.end()
    assert handle.wait(timeout=timedelta()).state is YarnState.FINISHED


def test_a_wait_asks_for_no_longer_than_it_lasts(yarn: Yarn, handle: Application) -> None:
    with pytest.raises(WaitTimeoutError):
        handle.wait(timeout=timedelta(seconds=0.2))
    assert set(yarn.timeouts) == {locating.LEAST_QUESTION}
    yarn.timeouts.clear()
    handle.kill(timeout=timedelta())
    handle.kill(timeout=timedelta(seconds=5))
    assert yarn.timeouts[0] == locating.LEAST_QUESTION
    assert timedelta(seconds=4) < yarn.timeouts[1] <= timedelta(seconds=5)


# Calls


def test_a_call_bears_a_resource_manager_that_does_not_answer(
    yarn: Yarn, handle: Application
) -> None:
    handle.report()
    assert handle.describe().name == "demo"
    yarn.fake.restart()  # so that YARN has to be asked where it is
    yarn.first = list(SILENCES)
    assert handle.describe().name == "demo"
    assert yarn.first == []


def test_a_call_bears_a_file_system_that_does_not_answer(yarn: Yarn, handle: Application) -> None:
    yarn.keys = list(SILENCES)
    assert handle.describe().name == "demo"
    assert yarn.keys == []


def test_killing_bears_a_resource_manager_that_does_not_answer(
    yarn: Yarn, handle: Application
) -> None:
    handle.report()
    handle.describe()
    yarn.first = [SILENCES[0]] * 3
    yarn.fake.end()
    assert handle.kill().state is YarnState.FINISHED
    assert yarn.first == []


def test_a_cluster_that_never_answered_is_not_waited_for(yarn: Yarn, handle: Application) -> None:
    """Its address may be wrong, which the user should read at once."""
    yarn.first = [SILENCES[0]] * 2
    with pytest.raises(ClusterUnreachableError):
        handle.describe()
    with pytest.raises(ClusterUnreachableError):
        next(iter(handle.logs(follow=True)))
    assert yarn.first == []


def test_a_call_that_finds_nothing_again_says_that_it_lost_its_connection(
    yarn: Yarn, handle: Application
) -> None:
    handle.describe()
    yarn.fake.stop()
    yarn.first = [SILENCES[0]] * 1000
    with pytest.raises(ConnectionLostError, match="Asking for") as caught:
        handle.describe(timeout=timedelta(seconds=0.3))
    assert isinstance(caught.value.__cause__, ClusterUnreachableError)


def test_a_list_that_loses_both_says_that_it_lost_its_connection(
    fake: FakeApplicationMaster, application: Application
) -> None:
    """Nothing is known of its end, so nobody looks into what was collected."""
    application.containers()
    with (
        fake.without_yarn(),
        fake.away(),
        pytest.raises(ConnectionLostError, match="Listing the containers"),
    ):
        application.containers(timeout=timedelta(seconds=0.3))


@pytest.mark.parametrize("seconds", [0, 0.05, 20])
def test_what_is_left_of_a_timeout_is_all_that_a_call_is_given(
    fake: FakeApplicationMaster, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    given: list[float] = []

    def answer(_: object, *, timeout: float) -> application_service_pb2.GetApplicationResponse:
        given.append(timeout)
        return application_service_pb2.GetApplicationResponse()

    monkeypatch.setattr(connection.Stubs, "method", lambda *_: answer)
    way = connection.Connection(lambda *_: (fake.address or "", fake.tls.client))
    way.call(get_application("application_1_0001"), Deadline.after(timedelta(seconds=seconds)))
    way.close()
    assert 0 < given[0] <= max(seconds, 0.001)


# Streams


def lines_of(stream: log_stream.LogStream, what_happens: Callable[[], None]) -> list[str]:
    happening = threading.Thread(target=what_happens)
    happening.start()
    try:
        return [line.text for line in stream]
    finally:
        happening.join()


def first_of(fake: FakeApplicationMaster) -> str:
    container_id = fake.containers()[0].container_id
    assert container_id is not None
    return container_id


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def test_a_stream_outlives_a_network_that_is_gone(
    fake: FakeApplicationMaster, application: Application
) -> None:
    """Neither the Application Master nor YARN answers, for many tries."""
    first = first_of(fake)
    fake.write(first, b"before\n")
    stream = iter(application.logs(follow=True))
    assert next(stream).text == "before"
    asked = _count_reports(application)
    with fake.without_yarn(), fake.away():
        reading = threading.Thread(target=lambda: rest.extend(line.text for line in stream))
        rest: list[str] = []
        reading.start()
        wait_for(lambda: asked[0] > 30, "the stream does not ask any more")
        fake.write(first, b"meanwhile\n")
    fake.end()
    reading.join()
    assert rest == ["meanwhile"]


def _count_reports(application: Application) -> list[int]:
    count = [0]
    yarn = application._locator._yarn
    report = yarn.report

    def counting(application_id: str, timeout: timedelta) -> ApplicationReport:
        count[0] += 1
        return report(application_id, timeout)

    yarn.report = counting  # type: ignore[method-assign]
    return count


def test_a_stream_waits_for_the_next_attempt_as_long_as_the_application_lives(
    fake: FakeApplicationMaster, application: Application
) -> None:
    """The node of the first is gone, and YARN takes its time to notice."""
    fake.write(first_of(fake), b"attempt 1\n")
    stream = iter(application.logs(follow=True))
    assert next(stream).text == "attempt 1"
    gone = fake.address
    asked = _count_reports(application)
    rest: list[str] = []
    with fake.away(), _held(gone), pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeApplicationMaster, "address", gone)
        patch.setattr(fake, "_report", _report_at(fake, gone))
        reading = threading.Thread(target=lambda: rest.extend(line.text for line in stream))
        reading.start()
        wait_for(lambda: asked[0] > 30, "the stream does not ask any more")
    fake.begin_anew()
    fake.write(first_of(fake), b"attempt 2\n")
    fake.end()
    fake.report_as(YarnState.FINISHED)
    reading.join()
    assert rest == ["attempt 2"]


@contextlib.contextmanager
def _held(address: str | None) -> Iterator[None]:
    """Nothing answers at that port of this host, for nobody else is given it meanwhile."""
    assert address is not None
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", int(address.rpartition(":")[2])))
        yield


def _report_at(fake: FakeApplicationMaster, address: str | None) -> Callable[[], ApplicationReport]:
    return lambda: ApplicationReport(
        application_id=fake.application_id, state=YarnState.RUNNING, am_address=address
    )


def test_a_stream_goes_on_however_often_it_breaks(
    fake: FakeApplicationMaster, application: Application
) -> None:
    fake.write(first_of(fake), b"some\n")
    fake.fail_next(Fault(status="UNAVAILABLE", after_bytes=2))
    fake.fail_next(Fault(status="UNAVAILABLE", count=50))
    assert [line.text for line in application.logs()] == ["some"]
    assert fake.calls.count("StreamLogs") == 52


def test_one_that_has_finished_and_breaks_again_and_again_has_left(
    fake: FakeApplicationMaster, application: Application
) -> None:
    """Progress in between means that it has not: only failures in a row count."""
    fake.write(first_of(fake), b"0123456789")
    fake.end()
    for _ in range(9):
        fake.fail_next(Fault(status="UNAVAILABLE", after_bytes=1))
    fake.fail_next(Fault(status="UNAVAILABLE", count=1000))
    stream = application.logs(files=["stdout"])
    assert b"".join(chunk.data for chunk in stream.chunks()) == b"0123456789"
    # The last of the nine is the first in the row.
    assert fake.calls.count("StreamLogs") == 8 + locating.FAILURES_OF_ONE_THAT_LEAVES


def test_one_that_was_never_reached_is_given_up_by_its_address(
    fake: FakeApplicationMaster, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A firewall may be in between; the user has to know which port to open."""
    gone = fake.address
    fake.stop()
    monkeypatch.setattr(fake, "_report", _report_at(fake, gone))
    monkeypatch.setattr(log_stream, "UNREACHED_PATIENCE", timedelta(seconds=0.2))
    with pytest.raises(ConnectionLostError, match=f"Check that {gone} can be reached"):
        list(application.logs(follow=True))


def test_a_stream_waits_for_its_application_master_as_wait_does() -> None:
    fake = FakeApplicationMaster()
    fake.report_as(YarnState.ACCEPTED)
    application = fake.application(timeout=timedelta(seconds=0.05))

    def happen() -> None:
        wait_for(lambda: asked[0] > 30, "the stream does not ask any more")
        fake.write(first_of(fake), b"at last\n")
        fake.end()
        fake.report_as(None)
        fake.start()

    asked = _count_reports(application)
    assert lines_of(application.logs(follow=True), happen) == ["at last"]
    application.close()
    fake.stop()


def test_a_stream_says_what_it_waits_for_and_when_that_changes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fake = FakeApplicationMaster()
    fake.report_as(YarnState.ACCEPTED)
    application = fake.application()
    caplog.set_level(logging.WARNING, "knit")
    starting = threading.Timer(0.2, fake.report_as, [YarnState.RUNNING])
    starting.start()
    with pytest.raises(WaitTimeoutError, match="to start; the application is RUNNING"):
        list(application.logs(follow=True, timeout=timedelta(seconds=0.6)))
    said = [record.message.partition("; ")[2] for record in caplog.records]
    assert said == [
        "the application is ACCEPTED in the queue default",
        "the application is RUNNING in the queue default",
    ]
    application.close()


def test_closing_ends_a_stream_that_looks_for_its_application_master(
    fake: FakeApplicationMaster, application: Application
) -> None:
    with fake.away():
        fake.report_as(YarnState.ACCEPTED)
        for close in ("stream", "application"):
            stream = application.logs(follow=True)
            closing = threading.Timer(0.2, stream.close if close == "stream" else application.close)
            closing.start()
            expected = (
                contextlib.nullcontext()
                if close == "stream"
                else pytest.raises(ConnectionLostError, match="closed by this program")
            )
            with expected:
                assert list(stream) == []
            closing.join()


def test_a_stream_is_given_what_is_left_of_its_timeout(
    fake: FakeApplicationMaster, application: Application
) -> None:
    seen: list[float | None] = []
    method = connection.Stubs.method

    def noting(stubs: connection.Stubs, service: ServiceName, name: str) -> Callable[..., object]:
        found = method(stubs, service, name)

        def begin(request: object, *, timeout: float | None) -> object:
            seen.append(timeout)
            return found(request, timeout=timeout)

        return begin

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection.Stubs, "method", noting)
        fake.fail_next(Fault(status="UNAVAILABLE"))
        with pytest.raises(RpcTimeoutError, match="have not ended within"):
            list(application.logs(follow=True, timeout=timedelta(seconds=0.3)))
        list(application.logs())
    assert seen[0] is not None
    assert 0 < seen[0] <= 0.3
    assert seen[-1] is None


@pytest.mark.parametrize(
    ("state", "raw", "expected"),
    [
        (YarnState.RUNNING, {}, False),
        (YarnState.FINISHED, {"runningContainers": 1}, False),
        (YarnState.FINISHED, {"runningContainers": -1}, True),
        (YarnState.KILLED, {}, True),
    ],
)
def test_one_that_has_finished_has_left_once_its_container_has_gone(
    yarn: Yarn, handle: Application, state: YarnState, raw: dict[str, int], expected: bool
) -> None:
    report = ApplicationReport(application_id=handle.application_id, state=state, raw=raw)
    yarn.first = [report, *SILENCES]
    assert handle._locator.has_left() is expected
    assert not any(handle._locator.has_left() for _ in SILENCES)


# Letting go


def test_releasing_tells_one_that_has_left_from_one_that_is_out_of_reach(
    fake: FakeApplicationMaster, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    application.describe()
    fake.stop()
    with monkeypatch.context() as patch:
        patch.setattr(fake, "_report", _report_at(fake, "127.0.0.1:9"))
        with pytest.raises(ConnectionLostError):
            application.release(timeout=timedelta(seconds=0.3))
    fake.end()
    application.release(timeout=timedelta(seconds=0.3))


def test_a_refused_handshake_is_told_rather_than_an_application_master_that_left(
    fake: FakeApplicationMaster,
) -> None:
    stranger = ApplicationTls.generate().client
    yarn = Yarn(fake)
    fake.end()
    with Application(yarn, fake.application_id, tls=stranger, timeout=LONG) as handle:  # type: ignore[arg-type]
        with pytest.raises(ConnectionLostError, match=f"{fake.address} answers and the TLS"):
            handle.describe()
        with pytest.raises(ConnectionLostError, match="the TLS handshake fails"):
            list(handle.logs())


class NotYetValid(grpc.RpcError):
    """As raised where the clock of the client, or of the submitter, is wrong."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return "Ssl handshake failed: CERTIFICATE_VERIFY_FAILED: certificate is not yet valid"


def test_a_certificate_that_is_not_valid_now_is_told_at_once(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[object] = []

    def refuse(*_: object, **__: object) -> object:
        tries.append(None)
        raise NotYetValid

    class Refusing:
        def __getattr__(self, name: str) -> Callable[..., object]:
            return refuse

    stubs = connection.Stubs.over

    def over(channel: grpc.Channel) -> connection.Stubs:
        refusing: Any = Refusing()
        return attrs.evolve(stubs(channel), application=refusing, logs=refusing)

    monkeypatch.setattr(connection.Stubs, "over", over)
    for ask in (application.describe, lambda: list(application.logs(follow=True))):
        with pytest.raises(ConnectionLostError, match="one is not valid yet"):
            ask()
    assert len(tries) == 2


def test_an_application_that_ended_before_is_not_looked_for(fake: FakeApplicationMaster) -> None:
    fake.report_as(YarnState.KILLED)
    with pytest.raises(ApplicationNotRunningError):
        fake.application().describe()
