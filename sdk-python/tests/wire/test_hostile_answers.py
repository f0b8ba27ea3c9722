"""
Answers that no Application Master of today sends are read, or refused by an error of knit's own.

Numbers newer than this SDK, absent parts, times beyond the calendar, counts below zero, lists that
never end: none of it raises anything else, and nothing is read for ever.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

import knit
from knit import ApplicationError, KnitError, Position
from knit._handles.events import Event
from knit._values.kv import key_range
from knit._wire import event_cursor, page_tokens
from knit._wire.calls import application as application_calls
from knit._wire.calls import containers as container_calls
from knit._wire.calls import kv as kv_calls
from knit._wire.calls import logs as log_calls
from knit._wire.calls import services as service_calls
from knit._wire.calls.call import Call
from knit._wire.event_cursor import EventCursor
from knit.testing import FakeApplicationMaster, _kv_service
from knit.v1 import (
    application_service_pb2,
    container_service_pb2,
    event_service_pb2,
    key_value_service_pb2,
    log_service_pb2,
)

INT32 = st.sampled_from([0, 1, -1, 7, 2**31 - 1, -(2**31)])
INT64 = st.sampled_from([0, 1, -1, 10**12, 2**63 - 1, -(2**63)])
OF_TYPE = {
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=3) | st.just(b"\xff\x00"),
    FieldDescriptor.TYPE_DOUBLE: st.floats(),
    FieldDescriptor.TYPE_ENUM: st.sampled_from([0, 1, 2, 3, 99, -5, 2**31 - 1]),
    FieldDescriptor.TYPE_INT32: INT32,
    FieldDescriptor.TYPE_INT64: INT64,
    FieldDescriptor.TYPE_STRING: st.sampled_from(["", "a", "\n", "ü\u202e", "../x", "a" * 300]),
}


def fill(draw: st.DrawFn, message: Message, depth: int = 0) -> None:
    """Sets any of a message's fields to anything that its type allows."""
    descriptor: Any = message.DESCRIPTOR
    for field in descriptor.fields:
        if not draw(st.booleans()) or (depth > 4 and field.message_type is not None):
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            entry = field.message_type.fields_by_name["value"]
            values = getattr(message, field.name)
            if entry.message_type is not None:
                fill(draw, values["a"], depth + 1)
            else:
                values["a"] = draw(OF_TYPE[entry.type])
        elif hasattr(getattr(message, field.name), "extend"):  # as of any protobuf's repeated
            for _ in range(draw(st.integers(0, 2))):
                if field.message_type is not None:
                    fill(draw, getattr(message, field.name).add(), depth + 1)
                else:
                    getattr(message, field.name).append(draw(OF_TYPE[field.type]))
        elif field.message_type is not None:
            getattr(message, field.name).SetInParent()
            fill(draw, getattr(message, field.name), depth + 1)
        else:
            setattr(message, field.name, draw(OF_TYPE[field.type]))


@st.composite
def filled(draw: st.DrawFn, kind: type[Message]) -> Any:
    message = kind()
    fill(draw, message)
    # As it comes: what is unknown to the classes stays so.
    return kind.FromString(message.SerializeToString())


APPLICATION = "application_1_0001"
CALLS: list[tuple[type[Message], Callable[[], Call[Any]]]] = [
    (
        application_service_pb2.GetApplicationResponse,
        lambda: application_calls.get_application(APPLICATION),
    ),
    (
        application_service_pb2.GetApplicationResponse,
        lambda: application_calls.get_annotations(APPLICATION),
    ),
    (
        application_service_pb2.ShutdownResponse,
        lambda: application_calls.shutdown(APPLICATION, knit.FinalStatus.KILLED, ""),
    ),
    (
        key_value_service_pb2.GetResponse,
        lambda: kv_calls.get(APPLICATION, b"key"),
    ),
    (
        key_value_service_pb2.RangeResponse,
        lambda: kv_calls.read_range(APPLICATION, key_range(None, None, None)),
    ),
    (log_service_pb2.ListLogFilesResponse, lambda: log_calls.list_log_files("container_1")),
]


