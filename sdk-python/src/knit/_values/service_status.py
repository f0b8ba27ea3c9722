"""Services of a running application, as they are now; what is wanted of them stands in `spec`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import attrs

from knit._values.containers import ContainerState, to_datetime
from knit._values.enums import OpenEnum
from knit._values.services import Service
from knit._values.waiting import WaitingReason

if TYPE_CHECKING:
    from knit.v1 import service_pb2


class ServiceCondition(OpenEnum):
    """How a service does."""

    UNKNOWN = 0
    """A condition newer than this SDK."""
    PENDING = 1
    """It waits for other services; see the waiting reasons."""
    STARTING = 2
    """Some ranks have not been ready yet."""
    READY = 3
    """Every rank is ready, or has SUCCEEDED."""
    DEGRADED = 4
    """It was ready; some rank is not at present, or has failed for good."""
    SUCCEEDED = 5
    """Final, unless it is scaled up: every rank has SUCCEEDED."""
    FAILED = 6
    """Final, unless it is scaled up: every rank is in a final state, and one at least FAILED."""
    REMOVED = 7
    """Final: it was removed; its containers are being stopped or have ended."""

    @property
    def is_final(self) -> bool:
        """Whether nothing comes after it by itself."""
        return self in (
            ServiceCondition.SUCCEEDED,
            ServiceCondition.FAILED,
            ServiceCondition.REMOVED,
        )


class UpdateState(OpenEnum):
    """Where the update of a service stands."""

    UNKNOWN = 0
    """A state newer than this SDK."""
    UPDATING = 1
    """Ranks are passing to the new revision."""
    PAUSED = 2
    """It waits for somebody to decide: go on, or roll back."""
    ROLLING_BACK = 3
    """Ranks are passing back."""


@attrs.frozen(kw_only=True)
class BudgetAccount:
    """What one restart budget was spent on."""

    spent: int
    """Failures within its window: of the whole service, or of the rank that has had most."""
    forget_time: datetime | None = None
    """When the next one is forgotten. None: never, or there is none."""


@attrs.frozen(kw_only=True)
class ServiceUpdate:
    """A service on its way from one revision to another."""

    from_revision: int
    """The revision that was there before."""
    to_revision: int
    """The one that is to come."""
    state: UpdateState
    """Where it stands."""
    updated_count: int = 0
    """Ranks whose container is of the new revision and ready."""
    explanation: str = ""
    """Why it is paused or rolled back, in a sentence."""


@attrs.frozen(kw_only=True)
class ServiceStatus:
    """A service as it is now."""

    name: str
    """Its name."""
    spec: Service
    """What is wanted of it now. The values of its environment are empty, for they may be secret."""
    revision: int = 1
    """Which specification that is, counted from 1. An update makes the next one."""
    target: int
    """How many ranks are to be filled: at first the specification's `instances`."""
    condition: ServiceCondition
    """How it does."""
    counts: Mapping[ContainerState, int] = attrs.field(factory=dict)
    """How many containers there are and were, by state; states without any are left out."""
    ready_count: int = 0
    """How many of those that are RUNNING are ready."""
    waiting_reasons: tuple[WaitingReason, ...] = ()
    """What its containers wait for, if any does."""
    accounts: tuple[BudgetAccount, ...] = ()
    """What its restart budgets were spent on, in the order of the specification's."""
    update: ServiceUpdate | None = None
    """Where its update stands. None while it is not being updated."""
    allocation_deadline: datetime | None = None
    """Until when its containers may wait for YARN. None: none waits, or without end."""

    @classmethod
    def _from_proto(cls, message: service_pb2.Service) -> ServiceStatus:
        update = message.update if message.HasField("update") else None
        return cls(
            name=message.name,
            spec=Service._from_proto(message.spec),
            revision=message.revision,
            target=message.target,
            condition=ServiceCondition(message.condition),
            counts={ContainerState(each.state): each.count for each in message.counts},
            ready_count=message.ready_count,
            waiting_reasons=tuple(map(WaitingReason._from_proto, message.waiting_reasons)),
            accounts=tuple(
                BudgetAccount(spent=account.spent, forget_time=to_datetime(account, "forget_time"))
                for account in message.accounts
            ),
            update=None
            if update is None
            else ServiceUpdate(
                from_revision=update.from_revision,
                to_revision=update.to_revision,
                state=UpdateState(update.state),
                updated_count=update.updated_count,
                explanation=update.explanation,
            ),
            allocation_deadline=to_datetime(message, "allocation_deadline"),
        )
