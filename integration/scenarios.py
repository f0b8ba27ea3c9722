"""
What holds of any Application Master, the fake one of `knit.testing` and the real one alike.

Each scenario is played in a world that has either: the SDK's tests play them all in one with the
fake, the suite in one with a cluster. They are about what a client can see, and leave out what the
fake is told instead of deciding it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

import knit
import pytest
from knit import (
    ContainerState,
    DependencyCondition,
    ExitReason,
    Role,
    ServiceCondition,
    WaitingCause,
)
from knit._wire.calls.containers import report_ready

PENDING, RUNNING, FAILED = ContainerState.PENDING, ContainerState.RUNNING, ContainerState.FAILED


class World(Protocol):
    """Where applications run."""

    def service(self, **fields: Any) -> knit.Service:
        """A service whose containers run until they are told to end."""

    def submit(self, services: dict[str, knit.Service]) -> knit.Application:
        """Starts an application, which ends with the world at the latest."""

    def end(self, container: knit.Container, exit_code: int) -> None:
        """A container that runs ends."""

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """
        Waits until something holds; `what` says that it does not. YARN grants what is asked for.
        """

    def as_role(self, app: knit.Application, role: Role) -> knit.Application:
        """Another handle on an application, of somebody with this role."""

    def rest(self) -> None:
        """All rests after failures are over soon."""


def _last(app: knit.Application, service: str, rank: int = 0) -> knit.Container:
    return [c for c in app.containers(services=[service]) if c.rank == rank][-1]


def _running(world: World, app: knit.Application, service: str, count: int = 1) -> None:
    world.until(
        lambda: len(app.containers(services=[service], states=[RUNNING])) == count,
        f"not {count} containers of {service} were RUNNING",
    )


def _reasons(app: knit.Application, service: str) -> list[knit.WaitingReason]:
    (status,) = app.services([service])
    return list(status.waiting_reasons)


def a_service_waits_for_another_to_succeed(world: World) -> None:
    app = world.submit(
        {
            "first": world.service(),
            "then": world.service(depends={"first": DependencyCondition.FINISHED}),
        }
    )
    _running(world, app, "first")
    assert _last(app, "then").state is PENDING
    (status,) = app.services(["then"])
    assert status.condition is ServiceCondition.PENDING
    (reason,) = status.waiting_reasons
    assert (reason.cause, reason.count, reason.is_certain) == (WaitingCause.DEPENDENCY, 1, True)
    assert reason.facts == {"dependency": "first", "condition": "FINISHED"}
    assert "service first to have succeeded" in reason.explanation
    with pytest.raises(knit.WrongStateError) as caught:
        app.remove_services("first")
    assert caught.value.reason == "SERVICE_NEEDED"
    world.end(_last(app, "first"), 0)
    _running(world, app, "then")
    assert _reasons(app, "then") == []


def a_service_waits_for_another_to_be_ready(world: World) -> None:
    app = world.submit(
        {
            "db": world.service(readiness=knit.Readiness(reported=True)),
            "web": world.service(depends={"db": DependencyCondition.READY}),
        }
    )
    _running(world, app, "db")
    assert _last(app, "web").state is PENDING
    app._session.call(report_ready(app.application_id, _last(app, "db").ref, is_ready=True), None)
    _running(world, app, "web")
    assert _last(app, "db").is_ready


def those_that_start_together_all_run(world: World) -> None:
    app = world.submit({"gang": world.service(instances=2, starts_together=True)})
    _running(world, app, "gang", 2)
    assert _reasons(app, "gang") == []
    app.scale("gang", 3)
    _running(world, app, "gang", 3)


def a_failure_is_made_good_until_its_budget_is_spent(world: World) -> None:
    failing = world.service(
        restart_budgets=[knit.RestartBudget(1, reasons=(ExitReason.EXITED,))],
        back_off=knit.BackOff(first=timedelta(seconds=5)),
        failure_policy=knit.FailurePolicy.FINISH_OTHERS,
    )
    app = world.submit({"failing": failing, "other": world.service()})
    _running(world, app, "failing")
    _running(world, app, "other")
    world.end(_last(app, "failing"), 3)
    world.until(lambda: _last(app, "failing").attempt_number == 2, "no second attempt was there")
    second = _last(app, "failing")
    assert (second.state, second.ordinal) == (PENDING, 1)
    assert second.restart_time is not None
    (reason,) = _reasons(app, "failing")
    assert (reason.cause, reason.until) == (WaitingCause.BACK_OFF, second.restart_time)
    world.rest()
    _running(world, app, "failing")
    world.end(_last(app, "failing"), 4)
    world.until(lambda: _last(app, "failing").state is FAILED, "the second attempt did not end")
    ends = [c.exit for c in app.containers(services=["failing"])]
    assert [end.exit_code for end in ends if end is not None] == [3, 4]
    (status,) = app.services(["failing"])
    assert [account.spent for account in status.accounts] == [1]
    assert status.condition is ServiceCondition.FAILED


def ranks_are_retired_and_filled_again(world: World) -> None:
    app = world.submit({"worker": world.service(instances=2)})
    _running(world, app, "worker", 2)
    down = app.scale("worker", 1, victims=[_last(app, "worker", 0)])
    assert [(c.rank, c.ordinal) for c in down.stopped] == [(0, 0)]
    world.until(
        lambda: _last(app, "worker", 0).state is ContainerState.STOPPED, "it was not STOPPED"
    )
    up = app.scale("worker", delta=1)
    assert [(c.rank, c.ordinal, c.attempt_number) for c in up.added] == [(0, 2, 2)]
    _running(world, app, "worker", 2)
    (again,) = app.restart_containers([_last(app, "worker", 1)])
    assert (again.rank, again.ordinal, again.attempt_number) == (1, 3, 2)
    _running(world, app, "worker", 2)


def who_may_not_is_told_in_the_same_words(world: World) -> None:
    app = world.submit({"worker": world.service()})
    _running(world, app, "worker")
    refused: list[tuple[Role, Callable[[knit.Application], object], str, str]] = [
        (Role.VIEWER, lambda of: of.stop(), "Shutdown", "owner"),
        (Role.VIEWER, lambda of: of.scale("worker", 2), "ScaleService", "operator or owner"),
        (
            Role.VIEWER,
            lambda of: of.kv.put("key", b""),
            "Put",
            "container or operator or owner",
        ),
        (Role.OPERATOR, lambda of: of.stop(), "Shutdown", "owner"),
    ]
    for role, call, name, needed in refused:
        with world.as_role(app, role) as of:
            with pytest.raises(knit.NotPermittedError) as caught:
                call(of)
            assert caught.value.reason == "PERMISSION_DENIED"
            assert caught.value.facts["role"] == role.name.lower()
            assert caught.value.facts["method"].rpartition("/")[2] == name
            assert f"{name} needs the role {needed}, and these credentials are" in str(caught.value)
            assert of.containers()[0].state is RUNNING


ALL = (
    a_service_waits_for_another_to_succeed,
    a_service_waits_for_another_to_be_ready,
    those_that_start_together_all_run,
    a_failure_is_made_good_until_its_budget_is_spent,
    ranks_are_retired_and_filled_again,
    who_may_not_is_told_in_the_same_words,
)
