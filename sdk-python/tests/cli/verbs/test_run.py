"""`knit run`, from submission to exit code."""

from __future__ import annotations

import json
import os
import re
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import knit
from knit.cli import main
from tests.cli import playing
from tests.cli.playing import FakeClient


def run(play: playing.Play, *arguments: str) -> tuple[int, FakeClient]:
    with playing.playing(FakeClient(play)) as client:
        return main(["run", *arguments]), client


def test_it_submits_shows_lines_and_leaves_with_0(capfd: pytest.CaptureFixture[str]) -> None:
    status, client = run(playing.well, "-n", "2", "--", "python", "-c", 'print("$HOME")')
    out, err = capfd.readouterr()
    assert status == 0
    assert client.submitted[0].services["worker"].command == "python -c 'print(\"$HOME\")'"
    assert sorted(out.splitlines()) == ["[worker/0] grüße", "[worker/1] grüße"]
    lines = err.splitlines()
    assert lines[0].startswith("knit: packed venv, 2.0 KiB ("), "which is no upload"
    assert lines[1].startswith("knit: checked the cluster, uploaded 1 file, 2.0 KiB (")
    assert lines[2] == "knit: submitting application_1700000000000_0001 to queue default"
    assert lines[3].startswith("knit: YARN has accepted it (")
    assert "[worker/1] careful" in lines
    assert lines[-1].startswith("knit: application_1700000000000_0001 succeeded after ")
    assert client.fake is not None
    assert client.fake.was_released


def test_it_leaves_with_the_programs_exit_code_and_says_why(
    capfd: pytest.CaptureFixture[str],
) -> None:
    status, _ = run(playing.badly, "exit 7")
    assert status == 7
    assert "failed after" in (err := capfd.readouterr().err)
    assert "worker 0 ended with exit code 7." in err


def test_quiet_leaves_only_what_containers_write(capfd: pytest.CaptureFixture[str]) -> None:
    status, _ = run(playing.well, "-q", "ls")
    assert status == 0
    assert capfd.readouterr() == ("[worker/0] grüße\n", "[worker/0] careful\n")


def test_quiet_still_says_why_it_failed(capfd: pytest.CaptureFixture[str]) -> None:
    run(playing.badly, "-q", "ls")
    assert "worker 0 ended with exit code 7." in capfd.readouterr().err


def test_json_is_an_object_per_line(capfd: pytest.CaptureFixture[str]) -> None:
    status, _ = run(playing.badly, "--json", "-n", "2", "ls")
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert status == 7
    assert events[0] == {"event": "submitted", "application_id": "application_1700000000000_0001"}
    result: dict[str, Any] = events[-1]
    assert result["event"] == "result"
    assert (result["final_status"], result["exit_code"]) == ("FAILED", 7)
    assert [c["state"] for c in result["containers"]] == ["FAILED", "STOPPED"]
    assert result["containers"][0]["exit"]["exit_code"] == 7


def test_json_holds_both_streams(capfd: pytest.CaptureFixture[str]) -> None:
    run(playing.well, "--json", "ls")
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    logs = {event["file"]: event["text"] for event in events if event["event"] == "log"}
    assert logs == {"stdout": "grüße", "stderr": "careful"}


