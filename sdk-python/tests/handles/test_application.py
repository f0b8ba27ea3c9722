"""What a handle asks and tells an Application Master."""

from __future__ import annotations

import copy
import pickle
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import attrs
import grpc
import pytest

from knit import (
    AggregatedLogs,
    Application,
    ApplicationFailedError,
    ApplicationNotRunningError,
    ApplicationOutcome,
    ApplicationSpec,
    ApplicationState,
    ConnectionLostError,
    Container,
    ContainerNotFoundError,
    ContainerState,
    ExitReason,
    FinalStatus,
    HistoryLostError,
    InvalidRequestError,
    LogAggregationDisabledError,
    LogFile,
    Resources,
    Service,
    SpecError,
    WaitingCause,
    WaitingReason,
    WaitTimeoutError,
    WrongStateError,
    YarnState,
)
from knit._values import deadlines
from knit.testing import FakeApplicationMaster, Fault, _container_service
from knit.testing._archive import FakeArchive
from knit.v1 import application_service_pb2, container_pb2, waiting_pb2
from knit.v1.application_service_pb2_grpc import ApplicationServiceStub

SOON = timedelta(seconds=0.3)


def test_describing_says_what_was_submitted_without_secrets(application: Application) -> None:
    description = application.describe()
    assert description.application_id == application.application_id
    assert description.state is ApplicationState.RUNNING
    assert description.outcome is None
    assert description.name == "demo"
    assert description.services["worker"].instances == 2
    assert description.services["server"].environment == {"TOKEN": ""}
    assert description.start_time is not None
    assert description.start_time.tzinfo is timezone.utc


def test_describing_says_why_containers_wait(
    fake: FakeApplicationMaster, application: Application
) -> None:
    reason = WaitingReason(
        service_name="worker",
        count=3,
        resources=Resources("64 GiB", 2),
        cause=WaitingCause.TOO_LARGE,
        explanation="The largest node has 16 GiB.",
        since=datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
    )
    assert application.describe().waiting_reasons == ()
    fake.wait_for(reason)
    assert application.describe().waiting_reasons == (reason,)
    fake.wait_for()
    assert application.describe().waiting_reasons == ()


def test_containers_come_in_order_and_by_choice(application: Application) -> None:
    assert [(c.service, c.rank) for c in application.containers()] == [
        ("server", 0),
        ("worker", 0),
        ("worker", 1),
    ]
    assert len(application.containers(services=["worker"])) == 2
    assert application.containers(states=[ContainerState.FAILED]) == []
    with pytest.raises(ContainerNotFoundError, match="nobody"):
        application.containers(services=["nobody"])


def test_a_container_is_what_the_contract_says_of_it(
    fake: FakeApplicationMaster, application: Application
) -> None:
    server = application.containers()[0]
    assert server.state is ContainerState.RUNNING
    assert server.node_id is not None
    assert server.exit is None
    assert server.run_time is not None
    fake.finish(server.container_id, exit_code=137, diagnostics="Killed.")
    ended = application.containers()[0]
    assert ended.exit is not None
    assert (ended.state, ended.exit.exit_code, ended.exit.signal) == (ContainerState.FAILED, 137, 9)
    assert (ended.exit.reason, ended.exit.diagnostics) == (ExitReason.EXITED, "Killed.")
    assert ended.exit.finish_time is not None
    assert ended.start_time is not None
    assert ended.run_time == ended.exit.finish_time - ended.start_time
    assert ended == application.containers()[0]


def test_values_newer_than_this_sdk_are_read() -> None:
    message = container_pb2.Container(service_name="w", attempt_number=1)
    later = waiting_pb2.WaitingReason()
    later.cause = 99  # type: ignore[assignment]
    message.state = 99  # type: ignore[assignment]
    message.exit.reason = 99  # type: ignore[assignment]
    assert WaitingReason._from_proto(later).cause is WaitingCause.UNKNOWN
    container = Container._from_proto(message)
    assert container.state is ContainerState.UNKNOWN
    assert not container.state.is_final
    assert container.exit is not None
    assert container.exit.reason is ExitReason.UNKNOWN
    assert container.container_id is None
    assert container.run_time is None


