"""`knit validate` and --dry-run: everything that is wrong, and nothing submitted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from knit.cli import main
from tests.fakes.cluster import FakeCluster

WELL = "name: demo\nservices:\n  w: {command: ls, instances: 3}\n"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("app.yaml")


def test_a_good_file_is_said_to_be_one(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path.write_text(WELL)
    assert main(["validate", "app.yaml"]) == 0
    assert capfd.readouterr() == ("app.yaml: 'demo' is well: 1 service, 3 containers\n", "")


def test_each_mistake_is_a_line_that_an_editor_can_jump_to(
    path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path.write_text("name: demo\nservice:\n  w: {command: ls}\nqueue: ''\n")
    Path("empty.yaml").touch()
    assert main(["validate", "app.yaml", "empty.yaml", "gone.yaml"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "knit: app.yaml:2:1: 'service' is not known here: did you mean 'services'?",
        "knit: app.yaml:4:1: queue: The queue is empty.",
        "knit: empty.yaml:1:1: it is empty: write a name and services at least.",
        "knit: gone.yaml: The specification gone.yaml does not exist.",
    ]


def test_each_file_that_is_not_here_is_named(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path.write_text(
        "name: demo\nservices:\n  w: {command: ls, files: [a.txt, b.txt], "
        "python_environment: nowhere}\n"
    )
    assert main(["validate", "app.yaml", "--json"]) == 1
    [result] = json.loads(capfd.readouterr().out)
    assert (result["file"], result["ok"]) == ("app.yaml", False)
    messages = [problem["message"] for problem in result["problems"]]
    assert len(messages) == 3
    for message, name in zip(messages, ("a.txt", "b.txt", "nowhere"), strict=True):
        assert message.startswith("services.w.")
        assert name in message


def test_a_dry_run_shows_what_it_would_submit_and_submits_nothing(
    cluster: FakeCluster, capfd: pytest.CaptureFixture[str], path: Path
) -> None:
    Path("train.py").write_text("print()\n")
    arguments = ["-n", "3", "--env", "TOKEN=hunter2", "train.py"]
    assert main(["run", "--dry-run", *arguments]) == 0
    out, err = capfd.readouterr()
    assert "hunter2" not in out + err
    fields = dict(line.split(": ", 1) for line in out.splitlines() if line)
    shown = {name: value.strip() for name, value in fields.items()}
    assert shown["name"] == "train.py"
    assert shown["command"] == "python3 train.py"
    assert shown["containers"] == "3 of 512 MiB, 1 vcore"
    assert shown["variables"] == "TOKEN"
    assert shown["files"] == "train.py from train.py, 8 B"
    assert shown["user"] == cluster.user
    assert err.splitlines()[-1] == "knit: all is well; without --dry-run this would be submitted"
    assert not cluster.resource_manager.submissions


def test_a_dry_run_finds_all_that_is_wrong_here_and_there(
    cluster: FakeCluster, capfd: pytest.CaptureFixture[str], path: Path
) -> None:
    cluster.name_node.webhdfs = False
    arguments = ["--dry-run", "--json", "--queue", "nowhere", "--memory", "900GiB", "--file", "a"]
    assert main(["run", *arguments, "ls"]) == 1
    answer = json.loads(capfd.readouterr().out)
    assert not answer["ok"]
    problems = "\n".join(answer["problems"])
    for word in ("services.worker.files", "WebHDFS", "921600 MiB"):
        assert word in problems, problems
    # Which queues there are is the scheduler's to decide.
    assert "'nowhere'" in "\n".join(answer["advice"])
    assert answer["specification"]["queue"] == "nowhere"


def test_without_a_cluster_a_dry_run_says_so_beside_the_rest(
    capfd: pytest.CaptureFixture[str], path: Path
) -> None:
    assert main(["start", "--dry-run", "--conf", "nowhere", "--file", "a", "ls"]) == 1
    err = capfd.readouterr().err
    assert "services.worker.files" in err
    assert "nowhere" in err
