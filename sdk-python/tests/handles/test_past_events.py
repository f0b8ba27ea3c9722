"""What is read of events that were written down, and what is said of what is missing."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping

import pytest

from knit import (
    ApplicationNotRunningError,
    EventKind,
    EventsForgottenError,
    HistoryLostError,
    Position,
)
from knit._cluster.logs import AggregatedLogs, ContainerLogs
from knit._cluster.logs.node_file import Piece
from knit._cluster.logs.reading import ByteReader
from knit._handles.past_events import past_events

GONE = ApplicationNotRunningError("It has left.")


class Files:
    """The files of Application Masters, by attempt and name."""

    is_rolling = False

    def __init__(self, attempts: Mapping[int, Mapping[str, Collection[object]]]) -> None:
        self._texts = {
            f"container_1_0001_{attempt:02d}_000001": {
                name: "".join(f"{json.dumps(line)}\n" for line in lines).encode()
                for name, lines in files.items()
            }
            for attempt, files in attempts.items()
        }
        self.looked_at: list[str] = []

    def pieces(self, container_id: str) -> Iterator[Piece]:
        self.looked_at.append(container_id)
        for name, text in self._texts[container_id].items():
            yield Piece(container_id, name, len(text), ByteReader.over(text))

    def logs(self) -> AggregatedLogs:
        return AggregatedLogs(
            application_id="application_1_0001",
            containers={
                each: ContainerLogs(
                    container_id=each,
                    node_id="node-1:45454",
                    service="",
                    rank=0,
                    attempt_number=1,
                    is_application_master=True,
                    parts=(self,),
                )
                for each in self._texts
            },
            incomplete_reason=None,
            is_settled=True,
            has_ended=True,
            records=(),
        )


def head(history: str) -> object:
    return {"history_id": history}


def notice(number: int) -> object:
    return {"sequence": f"{number}", "changes": [{"notice": {"text": f"{number}"}}]}


def key(number: int) -> object:
    return {"sequence": f"{number}", "changes": [{"key": {"key": "YQ=="}}]}


def read(
    attempts: Mapping[int, Mapping[str, Collection[object]]],
    after: Position | int,
    *kinds: EventKind,
) -> list[tuple[str, int]]:
    logs = Files(attempts).logs()
    found = past_events(logs, owner=None, after=after, kinds=kinds, services=(), gone=GONE)
    return [(event.history_id, event.sequence) for event in found]


ONE = {1: {"events.jsonl": [head("a"), notice(1), notice(2), notice(4)]}}
TWO = {**ONE, 2: {"events.jsonl": [head("b"), notice(1), notice(2)]}}


def test_a_number_reads_all_attempts_and_each_names_its_history() -> None:
    assert read(TWO, 0) == [("a", 1), ("a", 2), ("a", 4), ("b", 1), ("b", 2)]


def test_one_attempt_at_a_time_is_in_memory() -> None:
    files = Files(TWO)
    found = past_events(files.logs(), owner=None, after=0, kinds=(), services=(), gone=GONE)
    assert next(found).history_id == "a"
    assert set(files.looked_at) == {"container_1_0001_01_000001"}
    assert [event.history_id for event in found] == ["a", "a", "b", "b"]


def test_a_position_reads_what_followed_it_in_its_attempt() -> None:
    assert read(ONE, Position(2, "a")) == [("a", 4)]
    assert read(ONE, Position(4, "a")) == []
    assert read(TWO, Position(1, "b")) == [("b", 2)]


def test_a_position_of_another_attempt_than_the_last_is_told_so_after_its_events() -> None:
    found = past_events(
        Files(TWO).logs(), owner=None, after=Position(2, "a"), kinds=(), services=(), gone=GONE
    )
    assert next(found).sequence == 4
    with pytest.raises(HistoryLostError, match="after=0"):
        next(found)
    with pytest.raises(HistoryLostError):
        read(TWO, Position(2, "c"))


def test_what_was_too_much_to_be_kept_is_told_to_who_needs_it_only() -> None:
    kept = {
        1: {
            "events.1.jsonl": [head("a"), {"dropped_until": 7}, notice(8)],
            "events.jsonl": [head("a"), {"dropped_until": 7}, notice(9)],
        }
    }
    assert read(kept, 0) == [("a", 8), ("a", 9)]
    assert read(kept, Position(7, "a")) == [("a", 8), ("a", 9)]
    with pytest.raises(EventsForgottenError, match="up to 7"):
        read(kept, Position(6, "a"))


def test_keys_lie_between_the_other_events_where_they_are_asked_for() -> None:
    both = {
        1: {
            "events.jsonl": [head("a"), notice(1), notice(3)],
            "keys.jsonl": [head("a"), {"dropped_until": 1}, key(2)],
        }
    }
    assert read(both, Position(0, "a"), EventKind.KEY, EventKind.NOTICE) == [
        ("a", 1),
        ("a", 2),
        ("a", 3),
    ]
    assert read(both, 0) == [("a", 1), ("a", 3)]


def test_where_nothing_was_written_down_it_is_said_why() -> None:
    with pytest.raises(ApplicationNotRunningError, match=r"It has left\..*wrote none down"):
        read({1: {"stderr": []}}, 0)


def test_lines_that_are_none_are_passed_over() -> None:
    assert read({1: {"events.jsonl": [head("a"), [1], "a text", notice(1)]}}, 0) == [("a", 1)]