@pytest.mark.parametrize(("kind", "make"), CALLS)
@given(data=st.data())
def test_any_answer_is_read_or_refused(
    kind: type[Message], make: Callable[[], Call[Any]], data: st.DataObject
) -> None:
    call = make()
    answer = data.draw(filled(kind))
    with contextlib.suppress(KnitError):
        repr(call.read(answer))


LISTS = [
    (
        application_service_pb2.ListServicesResponse,
        lambda: service_calls.list_services(APPLICATION, []),
    ),
    (
        container_service_pb2.ListContainersResponse,
        lambda: container_calls.list_containers(APPLICATION, [], [], read=lambda message: message),
    ),
]


@pytest.mark.parametrize(("kind", "make"), LISTS)
@given(data=st.data())
def test_any_page_is_read_or_refused(
    kind: type[Message], make: Callable[[], Any], data: st.DataObject
) -> None:
    pages = make()
    with contextlib.suppress(KnitError):
        for _ in range(3):
            pages.accept(data.draw(filled(kind)))
            repr(pages.items)


@given(data=st.data())
def test_any_events_are_read_or_refused(data: st.DataObject) -> None:
    cursor = EventCursor(
        event_service_pb2.WatchEventsRequest(), what="Watching", after=Position(3, "h")
    )
    before = cursor.position
    with contextlib.suppress(KnitError):
        for _ in range(4):
            event = cursor.accept(data.draw(filled(event_service_pb2.WatchEventsResponse)))
            if event is not None:
                assert cursor.position is not None
                repr(Event._from_proto(event, cursor.position))
            assert before is not None
            assert cursor.position is not None
            if cursor.position.history_id == before.history_id:
                assert cursor.position.sequence >= before.sequence, "it never goes back"
            before = cursor.position


def test_an_event_that_is_continued_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_cursor, "LARGEST_EVENT_BYTES", 10_000)
    cursor = EventCursor(event_service_pb2.WatchEventsRequest(), what="Watching")
    change = event_service_pb2.Change(notice=event_service_pb2.Notice(text="x" * 1000))

    def part() -> event_service_pb2.WatchEventsResponse:
        event = event_service_pb2.Event(sequence=1, changes=[change], is_continued=True)
        return event_service_pb2.WatchEventsResponse(event=event)

    for _ in range(9):
        assert cursor.accept(part()) is None
    with pytest.raises(ApplicationError, match="more than 10,000 bytes"):
        cursor.accept(part())


def page(token: str, *names: str) -> application_service_pb2.ListServicesResponse:
    response = application_service_pb2.ListServicesResponse(next_page_token=token, history_id="h")
    for name in names:
        response.services.add(name=name)
    return response


def test_a_list_that_goes_in_a_circle_is_given_up() -> None:
    pages = service_calls.list_services(APPLICATION, [])
    for token in "ab":
        pages.accept(page(token, "x"))
    with pytest.raises(ApplicationError, match="in a circle"):
        pages.accept(page("a", "y"))


def test_empty_pages_for_ever_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_tokens, "MOST_EMPTY_PAGES", 20)
    pages = service_calls.list_services(APPLICATION, [])
    for number in range(15):
        pages.accept(page(f"a{number}"))
    pages.accept(page("something", "x"))
    for number in range(20):
        pages.accept(page(f"b{number}"))
    with pytest.raises(ApplicationError, match="21 empty pages"):
        pages.accept(page("last"))
    # Another Application Master's list is another list.
    assert pages.begin_anew()
    pages.accept(page("a0"))


def test_a_range_of_keys_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def again(_: object, __: object, found: list[Any], *rest: object) -> tuple[list[Any], str]:
        return found, "the same"

    with FakeApplicationMaster() as fake:
        store = fake.application().kv
        store["key"] = b""
        monkeypatch.setattr(_kv_service, "page_of", again)
        with pytest.raises(ApplicationError, match="in a circle"):
            list(store)
