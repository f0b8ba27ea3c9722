"""What has come of a stream of log files, response by response."""

from __future__ import annotations

import pytest

from knit import ApplicationError, LogChunk, LogEnd
from knit._values.logs import Item
from knit._wire.calls.logs import stream_logs
from knit._wire.log_cursor import LogCursor
from knit.v1 import log_service_pb2 as pb

CONTAINER = "container_1700000000000_0001_01_000002"
OUT, ERR = (CONTAINER, "stdout"), (CONTAINER, "stderr")
WHO = {"service_name": "worker", "rank": 1, "attempt_number": 2, "container_id": CONTAINER}


def cursor(*, follow: bool = True, can_complete: bool = False) -> LogCursor:
    request = stream_logs(
        container_ids=[], services=[], files=["stdout", "stderr"], follow=follow, tail_lines=None
    )
    return LogCursor(request, what="Reading", can_complete=can_complete)


def begin(offset: int, *, file: str = "stdout", is_cut: bool = False) -> pb.StreamLogsResponse:
    message = pb.LogBegin(**WHO, file_name=file, offset_bytes=offset, is_cut=is_cut)  # type: ignore[arg-type]
    return pb.StreamLogsResponse(begin=message)


def chunk(offset: int, data: bytes, *, file: str = "stdout") -> pb.StreamLogsResponse:
    message = pb.LogChunk(**WHO, file_name=file, offset_bytes=offset, data=data)  # type: ignore[arg-type]
    return pb.StreamLogsResponse(chunk=message)


def end(offset: int, why: str = "", *, file: str = "stdout") -> pb.StreamLogsResponse:
    message = pb.LogEnd(**WHO, file_name=file, offset_bytes=offset, incomplete_reason=why)  # type: ignore[arg-type]
    return pb.StreamLogsResponse(end=message)


def data_of(item: Item | None) -> tuple[int, bytes]:
    assert isinstance(item, LogChunk)
    return item.offset_bytes, item.data


def test_a_chunk_is_given_once_and_only_what_is_new_of_it() -> None:
    at = cursor()
    assert data_of(at.accept(chunk(0, b"abc"))) == (0, b"abc")
    assert at.accept(chunk(0, b"abc")) is None
    assert data_of(at.accept(chunk(1, b"bcde"))) == (3, b"de")
    assert at.positions == {OUT: 5}


def test_a_gap_is_an_error_that_names_it() -> None:
    at = cursor()
    at.accept(chunk(0, b"abc"))
    with pytest.raises(ApplicationError, match=r"Reading: the bytes 3 to 7 of stdout of container"):
        at.accept(chunk(7, b"x"))


def test_a_file_may_begin_anywhere_and_then_has_no_gap() -> None:
    """As with the last lines of a file only."""
    at = cursor()
    assert at.accept(begin(100)) is None
    assert data_of(at.accept(chunk(100, b"x"))) == (100, b"x")
    with pytest.raises(ApplicationError, match="the bytes 101 to 102"):
        at.accept(chunk(102, b"y"))


def test_a_file_that_was_cut_begins_again_and_only_its_first_chunk_says_so() -> None:
    at = cursor()
    at.accept(chunk(0, b"long ago"))
    at.accept(begin(0, is_cut=True))
    first, second = at.accept(chunk(0, b"new")), at.accept(chunk(3, b"er"))
    assert isinstance(first, LogChunk)
    assert isinstance(second, LogChunk)
    assert (first.follows_cut, second.follows_cut) == (True, False)
    assert at.positions == {OUT: 5}


def test_an_end_is_kept_and_given() -> None:
    at = cursor()
    given = at.accept(end(5))
    assert given == LogEnd("worker", 1, 2, CONTAINER, "stdout", 5, None)
    assert at.ends == {OUT: given}
    assert list(at.unfinished()) == [ERR]


