"""Lines of containers on our own stdout and stderr."""

from __future__ import annotations

import json
from typing import Any

import pytest

from knit import LogLine
from knit.cli import _output
from knit.cli._log_printer import LogPrinter
from knit.cli._progress import Progress


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
        printer.print(line(b"a\n"))
        printer.print(line(b"b\n", offset=2))
        printer.print(line(b"other\n", rank=1))
    assert capfdbinary.readouterr().out == b"[worker/0] a\n[worker/0] b\n[worker/1] other\n"


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

    monkeypatch.setattr("knit.cli._log_printer.is_terminal", always)
    monkeypatch.setattr("knit.cli._log_printer.has_colours", always)
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
    assert _output.has_colours(terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not _output.has_colours(terminal)
    assert _output.is_terminal(terminal)
    monkeypatch.setenv("TERM", "dumb")
    assert not _output.is_terminal(terminal)
