"""Log streams: whole, in order, once, and never more in memory than is read."""

from __future__ import annotations

import contextlib
import random
import re
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knit import (
    AggregatedLogs,
    Application,
    ApplicationError,
    ApplicationSpec,
    ContainerNotFoundError,
    InvalidRequestError,
    KnitError,
    LogAggregationDisabledError,
    LogChunk,
    LogLine,
    Service,
    SpecError,
)
from knit._cluster.logs.node_file import Piece
from knit._cluster.logs.reading import ByteReader
from knit._handles import log_lines, log_stream
from knit._handles.log_lines import Lines
from knit._values.deadlines import pauses
from knit._wire.channel import LARGEST_MESSAGE_BYTES
from knit.testing import FakeApplicationMaster, Fault
from knit.testing._archive import FakeArchive
from knit.v1 import log_service_pb2

Files = dict[tuple[str, str], bytes]


@pytest.fixture(autouse=True, scope="module")
def _quick_retries() -> Iterator[None]:
    """What is waited for between tries is not what these tests are about."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_stream, "pauses", lambda *_: pauses(0.01, 0.1))
        yield


def joined(items: Iterable[LogChunk | LogLine]) -> Files:
    """The files, put together; fails where an offset is not the next one."""
    files: defaultdict[tuple[str, str], bytearray] = defaultdict(bytearray)
    for item in items:
        file = files[item.container_id, item.file]
        assert item.offset_bytes == len(file)
        file += item.data
    return {key: bytes(data) for key, data in files.items()}


def ids(fake: FakeApplicationMaster) -> list[str]:
    return [c.container_id for c in fake.containers() if c.container_id is not None]


def finish_all(fake: FakeApplicationMaster) -> None:
    for container_id in ids(fake):
        fake.finish(container_id)
    fake.end()


def test_lines_come_with_where_they_are_from(
    fake: FakeApplicationMaster, application: Application
) -> None:
    server = fake.containers()[0]
    assert server.container_id is not None
    fake.write(server.container_id, "é\r\nno newline".encode())
    fake.write(server.container_id, b"\xff\n", file="stderr")
    lines = sorted(application.logs(services=["server"]), key=lambda line: line.file)
    assert lines[1] == LogLine("server", 0, 1, server.container_id, "stdout", 0, "é\r\n".encode())
    assert [line.text for line in lines] == ["\ufffd", "é", "no newline"]
    assert [line.offset_bytes for line in lines] == [0, 0, 4]


def test_following_ends_with_the_application_and_includes_later_containers(
    fake: FakeApplicationMaster, application: Application
) -> None:
    def happen() -> None:
        first, *_ = ids(fake)
        for number in range(20):
            fake.write(first, b"line %d\n" % number)
            time.sleep(0.005)
        later = fake.add("worker")[0]
        fake.write(later.container_id, b"later\n")
        finish_all(fake)

    happening = threading.Thread(target=happen)
    happening.start()
    stream = application.logs(follow=True)
    texts = [line.text for line in stream]
    happening.join()
    assert texts == [f"line {number}" for number in range(20)] + ["later"]
    assert len(stream.ends) == 8
    assert all(end.is_complete for end in stream.ends.values())


def test_following_containers_ends_with_them(
    fake: FakeApplicationMaster, application: Application
) -> None:
    container = application.containers()[0]
    ending = threading.Timer(0.1, lambda: fake.finish(container.container_id))
    ending.start()
    fake.write(container.container_id, b"a\nb\nc\n")
    assert [line.text for line in container.logs(follow=True, tail_lines=2)] == ["b", "c"]
    ending.join()


def test_last_lines_are_not_looked_for_again_after_a_break(
    fake: FakeApplicationMaster, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written between the look and the first byte would be missed."""
    first = ids(fake)[0]
    fake.write(first, b"a\nb\n")
    container = application.containers()[0]
    fake.fail_next(Fault(status="UNAVAILABLE", after_bytes=0))
    with container.logs(files=["stdout"], tail_lines=1, follow=True) as stream:
        # What the stream does between the break and its next try.
        monkeypatch.setattr(stream._closed, "wait", lambda _: fake.write(first, b"c\nd\n"))
        lines = iter(stream)
        assert [next(lines).text for _ in range(3)] == ["b", "c", "d"]
    assert fake.calls.count("StreamLogs") == 2