def test_detached_it_prints_the_id_and_leaves(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(playing.cooperative, "--detach", "ls")[0] == 0
    assert capfd.readouterr().out == "application_1700000000000_0001\n"


def test_start_prints_the_id_and_leaves(capfd: pytest.CaptureFixture[str]) -> None:
    from knit.cli import main

    with playing.playing(playing.FakeClient(playing.cooperative)) as client:
        assert main(["start", "-n", "2", "--env", "A=1", "echo", "a b"]) == 0
    out = capfd.readouterr().out
    assert client.fake is not None
    assert out == f"{client.fake.application_id}\n"
    (service,) = client.submitted[0].services.values()
    assert (service.command, service.instances, service.environment) == (
        "echo 'a b'",
        2,
        {"A": "1"},
    )


def test_detached_and_as_json_it_says_so_once(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(playing.cooperative, "--detach", "--json", "ls")[0] == 0
    assert json.loads(capfd.readouterr().out)["event"] == "submitted"


def test_when_time_is_up_the_application_is_asked_to_stop(
    capfd: pytest.CaptureFixture[str],
) -> None:
    status, _ = run(playing.cooperative, "--timeout", "1s", "ls")
    assert status == 124
    out, err = capfd.readouterr()
    assert out.splitlines()[-1] == "[worker/0] cleared up"
    assert "the time is over" in err


def test_when_it_does_not_stop_either_yarn_kills_it(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("knit.cli._running.following.PATIENCE_WITH_STOP", timedelta(seconds=0.5))
    assert run(playing.stubborn, "--timeout", "1s", "ls")[0] == 124
    assert "having YARN kill it" in capfd.readouterr().err


def test_a_broken_connection_loses_no_line_and_repeats_none(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run(playing.returning, "ls")[0] == 0
    assert capfd.readouterr().out == "[worker/0] before\n[worker/0] after\n"


def test_without_its_application_master_yarns_word_counts(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run(playing.dying, "ls")[0] == 1
    out, err = capfd.readouterr()
    assert out == "[worker/0] last words\n"
    assert "application_1700000000000_0001 failed after" in err


def test_timeout_and_detach_exclude_each_other(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(playing.well, "--detach", "--timeout", "1s", "ls")[0] == 2
    assert "leave out --detach" in capfd.readouterr().err


def test_it_says_what_containers_wait_for_and_says_so_again_when_that_changes(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run(playing.waiting, "ls")[0] == 0
    lines = capfd.readouterr().err.splitlines()
    waits = [line for line in lines if " wait: " in line]
    assert waits == [
        "knit: 1 of worker wait: The queue is full: 3 of 4 GiB are in use.",
        "knit: 1 of worker wait: No node has 9 GiB.",
    ]


def test_counts_are_those_of_the_states(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(playing.busy, "-n", "3", "ls")[0] == 0
    err = capfd.readouterr().err
    assert "all containers have started: 2 running, 1 succeeded (" in err


def test_what_was_stopped_is_not_counted_as_having_run(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run(playing.cooperative, "--timeout", "1s", "-n", "2", "ls")[0] == 124
    lines = capfd.readouterr().err.splitlines()
    assert lines[-1] == "knit: containers: 2 stopped"
    assert sum("have started" in line for line in lines) == 1


def test_an_unexpected_error_in_a_thread_ends_the_command_with_the_reason(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("token=hunter2")

    monkeypatch.setattr("knit.cli._terminal.log_printer.LogPrinter.print_all", fail)
    assert run(playing.cooperative, "ls")[0] == 1
    err = capfd.readouterr().err
    assert "application_1700000000000_0001 goes on: `knit logs -f`" in err
    assert "an unexpected RuntimeError happened" in err
    assert "hunter2" not in err


def test_who_writes_nothing_is_said_to(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(playing.busy, "-n", "3", "ls")[0] == 0
    out, err = capfd.readouterr()
    assert out == ""
    assert "its containers have written nothing to stdout or stderr" in err


def test_a_specification_is_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my app.yaml").write_text("name: a")
    status, client = run(playing.well, "--", "my app.yaml", "--fast")
    assert (status, client.submitted) == (2, [])
    assert "describes: --spec 'my app.yaml'" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("command", "exit_code", "hint"),
    [
        ("python x.py", 127, "many nodes have python3, but no python"),
        ("python3 x.py", 127, "bring programs of yours along with --file"),
        ("./x", 126, "name what runs it"),
    ],
)
def test_some_failures_come_with_what_to_try(
    command: str, exit_code: int, hint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def play(fake: Any, _: object) -> None:
        fake.finish(fake.containers()[0].container_id, exit_code=exit_code)
        fake.end(knit.FinalStatus.FAILED, exit_code=exit_code, diagnostics="It failed.")

    assert run(play, command)[0] == exit_code
    assert hint in capfd.readouterr().err.splitlines()[-1]


def test_diagnostics_do_not_reach_the_cursor(capfd: pytest.CaptureFixture[str]) -> None:
    """A program's last words are in them."""

    def play(fake: Any, _: object) -> None:
        fake.end(
            knit.FinalStatus.FAILED, exit_code=3, diagnostics="\x1b[2J\x1b[1;1Hknit: all is well"
        )

    assert run(play, "ls")[0] == 3
    assert "\x1b" not in capfd.readouterr().err


def test_a_port_that_cannot_be_reached_is_named_with_its_number_and_what_to_do(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def drop(address: object, timeout: float) -> None:
        raise TimeoutError

    monkeypatch.setattr("knit.cli._running.waiting.socket.create_connection", drop)
    assert run(playing.returning, "ls")[0] == 0
    err = capfd.readouterr().err
    assert re.search(r"listens on 127\.0\.0\.1:\d+, which cannot be reached from here", err)
    assert "--master-ports" in err


@pytest.mark.parametrize(
    ("number", "by"), [(signal.SIGTERM, "SIGTERM"), (signal.SIGHUP, "a closed terminal")]
)
def test_a_signal_that_comes_but_once_does_not_wait_for_ever(
    number: int, by: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is there to press Ctrl-C again."""

    def play(fake: Any, app: knit.Application) -> None:
        playing.stubborn(fake, app)
        os.kill(os.getpid(), number)

    monkeypatch.setattr("knit.cli._running.following.PATIENCE_WITH_STOP", timedelta(seconds=0.5))
    assert run(play, "ls")[0] == 128 + number
    err = capfd.readouterr().err
    assert f"{by}: asking the application to stop" in err
    assert "having YARN kill it" in err


def test_a_silent_cluster_gets_advice_that_is_possible_here(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise knit.ClusterTimeoutError("No answer. Try again, or allow more time (timeout=).")

    monkeypatch.setattr(FakeClient, "submit", fail)
    assert run(playing.well, "--call-timeout", "1m", "ls")[0] == 1
    err = capfd.readouterr().err
    assert "--call-timeout" in err
    assert "timeout=" not in err


def test_where_nobody_gives_a_reason_it_is_said_that_containers_wait(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("knit.cli._running.following.PATIENCE_WITH_GRANTS", 0.0)
    assert run(playing.slow, "ls")[0] == 0
    err = capfd.readouterr().err
    assert err.count("waiting for YARN to grant and start containers: 1 requested\n") == 1


def test_where_nodes_want_kerberos_all_comes_at_the_end_with_the_programs_exit_code(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The Application Master is asked how it ended before it leaves, and let go for the logs."""
    assert run(playing.unseen, "ls")[0] == 7
    out, err = capfd.readouterr()
    assert out == "[worker/0] seen at the end\n"
    assert err.count("only to who has a Kerberos ticket") == 1
    assert "failed after" in err
    assert "worker 0 ended with exit code 7." in err
