"""What people type."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import click
import pytest

from knit.cli._arguments import values


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("0.5", 0.5), ("5m", 300), ("1h30m", 5400), ("2d", 172800)],
)
def test_a_length_of_time_is_read_as_people_write_it(text: str, seconds: float) -> None:
    assert values.duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", " ", "0", "-1", "5 minutes", "m", "1e3", "inf", "9999999d"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        values.duration(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-27T08:30Z", "2026-11-27T08:30:00+00:00"),
        ("2026-11-27T08:30:01.5+01:00", "2026-11-27T07:30:01.500000+00:00"),
        (" 2026-11-27 08:30:00+00:00 ", "2026-11-27T08:30:00+00:00"),
    ],
)
def test_a_point_in_time_with_a_zone(text: str, expected: str) -> None:
    assert values.point_in_time(text) == datetime.fromisoformat(expected)


@pytest.mark.parametrize("text", ["2026-11-27", "2026-11-27T08:30"])
def test_a_point_in_time_without_a_zone_is_local(text: str) -> None:
    assert values.point_in_time(text) == datetime.fromisoformat(text).astimezone()
    assert values.point_in_time(text).tzinfo is not None


def test_a_length_of_time_is_that_long_ago() -> None:
    before = datetime.now(timezone.utc)
    ago = values.point_in_time("1h30m")
    assert before <= ago + timedelta(minutes=90) <= datetime.now(timezone.utc)


@pytest.mark.parametrize("text", ["", "2026", "20261127", "90", "soon", "2026-13-01", "0h", "-1h"])
def test_what_is_no_point_in_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        values.point_in_time(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.txt", ("a.txt", None)),
        ("dir/a.txt#b.txt", ("dir/a.txt", "b.txt")),
        ("hdfs://nn/a#b", ("hdfs://nn/a", "b")),
        ("a#b#c", ("a#b", "c")),
    ],
)
def test_a_file_may_be_given_another_name(text: str, expected: tuple[str, str | None]) -> None:
    assert values.split_file(text) == expected


def test_a_hash_in_the_name_of_an_existing_file_belongs_to_it(tmp_path: Path) -> None:
    path = tmp_path / "issue#3.txt"
    path.touch()
    assert values.split_file(str(path)) == (str(path), None)
    assert values.split_file(f"{path}#x") == (str(path), "x")


@pytest.mark.parametrize("text", ["#b", "a#"])
def test_half_a_file_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        values.split_file(text)


def test_a_variable_without_a_value_has_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KNIT_TEST_VARIABLE", "from = here")
    assert values.variable("KNIT_TEST_VARIABLE") == ("KNIT_TEST_VARIABLE", "from = here")
    assert values.variable("KNIT_TEST_VARIABLE=a=b") == ("KNIT_TEST_VARIABLE", "a=b")
    assert values.variable("KNIT_TEST_VARIABLE=") == ("KNIT_TEST_VARIABLE", "")
    monkeypatch.delenv("KNIT_TEST_VARIABLE")
    with pytest.raises(click.BadParameter, match="is not set here"):
        values.variable("KNIT_TEST_VARIABLE")


def test_a_refused_variable_does_not_show_its_value() -> None:
    with pytest.raises(click.BadParameter) as caught:
        values.variable("my token=hunter2")
    assert "hunter2" not in str(caught.value.message)


def test_a_container_in_the_place_of_an_application_is_told_apart() -> None:
    assert values.application_id(" application_1700000000000_0001 ").endswith("_0001")
    with pytest.raises(click.BadParameter, match="its application is application_17_0003"):
        values.application_id("container_e05_17_0003_01_000002")


@pytest.mark.parametrize("text", ["", "application_1", "application_1_2", "job_1_0001", "../x"])
def test_what_is_no_application_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no application's ID"):
        values.application_id(text)


@pytest.mark.parametrize("text", ["worker/0", "a/12", "container_17_0003_01_000002"])
def test_a_container_is_named_by_id_or_place(text: str) -> None:
    assert values.container(text) == text


@pytest.mark.parametrize("text", ["worker", "worker/", "/0", "worker/x", "W_/0", "container_1"])
def test_what_is_no_container_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no container"):
        values.container(text)
