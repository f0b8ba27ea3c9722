"""
How a rank of a fake's application is filled again after a failure: budgets, and rests.

Rests are exact here; a real Application Master takes a tenth more or less.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from knit._values.containers import ExitReason
from knit._values.restarts import (
    DEFAULT_MAX_REPLACEMENTS,
    DEFAULT_MAX_RESTARTS,
    PROGRAM_FAILED,
    TAKEN_AWAY,
    BackOff,
)
from knit.testing import _waiting
from knit.testing._service import FakeService
from knit.v1 import container_pb2, service_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knit.testing._state import FakeState

_DEFAULTS = tuple(
    service_pb2.RestartBudget(
        limit=limit, reasons=[container_pb2.ExitReason.ValueType(reason) for reason in reasons]
    )
    for limit, reasons in (
        (DEFAULT_MAX_RESTARTS, PROGRAM_FAILED),
        (DEFAULT_MAX_REPLACEMENTS, TAKEN_AWAY),
    )
)
_DEFAULT_FIRST = timedelta(seconds=1)


def after_failure(state: FakeState, failed: container_pb2.Container) -> None:
    """Fills the rank again, where a budget pays for that."""
    service = state.services[failed.service_name]
    if failed.rank not in service.ranks or service.is_removed or state.outcome() is not None:
        return
    if not _charge(state, service, failed):
        return
    rest = _rest(service, failed)
    next_one = state.request(service.name, failed.rank, failed)
    if rest:
        service.rests[failed.rank] = service.rests.get(failed.rank, 0) + 1
        due = _waiting.in_time(state, rest)
        state.due[service.name, next_one.ordinal] = due
        next_one.state = container_pb2.CONTAINER_STATE_PENDING
        next_one.restart_time.FromDatetime(due.time)


def accounts(service: FakeService, now: datetime) -> list[service_pb2.BudgetAccount]:
    """What the budgets were spent on."""
    found = []
    for number, budget in enumerate(_budgets(service)):
        all_of_it = [_counting(times, budget, now) for times in service.failures[number].values()]
        most = max(all_of_it, key=len, default=[])
        account = service_pb2.BudgetAccount(spent=len(most))
        if most and budget.HasField("window"):
            account.forget_time.FromDatetime(most[0] + budget.window.ToTimedelta())
        found.append(account)
    return found


def _budgets(service: FakeService) -> Sequence[service_pb2.RestartBudget]:
    return service.spec.restart_budgets or _DEFAULTS


def _charge(state: FakeState, service: FakeService, failed: container_pb2.Container) -> bool:
    """Charges the first budget that names the reason; says whether that could pay."""
    for number, budget in enumerate(_budgets(service)):
        if failed.exit.reason not in budget.reasons:
            continue
        is_shared = budget.scope == service_pb2.RESTART_SCOPE_SERVICE
        of_whom = service.failures[number]
        now = state.clock.now()
        spent = _counting(of_whom.get(None if is_shared else failed.rank, []), budget, now)
        if budget.HasField("limit") and len(spent) >= budget.limit:
            return False
        of_whom[None if is_shared else failed.rank] = [*spent, now]
        return True
    return False


def _counting(
    times: list[datetime], budget: service_pb2.RestartBudget, now: datetime
) -> list[datetime]:
    if not budget.HasField("window"):
        return times
    window = budget.window.ToTimedelta()
    return [time for time in times if now < time + window]


def _rest(service: FakeService, failed: container_pb2.Container) -> timedelta:
    """How long the rank rests now."""
    back_off = BackOff._from_proto(service.spec.back_off)
    ran = failed.exit.finish_time.ToDatetime() - failed.start_time.ToDatetime()
    if failed.HasField("start_time") and ran >= back_off.reset_after:
        service.rests.pop(failed.rank, None)
    first = back_off.first
    if first is None:
        first = timedelta() if ExitReason(failed.exit.reason) in TAKEN_AWAY else _DEFAULT_FIRST
    # As a float: a large power of it is more than a timedelta holds.
    seconds = first.total_seconds() * back_off.factor ** min(service.rests.get(failed.rank, 0), 100)
    return min(back_off.most, timedelta(seconds=min(seconds, back_off.most.total_seconds())))
