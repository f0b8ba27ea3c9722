"""What only a process of its own can show: signals, closed pipes, locales, how fast it starts."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

ROOT = Path(__file__).parents[3]


@contextmanager
def knit(
    play: str,
    *arguments: str,
    stdout: int | IO[bytes] = subprocess.PIPE,
    stderr: int | IO[bytes] = subprocess.PIPE,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """`knit` with these arguments, with a play behind it; it dies with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.cli.playing", play, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "ignore", **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
        encoding="utf-8",
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_until(process: subprocess.Popen[str], wanted: str) -> list[str]:
    """The lines of its stdout up to this one."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if lines[-1] == wanted:
            return lines
    assert process.stderr is not None
    raise AssertionError(f"no {wanted!r} in {lines}; stderr: {process.stderr.read()}")


def test_ctrl_c_asks_it_to_stop_and_goes_on_showing_logs() -> None:
    with knit("cooperative", "run", "sleep 60") as process:
        read_until(process, "[worker/0] running")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert out.splitlines() == [
        "[worker/0] clearing up: stopped by Ctrl-C at its client",
        "[worker/0] cleared up",
    ]
    assert process.returncode == 130
    assert "asking the application to stop" in err
    assert "Traceback" not in err


def test_sigterm_does_as_ctrl_c_and_leaves_as_a_terminated_process() -> None:
    with knit("cooperative", "run", "sleep 60") as process:
        read_until(process, "[worker/0] running")
        process.terminate()
        out, _ = process.communicate(timeout=20)
    assert out.splitlines()[-1] == "[worker/0] cleared up"
    assert process.returncode == 143


def test_ctrl_c_stops_it_without_yarn_too() -> None:
    """Its Application Master is asked, and says how it ended."""
    with knit("cut_off", "run", "sleep 60") as process:
        read_until(process, "[worker/0] running")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=40)
    assert out.splitlines()[-1] == "[worker/0] cleared up"
    assert "killed after" in err.splitlines()[-1]
    assert process.returncode == 130


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_logs_that_yarn_has_yet_to_collect_are_no_longer_waited_for(
    number: signal.Signals, code: int
) -> None:
    """Of an application that has ended, where nodes want Kerberos: there is nothing to stop."""
    with knit("uncollected", "run", "ls") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "Waiting for the logs" in line:
                break
        process.send_signal(number)
        _, err = process.communicate(timeout=40)
    assert process.returncode == code
    assert "once YARN has collected them: knit logs application_1700000000000_0001" in err
    assert "asking the application to stop" not in err
    assert "application_1700000000000_0001 succeeded after" in err.splitlines()[-1]


def test_a_closed_terminal_asks_it_to_stop() -> None:
    with knit("cooperative", "run", "sleep 60") as process:
        read_until(process, "[worker/0] running")
        process.send_signal(signal.SIGHUP)
        out, _ = process.communicate(timeout=20)
    assert out.splitlines() == [
        "[worker/0] clearing up: stopped by a closed terminal at its client",
        "[worker/0] cleared up",
    ]
    assert process.returncode == 129


@pytest.mark.parametrize("play", ["well", "talkative"])
def test_output_that_cannot_be_written_ends_it_with_the_reason(play: str) -> None:
    with open("/dev/full", "wb") as full, knit(play, "run", "ls", stdout=full) as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "The output cannot be written: No space left on device." in err
    assert "Traceback" not in err


def test_a_full_disk_is_told_by_other_verbs_too() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "knit.cli", "run", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "knit: The output cannot be written: No space left on device.\n"


def test_with_its_output_closed_it_runs_and_says_nothing_there() -> None:
    """As `knit run -q ls >&-`: nothing that is opened later gets the number of a stream."""
    command = f"exec {sys.executable} -m tests.cli.playing well run -q ls <&- >&- 2>&-"
    done = subprocess.run(["/bin/sh", "-c", command], cwd=ROOT, check=False, timeout=60)
    assert done.returncode == 0


@pytest.mark.one_python("starts a program; on each Python others are told to end")
def test_a_second_ctrl_c_has_yarn_kill_it() -> None:
    with knit("stubborn", "run", "sleep 60") as process:
        read_until(process, "[worker/0] running")
        process.send_signal(signal.SIGINT)
        read_until(process, "[worker/0] no")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "having YARN kill the application" in err
    assert "application_1700000000000_0001 killed after" in err


@pytest.mark.one_python("starts a program; on each Python others are told to end")
def test_a_third_ctrl_c_leaves_at_once() -> None:
    with knit("immortal", "run", "sleep 60") as process:
        read_until(process, "[worker/0] running")
        process.send_signal(signal.SIGINT)
        read_until(process, "[worker/0] no")
        process.send_signal(signal.SIGINT)
        read_until(process, "[worker/0] never")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
    assert time.monotonic() - began < 15


@pytest.mark.one_python("starts a program; on each Python others are told to end")
def test_ctrl_c_before_there_is_an_application_master_kills() -> None:
    """There is nobody to ask yet."""
    with knit("unborn", "run", "sleep 60") as process:
        read_until(process, "queued")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "killed after" in err


@pytest.mark.one_python("starts a program; on each Python others are told to end")
def test_ctrl_c_before_submission_submits_nothing() -> None:
    with knit("never_submitted", "run", "ls") as process:
        read_until(process, "submitting")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "knit: interrupted before the application was submitted"


@pytest.mark.one_python("starts a program; on each Python others are told to end")
@pytest.mark.parametrize("arguments", [["ls"], ["--detach", "ls"]])
def test_ctrl_c_while_yarn_accepts_it_leaves_no_application_behind(arguments: list[str]) -> None:
    with knit("late", "run", *arguments) as process:
        read_until(process, "submitting")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "application_1700000000000_0001 killed after" in err


@pytest.mark.one_python("starts a program; on each Python others are told to end")
def test_a_second_ctrl_c_before_submission_leaves_at_once() -> None:
    with knit("hanging", "run", "ls") as process:
        read_until(process, "submitting")
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "Ctrl-C again leaves at once" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=5) == 130


def test_when_nobody_reads_any_more_the_application_is_stopped_quietly() -> None:
    with knit("talkative", "run", "-q", "yes") as process:
        read_until(process, "[worker/0] and so on")
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(timeout=20) == 141
        assert process.stderr is not None
        err = process.stderr.read()
    assert err == ""


def test_a_closed_pipe_is_quiet_for_other_verbs_too() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "knit.cli", "run", "--help"],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    assert done.returncode != 0
    assert done.stderr == ""


@pytest.mark.parametrize(
    "environment",
    [
        {"LANG": "C", "LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
    ],
)
def test_output_that_is_not_ascii_survives_any_locale(environment: dict[str, str]) -> None:
    with knit("well", "run", "ls", environment=environment) as process:
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "[worker/0] grüße\n"), err


def test_what_is_ignored_stays_ignored() -> None:
    """As with nohup, or for a background job of a script."""
    script = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); "
        "import runpy; sys.argv = ['playing', 'talkative', 'run', '-q', '--timeout', '3s', 'yes']; "
        "runpy.run_module('tests.cli.playing', run_name='__main__')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            read_until(process, "[worker/0] and so on")
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 124


def test_it_starts_without_what_it_does_not_need() -> None:
    """Tables and gRPC take longer to import than everything else together."""
    script = (
        "import sys; from knit.cli import main; main(['--help']); "
        "print(sorted({'grpc', 'rich', 'yaml', 'cattrs', 'cryptography', 'urllib3', "
        "'google.protobuf'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr == "[]\n"


def test_on_a_terminal_a_progress_bar_moves_while_it_grows() -> None:
    """And a status line of ours does not stand in its way."""
    master, slave = pty.openpty()
    environment = {"TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "80"}
    with knit("drawing", "run", "ls", stdout=slave, stderr=slave, environment=environment) as bar:
        os.close(slave)
        seen = b""
        while b"| #3" not in seen:
            assert select.select([master], [], [], 30)[0], seen
            seen += os.read(master, 65536)
        assert b"\n" not in seen.partition(b"| #1")[2], "it is one line"
        assert b"\r\x1b[2Kworker/0 | #3" in seen
        assert bar.poll() is None
        bar.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # so a terminal ends that nobody writes to any more
            while data := os.read(master, 65536):
                seen += data
        assert bar.wait(timeout=30) == 130
    os.close(master)
    assert b"\nknit: asking the application to stop" in seen.replace(b"\r\n", b"\n")
