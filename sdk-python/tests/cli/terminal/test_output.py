"""How things are shown."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from knit.cli._terminal import output
from knit.cli._terminal.words import human_duration, human_size, human_time, jsonable

NOW = datetime(2026, 3, 14, 12, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0.0 s"),
        (0, "0.0 s"),
        (0.84, "0.8 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (185, "3 min 5 s"),
        (3600, "1 h"),
        (7800, "2 h 10 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_a_length_of_time_is_said_in_two_units_at_most(seconds: float, text: str) -> None:
    assert human_duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 40, "5.0 TiB")]
)
def test_a_size_is_said_in_powers_of_1024(size: int, text: str) -> None:
    assert human_size(size) == text


def test_a_time_is_said_by_its_age_first_and_its_date_later() -> None:
    assert human_time(NOW - timedelta(seconds=12), NOW) == "12 s ago"
    assert human_time(NOW - timedelta(days=400), NOW).startswith("2025-02-0")
    # A clock of the cluster that is ahead of ours is no reason for nonsense.
    assert "ago" not in human_time(NOW + timedelta(minutes=1), NOW)


def test_without_a_terminal_a_table_is_separated_by_tabs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.print_table(["a", "final status"], [("x\ty\n", None), ("\x1b[31m", "é")])
    assert capsys.readouterr().out == "A\tFINAL STATUS\nx y\t-\n?[31m\té\n"


ROWS = [("application_1700000000000_0001", "train.py", "default", "FINISHED", "FAILED")]
HEADINGS = ["application", "name", "queue", "state", "final status"]


@pytest.mark.parametrize(
    ("columns", "wide", "left_out"),
    [
        (200, False, []),
        (70, False, ["queue"]),
        (60, False, ["queue", "name"]),
        (60, True, []),
    ],
)
def test_a_narrow_terminal_leaves_out_columns_and_no_words(
    columns: int,
    wide: bool,
    left_out: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda _: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    output.print_table(HEADINGS, ROWS, optional=["queue", "name"], wide=wide)
    out, err = capsys.readouterr()
    heading, row = out.splitlines()
    shown = [h for h in HEADINGS if h not in left_out]
    for name, value in zip(HEADINGS, ROWS[0], strict=True):
        assert (name.upper() in heading) is (name in shown)
        assert (value in row) is (name in shown)
    assert wide or max(map(len, out.splitlines())) <= columns
    assert ("--wide" in err) is bool(left_out)


def test_what_finished_badly_is_not_green(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda _: True)
    monkeypatch.setattr(output, "has_colours", lambda _: True)
    monkeypatch.setenv("COLUMNS", "200")
    output.print_table(HEADINGS, ROWS)
    row = capsys.readouterr().out.splitlines()[1]
    assert "\x1b[32m" not in row, "green"
    assert "\x1b[31mFAILED" in row, "red"


def test_columns_are_aligned_whatever_is_in_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda _: True)
    monkeypatch.setenv("NO_COLOR", "1")
    output.print_table(["a", "b"], [("日本", 1), ("é", 2), ("\x1b[2J", 3)])
    assert capsys.readouterr().out.splitlines() == ["A     B", "日本  1", "é     2", "?[2J  3"]


def test_sentences_and_tags_do_not_reach_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    output.say("\x1b[2J\x07one\ntwo")
    output.print_fields({"tags": ("\x1b[2J", "b")})
    out, err = capsys.readouterr()
    assert err == "knit: ?[2J?one\ntwo\n"
    assert out == "tags:  ?[2J, b\n"


def test_json_holds_iso_times_seconds_and_names() -> None:
    value = {"at": NOW, "for": timedelta(seconds=1.5), "who": ("a", None)}
    assert jsonable(value) == {
        "at": "2026-03-14T12:00:00+00:00",
        "for": 1.5,
        "who": ["a", None],
    }


def test_a_narrow_column_comes_back_where_a_wide_one_made_room() -> None:
    headings, widths = ["a", "b", "c"], [5, 3, 60]
    assert output._too_many(headings, widths, ["b", "c"]) == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "20")
        assert output._too_many(headings, widths, ["b", "c"]) == ["c"]
        patch.setenv("COLUMNS", "72")  # as wide as all three with what is between them
        assert output._too_many(headings, widths, ["b", "c"]) == []
        patch.setenv("COLUMNS", "71")
        assert output._too_many(headings, widths, ["b", "c"]) == ["b"]
