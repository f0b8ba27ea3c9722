"""What the ResourceManager says by RPC, read as what REST says."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from knit._cluster.yarn import rpc_messages as rpc
from knit._cluster.yarn import rpc_records as records
from knit._values.amounts import ResourceAmount
from knit._values.queues import QueueState, SchedulerType

new = rpc.MESSAGES.new


def resource(memory: int, vcores: int, others: Mapping[str, int] = MappingProxyType({})) -> Any:
    made = new("Resource", memory=memory, vcores=vcores)
    for key, value in others.items():
        made.others.add(key=key, value=value)
    return made


def test_a_node_has_what_is_said_of_it_and_yarns_own_attributes_a_prefix() -> None:
    message = new(
        "NodeReport",
        id=new("NodeId", host="node1", port=45454),
        used=resource(1024, 1, {"gpu": 1}),
        capability=resource(
            4096, 8, {"gpu": 2, "memory-mb": 4096, "vcores": 8, "endless": 2**63 - 1}
        ),
        labels=["", "gpu"],
        state=rpc.number_of("RUNNING", rpc.NODE_STATES),
    )
    for prefix, name in (("", "os"), ("nm.yarn.io", "java")):
        attribute = message.attributes.add(value="x")
        attribute.key.name = name
        if prefix:
            attribute.key.prefix = prefix
    node = records.node(message)
    assert (node.node_id, node.state.value, node.labels) == ("node1:45454", "RUNNING", ("gpu",))
    assert node.attributes == {"rm.yarn.io/os": "x", "nm.yarn.io/java": "x"}
    assert node.total.named == {"gpu": 2}, "memory and vcores are counted apart"


def test_a_queue_of_the_capacity_scheduler_has_its_partitions() -> None:
    root = new("QueueInfo", name="root", path="root", scheduler="CapacityScheduler")
    root.state = rpc.number_of("RUNNING", rpc.QUEUE_STATES)
    child = root.children.add(
        name="a", capacity=0.5, max_capacity=-1.0, default_node_label=" ", weight=-1.0
    )
    child.state = rpc.number_of("STOPPED", rpc.QUEUE_STATES)
    child.node_labels.extend(["", "gpu"])
    for partition, share in (("<DEFAULT_PARTITION>", 0.25), ("gpu", 0.75)):
        made = child.configurations.add(partition=partition)
        made.configuration.absolute_capacity = share
        made.configuration.effective_min.CopyFrom(resource(int(share * 1000), 1))
    above, queue = records.queues(root)
    assert (above.path, above.children, above.is_leaf) == ("root", ("root.a",), False)
    assert (queue.path, queue.state, queue.is_leaf) == ("root.a", QueueState.STOPPED, True)
    assert (queue.capacity, queue.max_capacity, queue.absolute_capacity) == (0.5, None, 0.25)
    assert (queue.weight, queue.default_node_label, queue.node_labels) == (None, None, ("gpu",))
    assert [one.label for one in queue.partitions] == ["", "gpu"]
    assert queue.min_resources == ResourceAmount(250, 1)
    assert queue.max_applications is None
    child.weight, child.default_node_label = 2.0, " gpu "
    [_, queue] = records.queues(root)
    assert (queue.weight, queue.default_node_label) == (2.0, "gpu")


@pytest.mark.parametrize(("told", "limit"), [(7, 7), (2**31 - 1, None), (None, None)])
def test_a_queue_of_the_fair_scheduler_has_its_limits(told: int | None, limit: int | None) -> None:
    root = new("QueueInfo", name="root", scheduler="FairScheduler", capacity=0.5)
    child = root.children.add(
        name="root.a", scheduler="FairScheduler", fair_max_memory=4096, fair_max_vcores=4
    )
    if told is not None:
        child.fair_max_running = told
    above, queue = records.queues(root)
    assert (queue.path, queue.scheduler) == ("root.a", SchedulerType.FAIR)
    assert (above.capacity, queue.max_applications) == (None, limit)
    assert queue.max_resources == ResourceAmount(4096, 4)


def test_fifo_has_one_queue_below_a_root_that_it_has_not() -> None:
    [queue] = records.queues(new("QueueInfo", name="default", scheduler="FifoScheduler"))
    assert (queue.path, queue.scheduler, queue.makes_queues) == (
        *("root.default", SchedulerType.FIFO),
        False,
    )


@pytest.mark.parametrize(
    ("number", "expected"),
    [(7, "container_17_0003_02_000007"), ((5 << 40) + 7, "container_e05_17_0003_02_000007")],
)
def test_a_container_has_the_epoch_of_the_resource_manager(number: int, expected: str) -> None:
    message = new("ContainerId", id=number)
    message.attempt_id.id = 2
    message.attempt_id.application_id.id = 3
    message.attempt_id.application_id.cluster_timestamp = 17
    assert records.container_id_of(message) == expected


def test_what_has_no_limit_is_no_amount() -> None:
    told = resource(1, 1, {"memory-mb": 1, "vcores": 1, "gpu": 2, "endless": 2**63 - 1})
    assert records.others_of(told) == {"gpu": 2}


def test_an_application_has_the_partitions_that_it_asked_for() -> None:
    message = new("ApplicationReport", node_label="gpu", am_node_label="<DEFAULT_PARTITION>")
    message.application_id.id, message.application_id.cluster_timestamp = 3, 17
    raw = records.application(message).raw
    assert (raw["appNodeLabelExpression"], raw["amNodeLabelExpression"]) == ("gpu", None)
