"""Every verb but run: what it asks, prints and leaves with."""

from __future__ import annotations

from pathlib import Path

import pytest

from knit.cli import main
from knit.testing import FakeApplicationMaster
from tests.cli.verbs.printed import as_json, rows
from tests.fakes.cluster import FakeCluster
from tests.fakes.server import Answer, closed_port

APP = "application_1700000000000_0001"
VERBS = (
    "run",
    "start",
    "validate",
    "list",
    "status",
    "explain",
    "spec",
    "events",
    "logs",
    "containers",
    "add",
    "stop",
    "services",
    "scale",
    "restart",
    "update",
    "kv get",
    "kv put",
    "kv del",
    "kv list",
    "kv watch",
    "kill",
    "wait",
    "move",
    "priority",
    "nodes",
    "queues",
    "credentials",
    "env create",
    "env pack",
    "doctor",
    "completion",
)


# Help and errors


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_one_example(verb: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*verb.split(), "--help"]) == 0
    out = capfd.readouterr().out
    example = out.split("Example:\n")[1]
    assert example.startswith(f"  knit {verb} ")
    assert example.count("\n") == 1


def test_without_a_verb_it_shows_its_help(capfd: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    err = capfd.readouterr().err
    assert all(f"\n  {verb.split()[0]} " in err for verb in VERBS)


@pytest.mark.parametrize(
    "arguments",
    [
        ["walk"],
        ["status"],
        ["status", "x"],
        ["status", APP, "more"],
        ["containers", APP, "--state", "happy"],
        ["add", APP],
        ["add", APP, "-n", "0"],
        ["add", APP, "-n", "1", "--memory", "-3"],
        ["add", APP, "-n", "1", "--env", "=x"],
        ["stop", APP, "worker"],
        ["stop", APP, "worker/0", "--status", "failed"],
        ["logs", APP, "--tail", "-1"],
        ["logs", APP, "--list", "-f"],
        ["logs", APP, "--list", "--tail", "1"],
        ["logs", APP, "--list", "--file", "stdout"],
        ["logs", APP, "--container", "0"],
        ["logs", APP, "--driver", "--service", "worker"],
        ["logs", APP, "--driver", "--container", "worker/0"],
        ["kill"],
        ["kill", "all"],
        ["wait", APP, "--timeout", "soon"],
        ["list", "--state", "dead"],
        ["list", "--all", "--state", "running"],
        ["list", "--timeout", "0"],
        ["list", "--type", "SPARK", "--all-types"],
        ["list", "--limit", "0"],
        ["list", "--started-after", "soon"],
        ["list", "--started-after", "1h", "--started-before", "2h"],
        ["nodes", "--state", "happy"],
        ["move", APP],
        ["move", "x", "default"],
        ["priority", APP, "high"],
        ["priority", APP, "-1"],
        ["doctor", "--jsn"],
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("knit: ")
    assert " --help` says more.\n" in err
    assert "Traceback" not in err


def test_an_error_of_knit_is_one_sentence(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    other = "application_1700000000000_0999"
    assert main(["status", other]) == 1
    assert capfd.readouterr().err == f"knit: YARN does not know {other}.\n"


def test_verbose_shows_where_an_error_came_from(
    fake: FakeApplicationMaster, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "-v", "application_1700000000000_0999"]) == 1
    assert "Traceback" in capfd.readouterr().err


@pytest.mark.parametrize("debug", [False, True])
def test_an_unexpected_error_shows_its_words_only_when_asked(
    debug: bool, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("token=hunter2")

    monkeypatch.setattr("knit.cli._arguments.options.Cluster.client", fail)
    monkeypatch.setenv("KNIT_DEBUG", str(int(debug)))
    assert main(["list"]) == 1
    err = capfd.readouterr().err
    assert "an unexpected RuntimeError happened" in err
    assert ("hunter2" in err) is debug


def test_without_a_configuration_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "HADOOP_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert main(["list", "--conf", str(tmp_path / "missing")]) == 1
    assert "missing" in (err := capfd.readouterr().err)
    assert err.count("\n") == 1


# Applications


def test_doctor_finds_a_healthy_cluster_healthy(
    cluster: FakeCluster, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor"]) == 0
    heading, *checks = rows(capfd)
    assert heading == ["CHECK", "RESULT", "FOUND", "WHAT TO DO"]
    assert {check[1] for check in checks} == {"ok"}


def test_doctor_names_what_is_wrong_and_what_to_do(
    cluster: FakeCluster, capfd: pytest.CaptureFixture[str]
) -> None:
    cluster.name_node.webhdfs = False
    assert main(["doctor", "--queue", "nowhere", "--json"]) == 1
    checks = {check["name"]: check for check in as_json(capfd)}
    assert not checks["file system"]["ok"]
    assert not checks["queue"]["ok"]
    assert checks["queue"]["hint"]
    assert checks["resource manager"]["ok"]


def test_doctor_without_a_configuration_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--conf", str(tmp_path / "nowhere")]) == 1
    assert ["configuration", "failed"] in [row[:2] for row in rows(capfd)]


def test_run_on_a_cluster_that_refuses_is_one_sentence(
    cluster: FakeCluster, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("knit._submission.submit.JAR", Path(__file__))
    cluster.resource_manager.refusal = Answer.error(400, "BadRequestException", "not today")
    assert main(["run", "-q", "--env", "TOKEN=hunter2", "ls"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert "not today" in err
    assert "hunter2" not in err
    assert err.count("\n") == 1


def test_a_cluster_that_is_not_there_is_one_sentence(
    cluster: FakeCluster, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cluster.resource_manager.stop()
    cluster.resource_manager.port = closed_port()
    directory = cluster.write_configuration(tmp_path / "gone")
    assert main(["list", "--conf", str(directory)]) == 1
    err = capfd.readouterr().err
    assert str(cluster.resource_manager.port) in err
    assert err.count("\n") == 1