def test_a_container_is_the_same_value_in_another_process(
    fake: FakeApplicationMaster, application: Application
) -> None:
    fake.finish(application.containers()[0].container_id, exit_code=3)
    for container in application.containers():
        for copied in (pickle.loads(pickle.dumps(container)), copy.deepcopy(container)):
            assert copied == container
            with pytest.raises(ApplicationNotRunningError, match="was not read from"):
                copied.stop()
    assert pickle.loads(pickle.dumps(application.describe())) == application.describe()


def test_containers_are_added_after_the_highest_rank(application: Application) -> None:
    added = application.add_containers(2, service="worker", resources=Resources("1 GiB", 2))
    assert [(c.rank, c.state) for c in added] == [
        (2, ContainerState.REQUESTED),
        (3, ContainerState.REQUESTED),
    ]
    assert added[0].resources == Resources(1024, 2)
    for count in (0, 10_001):
        with pytest.raises(InvalidRequestError):
            application.add_containers(count, service="worker")
    with pytest.raises(ContainerNotFoundError):
        application.add_containers(1, service="nobody")
    with pytest.raises(SpecError, match="server, worker"):
        application.add_containers(1)


def test_a_lost_answer_adds_no_container_twice(
    fake: FakeApplicationMaster, application: Application
) -> None:
    fault = Fault(call="AddContainers", status="UNAVAILABLE", done_first=True, count=2)
    fake.fail_next(fault)
    added = application.add_containers(3, service="worker")
    assert fake.calls == ["GetApplication", *["AddContainers"] * 3]
    assert [c.rank for c in added] == [2, 3, 4]
    assert len(application.containers(services=["worker"])) == 5


def test_an_application_master_that_was_replaced_is_not_asked_to_add_again(
    fake: FakeApplicationMaster, application: Application
) -> None:
    """The first may have added them, and the second would do so once more."""
    fault = Fault(call="AddContainers", status="UNAVAILABLE", done_first=True, restarts=True)
    fake.fail_next(fault)
    with pytest.raises(HistoryLostError, match="List what there is now, then decide"):
        application.add_containers(3, service="worker")
    assert len(application.containers(services=["worker"])) == 2
    description = application.describe()
    assert description.attempt_number == 2
    assert len(application.add_containers(1, service="worker")) == 1


