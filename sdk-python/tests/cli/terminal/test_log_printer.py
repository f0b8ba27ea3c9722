"""Lines of containers on our own stdout and stderr."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from knit import LogChunk, LogLine
from knit.cli._terminal import log_printer, output
from knit.cli._terminal.log_printer import LogPrinter
from knit.cli._terminal.progress import Progress


def line(data: bytes, *, rank: int = 0, file: str = "stdout", offset: int = 0) -> LogLine:
    return LogLine("worker", rank, 1, f"container_1_0001_01_00000{rank + 2}", file, offset, data)


def test_without_a_terminal_each_line_has_its_writers_name_in_brackets(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    printer = LogPrinter(Progress())
    printer.print(line(b"one\n"))
    printer.print(line(b"two, unfinished", rank=1))
    printer.print(line(b"oops\n", file="stderr"))
    printer.print(line(b"x\n", file="train.log"))
    out, err = capfdbinary.readouterr()
    assert out == b"[worker/0] one\n[worker/1] two, unfinished\n[worker/0:train.log] x\n"
    assert err == b"[worker/0] oops\n"


def test_bytes_are_passed_on_as_they_are(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    LogPrinter(Progress()).print(line(b"\xff\x00 caf\xc3\xa9\r\n"))
    assert capfdbinary.readouterr().out == b"[worker/0] \xff\x00 caf\xc3\xa9\r\n"


def test_no_line_is_printed_twice(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """A stream that begins anew, after its Application Master was away, begins at the start."""
    printer = LogPrinter(Progress())
    for _ in range(2):
        printer.begin()
        printer.print(line(b"a\n"))
        printer.print(line(b"b\n", offset=2))
        printer.print(line(b"other\n", rank=1))
    assert capfdbinary.readouterr().out == b"[worker/0] a\n[worker/0] b\n[worker/1] other\n"


def chunk(data: bytes, *, rank: int = 0, file: str = "stdout", offset: int = 0) -> LogChunk:
    return LogChunk("worker", rank, 1, f"container_1_0001_01_00000{rank + 2}", file, offset, data)


def pieces(printer: LogPrinter, *parts: bytes, rank: int = 0) -> None:
    """Each of the parts comes, and nothing more for a while."""
    offset = 0
    for part in parts:
        printer.feed(chunk(part, rank=rank, offset=offset))
        printer.show_pending(0)
        offset += len(part)


def test_what_there_is_of_a_line_is_shown_and_goes_on_where_it_stands(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    printer = LogPrinter(Progress())
    pieces(printer, b"Proceed? ", b"yes", b"\nnext\n")
    assert capfdbinary.readouterr().out == b"[worker/0] Proceed? yes\n[worker/0] next\n"


def test_within_the_first_seconds_a_line_is_waited_for(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    """Programs write a line in parts; nobody wants to see them."""
    printer = LogPrinter(Progress())
    printer.feed(chunk(b"a "))
    printer.feed(chunk(b"other\n", rank=1))
    printer.show_pending()
    printer.feed(chunk(b"line\n", offset=2))
    assert capfdbinary.readouterr().out == b"[worker/1] other\n[worker/0] a line\n"


def test_an_unfinished_line_makes_room_for_others_and_goes_on_below(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    progress = Progress()
    printer = LogPrinter(progress)
    pieces(printer, b"10% ")
    printer.feed(chunk(b"other\n", rank=1))
    printer.feed(chunk(b"20%", offset=4))
    printer.show_pending(0)
    progress.step("a sentence")
    printer.feed(chunk(b"!\n", offset=7))
    out, err = capfdbinary.readouterr()
    assert out.splitlines() == [
        b"[worker/0] 10% ",
        b"[worker/1] other",
        b"[worker/0] 20%",
        b"[worker/0] !",
    ]
    assert err == b"knit: a sentence\n"


def test_a_line_that_never_ends_is_ended_with_the_stream(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    printer = LogPrinter(Progress())
    pieces(printer, b"shown")
    printer.feed(chunk(b"not shown", rank=1))
    printer.finish()
    assert capfdbinary.readouterr().out == b"[worker/0] shown\n[worker/1] not shown\n"


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_what_was_shown_whole_gets_no_empty_line_for_its_end(
    end: bytes, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    printer = LogPrinter(Progress())
    pieces(printer, b"shown")
    printer.feed(chunk(b"other\n", rank=1))
    if end:
        printer.feed(chunk(end + b"\nnext\n", offset=5))
    printer.finish()
    lines = [b"[worker/0] shown", b"[worker/1] other"]
    if end:
        lines += [b"[worker/0] ", b"[worker/0] next"]
    assert capfdbinary.readouterr().out.splitlines() == lines


def test_a_line_without_end_is_cut_so_that_it_fills_no_memory(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    printer = LogPrinter(Progress())
    size = log_printer.LONGEST_LINE_BYTES
    part = b"x" * (size // 4)
    for number in range(10):
        printer.feed(chunk(part, offset=number * len(part)))
    assert [len(line) for line in capfdbinary.readouterr().out.splitlines()] == [
        len("[worker/0] ") + size
    ] * 2


def test_a_file_that_was_cut_begins_another_line(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    printer = LogPrinter(Progress())
    printer.begin()
    printer.feed(chunk(b"one\ntw"))
    printer.feed(attrs.evolve(chunk(b"new\n"), follows_cut=True))
    out, err = capfdbinary.readouterr()
    assert out.splitlines() == [b"[worker/0] one", b"[worker/0] tw", b"[worker/0] new"]
    assert b"worker/0: the file stdout was made shorter and begins anew" in err


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output goes to a terminal without colours."""
    monkeypatch.setattr("knit.cli._terminal.log_printer.is_terminal", lambda _: True)


