"""Which log files a container has, wherever they lie."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from knit import (
    AccessDeniedError,
    AggregatedLogs,
    Application,
    ConnectionLostError,
    ContainerNotFoundError,
    LogFile,
    LogFiles,
    LogFormatError,
    LogsNeedKerberosError,
)
from knit._cluster.logs.node_file import Piece
from knit._handles import log_files
from knit.testing import FakeApplicationMaster, Fault
from knit.testing._archive import FakeArchive
from knit.testing._state import FakeState
from tests.handles.archived import MASTER, ONE, TWO, Part, container, logs
from tests.handles.logs.reading import ids


@pytest.fixture
def denied(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is collected belongs to somebody else."""

    def look(_: object) -> AggregatedLogs:
        raise AccessDeniedError("They belong to bob.")

    monkeypatch.setattr(FakeArchive, "look", look)


def sizes(files: list[LogFile]) -> dict[str, int]:
    return {file.name: file.size_bytes for file in files}


def test_those_of_a_container_whose_node_has_removed_them_are_those_that_are_collected(
    fake: FakeApplicationMaster, application: Application
) -> None:
    first = ids(fake)[0]
    fake.write(first, b"12345")
    fake.write(first, b"1", file="gc.log")
    before = application.log_files(first)
    fake.finish(first)
    fake.collect_logs(first)
    assert application.log_files(first) == before
    assert sizes(before) == {"gc.log": 1, "stderr": 0, "stdout": 5}
    assert application.log_files(first).incomplete_reason is None
    application.kill()
    after = application.log_files(first)
    assert (after, after.incomplete_reason) == (before, None)


def test_each_file_is_there_once_with_all_that_a_stream_reads_of_it(
    fake: FakeApplicationMaster, application: Application
) -> None:
    first = ids(fake)[0]
    for data in (b"1\n", b"22\n"):
        fake.write(first, data, file="app.1.rolled")
        fake.collect_logs(first, file="app.1.rolled")
    fake.write(first, b"once\n", file="app.x.rolled")
    fake.collect_logs(first, file="app.x.rolled")
    fake.write(first, b"333\n", file="app.1.rolled")
    fake.write(first, b"out\n")
    files = application.log_files(first)
    assert sizes(files) == {"app.1.rolled": 9, "app.x.rolled": 5, "stderr": 0, "stdout": 4}
    assert files.incomplete_reason is None


@pytest.mark.usefixtures("denied")
def test_what_is_live_is_listed_where_what_is_collected_cannot_be_read(
    fake: FakeApplicationMaster, application: Application
) -> None:
    first = ids(fake)[0]
    fake.write(first, b"1")
    files = application.log_files(first)
    assert sizes(files) == {"stderr": 0, "stdout": 1}
    assert files.incomplete_reason == (
        "What YARN has collected could not be read: They belong to bob."
    )
    fake.fail_next(Fault(call="ListLogFiles", status="UNAVAILABLE"))
    with pytest.raises(ConnectionLostError):  # the node is what stands in the way first
        application.log_files(first)


def test_where_a_node_does_not_answer_what_is_collected_is_listed_and_the_rest_named(
    fake: FakeApplicationMaster, application: Application
) -> None:
    first, second = ids(fake)[:2]
    fake.write(first, b"1", file="a.rolled")
    fake.collect_logs(first, file="a.rolled")
    fake.fail_next(Fault(call="ListLogFiles", status="UNAVAILABLE", count=2))
    files = application.log_files(first)
    assert sizes(files) == {"a.rolled": 1}
    assert files.incomplete_reason is not None
    with pytest.raises(ConnectionLostError):
        application.log_files(second)


def test_where_nodes_want_kerberos_those_that_are_collected_are_listed(
    fake: FakeApplicationMaster, application: Application
) -> None:
    first, second = ids(fake)[:2]
    fake.write(first, b"12345")
    fake.finish(first)
    fake.collect_logs(first)
    fake.fail_next(
        Fault(
            call="ListLogFiles", status="FAILED_PRECONDITION", reason="LOGS_NEED_KERBEROS", count=2
        )
    )
    files = application.log_files(first)
    assert sizes(files) == {"stderr": 0, "stdout": 5}
    assert files.incomplete_reason is not None
    with pytest.raises(LogsNeedKerberosError):
        application.log_files(second)


def test_after_the_end_it_is_said_whether_more_may_be_collected() -> None:
    still = "still being collected"
    looked = logs(
        container(ONE, Part(("stdout", b"one")), Part(("stdout", b"two"), rolling=True)),
        container(MASTER, Part(("stderr", b"e"))),
        settled=False,
        incomplete_reason=still,
        missing={TWO: ("web", 1, 1), "silent": ("web", 2, 1)},
        silent=frozenset(["silent"]),
    )

    def listed(container_id: str) -> tuple[dict[str, int], str | None]:
        files = log_files.files_of(looked, container_id)
        assert files is not None
        return sizes(files), files.incomplete_reason

    assert listed(ONE) == ({"stdout": 6}, still)
    assert listed(MASTER) == ({"stderr": 1}, None)
    assert listed(TWO) == ({}, still)
    assert listed("silent") == ({}, None)
    assert log_files.files_of(looked, "another") is None


def test_a_container_that_it_never_had_is_an_error_after_the_end_too(
    application: Application,
) -> None:
    with pytest.raises(ContainerNotFoundError):
        application.log_files(ONE)
    application.kill()
    with pytest.raises(ContainerNotFoundError, match=r"YARN has no logs of it\. Check the ID\."):
        application.log_files(ONE)


def test_what_was_opened_serves_the_next_look_and_threads_read_one_after_the_other(
    fake: FakeApplicationMaster, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers of collected files keep what they have read, and are for one thread."""
    first = ids(fake)[0]
    fake.write(first, b"1", file="a.rolled")
    fake.collect_logs(first, file="a.rolled")
    archives, reading, most = [], 0, 0
    make, pieces = FakeArchive.__init__, FakeArchive.pieces

    def made(self: FakeArchive, state: FakeState) -> None:
        archives.append(self)
        make(self, state)

    def read(self: FakeArchive, container_id: str) -> Iterator[Piece]:
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        time.sleep(0.01)
        yield from pieces(self, container_id)
        reading -= 1

    monkeypatch.setattr(FakeArchive, "__init__", made)
    monkeypatch.setattr(FakeArchive, "pieces", read)
    with ThreadPoolExecutor(4) as pool:
        for files in pool.map(application.log_files, [first] * 8):
            assert sizes(files)["a.rolled"] == 1
    assert (len(archives), most) == (1, 1)


def test_a_file_that_cannot_be_read_is_named_beside_those_that_can(
    fake: FakeApplicationMaster, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = LogFormatError("damaged", path="/logs/x")
    monkeypatch.setattr(
        FakeArchive,
        "look",
        lambda _: logs(settled=False, has_ended=False, problems=(damaged,)),
    )
    assert application.log_files(ids(fake)[0]).incomplete_reason == "damaged"


def test_the_list_is_a_list_that_can_be_handed_on() -> None:
    files = LogFiles([LogFile("stdout", 1)], "why")
    again = pickle.loads(pickle.dumps(files))
    assert isinstance(again, LogFiles)
    assert (again, again.incomplete_reason) == ([LogFile("stdout", 1)], "why")
