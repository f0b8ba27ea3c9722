"""Streams where nodes collect, and remove, what containers that have ended wrote."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from knit import (
    AggregatedLogs,
    Application,
    ApplicationSpec,
    ClusterUnreachableError,
    ContainerNotFoundError,
    LogAggregationDisabledError,
    Service,
)
from knit._cluster.logs.places import guess
from knit.testing import FakeApplicationMaster, Fault
from knit.testing._archive import FakeArchive
from tests.handles.archived import Part, container
from tests.handles.logs.reading import ids, joined

TEXT = b"one\ntwo\nthree\n"


@pytest.fixture
def first(fake: FakeApplicationMaster) -> str:
    """A container that has written, has ended, and of which its node has nothing."""
    container_id = ids(fake)[0]
    fake.write(container_id, TEXT)
    fake.write(container_id, b"oh\n", file="stderr")
    fake.finish(container_id)
    fake.collect_logs(container_id)
    return container_id


@pytest.fixture
def second(fake: FakeApplicationMaster, first: str) -> str:
    """One that runs, and has written."""
    container_id = next(each for each in ids(fake) if each != first)
    fake.write(container_id, b"live\n")
    return container_id


Look = Callable[[FakeArchive], AggregatedLogs]
ChangeLook = Callable[[Callable[[Look, FakeArchive], AggregatedLogs]], "list[int]"]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> ChangeLook:
    """Changes what is seen of what is collected; returns a list that has one item for each look."""

    def change(changed: Callable[[Look, FakeArchive], AggregatedLogs]) -> list[int]:
        whole, looks = FakeArchive.look, list[int]()

        def seen(archive: FakeArchive) -> AggregatedLogs:
            looks.append(1)
            return changed(whole, archive)

        monkeypatch.setattr(FakeArchive, "look", seen)
        return looks

    return change


def test_without_follow_they_are_read_beside_what_is_live(
    application: Application, first: str, second: str, look: ChangeLook
) -> None:
    looks = look(lambda whole, archive: whole(archive))
    stream = application.logs()
    assert joined(stream) == {
        (first, "stdout"): TEXT,
        (first, "stderr"): b"oh\n",
        (second, "stdout"): b"live\n",
    }
    assert stream.incomplete_reason is None
    assert stream.ends[first, "stdout"].offset_bytes == len(TEXT)
    assert stream.is_live
    assert len(looks) == 1


def test_one_that_follows_has_them_before_the_end_and_goes_on_being_live(
    fake: FakeApplicationMaster, application: Application, first: str, second: str
) -> None:
    stream = application.logs(follow=True, files=["stdout"])
    lines = iter(stream)
    assert sorted(next(lines).text for _ in range(4)) == ["live", "one", "three", "two"]
    fake.write(second, b"later\n")
    assert next(lines).text == "later"
    fake.end()
    assert list(lines) == []
    assert stream.ends[first, "stdout"].is_complete
    assert stream.incomplete_reason is None


def test_however_many_have_ended_one_look_does_for_all(look: ChangeLook) -> None:
    looks = look(lambda whole, archive: whole(archive))
    spec = ApplicationSpec("many", {"worker": Service("work", instances=40)})
    with FakeApplicationMaster(spec) as many:
        for container_id in ids(many):
            many.write(container_id, TEXT)
            many.write(container_id, b"oh\n", file="stderr")
            many.finish(container_id)
            many.collect_logs(container_id)
        stream = many.application().logs(containers=ids(many), follow=True)
        assert joined(stream) == {
            (container_id, file): text
            for container_id in ids(many)
            for file, text in (("stdout", TEXT), ("stderr", b"oh\n"))
        }
    assert len(stream.ends) == 80
    assert len(looks) == 1


def test_one_that_ends_later_is_looked_for_anew(
    fake: FakeApplicationMaster, application: Application, first: str, second: str, look: ChangeLook
) -> None:
    collected = [first]

    def so_far(whole: Look, archive: FakeArchive) -> AggregatedLogs:
        logs = whole(archive)
        return attrs.evolve(logs, containers={key: logs.containers[key] for key in collected})

    looks = look(so_far)
    stream = application.logs(containers=[first, second], follow=True, files=["stdout"])
    lines = iter(stream)
    assert sorted(next(lines).text for _ in range(4)) == ["live", "one", "three", "two"]
    collected.append(second)
    with fake._state.changed:
        fake.collect_logs(second)
        fake.write(second, b"last\n")
        fake.finish(second)
    assert [line.text for line in lines] == ["last"]
    assert len(looks) == 2


def test_a_stream_of_one_container_that_follows_has_them(
    application: Application, first: str
) -> None:
    stream = application.logs(containers=[first], follow=True)
    assert joined(stream) == {(first, "stdout"): TEXT, (first, "stderr"): b"oh\n"}
    assert stream.incomplete_reason is None


@pytest.mark.parametrize("follow", [False, True])
def test_the_last_lines_are_those_of_what_is_collected(
    application: Application, first: str, *, follow: bool
) -> None:
    stream = application.logs(containers=[first], files=["stdout"], tail_lines=2, follow=follow)
    assert [line.text for line in stream] == ["two", "three"]


def test_what_was_read_live_does_not_come_again(
    fake: FakeApplicationMaster, application: Application
) -> None:
    container_id = ids(fake)[0]
    fake.write(container_id, b"one\n")
    chunks = application.logs(containers=[container_id], files=["stdout"], follow=True).chunks()
    assert next(chunks).data == b"one\n"
    with fake._state.changed:  # nobody reads in between
        fake.collect_logs(container_id)
        fake.write(container_id, b"two\n")
        fake.finish(container_id)
    assert [(chunk.offset_bytes, chunk.data) for chunk in chunks] == [(4, b"two\n")]


def test_a_connection_that_breaks_gives_nothing_twice(
    fake: FakeApplicationMaster, application: Application, first: str, second: str
) -> None:
    for _ in range(3):
        fake.fail_next(Fault(status="UNAVAILABLE", after_bytes=2))
    stream = application.logs(follow=True, files=["stdout"])
    lines = iter(stream)
    got = [next(lines).data for _ in range(4)]
    fake.end()
    got += [line.data for line in lines]
    assert sorted(got) == sorted([*TEXT.splitlines(keepends=True), b"live\n"])
    assert stream.incomplete_reason is None


@pytest.mark.usefixtures("second")
def test_a_container_that_ended_before_it_wrote_has_written_nothing(
    application: Application, first: str, look: ChangeLook
) -> None:
    look(lambda whole, archive: attrs.evolve(whole(archive), containers={}))
    stream = application.logs(containers=[first])
    assert list(stream) == []
    assert {key: (end.offset_bytes, end.is_complete) for key, end in stream.ends.items()} == {
        (first, "stdout"): (0, True),
        (first, "stderr"): (0, True),
    }


def test_what_is_collected_and_cannot_be_read_is_not_kept_from_the_reader(
    application: Application, first: str, second: str, look: ChangeLook
) -> None:
    def fails(*_: object) -> AggregatedLogs:
        raise LogAggregationDisabledError("This cluster keeps no logs.")

    look(fails)
    stream = application.logs()
    assert joined(stream) == {(second, "stdout"): b"live\n"}
    assert stream.ends[first, "stdout"].incomplete_reason == (
        "Its node has nothing of it: YARN has collected it. What is collected could not be read: "
        "This cluster keeps no logs."
    )
    assert stream.incomplete_reason is not None


def test_one_that_follows_looks_again_at_the_end(
    fake: FakeApplicationMaster, application: Application, first: str, second: str, look: ChangeLook
) -> None:
    def down(whole: Look, archive: FakeArchive) -> AggregatedLogs:
        if fake._state.outcome() is None:
            raise ClusterUnreachableError("no connection")
        return whole(archive)

    looks = look(down)
    stream = application.logs(follow=True, files=["stdout"])
    lines = iter(stream)
    assert next(lines).text == "live"
    fake.write(second, b"later\n")
    assert next(lines).text == "later"
    assert looks
    fake.end()
    assert [line.text for line in lines] == ["one", "two", "three"]
    assert stream.incomplete_reason is None


@pytest.fixture
def forgotten(look: ChangeLook) -> str:
    """A container that the Application Master knows no more, and of which logs are collected."""
    old = "container_1700000000000_0001_01_000077"
    part = Part(("stdout", TEXT), ("stderr", b"oh\n"))
    place = guess(old)
    there = container(old, part, place=(place.service, place.rank, place.attempt_number))

    def with_it(whole: Look, archive: FakeArchive) -> AggregatedLogs:
        logs = whole(archive)
        return attrs.evolve(logs, containers={**logs.containers, old: there})

    look(with_it)
    return old


@pytest.mark.parametrize("follow", [False, True])
def test_what_the_application_master_has_forgotten_is_read_from_what_is_collected(
    fake: FakeApplicationMaster, application: Application, forgotten: str, *, follow: bool
) -> None:
    """It remembers few attempts of a rank, which may be started anew for months."""
    running = ids(fake)[0]
    fake.write(running, b"live\n")
    alone = application.logs(containers=[forgotten], follow=follow)
    assert joined(alone) == {(forgotten, "stdout"): TEXT, (forgotten, "stderr"): b"oh\n"}
    assert alone.incomplete_reason is None
    both = application.logs(containers=[forgotten, running], files=["stdout"], follow=follow)
    lines = iter(both)
    got = [next(lines) for _ in range(4)]
    fake.finish(running)
    got += lines
    assert joined(got) == {(forgotten, "stdout"): TEXT, (running, "stdout"): b"live\n"}
    assert both.incomplete_reason is None
    files = application.log_files(forgotten)
    assert ([file.name for file in files], files.incomplete_reason) == (["stderr", "stdout"], None)


@pytest.mark.usefixtures("forgotten")
def test_a_container_that_never_was_is_an_error_still(application: Application) -> None:
    never = "container_1700000000000_0001_01_000088"
    with pytest.raises(ContainerNotFoundError):
        list(application.logs(containers=[never]))
    with pytest.raises(ContainerNotFoundError):
        application.log_files(never)
