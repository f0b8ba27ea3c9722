"""A stream that reads the logs of an application that has ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knit import (
    AggregatedLogs,
    ClusterUnreachableError,
    ContainerLogs,
    ContainerNotFoundError,
    InvalidRequestError,
    KnitError,
    LogChunk,
    LogEnd,
    LogFormatError,
    LogsNotFoundError,
)
from knit._cluster import patience
from knit._cluster.logs.node_file import Piece
from knit._cluster.logs.reading import ByteReader
from knit._handles import archived_logs
from knit._handles.archived_logs import ArchiveReader, ArchiveRequest
from knit._values.logs import Identity
from knit.exceptions import ApplicationNotRunningError

MASTER, ONE, TWO = "container_1_0001_01_000001", "container_1_0001_01_000002", "container_1_0001_2"
GONE = ApplicationNotRunningError("It has left.")
Key = tuple[str, str]


class Part:
    """Logs in memory."""

    def __init__(
        self,
        *files: tuple[str, bytes],
        rolling: bool = False,
        cut: int = 5,
        lost: int = 0,
    ) -> None:
        self.is_rolling = rolling
        self.reads = 0
        self._files = files
        self._cut = cut
        self._lost = lost

    def pieces(self, container_id: str) -> Iterator[Piece]:
        self.reads += 1
        for name, data in self._files:
            kept = data[: len(data) - self._lost]
            chunks = [kept[at : at + self._cut] for at in range(0, len(kept), self._cut)]
            yield Piece(container_id, name, len(data), ByteReader(iter(chunks)))


def container(container_id: str, *parts: Part, place: Identity = ("web", 0, 1)) -> ContainerLogs:
    service, rank, attempt = place
    return ContainerLogs(
        container_id=container_id,
        node_id="node-1:8041",
        service=service,
        rank=rank,
        attempt_number=attempt,
        is_application_master=container_id == MASTER,
        parts=parts,
    )


def logs(*containers: ContainerLogs, settled: bool = True, **fields: Any) -> AggregatedLogs:
    fields.setdefault("incomplete_reason", None if settled else "still being collected")
    return AggregatedLogs(
        application_id="application_1_0001",
        containers={each.container_id: each for each in containers},
        is_settled=settled,
        **fields,
    )


class Archive:
    """Gives one look after the other, or fails as told, and then the last one again and again."""

    application_id = "application_1_0001"

    def __init__(self, *looks: AggregatedLogs | KnitError) -> None:
        self._looks = list(looks)
        self.count = 0

    def look(self) -> AggregatedLogs:
        self.count += 1
        found = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        if isinstance(found, KnitError):
            raise found
        return found


class Read:
    """What came of a stream; the caller's part is played as `LogStream` does."""

    def __init__(
        self,
        archive: Archive,
        *,
        positions: dict[Key, int] | None = None,
        known: dict[str, Identity] | None = None,
        ends: dict[Key, LogEnd] | None = None,
        has_left: Callable[[], bool] | None = None,
        **request: Any,
    ) -> None:
        defaults: dict[str, Any] = {
            "container_ids": (),
            "services": (),
            "files": ("stdout", "stderr"),
            "follow": False,
            "tail_lines": None,
        }
        self.positions = dict(positions or {})
        self.ends = dict(ends or {})
        self.files: dict[Key, bytes] = {}
        self.places: dict[str, Identity] = {}
        self.pauses: list[float] = []
        reader = ArchiveReader(
            archive,
            ArchiveRequest(**{**defaults, **request}),
            positions=self.positions,
            ends=self.ends,
            known=known or {},
            pause=self._pause,
            gone=GONE,
            has_left=has_left,
        )
        for item in reader.items():
            key = (item.container_id, item.file)
            self.places[item.container_id] = (item.service, item.rank, item.attempt_number)
            if isinstance(item, LogEnd):
                assert key not in self.ends or not self.ends[key].is_complete, "two ends"
                self.ends[key] = item
                self.positions[key] = item.offset_bytes
            else:
                self._accept(key, item)
        self.incomplete_reason = reader.incomplete_reason

    def _accept(self, key: Key, chunk: LogChunk) -> None:
        assert chunk.data
        assert chunk.offset_bytes == self.positions.get(key, chunk.offset_bytes)
        self.positions[key] = chunk.offset_bytes + len(chunk.data)
        self.files[key] = self.files.get(key, b"") + chunk.data

    def _pause(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        return len(self.pauses) < 1000


def test_all_containers_but_the_application_masters_are_read() -> None:
    read = Read(
        Archive(
            logs(
                container(MASTER, Part(("stdout", b"master"))),
                container(ONE, Part(("other", b"x"), ("stderr", b"e"), ("stdout", b"one"))),
                container(TWO, Part(("stdout", b"")), place=("db", 3, 2)),
            )
        )
    )
    assert read.files == {(ONE, "stderr"): b"e", (ONE, "stdout"): b"one"}
    assert {key: (end.offset_bytes, end.is_complete) for key, end in read.ends.items()} == {
        (ONE, "stdout"): (3, True),
        (ONE, "stderr"): (1, True),
        (TWO, "stdout"): (0, True),
        (TWO, "stderr"): (0, True),
    }
    assert read.places == {ONE: ("web", 0, 1), TWO: ("db", 3, 2)}
    assert read.incomplete_reason is None


def test_only_what_is_asked_for_is_read() -> None:
    other = Part(("stdout", b"two"))
    archive = Archive(
        logs(
            container(MASTER, Part(("stdout", b"master"))),
            container(ONE, Part(("a.log", b"a"), ("stdout", b"one"))),
            container(TWO, other, place=("db", 0, 1)),
        )
    )
    assert Read(archive, container_ids=(MASTER,)).files == {(MASTER, "stdout"): b"master"}
    assert Read(archive, services=("web",), files=("a.log",)).files == {(ONE, "a.log"): b"a"}
    assert Read(archive, container_ids=(TWO,), services=("web",)).files == {}
    assert other.reads == 0


def test_what_does_not_exist_is_an_error() -> None:
    archive = Archive(logs(container(ONE, Part())))
    with pytest.raises(ContainerNotFoundError, match=r"no containers of db\. It had some of web"):
        Read(archive, services=("db",))
    with pytest.raises(ContainerNotFoundError, match=f"of {TWO}"):
        Read(archive, container_ids=(TWO,))
    unknown = Archive(logs(container(ONE, Part(), place=("", 2, 1))))
    with pytest.raises(ContainerNotFoundError, match="left no record"):
        Read(unknown, services=("web",))


def test_what_makes_no_sense_is_refused_as_by_an_application_master() -> None:
    archive = Archive(logs())
    with pytest.raises(InvalidRequestError, match="cannot be negative"):
        Read(archive, tail_lines=-1)
    for name in ("../x", "", "."):
        with pytest.raises(InvalidRequestError, match="not the name"):
            Read(archive, files=(name,))
    assert archive.count == 0


def test_a_running_application_is_not_read_here() -> None:
    with pytest.raises(ApplicationNotRunningError, match="It has left"):
        Read(Archive(logs(settled=False, has_ended=False)))


@given(
    st.lists(st.binary(max_size=12), max_size=4),
    st.integers(0, 60),
    st.integers(1, 7),
)
def test_reading_goes_on_where_it_was(contents: list[bytes], position: int, cut: int) -> None:
    whole = b"".join(contents)
    position = min(position, len(whole))
    parts = [Part(("stdout", each), cut=cut) for each in contents]
    read = Read(
        Archive(logs(container(ONE, *parts))),
        positions={(ONE, "stdout"): position},
        files=("stdout",),
        tail_lines=1,
    )
    assert read.files.get((ONE, "stdout"), b"") == whole[position:]
    assert read.ends[ONE, "stdout"].offset_bytes == len(whole)


@given(
    st.lists(
        st.lists(st.sampled_from([b"\n", b"a", b"bc"]), max_size=12).map(b"".join), max_size=4
    ),
    st.integers(0, 12),
    st.integers(1, 7),
)
def test_the_last_lines_are_the_last_lines(contents: list[bytes], count: int, cut: int) -> None:
    whole = b"".join(contents)
    parts = [Part(("stdout", each), cut=cut) for each in contents]
    read = Read(Archive(logs(container(ONE, *parts))), files=("stdout",), tail_lines=count)
    lines = whole.splitlines(keepends=True)
    expected = b"".join(lines[len(lines) - count :] if count < len(lines) else lines)
    assert read.files.get((ONE, "stdout"), b"") == expected
    assert read.ends[ONE, "stdout"].offset_bytes == len(whole)


def test_what_has_ended_before_is_not_read_again() -> None:
    part = Part(("stdout", b"one"))
    end = LogEnd("web", 0, 1, ONE, "stdout", 3, None)
    read = Read(
        Archive(logs(container(ONE, part))),
        positions={(ONE, "stdout"): 3},
        ends={(ONE, "stdout"): end},
        files=("stdout",),
    )
    assert read.files == {}
    assert part.reads == 0


def test_an_end_that_came_too_early_is_made_good() -> None:
    end = LogEnd("web", 0, 1, ONE, "stdout", 3, "Its node did not answer.")
    read = Read(
        Archive(logs(container(ONE, Part(("stdout", b"one and more"))))),
        positions={(ONE, "stdout"): 3},
        ends={(ONE, "stdout"): end},
        files=("stdout",),
    )
    assert read.files == {(ONE, "stdout"): b" and more"}
    assert read.ends[ONE, "stdout"].is_complete
    assert read.incomplete_reason is None


def test_a_file_that_is_shorter_than_it_should_be_says_so() -> None:
    shrunk = Read(Archive(logs(container(ONE, Part(("stdout", b"0123456789"), lost=4)))))
    assert shrunk.files == {(ONE, "stdout"): b"012345"}
    assert shrunk.ends[ONE, "stdout"].offset_bytes == 6
    assert "became shorter" in (shrunk.incomplete_reason or "")
    read_before = Read(
        Archive(logs(container(ONE, Part(("stdout", b"0123"))))), positions={(ONE, "stdout"): 9}
    )
    assert read_before.files == {}
    assert read_before.ends[ONE, "stdout"].offset_bytes == 9
    assert "less of it than was read" in (read_before.incomplete_reason or "")


# While YARN still collects


def test_without_follow_what_is_there_is_read_and_the_rest_is_named() -> None:
    read = Read(
        Archive(
            logs(
                container(ONE, Part(("stdout", b"one"))),
                settled=False,
                missing={TWO: ("web", 1, 1)},
            )
        )
    )
    assert read.files == {(ONE, "stdout"): b"one"}
    assert read.ends[ONE, "stdout"].is_complete
    assert read.ends[TWO, "stdout"].incomplete_reason == "still being collected"
    assert read.places[TWO] == ("web", 1, 1)
    assert read.incomplete_reason == "still being collected"
    assert read.pauses == []


def test_without_follow_a_container_of_which_more_may_come_says_so() -> None:
    read = Read(
        Archive(logs(container(ONE, Part(("stdout", b"one"), rolling=True)), settled=False))
    )
    assert read.files == {(ONE, "stdout"): b"one"}
    assert read.ends[ONE, "stdout"].incomplete_reason == "still being collected"


def test_a_stream_of_one_container_does_not_care_for_the_others() -> None:
    archive = Archive(
        logs(container(ONE, Part(("stdout", b"one"))), settled=False, missing={TWO: ("web", 1, 1)})
    )
    assert Read(archive, container_ids=(ONE,)).incomplete_reason is None
    missing = Read(archive, container_ids=(TWO,))
    assert missing.ends[TWO, "stdout"].incomplete_reason == "still being collected"
    assert missing.incomplete_reason == "still being collected"


def test_a_container_that_never_wrote_anything_has_an_end() -> None:
    looked = logs(container(ONE, Part()), missing={TWO: ("web", 1, 1)}, silent=frozenset([TWO]))
    read = Read(Archive(looked), files=("stdout",))
    assert read.ends[TWO, "stdout"] == LogEnd("web", 1, 1, TWO, "stdout", 0, None)
    assert read.incomplete_reason is None
    had_written = Read(Archive(looked), files=("stdout",), positions={(TWO, "stdout"): 5})
    assert "no logs of this container" in (had_written.incomplete_reason or "")


def test_a_follower_waits_for_all_of_it() -> None:
    first = Part(("stdout", b"one"))
    archive = Archive(
        logs(settled=False, fingerprint=0),
        logs(container(ONE, first), settled=False, fingerprint=1),
        logs(container(ONE, first), settled=False, fingerprint=1),
        logs(container(ONE, first), container(TWO, Part(("stdout", b"two"))), fingerprint=2),
    )
    read = Read(archive, follow=True)
    assert read.files == {(ONE, "stdout"): b"one", (TWO, "stdout"): b"two"}
    assert archive.count == 4
    assert first.reads == 1
    assert len(read.ends) == 4
    assert read.incomplete_reason is None


def test_a_follower_reads_what_is_collected_bit_by_bit_once() -> None:
    parts = [Part(("stdout", data), rolling=True) for data in (b"a\n", b"b\n", b"c\n")]
    looks = [
        logs(container(ONE, *parts[:count]), settled=False, fingerprint=count) for count in (1, 2)
    ]
    read = Read(Archive(*looks, logs(container(ONE, *parts), fingerprint=3)), follow=True)
    assert read.files == {(ONE, "stdout"): b"a\nb\nc\n"}
    assert read.ends[ONE, "stdout"].is_complete


def test_a_follower_of_the_last_lines_waits_until_they_are_the_last() -> None:
    parts = [Part(("stdout", data), rolling=True) for data in (b"a\nb\n", b"c\n")]
    archive = Archive(
        logs(container(ONE, parts[0]), settled=False, fingerprint=1),
        logs(container(ONE, *parts), fingerprint=2),
    )
    assert Read(archive, follow=True, tail_lines=2).files == {(ONE, "stdout"): b"b\nc\n"}


def test_a_follower_waits_for_the_record_of_what_was_which() -> None:
    """Else the same container would have one name in the beginning and another at the end."""
    part = Part(("stdout", b"one"))
    archive = Archive(
        logs(container(ONE, part, place=("", 2, 1)), settled=False, fingerprint=1),
        logs(container(ONE, part), fingerprint=2),
    )
    read = Read(archive, follow=True, services=("web",))
    assert read.places == {ONE: ("web", 0, 1)}
    assert read.files == {(ONE, "stdout"): b"one"}


def test_what_was_known_before_holds_where_there_is_no_record() -> None:
    unknown = logs(container(ONE, Part(("stdout", b"one")), place=("", 2, 1)))
    read = Read(Archive(unknown), known={ONE: ("web", 7, 3)}, services=("web",))
    assert read.places == {ONE: ("web", 7, 3)}


def test_a_follower_gives_up_when_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archived_logs, "PATIENCE_SECONDS", -1.0)
    read = Read(
        Archive(logs(container(ONE, Part(("stdout", b"one"), rolling=True)), settled=False)),
        follow=True,
        known={TWO: ("web", 1, 1)},
        positions={(TWO, "stdout"): 5},
    )
    assert read.files == {(ONE, "stdout"): b"one"}
    assert read.incomplete_reason == "still being collected"
    end = read.ends[TWO, "stdout"]
    assert (end.offset_bytes, end.incomplete_reason) == (5, "still being collected")


