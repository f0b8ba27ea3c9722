"""What YARN is asked of a filter, and what is looked at here."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from knit._cluster.yarn.application_filter import ApplicationFilter, is_in_queue
from knit._values.reports import ApplicationReport
from knit._values.states import YarnState

NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)
LATER = NOON + timedelta(seconds=1)
NOON_MILLIS = int(NOON.timestamp() * 1000)


def report(**fields: Any) -> ApplicationReport:
    return ApplicationReport(
        **{"application_id": "application_1_0001", "application_type": "knit", **fields}
    )


def asked(**wanted: Any) -> dict[str, str]:
    """Without what is always asked."""
    query = ApplicationFilter(**wanted).query()
    assert query.pop("deSelects") == "resourceRequests"
    return query


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, {}),
        ({"states": [YarnState.RUNNING, YarnState.ACCEPTED]}, {"states": "RUNNING,ACCEPTED"}),
        ({"types": ["knit", "SPARK"]}, {"applicationTypes": "knit,SPARK"}),
        ({"user": "alice", "name": "demo"}, {"user": "alice", "name": "demo"}),
        ({"tags": ["a", "b"]}, {"applicationTags": "a,b"}),
        # By which of its names YARN finds a queue depends on its version.
        ({"queue": "default"}, {}),
        # It refuses to look for a state that it does not know.
        ({"states": [YarnState.UNKNOWN]}, {}),
        ({"started_begin": NOON}, {"startedTimeBegin": str(NOON_MILLIS)}),
        (
            {"started_end": NOON},
            {"startedTimeBegin": "1", "startedTimeEnd": str(NOON_MILLIS)},
        ),
        # One that runs has 0 for its end.
        (
            {"finished_end": NOON},
            {"finishedTimeBegin": "1", "finishedTimeEnd": str(NOON_MILLIS)},
        ),
        # Milliseconds within what is asked for.
        (
            {
                "finished_begin": NOON + timedelta(microseconds=1),
                "finished_end": LATER + timedelta(microseconds=1),
            },
            {
                "finishedTimeBegin": str(NOON_MILLIS + 1),
                "finishedTimeEnd": str(NOON_MILLIS + 1000),
            },
        ),
        # It refuses what is before 1970, and an end before its beginning.
        ({"started_begin": datetime(1960, 1, 1, tzinfo=timezone.utc)}, {"startedTimeBegin": "1"}),
        (
            {"started_end": datetime(1960, 1, 1, tzinfo=timezone.utc)},
            {"startedTimeBegin": "1", "startedTimeEnd": "1"},
        ),
    ],
)
def test_what_yarn_is_asked(wanted: dict[str, Any], expected: dict[str, str]) -> None:
    assert asked(**wanted) == expected


def test_a_time_without_a_zone_is_local() -> None:
    local = datetime(2026, 1, 2, 12)  # noqa: DTZ001 - that is the point
    assert asked(started_begin=local) == {"startedTimeBegin": str(int(local.timestamp() * 1000))}


@pytest.mark.parametrize(
    ("wanted", "fields", "fits"),
    [
        ({}, {}, True),
        ({"states": [YarnState.RUNNING]}, {"state": YarnState.RUNNING}, True),
        ({"states": [YarnState.RUNNING]}, {"state": YarnState.KILLED}, False),
        ({"states": [YarnState.UNKNOWN]}, {"state": YarnState.UNKNOWN}, True),
        ({"types": ["KNIT"]}, {}, True),
        ({"types": ["SPARK"]}, {}, False),
        ({"name": "demo"}, {"name": "demo"}, True),
        ({"name": "demo"}, {"name": "demo-2"}, False),
        ({"tags": ["a", "B"]}, {"tags": ("a", "b", "c")}, True),
        ({"tags": ["a", "b"]}, {"tags": ("a",)}, False),  # which YARN would send
        ({"started_begin": NOON, "started_end": NOON}, {"start_time": NOON}, True),
        ({"started_begin": LATER}, {"start_time": NOON}, False),
        ({"started_end": NOON}, {"start_time": LATER}, False),
        ({"finished_begin": NOON}, {"finish_time": None}, False),
        ({"finished_end": NOON}, {"finish_time": None}, False),
        ({"finished_end": NOON}, {"finish_time": NOON}, True),
    ],
)
def test_what_fits(wanted: dict[str, Any], fields: dict[str, Any], fits: bool) -> None:
    assert ApplicationFilter(**wanted).fits(report(**fields)) is fits


@pytest.mark.parametrize(
    ("told", "wanted", "same"),
    [
        ("root.default", "default", True),
        ("root.default", "root.default", True),
        ("root.a.default", "default", True),
        ("root.a.default", "a.default", True),
        ("root.a.default", "root.a.default", True),
        ("root.a.default", "root.default", False),
        ("root.a.default", "b.default", False),
        ("root.default", "other", False),
        # Hadoop before 3.4 tells last parts alone, and there they are unique.
        ("default", "root.a.default", True),
        ("default", "default", True),
        ("default", "root.other", False),
    ],
)
def test_queues_by_any_of_their_names(told: str, wanted: str, same: bool) -> None:
    assert is_in_queue(told, wanted) is same


@pytest.mark.parametrize(
    "wanted",
    [
        {"states": []},
        {"types": []},
        {"started_begin": LATER, "started_end": NOON},
        {"finished_begin": LATER, "finished_end": NOON},
    ],
)
def test_what_nothing_can_fit_is_known_as_that(wanted: dict[str, Any]) -> None:
    """YARN takes an empty list for no filter, and an empty time for a mistake."""
    assert ApplicationFilter(**wanted).is_empty
    assert not ApplicationFilter(started_begin=NOON, started_end=NOON).is_empty
