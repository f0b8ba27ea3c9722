"""How the fake Application Master of `knit.testing` answers a call, whichever it is."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn, TypeVar, cast

import grpc
from google.protobuf.message import Message

from knit.testing._faults import Fault
from knit.testing._refusals import (
    Refusal,
    history_lost,
    invalid,
    no_such_container,
    no_such_service,
)
from knit.testing._roles import caller_of, refuse_unless_allowed
from knit.testing._state import FakeState

_R = TypeVar("_R", bound=Message)
_F = TypeVar("_F", bound=Callable[..., Any])
_LONGEST_REQUEST_ID = 256


def abort(context: grpc.ServicerContext, code: grpc.StatusCode, details: str) -> NoReturn:
    """Ends a call with a status."""
    context.abort(code, details)
    raise AssertionError("abort raises")


def fail(context: grpc.ServicerContext, fault: Fault) -> None:
    """Ends a call as a fault has it."""
    if fault.status is not None and fault.reason is not None:
        Refusal(fault.status, fault.reason, "The fake was told to fail.").abort(context)
    if fault.status is not None:
        abort(context, grpc.StatusCode[fault.status], "The fake was told to fail.")


def answer(state: FakeState, context: grpc.ServicerContext, name: str, do: Callable[[], _R]) -> _R:
    """Does what a call asks for, unless a fault is due."""
    with state.changed:
        state.calls.append(name)
    fault = state.take_fault(name) or Fault()
    time.sleep(fault.delay.total_seconds())
    if not fault.done_first:
        begin_anew(state, fault)
        fail(context, fault)
    state.expire()
    try:
        refuse_unless_allowed(caller_of(state, context), name)
        with state.turn():
            found = do()
    except Refusal as refusal:
        refusal.abort(context)
    begin_anew(state, fault)
    fail(context, fault)
    return found


def change(
    state: FakeState,
    context: grpc.ServicerContext,
    name: str,
    request: Any,
    do: Callable[[], _R],
) -> _R:
    """Does what a call asks for that changes something: once for each `request_id`."""

    def once() -> _R:
        if len(request.request_id.encode()) > _LONGEST_REQUEST_ID:
            raise invalid("request_id is too long.")
        if getattr(request, "history_id", "") not in ("", state.history_id):
            raise history_lost()
        if request.request_id and request.request_id in state.answers:
            return cast("_R", state.answers[request.request_id])
        found = do()
        if request.request_id:
            kept = type(found)()
            kept.CopyFrom(found)
            state.answers[request.request_id] = kept
        return found

    found = answer(state, context, name, once)
    # What changes in a turn is numbered as it ends.
    with state.changed:
        if "sequence" in found.DESCRIPTOR.fields_by_name and not found.sequence:  # type: ignore[attr-defined]
            found.sequence = state.feed.sequence  # type: ignore[attr-defined]
    return found


def refusing(stream: _F) -> _F:
    """A streaming call whose refusals become its status."""

    @functools.wraps(stream)
    def wrapper(self: object, request: object, context: grpc.ServicerContext) -> Iterator[object]:
        try:
            yield from stream(self, request, context)
        except Refusal as refusal:
            refusal.abort(context)

    return cast("_F", wrapper)


def begin_anew(state: FakeState, fault: Fault) -> None:
    """The application begins anew, if a fault has it so."""
    if fault.restarts:
        state.begin_anew()


def check_services(state: FakeState, names: Iterable[str]) -> None:
    """Refuses names of services that never were."""
    for name in names:
        if name not in state.services:
            raise no_such_service(name)


def check_containers(state: FakeState, container_ids: Iterable[str]) -> None:
    """Refuses IDs of containers that never were."""
    for container_id in container_ids:
        if not container_id or state.find(container_id) is None:
            raise no_such_container(repr(container_id))


def check_running(state: FakeState) -> None:
    """Refuses changes of an application that is ending."""
    if state.outcome() is not None:
        raise Refusal("FAILED_PRECONDITION", "APPLICATION_ENDING", "The application is ending.")