def test_a_follower_for_whom_nothing_at_all_is_collected_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when HDFS is down while the application ends: a stream without a line looks like all."""
    monkeypatch.setattr(archived_logs, "PATIENCE_SECONDS", -1.0)
    with pytest.raises(LogsNotFoundError, match=r"not collected any logs .* still being collected"):
        Read(Archive(logs(settled=False)), follow=True)


def test_a_follower_bears_a_cluster_that_does_not_answer() -> None:
    silence = ClusterUnreachableError("no connection")
    archive = Archive(silence, silence, logs(container(ONE, Part(("stdout", b"one")))))
    assert Read(archive, follow=True).files == {(ONE, "stdout"): b"one"}
    with pytest.raises(ClusterUnreachableError):
        Read(Archive(silence))


def test_a_follower_gives_up_a_cluster_that_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "OUTAGE", timedelta())
    with pytest.raises(ClusterUnreachableError):
        Read(Archive(ClusterUnreachableError("no connection")), follow=True)


def test_who_completes_a_stream_waits_for_the_end_and_the_departure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However long they take: YARN collects nothing before."""
    monkeypatch.setattr(archived_logs, "PATIENCE_SECONDS", 0.5)
    answers = [False, False, True]
    archive = Archive(
        logs(settled=False, has_ended=False),
        logs(settled=False, has_ended=False),
        *(logs(settled=False) for _ in answers),
        logs(container(ONE, Part(("stdout", b"one")))),
    )
    with pytest.MonkeyPatch.context() as patch:
        clock = iter(range(100))
        patch.setattr(time, "monotonic", lambda: 0.05 * next(clock))
        read = Read(archive, follow=True, has_left=lambda: answers.pop(0))
    assert read.files == {(ONE, "stdout"): b"one"}
    assert answers == []


def test_what_cannot_be_read_is_an_error_once_the_rest_was_read() -> None:
    damaged = LogFormatError("damaged", path="/logs/x")
    archive = Archive(
        logs(
            container(ONE, Part(("stdout", b"one"))),
            incomplete_reason="damaged",
            problems=(damaged,),
        )
    )
    assert Read(archive, container_ids=(ONE,)).incomplete_reason is None
    with pytest.raises(LogFormatError, match="damaged"):
        Read(archive)


def test_closing_ends_the_waiting() -> None:
    closed = threading.Event()
    archive = Archive(logs(settled=False))
    request = ArchiveRequest(
        container_ids=(), services=(), files=("stdout",), follow=True, tail_lines=None
    )

    def pause(seconds: float) -> bool:
        closed.set()
        return False

    reader = ArchiveReader(
        archive, request, positions={}, ends={}, known={}, pause=pause, gone=GONE
    )
    assert list(reader.items()) == []
    assert closed.is_set()
