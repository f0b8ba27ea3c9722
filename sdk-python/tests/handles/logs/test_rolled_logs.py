"""Streams of files that nodes collect, and remove, while their program runs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from knit import AggregatedLogs, Application, ClusterUnreachableError, LogChunk, LogFormatError
from knit._wire.rolled_files import Measure, RolledFiles
from knit.testing import FakeApplicationMaster, Fault
from knit.testing._archive import FakeArchive
from knit.v1 import log_service_pb2 as pb
from tests.handles.logs.reading import finish_all, ids, joined

NAME = "app.log.rolled"


@pytest.fixture
def first(fake: FakeApplicationMaster) -> str:
    return ids(fake)[0]


Roll = Callable[..., None]


@pytest.fixture
def roll(fake: FakeApplicationMaster, first: str) -> Roll:
    """Rotates a file, and has the node collect it, and perhaps not remove it yet."""

    def rolled(data: bytes, *, is_kept: bool = False, name: str = NAME) -> None:
        with fake._state.changed:
            fake.write(first, data, file=name)
            fake.collect_logs(first, file=name)
            if is_kept:
                cuts = fake._state.logs._cuts.pop((first, name), 0)
                fake.write(first, data, file=name)
                fake._state.logs._cuts[first, name] = cuts

    return rolled


def text(stream: object, first: str) -> bytes:
    return joined(stream).get((first, NAME), b"")  # type: ignore[arg-type]


@pytest.mark.parametrize("is_kept", [False, True])
def test_a_file_that_is_collected_of_a_program_that_runs_is_read_once(
    fake: FakeApplicationMaster, application: Application, first: str, roll: Roll, *, is_kept: bool
) -> None:
    roll(b"one\ntwo\n", is_kept=is_kept)
    fake.write(first, b"live\n")
    stream = application.logs(files=["stdout", NAME])
    lines = list(stream)
    assert joined(lines) == {(first, "stdout"): b"live\n", (first, NAME): b"one\ntwo\n"}
    told = {c.container_id: (c.service, c.rank) for c in fake.containers()}
    assert {(line.service, line.rank) for line in lines} == {told[first]}
    assert stream.incomplete_reason is None
    assert stream.ends[first, NAME].offset_bytes == 8


@pytest.mark.parametrize("others", [b"three\n", b"", b"two\nt", b"two\ntwo\ntwo\n", b"two\n2"])
def test_a_name_that_is_given_again_stands_for_one_file_after_the_other(
    fake: FakeApplicationMaster, application: Application, first: str, roll: Roll, others: bytes
) -> None:
    """What its node has may begin as the one before, and be longer or shorter, or as long."""
    roll(b"one\n")
    roll(b"two\ntwo\n")
    if others:
        fake.write(first, others, file=NAME)
    stream = application.logs(files=[NAME])
    assert text(stream.chunks(), first) == b"one\ntwo\ntwo\n" + others
    assert stream.incomplete_reason is None


def test_one_that_follows_reads_what_was_collected_what_is_there_and_what_comes(
    fake: FakeApplicationMaster, application: Application, first: str, roll: Roll
) -> None:
    roll(b"one\n")
    chunks = application.logs(follow=True, files=[NAME]).chunks()
    got = [next(chunks)]
    fake.write(first, b"two\n", file=NAME)
    got.append(next(chunks))
    fake.collect_logs(first, file=NAME)
    fake.write(first, b"longer than that\n", file=NAME)
    got.append(next(chunks))
    assert [chunk.data for chunk in got] == [b"one\n", b"two\n", b"longer than that\n"]
    assert not any(chunk.follows_cut for chunk in got)
    fake.collect_logs(first, file=NAME)
    roll(b"not seen in time\n")
    finish_all(fake)
    got += chunks
    assert b"".join(chunk.data for chunk in got) == (
        b"one\ntwo\nlonger than that\nnot seen in time\n"
    )
    assert joined(got)


def test_what_is_collected_while_nobody_listens_is_read_when_the_stream_goes_on(
    fake: FakeApplicationMaster, application: Application, first: str, roll: Roll
) -> None:
    fake.write(first, b"half", file=NAME)
    stream = application.logs(follow=True, files=[NAME])
    chunks = stream.chunks()
    got: list[LogChunk] = [next(chunks)]
    with fake._state.changed:
        fake.write(first, b" and half\n", file=NAME)
        fake.collect_logs(first, file=NAME)
        roll(b"another\n")
        fake._state.interrupt()
    got += [next(chunks), next(chunks)]
    assert [chunk.data for chunk in got] == [b"half", b" and half\n", b"another\n"]
    fake.write(first, b"last\n", file=NAME)
    got.append(next(chunks))
    finish_all(fake)
    got += chunks
    assert joined(got) == {(first, NAME): b"half and half\nanother\nlast\n"}
    assert stream.incomplete_reason is None


@pytest.mark.parametrize("is_another", [False, True])
def test_what_goes_while_it_comes_again_is_looked_up(
    fake: FakeApplicationMaster,
    application: Application,
    first: str,
    roll: Roll,
    *,
    is_another: bool,
) -> None:
    """A node's file that begins as the one that was collected is that one, or the next."""
    roll(b"one and more\n")
    fake.write(first, b"one", file=NAME)
    fake.write(first, b"0\n")
    chunks = application.logs(follow=True, files=[NAME, "stdout"]).chunks()
    got: list[LogChunk] = [next(chunks), next(chunks)]
    fake.write(first, b"1\n")
    got.append(next(chunks))  # so all that was there before has come
    with fake._state.changed:
        if is_another:
            fake.collect_logs(first, file=NAME)
        else:
            fake._state.logs.cut(first, NAME)
        fake.write(first, b"two\n", file=NAME)
    between = b"one" if is_another else b""
    while not text(iter(got), first).endswith(b"two\n"):
        got.append(next(chunks))
    finish_all(fake)
    got += chunks
    assert text(iter(got), first) == b"one and more\n" + between + b"two\n"


