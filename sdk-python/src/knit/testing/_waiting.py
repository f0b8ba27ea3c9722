"""
What containers of a fake's application wait for before they start: other services, the others of
their own, and the end of a rest.

Simple rules, from the application as it is: nothing is kept but what is due.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import attrs

from knit.testing._service import FakeService
from knit.v1 import container_pb2, service_pb2, waiting_pb2

if TYPE_CHECKING:
    from knit.testing._state import FakeState

HOLD_LIMIT = timedelta(minutes=9)
"""So long a container that is granted waits for the others of its service."""

_PENDING = container_pb2.CONTAINER_STATE_PENDING
_REQUESTED = container_pb2.CONTAINER_STATE_REQUESTED
_HELD = container_pb2.CONTAINER_STATE_HELD
_SUCCEEDED = container_pb2.CONTAINER_STATE_SUCCEEDED
_CONDITIONS = {
    service_pb2.DEPENDENCY_CONDITION_STARTED: "to have started",
    service_pb2.DEPENDENCY_CONDITION_READY: "to be ready",
    service_pb2.DEPENDENCY_CONDITION_FINISHED: "to have succeeded",
}


@attrs.frozen
class Due:
    """What happens to a container once time was moved on so far: a rest ends, or a hold."""

    ahead: timedelta
    time: datetime


def in_time(state: FakeState, after: timedelta) -> Due:
    """What is due so much later."""
    return Due(state.clock.ahead + after, state.clock.now() + after)


# Dependencies


def settle(state: FakeState) -> None:
    """Begins the services that need wait for none any more, and starts those that are complete."""
    waiting = [s for s in state.services.values() if not s.has_begun and not s.is_removed]
    while ready := [s for s in waiting if all(_is_met(state, each) for each in s.spec.depends)]:
        for service in ready:
            waiting.remove(service)
            service.has_begun = True
            for container in _in(state, service, _PENDING):
                request(state, container)
    for service in state.services.values():
        if service.holds:
            _start_together(state, service)


def request(state: FakeState, container: container_pb2.Container) -> None:
    """YARN is asked for a container that was only wanted so far."""
    container.state = _REQUESTED
    container.ClearField("restart_time")
    container.request_time.FromDatetime(state.clock.now())
    state.touch(container)


def _is_met(state: FakeState, dependency: service_pb2.Dependency) -> bool:
    done, wanted = _progress(state, dependency)
    return done == wanted


def _progress(state: FakeState, dependency: service_pb2.Dependency) -> tuple[int, int]:
    """Of how many ranks it is so, and how many there are."""
    service = state.services[dependency.service_name]
    condition = _condition(dependency)
    if condition == service_pb2.DEPENDENCY_CONDITION_STARTED:
        return len(service.ranks & service.started), len(service.ranks)
    is_enough = condition == service_pb2.DEPENDENCY_CONDITION_READY
    done = [
        container
        for container in state.of_service(service.name)
        if container.state == _SUCCEEDED or (is_enough and container.is_ready)
    ]
    return len(done), len(service.ranks)


def _condition(
    dependency: service_pb2.Dependency,
) -> service_pb2.DependencyCondition.ValueType:
    return dependency.condition or service_pb2.DEPENDENCY_CONDITION_READY


# Starting together


def hold(state: FakeState, container: container_pb2.Container) -> None:
    """A container that was granted waits for the others of its service."""
    container.state = _HELD
    state.due[container.service_name, container.ordinal] = in_time(state, HOLD_LIMIT)


def give_back(state: FakeState, containers: Iterable[container_pb2.Container]) -> None:
    """Containers that were held are asked for anew: they have run nothing."""
    for container in containers:
        for name in ("container_id", "node_id", "node_http_address"):
            container.ClearField(name)
        state.due.pop((container.service_name, container.ordinal), None)
        request(state, container)


def _start_together(state: FakeState, service: FakeService) -> None:
    held = _in(state, service, _HELD)
    if not held or _in(state, service, _PENDING, _REQUESTED):
        return
    service.has_started_together = True
    for container in held:
        state.due.pop((service.name, container.ordinal), None)
        state.run(container)


# Time


def advance(state: FakeState, duration: timedelta) -> None:
    """Moves time on; what is due meanwhile happens in its order."""
    end = state.clock.ahead + duration
    while state.due:
        key, first = min(state.due.items(), key=lambda each: (each[1].ahead, each[0]))
        if first.ahead > end:
            break
        state.clock.ahead = first.ahead
        with state.turn():
            del state.due[key]
            container = state.find_ref(*key)
            if container is not None and container.state == _PENDING:
                request(state, container)
            elif container is not None and container.state == _HELD:
                give_back(state, _in(state, state.services[key[0]], _HELD))
    state.clock.ahead = end
    state.expire()


# Reasons


def reasons(state: FakeState, service: FakeService) -> list[waiting_pb2.WaitingReason]:
    """Why containers of a service wait, as far as it follows from these rules."""
    pending = _in(state, service, _PENDING)
    resting = [c for c in pending if c.HasField("restart_time")]
    others = [c for c in pending if not c.HasField("restart_time")]
    found = []
    unmet = [each for each in service.spec.depends if not _is_met(state, each)]
    if others and unmet and not service.has_begun:
        found.append(_dependency_reason(state, others, unmet))
    if resting:
        reason = _reason(
            resting,
            waiting_pb2.WAITING_CAUSE_BACK_OFF,
            f"{_count(resting)} to be started again after a failure.",
        )
        first = min((c.restart_time for c in resting), key=lambda t: (t.seconds, t.nanos))
        reason.until_time.CopyFrom(first)
        found.append(reason)
    held = _in(state, service, _HELD)
    if held:
        missing = len(_in(state, service, _PENDING, _REQUESTED))
        reason = _reason(
            held,
            waiting_pb2.WAITING_CAUSE_GANG,
            f"{_count(held)}, granted, for {missing} others, to start together.",
            held=len(held),
            missing=missing,
        )
        until = min(state.due[service.name, c.ordinal].time for c in held)
        reason.until_time.FromDatetime(until)
        reason.since_time.FromDatetime(until - HOLD_LIMIT)
        found.append(reason)
    return found


def _dependency_reason(
    state: FakeState,
    waiting: list[container_pb2.Container],
    unmet: list[service_pb2.Dependency],
) -> waiting_pb2.WaitingReason:
    words = [f"service {each.service_name} {_CONDITIONS[_condition(each)]}" for each in unmet]
    done, wanted = _progress(state, unmet[0])
    condition = service_pb2.DependencyCondition.Name(_condition(unmet[0]))
    return _reason(
        waiting,
        waiting_pb2.WAITING_CAUSE_DEPENDENCY,
        f"{_count(waiting)} for {' and '.join(words)}. "
        f"Of {unmet[0].service_name}, that is so of {done} of {wanted}.",
        dependency=unmet[0].service_name,
        condition=condition.removeprefix("DEPENDENCY_CONDITION_"),
    )


def _reason(
    waiting: list[container_pb2.Container],
    cause: waiting_pb2.WaitingCause.ValueType,
    explanation: str,
    **facts: object,
) -> waiting_pb2.WaitingReason:
    return waiting_pb2.WaitingReason(
        service_name=waiting[0].service_name,
        count=len(waiting),
        cause=cause,
        explanation=explanation,
        since_time=min((c.request_time for c in waiting), key=lambda t: (t.seconds, t.nanos)),
        source=waiting_pb2.REASON_SOURCE_APPLICATION_MASTER,
        is_certain=True,
        facts={name: str(value) for name, value in facts.items()},
    )


def _count(waiting: list[container_pb2.Container]) -> str:
    return "A container waits" if len(waiting) == 1 else f"{len(waiting)} containers wait"


def _in(
    state: FakeState, service: FakeService, *states: container_pb2.ContainerState.ValueType
) -> list[container_pb2.Container]:
    return [c for c in state.of_service(service.name) if c.state in states]
