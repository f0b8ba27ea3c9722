"""Values in answers that may be written in many ways, or not be there."""

from __future__ import annotations

import re

import pytest

from knit._cluster.yarn.changes import _why_not_into
from knit._cluster.yarn.json import told_int
from knit._cluster.yarn.queue_names import queue_called
from knit._values.amounts import ResourceAmount
from knit._values.queues import QueueReport, QueueState, SchedulerType
from knit.exceptions import QueueNotFoundError


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 0), (7, 7), ("7", 7), (-1, None), (-2, None), (None, None), (True, None), ("x", None)],
)
def test_a_number_below_nothing_is_not_told(value: object, expected: int | None) -> None:
    assert told_int({"a": value}, "a") == expected
    assert told_int({}, "a") is None


def test_a_name_that_two_queues_have_means_neither() -> None:
    queues = [
        QueueReport(
            path=path,
            scheduler=SchedulerType.CAPACITY,
            is_leaf=True,
            state=QueueState.RUNNING,
            children=(),
        )
        for path in ("root.a.small", "root.b.small", "root.b.large")
    ]
    with pytest.raises(QueueNotFoundError, match=r"root\.a\.small.*root\.b\.small.*Give its path"):
        queue_called(queues, "small", what="Asking")
    assert queue_called(queues, "large", what="Asking").path == "root.b.large"
    assert queue_called(queues, "b.small", what="Asking").path == "root.b.small"


@pytest.mark.parametrize(
    ("scheduler", "words"),
    [
        (SchedulerType.FAIR, r"The Fair scheduler .*at most 4 GiB.* and 7 applications at a time"),
        (SchedulerType.CAPACITY, "It may be full of applications"),
    ],
)
def test_why_a_queue_takes_no_application_depends_on_the_scheduler(
    scheduler: SchedulerType, words: str
) -> None:
    queue = QueueReport(
        path="root.a",
        scheduler=scheduler,
        is_leaf=True,
        state=QueueState.RUNNING,
        children=(),
        max_resources=ResourceAmount(4096, 4),
        max_applications=7,
    )
    assert re.search(words, _why_not_into(queue)), _why_not_into(queue)
