"""Streams outlive what the application outlives."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from knit import (
    Application,
    ApplicationReport,
    ConnectionLostError,
    RpcTimeoutError,
    WaitTimeoutError,
    YarnState,
)
from knit._handles import locating, log_stream
from knit._wire import connection
from knit._wire.calls.call import ServiceName
from knit.testing import FakeApplicationMaster, Fault
from tests.handles.outages.answering import report_at


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
        patch.setattr(fake, "_report", report_at(fake, gone))
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
    monkeypatch.setattr(fake, "_report", report_at(fake, gone))
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
