"""What the fake Application Master decides by itself: who waits, who starts, who starts again."""

from __future__ import annotations

from datetime import timedelta

import pytest

import knit
from knit import (
    ApplicationSpec,
    BackOff,
    Container,
    ContainerState,
    DependencyCondition,
    ExitReason,
    RestartBudget,
    RestartScope,
    Service,
    ServiceCondition,
    WaitingCause,
    WaitingReason,
)
from knit.testing import FakeApplicationMaster

PENDING, REQUESTED, HELD = ContainerState.PENDING, ContainerState.REQUESTED, ContainerState.HELD
RUNNING, FAILED = ContainerState.RUNNING, ContainerState.FAILED
SECOND = timedelta(seconds=1)


def states(fake: FakeApplicationMaster, service: str) -> list[ContainerState]:
    return [c.state for c in fake.containers() if c.service == service]


def last(fake: FakeApplicationMaster, service: str = "worker", rank: int = 0) -> Container:
    return [c for c in fake.containers() if (c.service, c.rank) == (service, rank)][-1]


def reason(fake: FakeApplicationMaster, service: str) -> WaitingReason:
    (status,) = fake.application().services([service])
    (only,) = status.waiting_reasons
    assert fake.application().describe().waiting_reasons == (only,)
    assert only.is_certain
    assert only.source is knit.ReasonSource.APPLICATION_MASTER
    return only


def fail(fake: FakeApplicationMaster, why: ExitReason = ExitReason.EXITED, rank: int = 0) -> None:
    fake.finish(last(fake, rank=rank).container_id, exit_code=1, reason=why)


def after(
    condition: DependencyCondition, readiness: knit.Readiness | None = None
) -> ApplicationSpec:
    db = Service("serve", instances=2, readiness=readiness)
    return ApplicationSpec(
        "demo", {"db": db, "web": Service("work", instances=2, depends={"db": condition})}
    )


@pytest.mark.parametrize(
    ("condition", "moved_by"),
    [
        (DependencyCondition.STARTED, lambda f, c: f.grant("db", c.rank)),
        (DependencyCondition.READY, lambda f, c: f.ready("db", c.rank)),
        (DependencyCondition.FINISHED, lambda f, c: f.finish(c.container_id)),
    ],
)
def test_a_service_waits_until_what_it_depends_on_is_so_of_every_rank(
    condition: DependencyCondition, moved_by: object
) -> None:
    spec = after(condition, readiness=knit.Readiness(reported=True))
    with FakeApplicationMaster(spec, running=False) as fake:
        if condition is not DependencyCondition.STARTED:
            for rank in range(2):
                fake.grant("db", rank)
        for container in fake.containers()[:2]:
            assert states(fake, "web") == [PENDING] * 2
            waits = reason(fake, "web")
            assert (waits.cause, waits.count) == (WaitingCause.DEPENDENCY, 2)
            assert waits.facts == {"dependency": "db", "condition": condition.name}
            (web,) = fake.application().services(["web"])
            assert web.condition is ServiceCondition.PENDING
            moved_by(fake, container)  # type: ignore[operator]
        assert states(fake, "web") == [REQUESTED] * 2
        assert not fake.application().describe().waiting_reasons
        fake.grant("web", 0)
        # It holds once and for all.
        fake.finish(last(fake, "db").container_id, exit_code=1)
        assert states(fake, "web") == [RUNNING, REQUESTED]


def test_what_waits_cannot_be_granted_and_the_error_says_for_what() -> None:
    with (
        FakeApplicationMaster(after(DependencyCondition.FINISHED)) as fake,
        pytest.raises(ValueError, match=r"web\.0 is PENDING.* service db to have succeeded"),
    ):
        fake.grant("web", 0)


