"""Calls and waits outlive what the application outlives."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import attrs
import grpc
import pytest

from knit import (
    AccessDeniedError,
    Application,
    ApplicationNotRunningError,
    ApplicationReport,
    ClusterUnreachableError,
    ConnectionLostError,
    FinalStatus,
    KnitError,
    TicketExpiredError,
    TicketMissingError,
    WaitTimeoutError,
    YarnState,
)
from knit._cluster import patience
from knit._handles import locating
from knit._values.deadlines import Deadline
from knit._wire import connection
from knit._wire.calls.application import get_application
from knit._wire.tls import ApplicationTls
from knit.testing import FakeApplicationMaster
from knit.v1 import application_service_pb2
from tests.handles.outages.answering import LONG, SILENCES, Yarn, report_at

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
        patch.setattr(fake, "_report", report_at(fake, "127.0.0.1:9"))
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


# What is not ours


def test_an_application_of_somebody_else_is_not_waited_for(yarn: Yarn, handle: Application) -> None:
    """YARN never tells where its Application Master is, so there is nothing to wait for."""
    withheld = attrs.evolve(
        yarn.fake._report(), am_address=None, user="carol", raw={"startedTime": 0}
    )
    yarn.first = [withheld]
    with pytest.raises(AccessDeniedError, match=r"it is carol's.*yarn\.acl\.enable"):
        handle.containers(timeout=LONG)
    assert len(yarn.timeouts) == 1
