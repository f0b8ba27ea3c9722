"""Values in answers that may be written in many ways, or not be there."""

from __future__ import annotations

import pytest

from knit._cluster.yarn.json import told_int
from knit._cluster.yarn.queue_names import queue_called
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