def test_a_node_that_is_lost_while_a_file_comes_again_gives_nothing_twice() -> None:
    key, data = ("container_1", NAME), b"one and more\n"
    measure = Measure()
    measure.add(data)
    rolled = RolledFiles({key: len(data)})
    rolled.file(key).collected(len(data), measure)
    rolled.presume(key, lambda: iter([data]))
    place: dict[str, Any] = {"container_id": key[0], "file_name": NAME}
    chunk = pb.LogChunk(**place, data=b"one")
    end = pb.LogEnd(**place, offset_bytes=3, incomplete_reason="The node was lost.")
    responses = pb.StreamLogsResponse(chunk=chunk), pb.StreamLogsResponse(end=end)
    told = [each for response in responses for each in rolled.from_node(response)]
    assert [each.end.offset_bytes for each in told] == [len(data)]


def test_when_the_application_master_leaves_the_rest_comes_from_what_is_collected(
    fake: FakeApplicationMaster, application: Application, first: str, roll: Roll
) -> None:
    """Some of what was read was moved before it was collected: names then stand for fewer files."""
    fake.write(first, b"moved on before it was collected\n", file=NAME)
    chunks = application.logs(follow=True, files=[NAME]).chunks()
    got = [next(chunks)]
    with fake._state.changed:
        fake._state.logs.cut(first, NAME)  # another one has its place
        fake.write(first, b"two\n", file=NAME)
    got.append(next(chunks))
    with fake._state.changed:
        fake.collect_logs(first, file=NAME)
        roll(b"three\n")
    application.kill()
    fake.stop()
    got += chunks
    assert joined(got) == {
        (first, NAME): b"moved on before it was collected\ntwo\nthree\n",
    }