def test_a_file_that_lost_its_end_says_so(
    fake: FakeApplicationMaster, application: Application
) -> None:
    first = ids(fake)[0]
    fake.write(first, b"some")
    fake.lose_logs(first, "Its node was lost.")
    stream = application.logs(containers=[first], files=["stdout"], follow=True)
    assert [line.data for line in stream] == [b"some"]
    end = stream.ends[first, "stdout"]
    assert (end.offset_bytes, end.incomplete_reason) == (4, "Its node was lost.")
    assert not end.is_complete


@settings(max_examples=30)
@given(
    contents=st.lists(st.binary(max_size=3000), min_size=1, max_size=4),
    cuts=st.lists(st.integers(1, 2000), max_size=5),
    chunk_bytes=st.sampled_from([7, 100, 64 * 1024]),
)
def test_no_byte_comes_twice_or_is_missing_wherever_the_stream_is_cut(
    contents: list[bytes], cuts: list[int], chunk_bytes: int
) -> None:
    spec = ApplicationSpec("a", {"worker": Service("true", instances=len(contents))})
    with FakeApplicationMaster(spec, chunk_bytes=chunk_bytes) as fake:
        wanted = {}
        for container_id, content in zip(ids(fake), contents, strict=True):
            fake.write(container_id, content)
            fake.finish(container_id)
            if content:
                wanted[container_id, "stdout"] = content
        fake.end()
        for cut in cuts:
            fake.fail_next(Fault(status="UNAVAILABLE", after_bytes=cut))
        stream = fake.application().logs(follow=True)
        assert joined(stream) == wanted
        assert {key: end.offset_bytes for key, end in stream.ends.items()} == {
            (container_id, file): len(wanted.get((container_id, file), b""))
            for container_id in ids(fake)
            for file in ("stdout", "stderr")
        }


