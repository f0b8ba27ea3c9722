"""What a stream of logs makes of what it is sent: gaps, cuts, what was lost, lines."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knit import (
    AggregatedLogs,
    Application,
    ApplicationError,
    LogAggregationDisabledError,
    LogChunk,
    LogLine,
)
from knit._cluster.logs.node_file import Piece
from knit._cluster.logs.reading import ByteReader
from knit._handles import log_lines, log_stream
from knit._handles.log_lines import Lines
from knit._wire.channel import LARGEST_MESSAGE_BYTES
from knit.testing import FakeApplicationMaster, Fault
from knit.testing._archive import FakeArchive
from knit.v1 import log_service_pb2
from tests.handles.logs.reading import ids, joined, wait_for_no_stream


def said(container_id: str, offset: int, data: bytes) -> log_service_pb2.StreamLogsResponse:
    """What an Application Master sends of stdout."""
    response = log_service_pb2.StreamLogsResponse()
    chunk = response.chunk
    chunk.container_id, chunk.file_name, chunk.service_name = container_id, "stdout", "w"
    chunk.offset_bytes, chunk.data = offset, data
    return response


class Canned:
    """A call whose answers are known."""

    def __init__(self, *responses: log_service_pb2.StreamLogsResponse) -> None:
        self._responses = iter(responses)

    def __iter__(self) -> Iterator[log_service_pb2.StreamLogsResponse]:
        return self._responses

    def __next__(self) -> log_service_pb2.StreamLogsResponse:
        return next(self._responses)

    def cancel(self) -> None:
        pass


def stream_of(*responses: log_service_pb2.StreamLogsResponse) -> log_stream.LogStream:
    request = log_service_pb2.StreamLogsRequest()
    return log_stream.LogStream(lambda *_, **__: Canned(*responses), request, what="Reading")


def test_a_gap_is_noticed() -> None:
    stream = stream_of(said("c", 0, b"abc"), said("c", 5, b"fgh"))
    with pytest.raises(ApplicationError, match="the bytes 3 to 5 of stdout of c were left out"):
        list(stream.chunks())


def test_what_was_sent_before_is_left_out() -> None:
    stream = stream_of(said("c", 0, b"abc"), said("c", 1, b"bcde"), said("c", 2, b"cd"))
    assert [(chunk.offset_bytes, chunk.data) for chunk in stream.chunks()] == [
        (0, b"abc"),
        (3, b"de"),
    ]


def test_a_file_that_is_cut_begins_again_and_says_so(
    fake: FakeApplicationMaster, application: Application
) -> None:
    first = ids(fake)[0]
    fake.write(first, b"old 1\nold 2 is long")
    lines = application.logs(containers=first, follow=True).lines(partial_after=timedelta())
    before = [next(lines), next(lines)]
    fake.cut(first)
    fake.write(first, b"new\nnewer\n")
    fake.finish(first)
    after = list(lines)
    assert [line.data for line in before] == [b"old 1\n", b"old 2 is long"]
    assert [(line.offset_bytes, line.data, line.follows_cut) for line in after] == [
        (0, b"new\n", True),
        (4, b"newer\n", False),
    ]


def test_a_cut_voids_the_position_that_a_stream_resumes_at(
    fake: FakeApplicationMaster, application: Application
) -> None:
    first = ids(fake)[0]
    fake.write(first, b"0123456789")
    chunks = application.logs(containers=first, files=["stdout"], follow=True).chunks()
    assert next(chunks).data == b"0123456789"
    fake.cut(first)
    fake.write(first, b"abcdef")
    cut = next(chunks)
    fake.restart()
    fake.write(first, b"ghi")
    fake.finish(first)
    assert (cut.data, cut.follows_cut) == (b"abcdef", True)
    assert [(chunk.offset_bytes, chunk.data) for chunk in chunks] == [(6, b"ghi")]


def test_what_was_lost_with_an_application_master_is_completed_at_the_end(
    fake: FakeApplicationMaster, application: Application
) -> None:
    first, second = ids(fake)[:2]
    fake.write(first, b"one\n")
    stream = application.logs(follow=True, files=["stdout"])
    lines = iter(stream)
    assert next(lines).text == "one"
    fake.write(first, b"read by nobody\n")
    fake.write(second, b"seen by nobody\n")
    fake.begin_anew()
    third = ids(fake)[0]
    fake.write(third, b"attempt 2\n")
    fake.end()
    rest = [line.text for line in lines]
    assert sorted(rest) == ["attempt 2", "read by nobody", "seen by nobody"]
    assert stream.incomplete_reason is None
    assert {key[0] for key in stream.ends} >= {first, second, third}


def test_what_a_node_did_not_give_is_completed_at_the_end(
    fake: FakeApplicationMaster, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ids(fake)[0]
    fake.write(first, b"begun, ")
    stream = application.logs(follow=True, services=["server"], files=["stdout"])
    chunks = stream.chunks()
    assert next(chunks).data == b"begun, "
    fake.lose_logs(first, "Its node did not answer.")
    fake.end()
    monkeypatch.setattr(
        FakeArchive,
        "pieces",
        lambda *_: iter([Piece(first, "stdout", 17, ByteReader.over(b"begun, and done.\n"))]),
    )
    assert b"".join(chunk.data for chunk in chunks) == b"and done.\n"
    assert stream.ends[first, "stdout"].is_complete
    assert stream.incomplete_reason is None


def test_what_cannot_be_completed_says_why(
    fake: FakeApplicationMaster, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disabled(_: object) -> AggregatedLogs:
        raise LogAggregationDisabledError("This cluster keeps no logs.")

    monkeypatch.setattr(FakeArchive, "look", disabled)
    first = ids(fake)[0]
    fake.write(first, b"begun")
    fake.lose_logs(first, "Its node did not answer.")
    fake.end()
    stream = application.logs(follow=True)
    assert [line.data for line in stream] == [b"begun"]
    assert stream.ends[first, "stdout"].incomplete_reason == (
        "Its node did not answer. Nor could it be completed afterwards: This cluster keeps no logs."
    )
    assert stream.ends[first, "stdout"].offset_bytes == 5


def test_a_request_with_too_many_positions_leaves_out_the_least() -> None:
    """Of what is then sent again, nothing is given twice."""
    stream = stream_of()
    name = "f" * 200
    for number in range(100_000):
        stream._cursor.positions[f"container_1700000000000_0001_01_{number:06}", name] = number
    request = stream._cursor.next_request()
    assert request.ByteSize() <= LARGEST_MESSAGE_BYTES
    offsets = [position.offset_bytes for position in request.positions]
    assert len(offsets) > 50_000
    assert offsets == list(range(99_999, 99_999 - len(offsets), -1))


def test_a_line_that_is_not_finished_is_given_in_parts(
    fake: FakeApplicationMaster, application: Application
) -> None:
    """As a progress bar draws it, for hours and without a newline."""
    first = ids(fake)[0]
    lines = application.logs(containers=first, follow=True).lines(
        partial_after=timedelta(seconds=0.1)
    )
    got: list[LogLine] = []
    for drawn in (b"\r 8%", b"\r16%"):
        fake.write(first, drawn)
        while b"".join(line.data for line in got) != fake._state.logs.whole(first, "stdout"):
            got.append(next(lines))
    assert all(line.is_partial for line in got)
    fake.write(first, b"\rdone\nlast")
    fake.finish(first)
    rest = list(lines)
    assert joined([*got, *rest]) == {(first, "stdout"): b"\r 8%\r16%\rdone\nlast"}
    assert rest[0].data.endswith(b"done\n")
    assert (rest[-1].data, rest[-1].is_partial) == (b"last", False)


def test_lines_are_whole_unless_parts_are_asked_for(
    fake: FakeApplicationMaster, application: Application
) -> None:
    first = ids(fake)[0]
    fake.write(first, b"be")

    def finish() -> None:
        fake.write(first, b"gun\n")
        fake.finish(first)

    writing = threading.Timer(0.3, finish)
    writing.start()
    lines = application.logs(containers=first, follow=True)
    assert [line.data for line in lines] == [b"begun\n"]
    writing.join()


def test_reading_in_parts_hands_on_what_goes_wrong_and_ends_the_call(
    fake: FakeApplicationMaster, application: Application
) -> None:
    fake.fail_next(Fault(status="INTERNAL"))
    with pytest.raises(ApplicationError, match="told to fail"):
        list(application.logs().lines(partial_after=timedelta(seconds=1)))
    fake.write(ids(fake)[0], b"a\nb\n")
    for line in application.logs(follow=True).lines(partial_after=timedelta(seconds=1)):
        assert line.text == "a"
        break
    wait_for_no_stream(fake)


def test_a_line_longer_than_a_mebibyte_comes_in_parts_that_say_so() -> None:
    lines = Lines()
    data = b"x" * (log_lines.LONGEST_LINE_BYTES + 1) + b"\n"
    found = list(lines.feed(LogChunk("w", 0, 1, "c", "stdout", 0, data)))
    assert [(len(line.data), line.is_partial) for line in found] == [
        (log_lines.LONGEST_LINE_BYTES, True),
        (2, False),
    ]


@given(st.lists(st.binary(max_size=50), max_size=20), st.integers(1, 20))
def test_lines_are_the_files_own_however_they_are_cut(parts: list[bytes], longest: int) -> None:
    whole = b"".join(parts)
    lines = Lines()
    found: list[LogLine] = []
    offset = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_lines, "LONGEST_LINE_BYTES", longest)
        for part in filter(None, parts):
            found += lines.feed(LogChunk("w", 0, 1, "c", "stdout", offset, part))
            offset += len(part)
        found += lines.rest()
    assert joined(found) == ({("c", "stdout"): whole} if whole else {})
    assert all(len(line.data) <= longest for line in found)
    assert all(b"\n" not in line.data[:-1] for line in found)
    if longest > len(whole):
        assert [line.data for line in found] == [
            part for part in re.split(rb"(?<=\n)", whole) if part
        ]
