"""The command `knit` does what the SDK does, and its exit status says how it went."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import knit
import pytest
from knit import FinalStatus, YarnState

from integration.applications import (
    PATIENCE,
    PROGRAMS,
    Applications,
    Gate,
    finish,
    program,
    wait_for_text,
)
from integration.clusters import Cluster
from integration.command_line import CommandLine
from integration.programs import GATE_VARIABLE, SIGNALLED_VARIABLE
from integration.waiting import wait_until

SMALL = ("--memory", "64MiB")
APPLICATION_ID = re.compile(r"application_\d+_\d+")


@pytest.fixture(scope="module")
def command_line(cluster: Cluster) -> CommandLine:
    return CommandLine(cluster)


@pytest.fixture
def waiting(applications: Applications, gate: Gate) -> knit.Application:
    """An application of two containers that wait."""
    app = applications.submit(program("wait", instances=2, environment=gate.environment))
    wait_for_text(app, "waits", 2)
    return app


def test_run_prints_what_containers_write(command_line: CommandLine) -> None:
    done = command_line.run(
        "run", "-n", "3", *SMALL, "--env", "GREETING=it's $HOME",
        'echo "$GREETING from $KNIT_RANK"; echo to stderr >&2',
    )  # fmt: skip
    assert sorted(done.out.splitlines()) == [
        f"[worker/{rank}] it's $HOME from {rank}" for rank in range(3)
    ]
    assert done.err.count("] to stderr\n") == 3
    assert APPLICATION_ID.search(done.err)


def test_run_leaves_with_the_programs_exit_code(command_line: CommandLine) -> None:
    done = command_line.run("run", *SMALL, "echo before; exit 42", status=42)
    assert done.out == "[worker/0] before\n"
    assert "exit code 42" in done.err


def test_run_of_several_words_passes_them_as_arguments(command_line: CommandLine) -> None:
    done = command_line.run("run", *SMALL, "printf", "<%s>", "a b", "$HOME", "'", "")
    assert done.out == "[worker/0] <a b><$HOME><'><>\n"


def test_run_ships_files(command_line: CommandLine) -> None:
    done = command_line.run("run", *SMALL, "--file", f"{PROGRAMS}#p.py", "python3 p.py flaky 1")
    assert done.out == "[worker/0] worker/0 attempt 1\n"


def test_run_takes_a_script_along_that_lies_here(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train.py").write_text("import sys; print('trained', *sys.argv[1:])\n")
    monkeypatch.chdir(tmp_path)
    done = command_line.run("run", *SMALL, "train.py", "--epochs", "3")
    assert done.out == "[worker/0] trained --epochs 3\n"
    assert "taking train.py along" in done.err


def test_the_deep_look_of_the_doctor_leaves_nothing_behind(command_line: CommandLine) -> None:
    done = command_line.run("doctor", "--deep", "--json")
    checks = json.loads(done.out)
    assert [check for check in checks if not check["ok"]] == []
    assert [check["name"] for check in checks][-6:] == [
        "submission", "start", "port", "container", "log collection", "clearing up",
    ]  # fmt: skip
    assert command_line.run("list", "--name", "knit-doctor", "--json").out == "[]\n"


def test_run_as_json_tells_everything(command_line: CommandLine) -> None:
    done = command_line.run("run", "--json", *SMALL, "echo 'grün ✓'; exit 3", status=3)
    events = [json.loads(line) for line in done.out.splitlines()]
    assert [event["event"] for event in events] == ["submitted", "log", "result"]
    assert events[1]["text"] == "grün ✓"
    assert (events[2]["final_status"], events[2]["exit_code"]) == ("FAILED", 3)
    assert events[2]["containers"][0]["exit"]["exit_code"] == 3


def test_ctrl_c_asks_the_application_to_stop(
    command_line: CommandLine, client: knit.Client, applications: Applications
) -> None:
    with command_line.start("run", "-n", "2", *SMALL, "echo up; exec sleep 600") as running:
        running.wait_for_output("up", 2)
        running.interrupt()
        assert running.wait() == 128 + signal.SIGINT, running.evidence()
    found = APPLICATION_ID.search(running.err)
    assert found is not None
    app = applications.adopt(client.application(found[0]))
    report = app.wait(timeout=PATIENCE)
    assert (report.state, report.final_status) == (YarnState.FINISHED, FinalStatus.KILLED)
    assert "Ctrl-C" in report.diagnostics


def test_a_second_ctrl_c_kills_it(
    command_line: CommandLine,
    cluster: Cluster,
    client: knit.Client,
    applications: Applications,
    gate: Gate,
) -> None:
    """Here the first one brings about nothing, for the Application Master hangs."""
    hangs = applications.gate()
    variables = {**gate.environment, SIGNALLED_VARIABLE: hangs.opener}
    # One of them is beside the Application Master.
    instances = 1 if cluster.name == "embedded" else 4 * len(cluster.nodes())
    with command_line.start(
        "run", "-n", str(instances), *SMALL, "--file", str(PROGRAMS),
        *(word for pair in variables.items() for word in ("--env", "=".join(pair))),
        f"python3 {PROGRAMS.name} signal-application-master STOP",
    ) as running:  # fmt: skip
        running.wait_for_output("waits", instances)
        found = APPLICATION_ID.search(running.err)
        assert found is not None, running.evidence()
        app = applications.adopt(client.application(found[0]))
        gate.open()
        wait_until(
            lambda: hangs.is_open,
            what="nobody has stopped the Application Master",
            timeout=PATIENCE,
            evidence=running.evidence,
        )
        running.interrupt()
        running.wait_for_error_output("Ctrl-C again kills it")
        assert app.report().state is YarnState.RUNNING
        running.interrupt()
        assert running.wait() == 128 + signal.SIGINT, running.evidence()
    assert app.report().state is YarnState.KILLED


def test_a_detached_application_is_found_followed_and_waited_for(
    command_line: CommandLine, client: knit.Client, applications: Applications, gate: Gate
) -> None:
    variable = f"{GATE_VARIABLE}={gate.environment[GATE_VARIABLE]}"
    done = command_line.run(
        "run", "--detach", "--name", "detached", *SMALL, "--env", variable,
        "--file", str(PROGRAMS), f"python3 {PROGRAMS.name} wait",
    )  # fmt: skip
    application_id = done.out.strip()
    app = applications.adopt(client.application(application_id))
    wait_for_text(app, "waits", 1)
    assert application_id in command_line.run("list", "--name", "detached").out
    with command_line.start("logs", "-f", application_id) as following:
        following.wait_for_output("[worker/0] worker/0 waits\n")
        gate.open()
        following.wait_for_output("[worker/0] worker/0 goes on\n")
        assert following.wait() == 0, following.evidence()
    assert command_line.run("wait", application_id).out == f"{application_id}\tSUCCEEDED\n"
    ended = json.loads(command_line.run("containers", application_id, "--json").out)
    assert [(c["service"], c["rank"], c["state"]) for c in ended] == [("worker", 0, "SUCCEEDED")]
    assert application_id not in command_line.run("list").out
    assert application_id in command_line.run("list", "--all").out


def test_listing_verbs_speak_json(command_line: CommandLine, waiting: knit.Application) -> None:
    def ask(*arguments: str) -> Any:
        return json.loads(command_line.run(*arguments, "--json").out)

    application_id = waiting.application_id
    (listed,) = (app for app in ask("list") if app["application_id"] == application_id)
    assert (listed["state"], listed["name"]) == ("RUNNING", "test")
    status = ask("status", application_id)
    assert status["application_master"]["state"] == "RUNNING"
    assert status["containers"] == {"RUNNING": 2}
    containers = ask("containers", application_id)
    assert [(c["service"], c["rank"], c["state"]) for c in containers] == [
        ("worker", 0, "RUNNING"),
        ("worker", 1, "RUNNING"),
    ]
    assert [check["name"] for check in ask("doctor") if not check["ok"]] == []


def test_listing_verbs_speak_to_people(
    command_line: CommandLine, waiting: knit.Application
) -> None:
    application_id = waiting.application_id
    assert "2 running" in command_line.run("status", application_id).out
    lines = command_line.run("containers", application_id).out.splitlines()
    assert lines[0].startswith("SERVICE\tRANK\t")
    assert len(lines) == 3
    assert command_line.run("doctor").out.count("\tok\t") >= 5
    tail = command_line.run("logs", "--tail", "1", "--container", "worker/1", application_id)
    assert tail.out == "[worker/1] worker/1 waits\n"


def test_containers_are_added_and_stopped(
    command_line: CommandLine, waiting: knit.Application, gate: Gate
) -> None:
    application_id = waiting.application_id
    command_line.run("add", application_id, "-n", "1")
    wait_for_text(waiting, "waits", 3)
    command_line.run("stop", application_id, "worker/2")
    gate.open()
    states = [container.state.name for container in finish(waiting).containers]
    assert states == ["SUCCEEDED", "SUCCEEDED", "STOPPED"]


def test_kill_ends_it(command_line: CommandLine, waiting: knit.Application) -> None:
    application_id = waiting.application_id
    assert command_line.run("kill", application_id).out == f"{application_id}\tKILLED\n"
    assert waiting.report().state is YarnState.KILLED
    done = command_line.run("add", application_id, "-n", "1", status=1)
    assert done.err.startswith("knit: ")
    assert len(done.err.splitlines()) == 1


def test_a_proxy_in_the_environment_swallows_nothing(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "grpc_proxy"):
        monkeypatch.setenv(name, "http://localhost:1")
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert command_line.run("run", *SMALL, "echo hello").out == "[worker/0] hello\n"


def test_an_error_is_a_sentence_and_a_status(command_line: CommandLine) -> None:
    for arguments, status, hint in (
        (("run", "--queue", "no-such-queue", *SMALL, "true"), 1, "no-such-queue"),
        (("status", "application_1_0001"), 1, "application_1_0001"),
        (("run",), 2, "Give a command"),
    ):
        done = command_line.run(*arguments, status=status)
        assert done.out == ""
        *_, sentence = done.err.splitlines()
        assert sentence.startswith("knit: "), done.err
        assert hint in sentence
