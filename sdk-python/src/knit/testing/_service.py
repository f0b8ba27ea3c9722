"""A service of a fake's application: what is wanted of it, and how it does."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

import attrs

from knit.v1 import container_pb2, service_pb2, waiting_pb2

FINAL = (
    container_pb2.CONTAINER_STATE_SUCCEEDED,
    container_pb2.CONTAINER_STATE_FAILED,
    container_pb2.CONTAINER_STATE_STOPPED,
)
_OF_A_CONTAINER = (
    "command",
    "resource",
    "environment",
    "local_resources",
    "python_environment",
    "placement",
    "access",
)
"""What of a specification needs another container when it changes."""


@attrs.define
class FakeService:
    """A service, without its containers."""

    name: str
    spec: service_pb2.ServiceSpec
    revision: int = 1
    target: int = 0
    ranks: set[int] = attrs.field(factory=set)
    """Those that are to be filled."""
    next_ordinal: int = 0
    has_begun: bool = True
    """Whether it waits for no other service any more."""
    has_started_together: bool = False
    started: set[int] = attrs.field(factory=set)
    """The ranks of which a container has run."""
    failures: defaultdict[int, dict[int | None, list[datetime]]] = attrs.field(
        factory=lambda: defaultdict(dict)
    )
    """When its budgets were charged: by budget, and by rank or for the whole service."""
    rests: dict[int, int] = attrs.field(factory=dict)
    """How many rests a rank had, one after the other."""
    is_removed: bool = False
    was_ready: bool = False
    update: service_pb2.ServiceUpdate | None = None
    previous: service_pb2.ServiceSpec | None = None
    """The specification of the revision before, while it is updated."""

    @property
    def reports_ready(self) -> bool:
        """Whether its programs say themselves when they are ready."""
        return bool(self.spec.readiness.is_reported)

    @property
    def holds(self) -> bool:
        """Whether what is granted to it waits for the others."""
        return self.spec.starts_together and not self.has_started_together

    def free_ranks(self, count: int) -> list[int]:
        """The lowest that are not filled."""
        found: list[int] = []
        rank = 0
        while len(found) < count:
            if rank not in self.ranks:
                found.append(rank)
            rank += 1
        return found

    def status(
        self,
        containers: Sequence[container_pb2.Container],
        waiting: Iterable[waiting_pb2.WaitingReason] = (),
    ) -> service_pb2.Service:
        """
        As the contract says it.

        Args:
            containers: Its own, in their order.
            waiting: What containers wait for, those of other services included.
        """
        latest = {c.rank: c for c in containers if c.rank in self.ranks}
        counts = Counter(c.state for c in containers)
        message = service_pb2.Service(
            name=self.name,
            spec=self.spec,
            revision=self.revision,
            target=self.target,
            condition=self._condition(list(latest.values())),
            counts=[
                service_pb2.ContainerCount(state=state, count=count)
                for state, count in sorted(counts.items())
            ],
            ready_count=sum(c.is_ready for c in containers),
            update=self.update,
            waiting_reasons=[each for each in waiting if each.service_name == self.name],
        )
        for name in message.spec.environment:
            message.spec.environment[name] = ""
        if self.update is not None:
            message.update.updated_count = sum(
                c.is_ready and c.revision == self.update.to_revision for c in latest.values()
            )
        return message

    def _condition(
        self, latest: Sequence[container_pb2.Container]
    ) -> service_pb2.ServiceCondition.ValueType:
        succeeded = container_pb2.CONTAINER_STATE_SUCCEEDED
        if self.is_removed:
            return service_pb2.SERVICE_CONDITION_REMOVED
        if not self.has_begun:
            return service_pb2.SERVICE_CONDITION_PENDING
        if latest and all(c.state in FINAL for c in latest):
            if all(c.state == succeeded for c in latest):
                return service_pb2.SERVICE_CONDITION_SUCCEEDED
            if any(c.state == container_pb2.CONTAINER_STATE_FAILED for c in latest):
                return service_pb2.SERVICE_CONDITION_FAILED
        if all(c.is_ready or c.state == succeeded for c in latest):
            self.was_ready = True
            return service_pb2.SERVICE_CONDITION_READY
        if self.was_ready:
            return service_pb2.SERVICE_CONDITION_DEGRADED
        return service_pb2.SERVICE_CONDITION_STARTING


def needs_containers(old: service_pb2.ServiceSpec, new: service_pb2.ServiceSpec) -> bool:
    """Whether containers of one specification are other ones than those of the other."""
    return any(getattr(old, name) != getattr(new, name) for name in _OF_A_CONTAINER)