@pytest.mark.parametrize(
    ("on_node", "expected"), [(None, [b"b\n", b"c\n"]), (b"d\ne\nf\n", [b"e\n", b"f\n"])]
)
@pytest.mark.parametrize("follow", [False, True])
def test_the_last_lines_are_those_of_what_the_node_has_or_else_of_the_rest(
    fake: FakeApplicationMaster,
    application: Application,
    first: str,
    roll: Roll,
    on_node: bytes | None,
    expected: list[bytes],
    *,
    follow: bool,
) -> None:
    roll(b"a\nb\nc\n")
    if on_node is not None:
        fake.write(first, on_node, file=NAME)
    stream = application.logs(files=[NAME], tail_lines=2, follow=follow)
    lines = iter(stream)
    got = [next(lines).data, next(lines).data]
    if follow:
        fake._state.interrupt()
        finish_all(fake)
    got += [line.data for line in lines]
    assert got == expected
    assert stream.incomplete_reason is None


def test_a_connection_that_breaks_gives_nothing_twice(
    fake: FakeApplicationMaster, application: Application, first: str, roll: Roll
) -> None:
    roll(b"one\n")
    roll(b"two\ntwo\n", is_kept=True)
    for _ in range(3):
        fake.fail_next(Fault(call="StreamLogs", status="UNAVAILABLE", after_bytes=3))
    stream = application.logs(files=[NAME], follow=True)
    chunks = stream.chunks()
    got = [next(chunks), next(chunks)]
    with fake._state.changed:
        fake._state.logs.cut(first, NAME)
        fake.write(first, b"two\nthree\n", file=NAME)
        finish_all(fake)
    got += chunks
    assert joined(got) == {(first, NAME): b"one\ntwo\ntwo\ntwo\nthree\n"}


def test_where_what_is_collected_cannot_be_read_that_is_said_and_the_rest_goes_on(
    fake: FakeApplicationMaster,
    application: Application,
    first: str,
    roll: Roll,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    roll(b"one\n")
    fake.write(first, b"two\n", file=NAME)

    def down(_: object) -> AggregatedLogs:
        raise ClusterUnreachableError("no connection")

    monkeypatch.setattr(FakeArchive, "look", down)
    with caplog.at_level(logging.WARNING, "knit"):
        stream = application.logs(files=[NAME])
        assert text(stream.chunks(), first) == b"two\n"
    assert "no connection" in (stream.incomplete_reason or "")
    assert "could not be read: no connection" in caplog.text


def test_other_files_are_not_looked_for_among_what_is_collected(
    fake: FakeApplicationMaster,
    application: Application,
    first: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A look asks the ResourceManager, and lists directories."""
    monkeypatch.setattr(FakeArchive, "look", lambda _: pytest.fail("it was looked for"))
    fake.write(first, b"1\n", file="app.log")
    assert list(application.logs(files=["stdout", "app.log", "app.rolled.gz"]))


def test_those_of_a_driver_are_told_by_the_application_masters_container(
    fake: FakeApplicationMaster, application: Application, first: str
) -> None:
    """The Application Master lists it not among the others."""
    master = application.master_container_id()
    listing = application.logs(driver=True, files=[NAME])._listing
    assert listing is not None
    assert listing.identify() == {master: ("", 0, 1)}
    both = application.logs(containers=[first, master, "container_1_0001_01_000099"])._listing
    assert both is not None
    assert set(both.identify()) == {first, master}


def test_what_is_collected_and_damaged_is_looked_for_again_at_the_end(
    fake: FakeApplicationMaster,
    application: Application,
    first: str,
    roll: Roll,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    roll(b"one\n")
    fake.write(first, b"two\n", file=NAME)
    damaged = LogFormatError("damaged", path="/logs/x")
    whole = FakeArchive.look
    monkeypatch.setattr(
        FakeArchive, "look", lambda self: attrs.evolve(whole(self), problems=(damaged,))
    )
    stream = application.logs(files=[NAME])
    assert text(stream.chunks(), first) == b"one\ntwo\n"
    other = application.logs(files=[NAME], containers=[ids(fake)[1]])
    assert list(other) == []
    assert "damaged" in (other.incomplete_reason or "")