def test_all_that_can_runs_from_the_start() -> None:
    services = {
        "a": Service("x", depends={"b": DependencyCondition.READY}),
        "b": Service("x", depends={"c": DependencyCondition.STARTED}),
        "c": Service("x"),
        "d": Service("x", depends={"c": DependencyCondition.FINISHED}),
    }
    with FakeApplicationMaster(ApplicationSpec("demo", services)) as fake:
        assert {c.service: c.state for c in fake.containers()} == {
            **dict.fromkeys("abc", RUNNING),
            "d": PENDING,
        }


def test_what_others_wait_for_is_not_removed() -> None:
    with FakeApplicationMaster(after(DependencyCondition.FINISHED)) as fake:
        app = fake.application()
        with pytest.raises(knit.WrongStateError) as caught:
            app.remove_services("db")
        assert caught.value.reason == "SERVICE_NEEDED"
        app.remove_services(["db", "web"])


def test_a_service_that_is_added_waits_too() -> None:
    with FakeApplicationMaster() as fake:
        app = fake.application()
        later = Service("x", depends={"worker": DependencyCondition.FINISHED})
        (added,) = app.add_services({"later": later})
        assert added.condition is ServiceCondition.PENDING
        assert fake.add("later")[0].state is PENDING
        fake.finish(last(fake).container_id)
        assert states(fake, "later") == [REQUESTED] * 2


def together(**fields: object) -> ApplicationSpec:
    gang = Service("work", instances=3, starts_together=True, **fields)  # type: ignore[arg-type]
    return ApplicationSpec("demo", {"worker": gang})


def test_those_that_start_together_are_held_until_all_are_granted() -> None:
    with FakeApplicationMaster(together(), running=False) as fake:
        assert fake.grant("worker", 0).state is HELD
        assert fake.grant("worker", 2).state is HELD
        waits = reason(fake, "worker")
        assert (waits.cause, waits.count) == (WaitingCause.GANG, 2)
        assert waits.facts == {"held": "2", "missing": "1"}
        assert fake.grant("worker", 1).state is RUNNING
        assert states(fake, "worker") == [RUNNING] * 3
        # One that comes later starts as it comes.
        assert fake.add("worker")[0].state is RUNNING
    with FakeApplicationMaster(together()) as fake:
        assert states(fake, "worker") == [RUNNING] * 3


def test_what_is_held_for_too_long_is_given_back() -> None:
    with FakeApplicationMaster(together(), running=False) as fake:
        first = fake.grant("worker", 0)
        until = reason(fake, "worker").until
        assert until is not None
        fake.advance(timedelta(minutes=1))
        fake.grant("worker", 1)
        assert reason(fake, "worker").until == until
        fake.advance(timedelta(minutes=8) - SECOND)
        assert states(fake, "worker") == [HELD, HELD, REQUESTED]
        fake.advance(SECOND)
        assert states(fake, "worker") == [REQUESTED] * 3
        assert last(fake).container_id is None
        assert fake.grant("worker", 0).container_id != first.container_id


def test_a_held_one_that_is_lost_is_asked_for_anew_and_one_that_is_stopped_is_not_waited_for() -> (
    None
):
    with FakeApplicationMaster(together(), running=False) as fake:
        lost = fake.grant("worker", 0)
        fake.finish(lost.container_id, exit_code=None, reason=ExitReason.NODE_LOST)
        assert states(fake, "worker") == [REQUESTED] * 3
        fake.grant("worker", 0)
        fake.grant("worker", 1)
        fake.application().scale("worker", 2)
        assert states(fake, "worker")[:2] == [RUNNING] * 2


def restarting(*budgets: RestartBudget, instances: int = 1, **back_off: object) -> ApplicationSpec:
    worker = Service(
        "work",
        instances=instances,
        restart_budgets=budgets,
        back_off=BackOff(**back_off),  # type: ignore[arg-type]
    )
    return ApplicationSpec("demo", {"worker": worker})


EXITS = RestartBudget(2, reasons=(ExitReason.EXITED,))


