"""A stream that reads the logs of an application that has ended."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knit import ContainerNotFoundError, InvalidRequestError, LogEnd
from knit.exceptions import ApplicationNotRunningError
from tests.handles.archived import MASTER, ONE, TWO, Archive, Part, Read, container, logs


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