@pytest.mark.parametrize("can_complete", [True, False])
def test_an_end_that_may_be_completed_is_kept_back(can_complete: bool) -> None:
    at = cursor(can_complete=can_complete)
    given = at.accept(end(5, "Its node did not answer."))
    assert (given is None) is can_complete
    assert not at.ends[OUT].is_complete
    assert list(at.unfinished()) == [OUT, ERR]


def test_the_next_request_goes_on_after_what_has_come() -> None:
    at = cursor()
    at.accept(chunk(0, b"abc"))
    at.accept(begin(40, file="stderr"))
    request = at.next_request()
    assert list(request.file_names) == ["stdout", "stderr"]
    assert request.follow
    assert {(p.container_id, p.file_name): p.offset_bytes for p in request.positions} == {
        OUT: 3,
        ERR: 40,
    }
    assert not at.request.positions  # what is wanted stays what it was


def test_progress_is_anything_that_was_not_known() -> None:
    at = cursor()
    before = at.progress()
    at.accept(chunk(0, b""))
    assert at.progress() == before
    at.accept(chunk(0, b"a"))
    assert (begun := at.progress()) != before
    at.accept(end(1))
    assert at.progress() != begun


def test_what_came_in_another_way_counts() -> None:
    at = cursor()
    at.note(LogChunk("worker", 1, 2, CONTAINER, "stdout", 0, b"abc"))
    at.note(LogEnd("worker", 1, 2, CONTAINER, "stderr", 9, None))
    assert at.positions == {OUT: 3, ERR: 9}
    assert list(at.ends) == [ERR]


def test_what_stays_unfinished_ends_with_both_reasons() -> None:
    at = cursor(can_complete=True)
    at.accept(chunk(0, b"abc"))
    at.accept(end(7, "Its node did not answer.", file="stderr"))
    out, err = at.leave_unfinished("This cluster keeps no logs.")
    assert (out.file, out.offset_bytes, out.incomplete_reason) == (
        "stdout",
        3,
        "Its Application Master was lost while it ran. Nor could it be completed afterwards: "
        "This cluster keeps no logs.",
    )
    assert (err.file, err.offset_bytes, err.incomplete_reason) == (
        "stderr",
        7,
        "Its node did not answer. Nor could it be completed afterwards: "
        "This cluster keeps no logs.",
    )
    assert at.ends == {OUT: out, ERR: err}


def removed(offset: int) -> pb.StreamLogsResponse:
    response = end(offset, "Its node has nothing of it.")
    response.end.may_be_collected = True
    return response


def test_a_file_that_may_be_collected_is_to_be_read_there_before_its_end_is_told() -> None:
    at = cursor()
    assert at.accept(removed(0)) is None
    assert at.positions == {}, "its last lines may be wanted"
    (found,) = at.take_removed().values()
    assert (found.offset_bytes, found.incomplete_reason) == (0, "Its node has nothing of it.")
    assert at.take_removed() == {}
    at.note(LogChunk("worker", 1, 2, CONTAINER, "stdout", 0, b"abc"))
    at.note(LogEnd("worker", 1, 2, CONTAINER, "stdout", 3, None))
    # As after a broken connection.
    assert at.accept(removed(3)) is None
    assert at.take_removed() == {}
    assert at.ends[OUT].is_complete


def test_of_a_file_that_may_be_collected_only_the_rest_is_wanted() -> None:
    at = cursor()
    at.accept(chunk(0, b"abc"))
    at.accept(removed(3))
    assert at.positions == {OUT: 3}
    assert list(at.take_removed()) == [OUT]


@pytest.mark.parametrize("can_complete", [False, True])
def test_what_could_not_be_read_there_is_told_unless_it_may_come_at_the_end(
    *, can_complete: bool
) -> None:
    at = cursor(can_complete=can_complete)
    at.accept(removed(0))
    (found,) = at.take_removed().values()
    assert at.give_up(found) is (None if can_complete else found)
    assert OUT in at.unfinished()


def test_an_item_newer_than_this_sdk_is_passed_over() -> None:
    at = cursor()
    assert at.accept(pb.StreamLogsResponse()) is None
    assert at.positions == {}
