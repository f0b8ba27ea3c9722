"""What an Application Master wrote down of its containers, as versions of it wrote it."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from knit import Container, ContainerState, ExitReason
from knit._cluster.logs.places import Place, places_of
from knit._cluster.logs.records import ApplicationRecord, parse


def lines(*values: dict[str, Any]) -> list[bytes]:
    return [json.dumps(value).encode() + b"\n" for value in values]


LAUNCH = {
    "container_id": "container_e17_1700000000000_0001_02_000002",
    "service": "worker",
    "rank": 0,
    "attempt_number": 1,
    "node_id": "node-1:45454",
}
END = {
    **LAUNCH,
    "state": "FAILED",
    "reason": "OUT_OF_MEMORY",
    "exit_code": None,
    "signal": 9,
    "diagnostics": "Killed\nfor memory",
    "request_time": "2026-01-02T03:04:05Z",
    "start_time": "2026-01-02T03:04:06.789Z",
    "finish_time": "2026-01-02T03:04:07.123456789Z",
    "memory_mib": 1024,
    "vcores": 2,
}
NEVER_GRANTED = {**END, "container_id": "", "rank": 1, "node_id": "", "start_time": None}


def container_of(record: ApplicationRecord, number: int = 0) -> Container:
    return Container._from_record(record.containers[number], record.attempt_number, None)


def test_the_last_line_of_a_container_holds() -> None:
    record = parse(lines({"attempt": 2, "start_time": "2026-01-02T03:04:05Z"}, LAUNCH, END))
    [one] = record.containers
    container = container_of(record)
    assert (record.attempt_number, record.has_outcome, record.is_truncated) == (2, False, False)
    assert container.state is ContainerState.FAILED
    assert container.exit is not None
    assert container.exit.reason is ExitReason.OUT_OF_MEMORY
    assert (container.exit.exit_code, container.exit.signal) == (None, 9)
    assert container.exit.diagnostics == "Killed\nfor memory"
    assert container.start_time == datetime(2026, 1, 2, 3, 4, 6, 789_000, timezone.utc)
    assert container.exit.finish_time == datetime(2026, 1, 2, 3, 4, 7, 123_456, timezone.utc)
    assert (container.resources.memory_mib, container.resources.vcores) == (1024, 2)
    assert (container.application_attempt, one.node_id) == (2, "node-1:45454")


def test_what_was_never_granted_is_there_and_has_no_place_among_logs() -> None:
    record = parse(lines({"attempt": 3}, LAUNCH, NEVER_GRANTED))
    container = container_of(record, 1)
    assert (container.container_id, container.node_id) == (None, None)
    assert (container.start_time, container.application_attempt) == (None, 3)
    place = Place("worker", 0, 1, "node-1:45454")
    assert places_of(record) == {LAUNCH["container_id"]: place}


def test_what_older_ones_wrote_is_read() -> None:
    record = parse(lines(LAUNCH))
    container = container_of(record)
    assert (record.attempt_number, record.has_outcome) == (None, False)
    assert (container.state, container.exit) == (ContainerState.UNKNOWN, None)
    assert container.application_attempt == 2


def test_which_container_of_its_service_it_was_and_when_it_was_ready_is_read() -> None:
    which = {"ordinal": 7, "revision": 2}
    ready = "2026-01-02T03:04:06.900Z"
    container = container_of(
        parse(lines({**LAUNCH, **which}, {**END, **which, "ready_time": ready}))
    )
    assert (container.ordinal, container.revision) == (7, 2)
    assert container.ready_time == datetime(2026, 1, 2, 3, 4, 6, 900_000, timezone.utc)
    launched = container_of(parse(lines({**LAUNCH, **which})))
    assert (launched.ordinal, launched.revision, launched.ready_time) == (7, 2, None)
    older = container_of(parse(lines(END)))
    assert (older.ordinal, older.revision, older.ready_time) == (None, None, None)


def test_what_later_ones_write_is_read_as_far_as_it_is_known() -> None:
    later = {**END, "state": "BEWITCHED", "reason": "CURSED", "gang": 7}
    record = parse(lines({"weather": "fine"}, later, {"outcome": "FAILED", "exit_code": 1}))
    container = container_of(record)
    assert record.has_outcome
    assert container.state is ContainerState.UNKNOWN
    assert container.exit is not None
    assert container.exit.reason is ExitReason.UNKNOWN


def test_one_that_was_cut_off_says_so() -> None:
    assert parse(lines(LAUNCH, {"truncated": True})).is_truncated


@given(st.lists(st.binary(max_size=40), max_size=5), st.integers(0, 400), st.integers(1, 50))
def test_whatever_is_in_the_file_the_lines_that_are_whole_are_read(
    garbage: list[bytes], at: int, cut: int
) -> None:
    whole = b"\n".join([*garbage, b""]) + b"".join(lines(END))
    chunks = [whole[start : start + cut] for start in range(0, len(whole), cut)]
    assert LAUNCH["container_id"] in places_of(parse(chunks))
    parse([whole[:at], whole[at + cut :]])
