"""Status, wait, kill, containers, stop, logs and list: what they print and leave with."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import NoReturn

import pytest

import knit
from knit.cli import main
from knit.testing import FakeApplicationMaster, Fault
from tests.cli.verbs.printed import as_json, rows
from tests.fakes.cluster import FakeCluster

APP = "application_1700000000000_0001"


def test_status_shows_the_application_and_its_containers(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", APP]) == 0
    fields = dict(
        [part.strip() for part in line.split(":", 1)]
        for line in capfd.readouterr().out.splitlines()
    )
    assert fields["application"] == APP
    assert fields["state"] == "RUNNING"
    assert fields["containers"] == "2 running"
    assert "exit code" not in fields


def test_status_says_that_an_application_began_anew(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", APP]) == 0
    assert "began anew" not in capfd.readouterr().out
    fake.begin_anew()
    assert main(["status", APP]) == 0
    assert "began anew" in capfd.readouterr().out


def test_status_as_json(fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]) -> None:
    fake.finish(fake.containers()[0].container_id, exit_code=3)
    fake.end(knit.FinalStatus.FAILED, exit_code=3, diagnostics="worker 0 failed")
    assert main(["status", APP, "--json"]) == 0
    status = as_json(capfd)
    assert status["state"] == "FINISHED"
    assert status["start_time"].endswith("+00:00")
    assert status["application_master"]["outcome"] == {
        "final_status": "FAILED",
        "exit_code": 3,
        "diagnostics": "worker 0 failed",
    }
    assert status["containers"] == {"FAILED": 1, "STOPPED": 1}


def test_wait_leaves_with_the_programs_exit_code(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.end(knit.FinalStatus.FAILED, exit_code=3, diagnostics="worker 0 failed")
    assert main(["wait", APP]) == 3
    out, err = capfd.readouterr()
    assert (out, err) == (f"{APP}\tFAILED\n", "knit: worker 0 failed\n")


def test_wait_leaves_with_0_after_success(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.end()
    assert main(["wait", APP, "--json"]) == 0
    assert as_json(capfd)["exit_code"] == 0


def test_wait_gives_up_with_124(fake: FakeApplicationMaster) -> None:
    assert main(["wait", APP, "--timeout", "0.2s"]) == 124


def test_wait_leaves_with_1_where_no_exit_code_is_known(fake: FakeApplicationMaster) -> None:
    fake.report_as(knit.YarnState.KILLED)
    fake.stop()
    assert main(["wait", APP]) == 1


def test_kill_goes_on_after_one_that_cannot_be_killed(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    other = "application_1700000000000_0999"
    assert main(["kill", other, APP]) == 1
    out, err = capfd.readouterr()
    assert out == f"{APP}\tKILLED\n"
    assert other in err


# Containers


def test_containers_are_listed_in_order(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.finish(fake.containers()[1].container_id, exit_code=137)
    assert main(["containers", APP]) == 0
    heading, first, second = rows(capfd)
    assert heading[:7] == ["SERVICE", "RANK", "ATTEMPT", "CONTAINER", "NODE", "STATE", "EXIT"]
    assert (first[0], first[1], first[5], first[6]) == ("worker", "0", "RUNNING", "-")
    assert (second[5], second[6]) == ("FAILED", "exited, signal 9")


def test_containers_as_json(fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["containers", APP, "--state", "running", "--service", "worker", "--json"]) == 0
    first, second = as_json(capfd)
    assert (first["rank"], second["rank"]) == (0, 1)
    assert first["memory_mib"] == 256
    assert first["exit"] is None


def test_added_containers_have_the_services_size_where_nothing_else_is_said(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["add", APP, "-n", "1", "--memory", "1g", "--env", "A=b", "--json"]) == 0
    (added,) = as_json(capfd)
    assert (added["rank"], added["memory_mib"], added["vcores"]) == (2, 1024, 2)
    assert main(["add", APP, "-n", "2", "--service", "worker", "--vcores", "1", "--json"]) == 0
    assert [(c["memory_mib"], c["vcores"]) for c in as_json(capfd)] == [(256, 1)] * 2


def test_add_to_no_such_service_fails(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["add", APP, "-n", "1", "--service", "other"]) == 1
    assert "other" in capfd.readouterr().err


def test_containers_are_stopped_by_id_or_place(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    first = fake.containers()[0].container_id
    assert first is not None
    assert main(["stop", APP, first, "worker/1", "--json"]) == 0
    assert {c["rank"] for c in as_json(capfd)} == {0, 1}
    assert {c.state for c in fake.containers()} == {knit.ContainerState.STOPPED}


def test_stopping_a_place_that_is_not_there_stops_nothing(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["stop", APP, "worker/0", "worker/7"]) == 1
    assert "has no container worker/7" in capfd.readouterr().err
    assert {c.state for c in fake.containers()} == {knit.ContainerState.RUNNING}


def test_a_whole_application_is_stopped_with_an_outcome(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["stop", APP, "--status", "succeeded", "--diagnostics", "enough"]) == 0
    assert capfd.readouterr().out == f"{APP}\tENDING\n"
    outcome = fake.application().describe().outcome
    assert outcome is not None
    assert (outcome.final_status, outcome.diagnostics) == (knit.FinalStatus.SUCCEEDED, "enough")


# Logs


def test_logs_are_printed_as_far_as_they_are(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    for container in fake.containers():
        fake.write(container.container_id, b"one\ntwo\n")
    fake.write(fake.containers()[0].container_id, b"42\n", file="metrics")
    assert main(["logs", APP, "--tail", "1"]) == 0
    assert sorted(capfd.readouterr().out.splitlines()) == ["[worker/0] two", "[worker/1] two"]
    assert main(["logs", APP, "--container", "worker/0", "--file", "metrics"]) == 0
    assert capfd.readouterr().out == "[worker/0:metrics] 42\n"


def test_log_files_are_listed_wherever_they_lie(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    first, second = (container.container_id for container in fake.containers())
    fake.write(first, b"12345\n", file="app.1.rolled")
    fake.collect_logs(first, file="app.1.rolled")
    fake.write(second, b"one\n")
    fake.finish(second)
    fake.collect_logs(second)
    assert main(["logs", APP, "--list"]) == 0
    rows = [tuple(line.split("\t")) for line in capfd.readouterr().out.splitlines()]
    assert rows == [
        ("CONTAINER", "ID", "FILE", "BYTES"),
        ("worker/0", first, "app.1.rolled", "6"),
        ("worker/0", first, "stderr", "0"),
        ("worker/0", first, "stdout", "0"),
        ("worker/1", second, "stderr", "0"),
        ("worker/1", second, "stdout", "4"),
    ]
    assert main(["logs", APP, "--container", "worker/0", "--file", "app.1.rolled"]) == 0
    assert capfd.readouterr().out == "[worker/0:app.1.rolled] 12345\n"
    assert main(["logs", APP, "--list", "--json", "--container", "worker/1"]) == 0
    _, stdout = as_json(capfd)
    assert stdout == {
        "container": "worker/1",
        "container_id": second,
        "file": "stdout",
        "size_bytes": 4,
    }
    fake.end()
    fake.report_as(knit.YarnState.FINISHED)
    fake.stop()
    assert main(["logs", APP, "--list", "--service", "worker"]) == 0
    assert capfd.readouterr().out.splitlines()[1:] == ["\t".join(row) for row in rows[1:]]
    assert main(["logs", APP, "--list", "--driver"]) == 0
    assert "events.jsonl" in capfd.readouterr().out


def test_what_keeps_log_files_from_being_listed_is_said(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.fail_next(Fault(call="ListLogFiles", status="UNAVAILABLE"))
    assert main(["logs", APP, "--list"]) == 0, "the other node answers"
    out, err = capfd.readouterr()
    assert "worker/1" in out
    assert "files may be missing: Listing the log files of" in err
    fake.fail_next(Fault(call="ListLogFiles", status="UNAVAILABLE"))
    assert main(["logs", APP, "--list", "--container", "worker/0"]) == 1


def test_logs_followed_end_with_the_application(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.write(fake.containers()[0].container_id, b"x\n")
    fake.end()
    assert main(["logs", "-f", APP, "--json", "--service", "worker"]) == 0
    assert as_json(capfd)["text"] == "x"


def test_lost_logs_are_spoken_of(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.lose_logs(fake.containers()[0].container_id, "its node was lost.")
    assert main(["logs", APP]) == 1, "nothing could be printed, and there may have been something"
    err = capfd.readouterr().err
    assert "may be missing: its node was lost." in err
    assert "nothing of stdout or stderr to print" in err


@pytest.mark.parametrize("arguments", [["containers", APP], ["stop", APP], ["add", APP, "-n", "1"]])
def test_a_port_behind_a_firewall_is_named_and_not_waited_for(
    fake: FakeApplicationMaster,
    arguments: list[str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def drop(address: object, timeout: float) -> None:
        raise TimeoutError

    monkeypatch.setattr("knit.cli._running.waiting.socket.create_connection", drop)
    monkeypatch.setattr("knit.cli._running.waiting.PATIENCE_SECONDS", 0.05)
    fake.fail_next(Fault(delay=timedelta(seconds=3)))
    assert main(arguments) == 1
    err = capfd.readouterr().err
    assert f"knit: The Application Master listens on {fake.address}, which cannot be" in err
    assert "--master-ports" in err


def test_containers_can_be_listed_after_the_end(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.finish(fake.containers()[0].container_id, exit_code=3)
    fake.end(knit.FinalStatus.FAILED, exit_code=3)
    fake.stop()
    assert main(["containers", APP, "--json"]) == 0
    first, second = as_json(capfd)
    assert (first["state"], first["exit"]["exit_code"]) == ("FAILED", 3)
    assert (second["state"], second["application_attempt"]) == ("STOPPED", 1)


def test_wait_says_for_what(
    fake: FakeApplicationMaster,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("knit.cli._running.waiting.POLL_SECONDS", 0.05)
    fake.wait_for(
        knit.WaitingReason(
            service_name="worker",
            count=2,
            resources=knit.Resources(),
            cause=knit.WaitingCause.CAPACITY,
            explanation="The queue is full.",
        )
    )
    assert main(["wait", APP, "--timeout", "1s"]) == 124
    assert "knit: 2 of worker wait: The queue is full.\n" in capfd.readouterr().err
    assert main(["status", APP]) == 0
    assert "2 of worker wait: The queue is full." in capfd.readouterr().out


def test_what_the_sdk_tells_its_log_is_a_sentence_here(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tell(_: object) -> NoReturn:
        logging.getLogger("knit").warning("waiting for %s", "\x1b[2Jit")
        raise knit.ConfigurationError("enough")

    monkeypatch.setattr("knit.cli._arguments.options.Cluster.client", tell)
    assert main(["list"]) == 1
    assert capfd.readouterr().err == "knit: waiting for ?[2Jit\nknit: enough\n"


def test_logs_that_are_empty_are_said_to_be(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["logs", APP, "--file", "metrics"]) == 0
    out, err = capfd.readouterr()
    assert out == ""
    assert err == "knit: no container that was asked for has written anything to metrics\n"


def test_logs_can_be_printed_after_the_end(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    """Places still stand for containers, although nobody can be asked for these."""
    fake.write(fake.containers()[0].container_id, b"one\ntwo\n")
    fake.write(fake.containers()[1].container_id, b"other\n")
    fake.end()
    fake.report_as(knit.YarnState.KILLED)
    fake.stop()
    assert main(["logs", APP, "--container", "worker/0", "--tail", "1"]) == 0
    assert capfd.readouterr().out == "[worker/0] two\n"
    assert main(["logs", "-f", APP]) == 0
    assert capfd.readouterr().out.count("\n") == 3
    assert main(["logs", APP, "--driver"]) == 0
    assert "written anything to driver.stdout or driver.stderr" in capfd.readouterr().err
    assert main(["logs", APP, "--container", "worker/9"]) == 1
    assert "has no container worker/9" in capfd.readouterr().err


# The cluster


def test_list_shows_your_applications_that_have_not_ended(
    cluster: FakeCluster, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["list"]) == 0
    assert rows(capfd) == [
        ["APPLICATION", "NAME", "USER", "QUEUE", "STATE", "FINAL STATUS", "STARTED", "RUN TIME"]
    ]
    query = cluster.resource_manager.asked(path="/ws/v1/cluster/apps")[-1].query
    assert query["user"] == cluster.user
    assert "FINISHED" not in query["states"]
    assert main(["list", "--all", "--all-users", "--json"]) == 0
    assert as_json(capfd) == []
    assert "user" not in cluster.resource_manager.asked(path="/ws/v1/cluster/apps")[-1].query
