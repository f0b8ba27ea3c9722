"""A watch without its connection: what has come, and from where it goes on."""

from __future__ import annotations

import inspect

import pytest

from knit import ApplicationError, EventKind, Position
from knit._values.kv import key_range
from knit._wire import event_cursor
from knit._wire.calls.events import watch_events
from knit._wire.event_cursor import EventCursor
from knit.v1 import event_service_pb2 as pb


def cursor(after: Position | None = None) -> EventCursor:
    return EventCursor(watch_events(services=["a"]), what="Watching", after=after)


def event(sequence: int, *texts: str, continued: bool = False) -> pb.WatchEventsResponse:
    changes = [pb.Change(notice=pb.Notice(text=text)) for text in texts]
    return pb.WatchEventsResponse(
        event=pb.Event(sequence=sequence, changes=changes, is_continued=continued)
    )


def position(sequence: int, history_id: str = "h") -> pb.WatchEventsResponse:
    return pb.WatchEventsResponse(
        position=pb.EventPosition(sequence=sequence, history_id=history_id)
    )


def texts(found: pb.Event | None) -> list[str]:
    assert found is not None
    return [change.notice.text for change in found.changes]


def test_it_asks_for_what_follows_the_last_that_came() -> None:
    watch = cursor(Position(4, "h"))
    request = watch.next_request()
    assert (request.after_sequence, request.history_id) == (4, "h")
    assert list(request.service_names) == ["a"]
    assert texts(watch.accept(event(6, "x"))) == ["x"]
    assert watch.next_request().after_sequence == 6
    assert watch.accept(position(9)) is None
    assert watch.next_request().after_sequence == 9


def test_without_a_beginning_the_first_position_is_it() -> None:
    watch = cursor()
    request = watch.next_request()
    assert (request.after_sequence, request.history_id) == (0, "")
    watch.accept(position(7))
    assert watch.position == Position(7, "h")
    assert watch.next_request().history_id == "h"


def test_what_came_before_the_connection_broke_does_not_come_twice() -> None:
    watch = cursor(Position(4, "h"))
    assert watch.accept(event(5, "x")) is not None
    assert watch.accept(event(5, "x")) is None
    assert watch.accept(event(4, "w")) is None
    assert watch.accept(position(3)) is None
    assert watch.position == Position(5, "h")


def test_the_parts_of_a_turn_are_one_event_or_none() -> None:
    watch = cursor(Position(4, "h"))
    assert watch.accept(event(5, "a", continued=True)) is None
    assert watch.position == Position(4, "h")
    assert watch.accept(event(5, "b", continued=True)) is None
    whole = watch.accept(event(5, "c"))
    assert texts(whole) == ["a", "b", "c"]
    assert whole is not None
    assert not whole.is_continued
    assert watch.position == Position(5, "h")


def test_a_turn_that_broke_off_comes_once_more_as_a_whole() -> None:
    watch = cursor(Position(4, "h"))
    watch.accept(event(5, "a", continued=True))
    assert watch.next_request().after_sequence == 4
    assert watch.accept(event(5, "a", continued=True)) is None
    assert texts(watch.accept(event(5, "b"))) == ["a", "b"]


def test_a_turn_without_its_end_is_refused() -> None:
    watch = cursor(Position(4, "h"))
    watch.accept(event(5, "a", continued=True))
    with pytest.raises(ApplicationError, match="5 broke off, and 6 came"):
        watch.accept(event(6, "b"))


def test_what_is_newer_than_this_sdk_is_left_out() -> None:
    watch = cursor(Position(4, "h"))
    assert watch.accept(pb.WatchEventsResponse()) is None
    assert watch.position == Position(4, "h")


def test_a_request_says_what_is_wanted() -> None:
    request = watch_events(
        kinds=[EventKind.KEY], key_ranges=[key_range(prefix=b"\xff")], with_values=True
    )
    assert list(request.kinds) == [pb.EVENT_KIND_KEY]
    assert request.key_ranges[0].prefix == b"\xff"
    assert request.with_values


def test_nothing_here_waits_or_sends() -> None:
    source = inspect.getsource(event_cursor)
    assert not any(f"import {name}" in source for name in ("grpc", "threading", "time"))
