"""Control of services against a fake Application Master, over real gRPC."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import attrs
import pytest

import knit
from knit import (
    Application,
    ApplicationNotRunningError,
    ApplicationSpec,
    ContainerNotFoundError,
    ContainerRef,
    ContainerState,
    ExitReason,
    HistoryLostError,
    InvalidRequestError,
    Readiness,
    ResourceExhaustedError,
    ScaleDownOrder,
    Service,
    ServiceCondition,
    ServiceNotFoundError,
    ServiceStatus,
    SpecError,
    UpdateState,
    WaitTimeoutError,
    WrongStateError,
)
from knit.testing import FakeApplicationMaster, Fault, _application_service

PATIENCE = timedelta(seconds=60)
SPEC = ApplicationSpec(
    "demo",
    {"web": Service("serve", instances=1), "worker": Service("work", instances=3)},
    annotations={"ticket": b"42"},
)


@pytest.fixture
def fake() -> Iterator[FakeApplicationMaster]:
    with FakeApplicationMaster(SPEC) as fake:
        yield fake


@pytest.fixture
def app(fake: FakeApplicationMaster) -> Application:
    return fake.application(timeout=PATIENCE)


def live(fake: FakeApplicationMaster, service: str = "worker") -> list[int]:
    """The ordinals of those that have not ended."""
    return [c.ordinal or 0 for c in fake.containers() if c.service == service and not c.exit]


def test_services_are_listed_as_they_are(app: Application, fake: FakeApplicationMaster) -> None:
    web, worker = app.services()
    assert (web.name, worker.name) == ("web", "worker")
    assert (worker.condition, worker.target, worker.ready_count) == (
        *(ServiceCondition.READY, 3, 3),
    )
    assert worker.counts == {ContainerState.RUNNING: 3}
    assert (worker.revision, worker.spec.command, worker.update) == (1, "work", None)
    fake.finish(fake.containers()[-1].container_id, exit_code=3)
    worker = app.service("worker")
    assert worker.condition is ServiceCondition.DEGRADED
    assert worker.counts == {ContainerState.RUNNING: 2, ContainerState.FAILED: 1}
    assert [s.name for s in app.services(["web"])] == ["web"]
    with pytest.raises(ServiceNotFoundError) as caught:
        app.service("nobody")
    assert caught.value.facts["service_name"] == "nobody"
    with pytest.raises(SpecError, match="give a list"):
        app.services("web")


@pytest.mark.parametrize("count", [0, 1, 6, 7, 13])
def test_pages_of_services_are_one_list(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(_application_service, "PAGE_SERVICES", 3)
    services = {f"s{n:02}": Service("x", instances=0) for n in range(count + 1)}
    with FakeApplicationMaster(ApplicationSpec("demo", services)) as fake:
        found = fake.application(timeout=PATIENCE).services()
        assert [status.name for status in found] == sorted(services)


def test_scaling_up_fills_the_lowest_free_ranks_and_gives_new_ordinals(
    app: Application, fake: FakeApplicationMaster
) -> None:
    app.scale("worker", 2, victims=[ContainerRef("worker", 0)])
    assert live(fake) == [1, 2]
    scaled = app.scale("worker", delta=2)
    assert [(c.rank, c.attempt_number, c.ordinal) for c in scaled.added] == [(0, 2, 3), (3, 1, 4)]
    assert scaled.stopped == ()
    assert scaled.service.target == 4
    assert scaled.service.condition is ServiceCondition.DEGRADED


@pytest.mark.parametrize(
    ("order", "left"),
    [
        (None, [0]),
        (ScaleDownOrder.HIGHEST_RANK_FIRST, [0]),
        (ScaleDownOrder.NEWEST_FIRST, [0]),
        (ScaleDownOrder.OLDEST_FIRST, [2]),
    ],
)
def test_scaling_down_takes_victims_in_the_order_that_is_said(
    app: Application, fake: FakeApplicationMaster, order: ScaleDownOrder | None, left: list[int]
) -> None:
    scaled = app.scale("worker", delta=-2, order=order)
    assert live(fake) == left
    assert {c.state for c in scaled.stopped} == {ContainerState.STOPPING}
    ended = [c for c in app.containers(services=["worker"]) if c.exit]
    assert {c.exit.reason for c in ended if c.exit} == {ExitReason.SCALED_DOWN}


def test_scaling_below_none_stops_at_none(app: Application, fake: FakeApplicationMaster) -> None:
    assert app.scale("worker", delta=-9).service.target == 0
    assert live(fake) == []


def test_scaling_refuses_what_makes_no_sense(app: Application, fake: FakeApplicationMaster) -> None:
    with pytest.raises(TypeError, match="one of them"):
        app.scale("worker")
    with pytest.raises(TypeError, match="one of them"):
        app.scale("worker", 1, delta=1)
    with pytest.raises(InvalidRequestError, match="negative"):
        app.scale("worker", -1)
    with pytest.raises(InvalidRequestError, match="than are to go"):
        app.scale("worker", 3, victims=app.containers(services=["worker"])[:1])
    with pytest.raises(ContainerNotFoundError):
        app.scale("worker", 2, victims=[ContainerRef("worker", 99)])
    with pytest.raises(ServiceNotFoundError):
        app.scale("nobody", 2)
    assert live(fake) == [0, 1, 2]
    fake.end()
    with pytest.raises(WrongStateError) as caught:
        app.scale("worker", 5)
    assert caught.value.reason == "APPLICATION_ENDING"


Change = Callable[[Application], object]
CHANGES: dict[str, Change] = {
    "ScaleService": lambda app: app.scale("worker", delta=1),
    "AddServices": lambda app: app.add_services({"new": Service("x")}),
    "RemoveServices": lambda app: app.remove_services("web"),
    "UpdateService": lambda app: app.update_service("web", Service("other")),
    "RestartContainers": lambda app: app.restart_containers(services=["worker"]),
    "StopContainers": lambda app: app.stop_containers(services=["worker"]),
    "UpdateApplication": lambda app: app.annotate({"a": b"1"}),
    "AddContainers": lambda app: app.add_containers(1, service="worker"),
}


@pytest.mark.parametrize("call", CHANGES)
def test_a_change_whose_answer_was_lost_is_done_once(
    app: Application, fake: FakeApplicationMaster, call: str
) -> None:
    app.services()
    before = len(fake.containers())
    fake.fail_next(Fault(status="UNAVAILABLE", call=call, done_first=True, count=2))
    CHANGES[call](app)
    assert fake.calls.count(call) == 3
    grown = {"ScaleService": 1, "AddServices": 1, "AddContainers": 1, "RestartContainers": 3}
    assert len(fake.containers()) == before + grown.get(call, 0)


@pytest.mark.parametrize("call", CHANGES)
def test_a_change_is_not_done_again_by_another_application_master(
    app: Application, fake: FakeApplicationMaster, call: str
) -> None:
    fake.fail_next(Fault(status="UNAVAILABLE", call=call, done_first=True, restarts=True))
    with pytest.raises(HistoryLostError, match="List what there is now, then decide"):
        CHANGES[call](app)
    assert len(fake.containers()) == 4
    CHANGES[call](app)  # whoever has been told goes on


def test_services_are_added_and_removed(app: Application, fake: FakeApplicationMaster) -> None:
    (added,) = app.add_services({"extra": Service("x", instances=2)})
    assert (added.name, added.condition, added.target) == ("extra", ServiceCondition.STARTING, 2)
    with pytest.raises(WrongStateError) as caught:
        app.add_services({"extra": Service("x"), "more": Service("y")})
    assert caught.value.reason == "SERVICE_EXISTS"
    assert [s.name for s in app.services()] == ["extra", "web", "worker"]
    (removed,) = app.remove_services("extra")
    assert removed.condition is ServiceCondition.REMOVED
    assert live(fake, "extra") == []
    with pytest.raises(WrongStateError) as caught:
        app.scale("extra", 1)
    assert caught.value.reason == "SERVICE_REMOVED"
    with pytest.raises(ServiceNotFoundError):
        app.remove_services(["web", "nobody"])
    assert app.service("web").condition is ServiceCondition.READY


def test_an_update_passes_ranks_to_the_next_revision(
    app: Application, fake: FakeApplicationMaster
) -> None:
    status = app.service("worker")
    new = attrs.evolve(status.spec, command="other")
    updating = app.update_service("worker", new, from_revision=1, keeps_environment=True)
    assert updating.revision == 2
    assert updating.update is not None
    assert (updating.update.from_revision, updating.update.to_revision) == (1, 2)
    assert updating.update.state is UpdateState.UPDATING
    threading.Timer(0.2, fake.finish_update, ["worker"]).start()
    done = app.wait_for_update("worker", timeout=PATIENCE)
    assert (done.revision, done.update, done.spec.command) == (2, None, "other")
    new_ones = app.containers(services=["worker"], states=[ContainerState.RUNNING])
    assert {c.revision for c in new_ones} == {2}
    assert {c.attempt_number for c in new_ones} == {2}


def test_what_changes_nothing_about_a_container_holds_at_once(app: Application) -> None:
    new = attrs.evolve(app.service("worker").spec, max_restarts=7)
    status = app.update_service("worker", new)
    assert (status.revision, status.update, status.spec.max_restarts) == (2, None, 7)


def test_updates_are_refused_by_reason(app: Application, fake: FakeApplicationMaster) -> None:
    other = Service("other", instances=3)
    with pytest.raises(InvalidRequestError, match="scale"):
        app.update_service("worker", Service("other", instances=1))
    with pytest.raises(WrongStateError) as caught:
        app.update_service("worker", other, from_revision=7)
    assert caught.value.reason == "REVISION_CHANGED"
    assert caught.value.facts["revision"] == "1"
    for steer in (app.pause_update, app.continue_update, app.roll_back_update):
        with pytest.raises(WrongStateError) as caught:
            steer("worker")
        assert caught.value.reason == "NO_UPDATE"
    app.update_service("worker", other)
    with pytest.raises(WrongStateError) as caught:
        app.update_service("worker", Service("third", instances=3))
    assert caught.value.reason == "UPDATE_UNDER_WAY"
    third = app.update_service("worker", Service("third", instances=3), replaces_update=True)
    assert third.spec.command == "third"
    fake.pause_update("worker", "worker.1 failed")
    paused = app.wait_for_update("worker", timeout=PATIENCE)
    assert paused.update is not None
    assert (paused.update.state, paused.update.explanation) == (
        *(UpdateState.PAUSED, "worker.1 failed"),
    )


def test_restarting_gives_each_rank_its_next_attempt(
    app: Application, fake: FakeApplicationMaster
) -> None:
    first, second, third = app.containers(services=["worker"])
    next_one = first.restart()
    assert (next_one.rank, next_one.attempt_number, next_one.ordinal) == (0, 2, 3)
    both = app.restart_containers([second.ref, str(third.container_id)])
    assert [(c.rank, c.attempt_number) for c in both] == [(1, 2), (2, 2)]
    ended = [c for c in app.containers(services=["worker"]) if c.exit]
    assert {c.exit.reason for c in ended if c.exit} == {ExitReason.RESTARTED}
    assert app.restart_containers([]) == []
    with pytest.raises(ServiceNotFoundError):
        app.restart_containers(services=["nobody"])


def test_a_container_is_stopped_by_its_ordinal_and_no_other(
    app: Application, fake: FakeApplicationMaster
) -> None:
    requested = fake.add("worker", running=False)[0]
    assert requested.container_id is None
    (stopped,) = app.stop_containers(requested)
    assert (stopped.ordinal, stopped.state) == (3, ContainerState.STOPPED)
    assert app.stop_containers(ContainerRef("worker", 0))[0].rank == 0
    assert live(fake) == [1, 2]
    assert len(app.stop_containers(services=["worker", "web"])) == 5
    assert live(fake) == live(fake, "web") == []


def test_progress_is_reported_and_computed_again(app: Application) -> None:
    app.report_progress(0.25)
    description = app.describe()
    assert (description.progress, description.is_progress_reported) == (0.25, True)
    app.report_progress(None)
    assert not app.describe().is_progress_reported
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(InvalidRequestError):
            app.report_progress(wrong)


def test_annotations_are_set_given_back_and_removed(app: Application) -> None:
    assert app.annotations() == {"ticket": b"42"}
    app.annotate({"ticket": None, "who": b"me"})
    assert app.annotations() == {"who": b"me"}
    with pytest.raises(ResourceExhaustedError):
        app.annotate({"large": bytes(64 * 1024)})
    assert app.annotations() == {"who": b"me"}


def test_readiness_is_what_the_program_says(fake: FakeApplicationMaster) -> None:
    spec = ApplicationSpec("demo", {"web": Service("x", readiness=Readiness(reported=True))})
    with FakeApplicationMaster(spec) as fake:
        app = fake.application(timeout=PATIENCE)
        container = app.containers()[0]
        assert not container.is_ready
        assert app.service("web").condition is ServiceCondition.STARTING
        app.report_ready(container)
        assert app.containers()[0].is_ready
        app.report_ready(container.ref, is_ready=False)
        assert app.service("web").condition is ServiceCondition.DEGRADED
        fake.finish(container.container_id)
        with pytest.raises(WrongStateError) as caught:
            app.report_ready(container)
        assert caught.value.reason == "CONTAINER_ENDED"


def test_readiness_is_not_said_where_it_comes_by_itself(app: Application) -> None:
    with pytest.raises(WrongStateError) as caught:
        app.report_ready(app.containers()[0])
    assert caught.value.reason == "READINESS_NOT_REPORTED"


# Waiting


def test_waiting_until_services_are_ready_watches_them(fake: FakeApplicationMaster) -> None:
    with FakeApplicationMaster(SPEC, running=False) as fake:
        app = fake.application(timeout=PATIENCE)
        found: list[list[ServiceStatus]] = []
        thread = threading.Thread(
            target=lambda: found.append(app.wait_until_ready(timeout=PATIENCE))
        )
        thread.start()
        for service, rank in (("worker", 0), ("web", 0), ("worker", 1), ("worker", 2)):
            fake.grant(service, rank)
        thread.join()
        assert [s.condition for s in found[0]] == [ServiceCondition.READY] * 2
        assert fake.calls.count("ListServices") == 1
        assert app.wait_until_ready("web", timeout=PATIENCE)[0].name == "web"


def test_waiting_says_what_was_waited_for(fake: FakeApplicationMaster) -> None:
    with FakeApplicationMaster(SPEC, running=False) as fake:
        fake.wait_for(
            knit.WaitingReason(
                service_name="worker",
                count=3,
                cause=knit.WaitingCause.QUEUE_FULL,
                explanation="The queue is full.",
            )
        )
        app = fake.application(timeout=PATIENCE)
        with pytest.raises(WaitTimeoutError, match=r"worker is STARTING \(The queue is full"):
            app.wait_until_ready("worker", timeout=timedelta(seconds=0.3))


def test_waiting_for_what_cannot_come_ends(app: Application, fake: FakeApplicationMaster) -> None:
    app.scale("worker", 4)
    threading.Timer(0.2, fake.finish, [fake.containers()[0].container_id], {"exit_code": 1}).start()
    with pytest.raises(WrongStateError, match="becomes ready no more"):
        app.wait_until_ready(timeout=PATIENCE)
    threading.Timer(0.2, fake.end).start()
    with pytest.raises(ApplicationNotRunningError, match="worker is DEGRADED"):
        app.wait_until_ready("worker", timeout=PATIENCE)