@pytest.mark.parametrize("bar", [(b"\r 8%|#", b"\r16%|##"), (b" 8%|#\r", b"16%|##\r")])
def test_on_a_terminal_a_carriage_return_begins_the_line_anew_behind_its_label(
    terminal: None, bar: tuple[bytes, ...], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    printer = LogPrinter(Progress())
    pieces(printer, *bar, b"\rdone\n")
    out = capfdbinary.readouterr().out
    shown = [line.strip() for line in out.replace(b"\x1b[2K", b"").split(b"\r") if line]
    assert shown == [b"worker/0 |  8%|#", b"worker/0 | 16%|##", b"worker/0 | done"]
    assert out.count(b"\r\x1b[2K") == 2


def test_on_a_terminal_a_bar_that_comes_at_once_is_shown_as_it_ended(
    terminal: None, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    printer = LogPrinter(Progress())
    printer.feed(chunk(b"".join(b"\r%d%%" % n for n in range(101)) + b"\n"))
    assert capfdbinary.readouterr().out == b"worker/0 | 100%\n"


def test_names_of_files_do_not_reach_the_cursor(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    LogPrinter(Progress()).print(line(b"x\n", file="a\x1b[2J"))
    assert capfdbinary.readouterr().out == b"[worker/0:a?[2J] x\n"


def test_as_json_each_line_is_an_object_on_stdout(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    LogPrinter(Progress(), as_json=True).print(line("é\n".encode(), file="stderr", offset=7))
    out, err = capfdbinary.readouterr()
    assert err == b""
    assert out.isascii()
    assert json.loads(out) == {
        "event": "log",
        "service": "worker",
        "rank": 0,
        "attempt_number": 1,
        "container_id": "container_1_0001_01_000002",
        "file": "stderr",
        "offset_bytes": 7,
        "text": "é",
    }


def test_on_a_terminal_ranks_have_colours_and_labels_are_aligned(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def always(_: Any) -> bool:
        return True

    monkeypatch.setattr("knit.cli._terminal.log_printer.is_terminal", always)
    monkeypatch.setattr("knit.cli._terminal.log_printer.has_colours", always)
    printer = LogPrinter(Progress())
    printer.print(line(b"a\n", rank=10))
    printer.print(line(b"\x1b[31mred\n", rank=1))
    first, second = capfdbinary.readouterr().out.splitlines()
    assert first.endswith(b"mworker/10 | \x1b[0ma")
    assert b"mworker/1  | \x1b[0m" in second
    assert second.endswith(b"red\x1b[0m"), "a program's colours end with its line"
    assert first.partition(b"m")[0] != second.partition(b"m")[0]


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal: Any = Terminal()
    assert output.has_colours(terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not output.has_colours(terminal)
    assert output.is_terminal(terminal)
    monkeypatch.setenv("TERM", "dumb")
    assert not output.is_terminal(terminal)