@pytest.mark.parametrize("containers", [0, 1, 3, 4, 7])
def test_pages_of_containers_are_one_list(containers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_container_service, "PAGE_CONTAINERS", 3)
    spec = ApplicationSpec("a", {"only": Service("true", instances=containers)})
    with FakeApplicationMaster(spec) as fake:
        assert [c.rank for c in fake.application().containers()] == list(range(containers))
        assert fake.calls == ["ListContainers"] * max(1, -(-containers // 3))


def test_pages_of_two_application_masters_are_not_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_container_service, "PAGE_CONTAINERS", 1)
    spec = ApplicationSpec("a", {"only": Service("true", instances=3)})
    with FakeApplicationMaster(spec) as fake:
        fake.fail_next(Fault(call="ListContainers"))
        fake.fail_next(Fault(call="ListContainers", status="UNAVAILABLE", restarts=True))
        listed = fake.application().containers()
        assert listed == fake.containers()
        assert {str(c.container_id).split("_")[3] for c in listed} == {"02"}


def test_the_only_service_need_not_be_named() -> None:
    spec = ApplicationSpec("a", {"only": Service("true", instances=0)})
    with FakeApplicationMaster(spec) as fake:
        assert fake.application().add_containers(1)[0].service == "only"


def test_containers_are_stopped_by_id_by_value_and_by_place(
    fake: FakeApplicationMaster, application: Application
) -> None:
    first, second, third = application.containers()
    assert second.container_id is not None
    assert [c.state for c in application.stop_containers(second.container_id)] == [
        ContainerState.STOPPING
    ]
    assert first.stop().container_id == first.container_id
    requested = application.add_containers(1, service="worker")
    assert len(application.stop_containers([third, *requested])) == 2
    assert {c.state for c in application.containers()} == {ContainerState.STOPPED}
    assert application.stop_containers(third)[0].state is ContainerState.STOPPED
    assert application.stop_containers([]) == []
    with pytest.raises(ContainerNotFoundError):
        application.stop_containers(["container_1_0001_01_000009"])


def test_containers_and_their_exits_are_listed_after_the_end(
    fake: FakeApplicationMaster, application: Application
) -> None:
    first, second, third = fake.containers()
    fake.finish(second.container_id, exit_code=137, diagnostics="Killed.")
    fake.finish(first.container_id)
    application.add_containers(1, service="worker", resources=Resources("1 GiB", 2))
    live = application.containers()
    application.kill()
    ended = application.containers()
    assert ended[:2] == [attrs.evolve(c, node_http_address=None) for c in live[:2]]
    assert ended[1].exit is not None
    assert (ended[1].exit.exit_code, ended[1].exit.signal) == (137, 9)
    assert (ended[2].container_id, ended[2].state) == (third.container_id, ContainerState.STOPPED)
    assert (ended[3].container_id, ended[3].resources) == (None, Resources("1 GiB", 2))
    assert [c.rank for c in application.containers(services=["worker"])] == [0, 1, 2]
    assert application.containers(states=[ContainerState.FAILED]) == [ended[1]]
    with pytest.raises(ContainerNotFoundError, match=r"nobody\. It had some of server, worker"):
        application.containers(services=["nobody"])
    with pytest.raises(ApplicationNotRunningError):
        ended[2].stop()


def test_after_the_end_containers_are_listed_with_the_attempt_they_belonged_to(
    fake: FakeApplicationMaster, application: Application
) -> None:
    fake.begin_anew()
    assert [c.application_attempt for c in application.containers()] == [2, 2, 2]
    application.kill()
    assert [
        (c.service, c.rank, c.application_attempt, c.attempt_number)
        for c in application.containers()
    ] == [
        ("server", 0, 1, 1),
        ("server", 0, 2, 1),
        ("worker", 0, 1, 1),
        ("worker", 0, 2, 1),
        ("worker", 1, 1, 1),
        ("worker", 1, 2, 1),
    ]


def test_containers_that_nothing_is_known_of_are_an_error_that_says_why(
    fake: FakeApplicationMaster, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    application.kill()
    monkeypatch.setattr(FakeArchive, "_records", lambda _: ())
    with pytest.raises(ApplicationNotRunningError, match=r"\(KILLED\).* left no record"):
        application.containers()

    def disabled(_: object) -> None:
        raise LogAggregationDisabledError("This cluster keeps no logs.")

    monkeypatch.setattr(FakeArchive, "look", disabled)
    with pytest.raises(ApplicationNotRunningError, match="keeps no logs"):
        application.containers()


def test_a_record_that_is_still_being_collected_is_waited_for(
    fake: FakeApplicationMaster, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    application.kill()
    look, looks = FakeArchive.look, list[int]()

    def later(archive: FakeArchive) -> AggregatedLogs:
        looks.append(len(looks))
        logs = look(archive)
        return attrs.evolve(logs, records=(), is_settled=False) if len(looks) < 4 else logs

    monkeypatch.setattr(FakeArchive, "look", later)
    monkeypatch.setattr("knit._handles.collected.pauses", lambda *_: deadlines.pauses(0.01, 0.01))
    assert len(application.containers()) == 3
    looks.clear()
    with pytest.raises(ApplicationNotRunningError, match="not known any more"):
        application.containers(timeout=timedelta())


def test_log_files_are_listed(fake: FakeApplicationMaster, application: Application) -> None:
    server = application.containers()[0]
    fake.write(server.container_id, b"12345", file="gc.log")
    assert application.log_files(server) == [
        LogFile("gc.log", 5),
        LogFile("stderr", 0),
        LogFile("stdout", 0),
    ]
    fake.fail_next(Fault(status="UNAVAILABLE"))
    with pytest.raises(ConnectionLostError):  # the node's answer, so it is not asked again
        application.log_files(server)


def test_stopping_an_application_returns_the_outcome_that_stands(
    application: Application,
) -> None:
    outcome = application.stop(final_status=FinalStatus.SUCCEEDED, diagnostics="Enough.")
    assert outcome == ApplicationOutcome(
        final_status=FinalStatus.SUCCEEDED, diagnostics="Enough.", exit_code=0
    )
    assert application.stop(diagnostics="Again.") == outcome
    assert application.describe().state is ApplicationState.ENDED
    assert application.wait(timeout=SOON).raise_for_status().state is YarnState.FINISHED
    with pytest.raises(ValueError, match="UNDEFINED"):
        application.stop(final_status=FinalStatus.UNDEFINED)


def test_release_is_for_applications_that_have_ended(
    fake: FakeApplicationMaster, application: Application
) -> None:
    with pytest.raises(WrongStateError, match="stop it first"):
        application.release()
    assert fake.containers()[0].state is ContainerState.RUNNING
    fake.end()
    application.release()
    assert fake.was_released
    fake.stop()
    application.release(timeout=timedelta(seconds=1))


def test_a_handle_changes_queue_and_priority_until_the_application_has_ended(
    fake: FakeApplicationMaster,
) -> None:
    app = fake.application()
    assert app.move("small").queue == "small"
    assert app.set_priority(5).priority == 5
    assert (app.report().queue, app.report().priority) == ("small", 5)
    with pytest.raises(SpecError, match="0 or more"):
        app.set_priority(-1)
    fake.end()
    with pytest.raises(ApplicationNotRunningError):
        app.move("default")
    with pytest.raises(ApplicationNotRunningError):
        app.set_priority(1)
    assert (app.report().queue, app.report().priority) == ("small", 5)


def test_killing_ends_the_application_at_yarn(
    fake: FakeApplicationMaster, application: Application
) -> None:
    assert application.kill().state is YarnState.KILLED
    with pytest.raises(ApplicationNotRunningError, match=r"has ended \(KILLED\)"):
        application.describe()
    with pytest.raises(ApplicationFailedError):
        application.wait().raise_for_status()


def test_an_application_that_ended_before_says_why() -> None:
    with FakeApplicationMaster() as fake:
        fake.end(FinalStatus.FAILED, exit_code=1, diagnostics="worker.0 exited with 1.")
        fake.stop()
        with pytest.raises(ApplicationNotRunningError, match=r"FAILED.*worker\.0 exited with 1"):
            fake.application().describe()


def test_waiting_for_the_end_has_a_deadline(
    fake: FakeApplicationMaster, application: Application
) -> None:
    with pytest.raises(WaitTimeoutError, match="it is RUNNING"):
        application.wait(timeout=SOON)
    ending = threading.Timer(0.2, fake.end)
    ending.start()
    report = application.wait(timeout=timedelta(seconds=5), poll=timedelta(seconds=0.05))
    ending.join()
    assert report.final_status is FinalStatus.SUCCEEDED


def test_connecting_waits_for_the_application_master_until_its_deadline() -> None:
    fake = FakeApplicationMaster()
    fake.report_as(YarnState.ACCEPTED)
    application = fake.application()
    with pytest.raises(WaitTimeoutError, match=r"to start; .*ACCEPTED in the queue default"):
        application.connect(timeout=SOON)
    starting = threading.Timer(0.2, fake.start)
    starting.start()
    began = time.monotonic()
    assert application.connect(timeout=timedelta(seconds=10)).name == "fake"
    assert time.monotonic() - began >= 0.15
    starting.join()
    application.close()
    fake.stop()


def test_leaving_the_block_closes_the_connection(fake: FakeApplicationMaster) -> None:
    with fake.application() as application:
        assert application.containers()
    with pytest.raises(ConnectionLostError):
        application.containers()
    assert fake.containers()[0].state is ContainerState.RUNNING


def test_what_an_endpoint_saves_is_enough_to_connect(
    application: Application, tmp_path: Path
) -> None:
    saved = application.endpoint().save(tmp_path)
    application.endpoint().save(tmp_path)  # saving again replaces the files
    credentials = grpc.ssl_channel_credentials(
        (saved / "ca.pem").read_bytes(),
        (saved / "key.pem").read_bytes(),
        (saved / "cert.pem").read_bytes(),
    )
    name = (saved / "server_name").read_text()
    with grpc.secure_channel(
        (saved / "address").read_text(),
        credentials,
        [("grpc.ssl_target_name_override", name), ("grpc.enable_http_proxy", 0)],
    ) as channel:
        response = ApplicationServiceStub(channel).GetApplication(
            application_service_pb2.GetApplicationRequest(), timeout=10
        )
    assert response.application.application_id == application.application_id


def test_an_endpoint_never_shows_its_key(application: Application) -> None:
    endpoint = application.endpoint()
    assert "PRIVATE" not in repr(endpoint)
    assert endpoint.address in repr(endpoint)
