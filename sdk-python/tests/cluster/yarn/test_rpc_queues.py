"""What ResourceManagers of several versions say of their queues by RPC."""

from __future__ import annotations

from typing import Any

import pytest

from knit import SchedulerType
from knit._cluster.yarn.rpc_messages import MESSAGES, QUEUE_STATES, number_of
from knit._cluster.yarn.rpc_records import queues


def queue(name: str, *children: Any, **fields: Any) -> Any:
    """As every version and scheduler has it."""
    running = number_of("RUNNING", QUEUE_STATES)
    return MESSAGES.new("QueueInfo", name=name, state=running, children=children, **fields)


def capacity(name: str, *children: Any) -> Any:
    """Of the Capacity scheduler before Hadoop 3.4, which always tells of one partition."""
    configuration = MESSAGES.new(
        "QueueConfiguration", absolute_capacity=0.5, absolute_max_capacity=1.0
    )
    partition = MESSAGES.new("NamedQueueConfiguration", partition="", configuration=configuration)
    return queue(name, *children, capacity=0.5, max_capacity=1.0, configurations=[partition])


def test_the_fair_scheduler_is_known_where_it_is_not_named() -> None:
    """By Hadoop 2.10 to 3.3, where a queue has its path for a name, and a share of the moment."""
    leaf = queue("root.team.small", capacity=0.25, used_capacity=0.0)
    found = queues(queue("root", queue("root.team", leaf, capacity=0.5), capacity=1.0))
    assert [each.path for each in found] == ["root", "root.team", "root.team.small"]
    assert {each.scheduler for each in found} == {SchedulerType.FAIR}
    # Neither is a limit that anybody has set.
    assert {(each.capacity, each.max_capacity) for each in found} == {(None, None)}


def test_the_capacity_scheduler_is_known_where_it_is_not_named() -> None:
    found = queues(capacity("root", capacity("team", capacity("small"))))
    assert [each.path for each in found] == ["root", "root.team", "root.team.small"]
    assert {each.scheduler for each in found} == {SchedulerType.CAPACITY}
    assert [each.absolute_capacity for each in found] == [0.5] * 3


def test_fifo_is_known_by_its_one_queue() -> None:
    (found,) = queues(queue("default", capacity=1.0, max_capacity=1.0))
    assert (found.path, found.scheduler) == ("root.default", SchedulerType.FIFO)
    assert not found.makes_queues


@pytest.mark.parametrize(
    ("name", "scheduler"),
    [
        ("CapacityScheduler", SchedulerType.CAPACITY),
        ("FairScheduler", SchedulerType.FAIR),
        ("SchedulerOfTheirOwn", SchedulerType.CAPACITY),
    ],
)
def test_one_that_is_named_is_believed(name: str, scheduler: SchedulerType) -> None:
    (found,) = queues(queue("root", scheduler=name))
    assert found.scheduler is scheduler
