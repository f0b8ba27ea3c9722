"""Events against a fake Application Master, over real gRPC."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

import knit
from knit import (
    Application,
    ApplicationNotRunningError,
    ApplicationSpec,
    ApplicationState,
    ApplicationStatus,
    Container,
    ContainerState,
    Event,
    EventKind,
    EventsForgottenError,
    HistoryLostError,
    Notice,
    NoticeSeverity,
    Position,
    Service,
    ServiceCondition,
    ServiceStatus,
    WaitTimeoutError,
    YarnState,
)
from knit._handles.events import KEPT_ATTEMPTS
from knit.testing import FakeApplicationMaster, Fault

PATIENCE = timedelta(seconds=60)
SPEC = ApplicationSpec("demo", {"web": Service("serve"), "worker": Service("work", instances=2)})


@pytest.fixture
def fake() -> Iterator[FakeApplicationMaster]:
    with FakeApplicationMaster(SPEC, kept_events=100) as fake:
        yield fake


@pytest.fixture
def app(fake: FakeApplicationMaster) -> Application:
    return fake.application(timeout=PATIENCE)


def notices(events: Iterator[Event], count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        found += [notice.text for notice in next(events).notices]
    return found


def test_all_that_is_kept_comes_in_order_and_ends_with_what_there_is(
    app: Application, fake: FakeApplicationMaster
) -> None:
    fake.finish(fake.containers()[0].container_id, exit_code=3)
    fake.notice("careful", service="web", severity=NoticeSeverity.WARNING)
    first, second, third = app.events(after=0, follow=False)
    assert [type(change) for change in first.changes] == [
        *([Container] * 3 + [ServiceStatus] * 2 + [ApplicationStatus])
    ]
    assert first.sequence < second.sequence < third.sequence
    (failed,) = second.containers
    assert (failed.service, failed.state) == ("web", ContainerState.FAILED)
    assert failed.exit is not None
    assert failed.exit.exit_code == 3
    (status,) = second.services
    assert status.condition is ServiceCondition.FAILED
    assert third.notices == (
        Notice(severity=NoticeSeverity.WARNING, service="web", text="careful"),
    )
    assert first.time is not None
    assert first.time.tzinfo is not None
    assert third.position == app.describe().position
    assert list(app.events(follow=False)) == []


def test_from_now_on_is_from_the_moment_of_the_call(
    app: Application, fake: FakeApplicationMaster
) -> None:
    fake.notice("before")
    with app.events(timeout=PATIENCE) as events:
        fake.notice("after")
        assert notices(events, 1) == ["after"]


def test_services_and_kinds_choose(app: Application, fake: FakeApplicationMaster) -> None:
    app.kv["k"] = b"1"
    fake.finish(fake.containers()[0].container_id)

    def kinds(**options: object) -> set[type]:
        events = app.events(after=0, follow=False, **options)  # type: ignore[arg-type]
        return {type(change) for event in events for change in event.changes}

    assert kinds() == {ApplicationStatus, ServiceStatus, Container}
    assert kinds(kinds=[EventKind.CONTAINER]) == {Container}
    assert kinds(kinds=[EventKind.KEY]) == {knit.KeyChange}
    found = list(app.events(after=0, follow=False, services=["web"], kinds=[EventKind.SERVICE]))
    assert {s.name for event in found for s in event.services} == {"web"}
    with pytest.raises(knit.SpecError, match="give a list"):
        app.events(services="web")


def test_containers_of_events_can_be_told_what_to_do(
    app: Application, fake: FakeApplicationMaster
) -> None:
    container = next(app.events(after=0, timeout=PATIENCE)).containers[0]
    assert container.stop().state is ContainerState.STOPPING


def test_no_event_comes_twice_or_is_left_out_whatever_breaks(
    app: Application, fake: FakeApplicationMaster
) -> None:
    dice = random.Random(11)
    with app.events(kinds=[EventKind.NOTICE], timeout=PATIENCE) as events:
        for number in range(60):
            if not dice.randrange(4):
                fake.fail_next(
                    Fault(
                        status=dice.choice(["UNAVAILABLE", "CANCELLED"]),
                        call="WatchEvents",
                        after_events=dice.randrange(5),
                    )
                )
            fake.notice(f"{number}")
        assert notices(events, 60) == [f"{number}" for number in range(60)]
        assert fake.calls.count("WatchEvents") > 5
        fake.restart()
        fake.notice("elsewhere")
        assert notices(events, 1) == ["elsewhere"]


def test_an_application_master_that_is_away_is_waited_for(
    app: Application, fake: FakeApplicationMaster
) -> None:
    with app.events(kinds=[EventKind.NOTICE], timeout=PATIENCE) as events:
        fake.notice("one")
        assert notices(events, 1) == ["one"]
        found: list[str] = []
        thread = threading.Thread(target=lambda: found.extend(notices(events, 1)))
        with fake.away():
            thread.start()
            time.sleep(0.3)  # it notices that nobody is there
            fake.notice("two")
        thread.join()
        assert found == ["two"]


def test_a_slow_reader_costs_nothing_until_it_falls_behind(
    app: Application, fake: FakeApplicationMaster
) -> None:
    events = app.events(kinds=[EventKind.NOTICE], timeout=PATIENCE)
    for number in range(90):
        fake.notice(f"{number}")
    assert notices(events, 90) == [f"{number}" for number in range(90)]
    position = events.position
    events.close()
    for number in range(150):
        fake.notice(f"{number}")
    with pytest.raises(EventsForgottenError, match="List again") as caught:
        next(app.events(after=position, timeout=PATIENCE))
    assert caught.value.reason == "EVENTS_FORGOTTEN"
    seen = app.snapshot()
    fake.notice("again")
    assert notices(app.events(after=seen.position, timeout=PATIENCE), 1) == ["again"]


def test_another_history_is_told_and_how_to_go_on(
    app: Application, fake: FakeApplicationMaster
) -> None:
    events = app.events(timeout=PATIENCE)
    fake.begin_anew()
    with pytest.raises(HistoryLostError, match="list again"):
        next(events)
    with pytest.raises(HistoryLostError):
        next(app.events(after=Position(1, "another"), timeout=PATIENCE))
    with pytest.raises(HistoryLostError):
        next(app.events(after=10_000, timeout=PATIENCE))
    assert next(app.events(after=app.snapshot().position, follow=False), None) is None


def test_a_watch_ends_with_the_application_and_tells_the_end(
    app: Application, fake: FakeApplicationMaster
) -> None:
    events = app.events(timeout=PATIENCE)
    fake.end(diagnostics="done")
    *_, last = events
    (status,) = [c for c in last.changes if isinstance(c, ApplicationStatus)]
    assert status.state is ApplicationState.ENDED
    assert status.outcome is not None
    assert status.outcome.diagnostics == "done"
    assert fake.open_watches == 0


def test_a_watch_has_a_deadline_and_can_be_closed(
    app: Application, fake: FakeApplicationMaster
) -> None:
    with pytest.raises(WaitTimeoutError, match="are over"):
        next(app.events(timeout=timedelta(seconds=0.3)))
    with app.events() as events:
        threading.Timer(0.2, events.close).start()
        assert list(events) == []
    end = time.monotonic() + 60
    while fake.open_watches:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_it_waits_for_the_application_master_to_start(
    app: Application, fake: FakeApplicationMaster
) -> None:
    fake.stop()
    fake.report_as(YarnState.ACCEPTED)

    def begin() -> None:
        fake.start()
        fake.report_as(None)

    threading.Timer(0.3, begin).start()
    assert next(app.events(after=0, timeout=PATIENCE)).sequence == 1


def test_events_are_read_after_the_end(app: Application, fake: FakeApplicationMaster) -> None:
    fake.notice("before the end")
    live = list(app.events(after=0, follow=False))
    fake.end()
    fake.stop()
    past = list(app.events(after=0))
    assert [event.sequence for event in past[:-1]] == [event.sequence for event in live]
    assert [e.changes for e in past[:-1]] == [e.changes for e in live]
    assert [e.sequence for e in app.events(after=past[0].sequence)] == [
        event.sequence for event in past[1:]
    ]
    chosen = list(app.events(kinds=[EventKind.SERVICE], services=["web"]))
    assert {type(change) for event in chosen for change in event.changes} == {ServiceStatus}
    assert {s.name for event in chosen for s in event.services} == {"web"}


def test_a_watch_goes_on_in_what_was_written_down_when_the_application_master_leaves(
    app: Application, fake: FakeApplicationMaster
) -> None:
    """The call before the watch may be the last that it answers, and so may any event."""
    events = app.events(after=0, timeout=PATIENCE)
    early = [next(events)]
    fake.stop()
    fake.notice("nobody heard this")
    fake.end()
    early += events
    assert early == list(app.events(after=0))
    assert [notice.text for event in early for notice in event.notices] == ["nobody heard this"]
    (status,) = [c for c in early[-1].changes if isinstance(c, ApplicationStatus)]
    assert status.state is ApplicationState.ENDED
    assert events.position == early[-1].position


def test_after_the_end_a_position_is_gone_on_from(
    app: Application, fake: FakeApplicationMaster
) -> None:
    fake.notice("one")
    *_, seen = app.events(after=0, follow=False)
    fake.notice("two")
    fake.end()
    fake.stop()
    later = list(app.events(after=seen.position, timeout=PATIENCE))
    assert [notice.text for event in later for notice in event.notices] == ["two"]
    with pytest.raises(HistoryLostError):
        list(app.events(after=Position(1, "another"), timeout=PATIENCE))


def test_while_it_runs_nothing_is_read_of_what_was_collected(
    fake: FakeApplicationMaster, app: Application
) -> None:
    fake.report_as(YarnState.FAILED)
    fake.stop()
    with pytest.raises(ApplicationNotRunningError):
        list(app.events(after=0))


# Snapshots


def test_a_snapshot_and_the_events_after_it_are_what_there_is(
    app: Application, fake: FakeApplicationMaster
) -> None:
    dice = random.Random(5)
    seen = app.snapshot()
    assert (len(seen.services), len(seen.containers)) == (2, 3)
    for _ in range(25):
        choice = dice.randrange(4)
        if choice == 0:
            app.scale("worker", dice.randrange(4))
        elif choice == 1:
            app.restart_containers(services=["worker"])
        elif choice == 2 and (waiting := [c for c in fake.containers() if c.container_id is None]):
            chosen = dice.choice(waiting)
            if chosen.exit is None:
                fake.grant(chosen.service, chosen.rank)
        else:
            app.report_progress(dice.random())
    for event in app.events(after=seen.position, follow=False):
        seen.apply(event)
        seen.apply(event)  # once more changes nothing
    now = app.snapshot()
    assert seen.position == now.position
    assert seen.services == now.services
    assert seen.application == now.application
    assert set(seen.containers) <= set(now.containers)
    assert {ref: now.containers[ref] for ref in seen.containers} == seen.containers
    assert repr(now).startswith("Snapshot('application_")


def test_a_snapshot_forgets_what_an_application_master_forgets(
    app: Application, fake: FakeApplicationMaster
) -> None:
    seen = app.snapshot()
    for _ in range(KEPT_ATTEMPTS + 5):
        app.restart_containers(services=["web"])
    for event in app.events(after=seen.position, follow=False):
        seen.apply(event)
    attempts = sorted(c.attempt_number for c in seen.containers.values() if c.service == "web")
    assert attempts == list(range(6, KEPT_ATTEMPTS + 7))
