"""Public classes can be looked at, and their values sent to other processes, wherever they live."""

from __future__ import annotations

import inspect
import pickle
import typing
from datetime import datetime, timedelta, timezone

import pytest

import knit
import knit.testing
from knit import exceptions

CLASSES = {
    name: found for name in knit.__all__ if isinstance(found := getattr(knit, name), type)
} | {name: getattr(knit.testing, name) for name in knit.testing.__all__}

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
CONTAINER = "container_1700000000000_0001_01_000002"
EXIT = knit.ContainerExit(reason=knit.ExitReason.EXITED, exit_code=1, finish_time=NOW)
OUTCOME = knit.ApplicationOutcome(
    final_status=knit.FinalStatus.FAILED, diagnostics="worker.0 failed", exit_code=1
)
REASON = knit.WaitingReason(
    service_name="worker",
    count=2,
    resources=knit.Resources("1 GiB", 2),
    cause=knit.WaitingCause.CAPACITY,
    explanation="The queue is full.",
    since=NOW,
)
SPEC = knit.ApplicationSpec(
    "demo",
    {
        "worker": knit.Service(
            "work",
            instances=2,
            files={"data": knit.File("hdfs://nn:8020/data", visibility=knit.Visibility.PUBLIC)},
            environment={"A": "b"},
            failure_policy=knit.FailurePolicy.FINISH_OTHERS,
        )
    },
    tags=["one"],
    linger=timedelta(seconds=3),
    master_ports=(50100, 50200),
)
NOTICE = knit.Notice(severity=knit.NoticeSeverity.INFO, service="worker", text="So it is.")
KEY = knit.KeyValue(
    key="k\udcff", value=b"v", modify_revision=7, owner=knit.ContainerRef("worker", 3)
)
RESULT = knit.OperationResult(key_values=(KEY,), count=1)
STATUS = knit.ServiceStatus(
    name="worker",
    spec=knit.Service("work"),
    target=2,
    condition=knit.ServiceCondition.DEGRADED,
    counts={knit.ContainerState.RUNNING: 1},
    waiting_reasons=(REASON,),
    accounts=(knit.BudgetAccount(spent=1, forget_time=NOW),),
    update=knit.ServiceUpdate(
        from_revision=1, to_revision=2, state=knit.UpdateState.PAUSED, explanation="It failed."
    ),
)
VALUES = [
    SPEC,
    EXIT,
    OUTCOME,
    REASON,
    knit.ApplicationDescription(
        application_id="application_1700000000000_0001",
        attempt_number=1,
        state=knit.ApplicationState.ENDED,
        outcome=OUTCOME,
        start_time=NOW,
        name="demo",
        services=SPEC.services,
        waiting_reasons=(REASON,),
    ),
    knit.ApplicationReport(
        application_id="application_1700000000000_0001", state=knit.YarnState.RUNNING
    ),
    knit.CheckResult(name="queue", ok=False, message="It is stopped.", hint="Use another one."),
    knit.ClusterConfig.from_properties({"fs.defaultFS": "hdfs://nn:8020"}),
    knit.Container(
        service="worker",
        rank=1,
        attempt_number=2,
        container_id=CONTAINER,
        state=knit.ContainerState.FAILED,
        resources=knit.Resources("1 GiB"),
        exit=EXIT,
    ),
    knit.KillResult(
        application_id="application_1700000000000_0001",
        report=knit.ApplicationReport(application_id="application_1700000000000_0001"),
    ),
    knit.LogChunk("worker", 1, 2, CONTAINER, "stdout", 3, b"bytes", True),
    knit.LogEnd("worker", 1, 2, CONTAINER, "stdout", 8, None),
    knit.ContainerRef("worker", 3),
    knit.Position(7, "history"),
    STATUS,
    knit.ApplicationStatus(
        application_id="application_1700000000000_0001",
        attempt_number=1,
        state=knit.ApplicationState.RUNNING,
    ),
    knit.Event(sequence=7, time=NOW, changes=(STATUS, NOTICE), history_id="history"),
    NOTICE,
    knit.NodeStanding(node_id="n:1", failures=2, is_avoided=True, forgive_time=NOW),
    KEY,
    knit.KeyChange(key="k", current=KEY, previous=None, revision=7),
    RESULT,
    knit.TransactionResult(succeeded=True, results=(RESULT,), revision=7),
    knit.LogFile("stdout", 8),
    knit.LogLine("worker", 1, 2, CONTAINER, "stdout", 3, b"line\n"),
    knit.NodeReport(
        node_id="node-1:45454",
        state=knit.NodeState.RUNNING,
        attributes={"rm.yarn.io/os": "linux"},
        total=knit.ResourceAmount(8192, 8, {"yarn.io/gpu": 2}),
    ),
    knit.PackingProgress(environment="env", packed_bytes=1, total_bytes=2, cached=False),
    knit.QueuePartition(label="fast", used=knit.ResourceAmount(512, 1)),
    knit.QueueReport(path="root.a", state=knit.QueueState.STOPPED, node_labels=("fast",)),
    knit.ResourceAmount(512, 1, {"yarn.io/gpu": 1}),
    knit.StagingProgress(file="data.csv", sent_bytes=1, total_bytes=2, cached=False),
]


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_its_source_can_be_read(name: str) -> None:
    """By `inspect`, as by `??` in IPython: it looks in the module that the class names."""
    kind = CLASSES[name]
    assert f"class {kind.__name__}" in inspect.getsource(kind)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_the_types_of_its_fields_can_be_resolved(name: str) -> None:
    """As cattrs and others do, in the module that the class names."""
    typing.get_type_hints(CLASSES[name])


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_survives_pickling(value: object) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        copy = pickle.loads(pickle.dumps(value, protocol))
        assert copy == value
        assert type(copy) is type(value)


def test_errors_are_named_as_users_catch_them() -> None:
    for name in exceptions.__all__:
        assert getattr(exceptions, name).__module__ == "knit.exceptions"