class Relay:
    """Forwards connections, and cuts each after so many bytes from the server."""

    def __init__(self, target: str, cuts: list[int]) -> None:
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self._cuts = list(cuts)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts_made = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            left = self._cuts.pop(0) if self._cuts else None
            threading.Thread(target=self._pump, args=(client, server, None), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, left), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, left: int | None) -> None:
        try:
            while data := source.recv(4096):
                if left is not None and len(data) >= left:
                    target.sendall(data[:left])
                    self.cuts_made += 1
                    break
                left = left - len(data) if left is not None else None
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def test_connections_that_are_really_cut_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut below TLS, at any byte, some even before the first message."""
    chance = random.Random(7)
    spec = ApplicationSpec("a", {"worker": Service("true", instances=3)})
    with FakeApplicationMaster(spec, chunk_bytes=5000) as fake:
        wanted = {}
        for container_id in ids(fake):
            content = chance.randbytes(400_000)
            fake.write(container_id, content)
            wanted[container_id, "stdout"] = content
        finish_all(fake)
        assert fake.address is not None
        cuts = [chance.randrange(1000, 250_000) for _ in range(8)]
        relay = Relay(fake.address, [*cuts[:4], 100, *cuts[4:]])
        monkeypatch.setattr(fake, "_address", relay.address)
        files = joined(fake.application().logs(follow=True).chunks())
        relay.close()
    assert files == wanted
    assert relay.cuts_made >= 5


def test_an_application_master_that_comes_back_elsewhere_is_followed() -> None:
    with FakeApplicationMaster() as fake:
        first = ids(fake)[0]
        fake.write(first, b"before\n")
        lines = iter(fake.application().logs(follow=True))
        assert next(lines).text == "before"
        with fake.away():
            fake.write(first, b"meanwhile\n")
        finish_all(fake)
        assert [line.text for line in lines] == ["meanwhile"]


def test_a_stream_goes_on_in_the_archive_when_the_application_master_has_left(
    fake: FakeApplicationMaster, application: Application
) -> None:
    """No byte comes twice, and none is left out."""
    stream = application.logs(follow=True)
    chunks = stream.chunks()
    first, second = ids(fake)[:2]
    fake.write(first, b"first\n")
    begun = next(chunks)
    fake.write(first, b"second\n")
    fake.write(second, b"other\n")
    application.kill()
    files = joined([begun, *chunks])
    assert files == {(first, "stdout"): b"first\nsecond\n", (second, "stdout"): b"other\n"}
    assert stream.incomplete_reason is None
    assert {end.offset_bytes for end in stream.ends.values()} == {0, 6, 13}


def test_logs_and_their_sizes_can_be_read_when_the_application_master_has_left(
    fake: FakeApplicationMaster, application: Application
) -> None:
    first = ids(fake)[0]
    fake.write(first, b"1\n2\n3\n")
    application.kill()
    assert [line.text for line in application.logs(tail_lines=2)] == ["2", "3"]
    assert [(f.name, f.size_bytes) for f in application.log_files(first)] == [
        ("stderr", 0),
        ("stdout", 6),
    ]
    logs = application.aggregated_logs()
    assert logs.is_complete
    assert logs.containers[first].read("stdout") == b"1\n2\n3\n"
    test_what_makes_no_sense_is_refused(application)


def test_a_drivers_logs_are_those_of_its_own_files_beside_the_application_master(
    application: Application,
) -> None:
    master = application.master_container_id()
    assert master == application.describe().master_container_id
    for others in ({"services": ["web"]}, {"containers": [master]}):
        with pytest.raises(ValueError, match="driver is for itself"):
            application.logs(driver=True, **others)  # type: ignore[arg-type]
    application.kill()
    assert application.master_container_id() == master
    stream = application.logs(driver=True)
    assert list(stream) == []
    assert set(stream.ends) == {(master, "driver.stdout"), (master, "driver.stderr")}
    named = application.logs(driver=True, files=["driver.stdout"])
    assert list(named) == []
    assert set(named.ends) == {(master, "driver.stdout")}


@pytest.mark.parametrize("status", ["INTERNAL", "RESOURCE_EXHAUSTED", "UNKNOWN"])
def test_what_is_no_broken_connection_is_not_tried_again(
    fake: FakeApplicationMaster, application: Application, status: str
) -> None:
    fake.fail_next(Fault(status=status))
    with pytest.raises(KnitError):
        list(application.logs())
    assert fake.calls == ["StreamLogs"]


def test_what_makes_no_sense_is_refused(application: Application) -> None:
    with pytest.raises(ContainerNotFoundError):
        list(application.logs(services=["nobody"]))
    with pytest.raises(ContainerNotFoundError):
        list(application.logs(containers="container_1_0001_01_000009"))
    with pytest.raises(InvalidRequestError):
        list(application.logs(files=["../x"]))
    with pytest.raises(InvalidRequestError):
        list(application.logs(tail_lines=-1))
    with pytest.raises(SpecError, match="give a list"):
        application.logs(files="stdout")


def wait_for_no_stream(fake: FakeApplicationMaster) -> None:
    deadline = time.monotonic() + 30
    while fake.open_streams:
        assert time.monotonic() < deadline, "the fake still serves a stream"
        time.sleep(0.01)


def test_leaving_the_block_or_the_loop_ends_the_call(
    fake: FakeApplicationMaster, application: Application
) -> None:
    fake.write(ids(fake)[0], b"a\nb\n")
    with application.logs(follow=True) as stream:
        assert next(iter(stream)).text == "a"
        assert fake.open_streams == 1
    wait_for_no_stream(fake)
    for line in application.logs(follow=True):
        assert line.text == "a"
        break
    wait_for_no_stream(fake)


def test_another_thread_can_end_a_stream_that_waits(
    fake: FakeApplicationMaster, application: Application
) -> None:
    stream = application.logs(follow=True)
    closing = threading.Timer(0.2, stream.close)
    closing.start()
    assert list(stream) == []
    closing.join()
    wait_for_no_stream(fake)


def test_who_reads_slowly_is_sent_to_slowly(
    fake: FakeApplicationMaster, application: Application
) -> None:
    total = 64 * 1024 * 1024
    first = ids(fake)[0]
    fake.write(first, bytes(total))
    chunks = application.logs(containers=first, files=["stdout"]).chunks()
    read = len(next(chunks).data)
    previous = -1
    while previous != fake.sent_bytes:  # until the sender stands still
        previous = fake.sent_bytes
        time.sleep(0.3)
    assert fake.sent_bytes < total / 2
    read += sum(len(chunk.data) for chunk in chunks)
    assert read == total


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