def test_a_failure_that_a_budget_pays_for_is_made_good_after_a_rest() -> None:
    with FakeApplicationMaster(restarting(EXITS, first=2 * SECOND, factor=3)) as fake:
        for attempt, rest in ((2, 2 * SECOND), (3, 6 * SECOND)):
            fail(fake)
            next_one = last(fake)
            assert (next_one.state, next_one.attempt_number) == (PENDING, attempt)
            waits = reason(fake, "worker")
            assert waits.cause is WaitingCause.BACK_OFF
            assert waits.until == next_one.restart_time
            assert next_one.request_time is not None
            assert next_one.restart_time is not None
            assert abs(next_one.restart_time - next_one.request_time - rest) < SECOND / 10
            fake.advance(rest - SECOND / 1000)
            assert last(fake).state is PENDING
            fake.advance(SECOND / 1000)
            assert last(fake).state is REQUESTED
            assert last(fake).restart_time is None
            assert fake.grant("worker", 0).state is RUNNING
        (status,) = fake.application().services()
        assert [account.spent for account in status.accounts] == [2]
        fail(fake)
        assert (last(fake).state, last(fake).attempt_number) == (FAILED, 3)
        assert states(fake, "worker") == [FAILED] * 3


def test_by_default_only_what_yarn_took_away_is_made_good_at_once_and_three_times() -> None:
    with FakeApplicationMaster() as fake:
        for _ in range(3):
            fail(fake, ExitReason.PREEMPTED)
            assert last(fake).state is REQUESTED
            fake.grant("worker", 0)
        fail(fake, ExitReason.PREEMPTED)
        assert last(fake).state is FAILED
    with FakeApplicationMaster() as fake:
        fail(fake)
        assert states(fake, "worker") == [FAILED]


def test_a_budget_may_be_the_service_s_and_forgets_after_its_window() -> None:
    shared = RestartBudget(
        1,
        reasons=(ExitReason.EXITED,),
        scope=RestartScope.SERVICE,
        window=timedelta(minutes=1),
    )
    spec = restarting(shared, instances=2, first=timedelta())
    with FakeApplicationMaster(spec) as fake:
        fail(fake, rank=0)
        assert last(fake, rank=0).state is REQUESTED
        (status,) = fake.application().services()
        (account,) = status.accounts
        assert account.spent == 1
        assert account.forget_time is not None
        fail(fake, rank=1)
        assert last(fake, rank=1).state is FAILED
        fake.grant("worker", 0)
        fake.advance(timedelta(minutes=2))
        fail(fake, rank=0)
        assert last(fake, rank=0).state is REQUESTED


def test_the_longest_rest_and_what_ran_for_long_begins_anew() -> None:
    many = RestartBudget(None, reasons=(ExitReason.EXITED,))
    spec = restarting(
        many, first=SECOND, factor=100, most=timedelta(minutes=1), reset_after=timedelta(hours=1)
    )
    with FakeApplicationMaster(spec) as fake:
        for ran, rest in ((0, 1), (0, 60), (0, 60), (1, 1)):
            fake.advance(timedelta(hours=ran))
            fail(fake)
            fake.advance(timedelta(seconds=rest) - SECOND / 1000)
            assert last(fake).state is PENDING
            fake.advance(SECOND / 1000)
            fake.grant("worker", 0)


def test_a_rank_that_rests_can_be_stopped_and_time_also_ends_leases() -> None:
    with FakeApplicationMaster(restarting(EXITS)) as fake:
        app = fake.application()
        fail(fake)
        (stopped,) = app.stop_containers(services=["worker"])
        assert (stopped.state, stopped.restart_time) == (ContainerState.STOPPED, None)
        lease = app.kv.lease(timedelta(hours=1))
        app.kv.put("key", b"value", lease=lease)
        fake.advance(timedelta(minutes=59))
        assert "key" in app.kv
        fake.advance(timedelta(minutes=1))
        assert "key" not in app.kv
        assert last(fake).state is ContainerState.STOPPED
