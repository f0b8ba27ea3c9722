"""A stream that reads the logs of an application while YARN still collects them."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest

from knit import ClusterUnreachableError, LogEnd, LogFormatError, LogsNotFoundError
from knit._cluster import patience
from knit._handles import archived_logs
from knit._handles.archived_logs import ArchiveReader, ArchiveRequest
from tests.handles.archived import GONE, ONE, TWO, Archive, Part, Read, container, logs


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


@pytest.mark.parametrize("rolling", [False, True])
def test_what_is_collected_while_an_application_runs_is_no_end(*, rolling: bool) -> None:
    """It is looked for less and less often, and each byte comes once."""
    first, second = Part(("stdout", b"one\n"), rolling=rolling), Part(("stdout", b"two\n"))
    running = {"settled": False, "has_ended": False}
    archive = Archive(
        logs(**running, fingerprint=0),
        logs(container(ONE, first), **running, fingerprint=1),
        *[logs(container(ONE, first), **running, fingerprint=1)] * 30,
        logs(container(ONE, first, second), fingerprint=2),
    )
    with pytest.MonkeyPatch.context() as patch:
        now = iter(range(0, 1_000_000, 100))  # seconds at each look
        patch.setattr(time, "monotonic", lambda: float(next(now)))
        read = Read(archive, follow=True, has_left=lambda: True)
    assert read.files == {(ONE, "stdout"): b"one\ntwo\n"}
    assert read.ends[ONE, "stdout"].is_complete
    assert read.incomplete_reason is None
    assert max(read.pauses) == archived_logs._LONGEST_PAUSE
    # Looking takes little of a wait, however short.
    assert read.pauses[0] < 1
