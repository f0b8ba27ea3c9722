"""When a rank that failed is filled again, and after what rest."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs

from knit._values.checking import duration, instance_of, number, optional, whole_number
from knit._values.containers import ExitReason
from knit._values.durations import duration_of, duration_to_proto
from knit._values.enums import OpenEnum
from knit._values.in_documents import OMIT_DEFAULT, in_documents
from knit._values.places import at
from knit._values.reading import as_said
from knit.exceptions import SpecError

if TYPE_CHECKING:
    from knit.v1 import service_pb2

MOST_BUDGETS = 16
"""Of one service; there are hardly more reasons."""
MOST_IN_A_WINDOW = 1_000
"""Failures whose times the Application Master keeps, for each account."""
DEFAULT_MAX_RESTARTS = 0
DEFAULT_MAX_REPLACEMENTS = 3

PROGRAM_FAILED = (
    ExitReason.EXITED,
    ExitReason.OUT_OF_MEMORY,
    ExitReason.LOCALIZATION_FAILED,
    ExitReason.KILLED_BY_YARN,
    ExitReason.UNHEALTHY,
)
"""What `max_restarts` pays for."""
TAKEN_AWAY = (
    ExitReason.PREEMPTED,
    ExitReason.NODE_LOST,
    ExitReason.DISK_FAILED,
    ExitReason.LAUNCH_FAILED,
)
"""What `max_replacements` pays for."""


class RestartScope(OpenEnum):
    """Who shares a budget."""

    UNKNOWN = 0
    """A value newer than this SDK."""
    RANK = 1
    """Each rank has its own."""
    SERVICE = 2
    """The whole service has one."""


def _to_reasons(value: Iterable[ExitReason]) -> tuple[ExitReason, ...]:
    if isinstance(value, (str, int)) or not isinstance(value, Iterable):
        raise SpecError(f"reasons is {value!r}: give a list of knit.ExitReason.")
    reasons = tuple(dict.fromkeys(value))
    if not reasons:
        raise SpecError("reasons is empty: name one failure at least that the budget pays for.")
    for index, reason in enumerate(reasons):
        if reason not in (*PROGRAM_FAILED, *TAKEN_AWAY):
            known = ", ".join(r.name.lower() for r in (*PROGRAM_FAILED, *TAKEN_AWAY))
            said = reason.name.lower() if isinstance(reason, ExitReason) else repr(reason)
            raise at(
                (index,),
                f"{said} is no failure that can be made good: give some of {known}.",
                below="reasons",
            )
    return reasons


@attrs.frozen
class RestartBudget:
    """How many failures of some kinds are made good."""

    limit: int | None = attrs.field(validator=optional(whole_number(0)))
    """How many within the window. None: without end."""
    reasons: tuple[ExitReason, ...] = attrs.field(
        converter=_to_reasons,
        metadata=in_documents(read=None, schema={"minItems": 1}),
    )
    """Which failures it pays for."""
    scope: RestartScope = attrs.field(
        default=RestartScope.RANK,
        validator=instance_of(RestartScope),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """Who has it: each rank one of its own, or the whole service together."""
    window: timedelta | None = attrs.field(
        default=None,
        validator=optional(duration(timedelta(seconds=1))),
        kw_only=True,
        metadata=OMIT_DEFAULT,
    )
    """How long a failure counts. Default: for ever. With one, `limit` is 1,000 at most."""

    def __attrs_post_init__(self) -> None:
        if self.window is not None and self.limit is not None and self.limit > MOST_IN_A_WINDOW:
            raise SpecError(
                f"limit is {self.limit}, and with a window it may be {MOST_IN_A_WINDOW:,}: leave "
                "out one of them, or give None for no limit."
            )

    @classmethod
    def _from_proto(cls, message: service_pb2.RestartBudget) -> RestartBudget:
        return as_said(
            cls,
            limit=message.limit if message.HasField("limit") else None,
            reasons=tuple(map(ExitReason, message.reasons)),
            scope=RestartScope(message.scope or 1),
            window=duration_of(message, "window"),
        )

    def _to_proto(self) -> service_pb2.RestartBudget:
        from knit.v1 import container_pb2, service_pb2

        return service_pb2.RestartBudget(
            limit=self.limit,
            reasons=[container_pb2.ExitReason.ValueType(reason) for reason in self.reasons],
            scope=service_pb2.RestartScope.ValueType(self.scope),
            window=duration_to_proto(self.window),
        )


def to_budgets(value: Iterable[RestartBudget]) -> tuple[RestartBudget, ...]:
    """Returns budgets, each failure named by one of them at most."""
    if isinstance(value, (str, RestartBudget)) or not isinstance(value, Iterable):
        raise SpecError(f"restart_budgets is {value!r}: give a list of knit.RestartBudget.")
    budgets = tuple(value)
    if len(budgets) > MOST_BUDGETS:
        raise SpecError(f"restart_budgets has {len(budgets)} entries: give {MOST_BUDGETS} at most.")
    taken: dict[Any, int] = {}
    for index, budget in enumerate(budgets):
        if not isinstance(budget, RestartBudget):
            raise at(
                (index,), f"{budget!r} is none: give a knit.RestartBudget.", below="restart_budgets"
            )
        for reason in budget.reasons:
            first = taken.setdefault(reason, index)
            if first != index:
                raise at(
                    (index, "reasons"),
                    f"{reason.name.lower()} is charged to the first budget that names it, "
                    f"restart_budgets[{first}]: leave it out of one of them.",
                    below="restart_budgets",
                )
    return budgets


def budgets_of(max_restarts: int, max_replacements: int) -> tuple[RestartBudget, ...]:
    """What the two numbers stand for."""
    return (
        RestartBudget(max_restarts, PROGRAM_FAILED),
        RestartBudget(max_replacements, TAKEN_AWAY),
    )


def as_numbers(budgets: tuple[RestartBudget, ...]) -> tuple[int, int] | None:
    """The two numbers that budgets stand for; None if they say more than two numbers can."""
    if not budgets:
        return DEFAULT_MAX_RESTARTS, DEFAULT_MAX_REPLACEMENTS
    if len(budgets) == 2:
        first, second = budgets[0].limit, budgets[1].limit
        if first is not None and second is not None and budgets == budgets_of(first, second):
            return first, second
    return None


@attrs.frozen(kw_only=True)
class BackOff:
    """
    How long a rank rests between a failure and its next attempt.

    `first` after the first failure, `factor` times as long after each further one, `most` at
    most; a tenth more or less, so that many do not begin in the same moment.
    """

    first: timedelta | None = attrs.field(
        default=None,
        validator=optional(duration()),
        metadata=OMIT_DEFAULT,
    )
    """The first rest. Default: 1 s after the program's failures, none where YARN took it away."""
    factor: float = attrs.field(
        default=2.0,
        validator=number(1, 100),
        metadata=OMIT_DEFAULT,
    )
    """How many times as long each further one is, 1 to 100."""
    most: timedelta = attrs.field(
        default=timedelta(minutes=5),
        validator=duration(),
        metadata=OMIT_DEFAULT,
    )
    """The longest."""
    reset_after: timedelta = attrs.field(
        default=timedelta(minutes=10),
        validator=duration(),
        metadata=OMIT_DEFAULT,
    )
    """It begins anew once a container has run for so long."""

    def __attrs_post_init__(self) -> None:
        if self.first is not None and self.first > self.most:
            raise SpecError(
                f"first is {self.first.total_seconds():g} s, longer than the longest, most: "
                f"{self.most.total_seconds():g} s."
            )

    @classmethod
    def _from_proto(cls, message: service_pb2.BackOff) -> BackOff:
        most, reset_after = duration_of(message, "most"), duration_of(message, "reset_after")
        return as_said(
            cls,
            first=duration_of(message, "first"),
            factor=message.factor or 2.0,
            most=timedelta(minutes=5) if most is None else most,
            reset_after=timedelta(minutes=10) if reset_after is None else reset_after,
        )

    def _to_proto(self) -> service_pb2.BackOff:
        from knit.v1 import service_pb2

        return service_pb2.BackOff(
            first=duration_to_proto(self.first),
            factor=self.factor,
            most=duration_to_proto(self.most),
            reset_after=duration_to_proto(self.reset_after),
        )
