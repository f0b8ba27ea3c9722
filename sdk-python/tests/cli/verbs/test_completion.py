"""Tab after `knit`: verbs, options, applications; never a traceback in somebody's shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.fakes.cluster import FakeCluster
from tests.fakes.server import closed_port


def knit(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "knit.cli", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def complete(*words: str) -> list[str]:
    """What bash is offered for the last of these words."""
    out = knit(
        _KNIT_COMPLETE="bash_complete", COMP_WORDS=" ".join(words), COMP_CWORD=str(len(words) - 1)
    )
    return [line.partition(",")[2] for line in out.splitlines() if line]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_understands_its_script(shell: str) -> None:
    script = knit("completion", shell)
    assert f"{shell}_complete" in script
    interpreter = shutil.which(shell)
    if interpreter is None:
        pytest.skip(f"there is no {shell} here to ask")
    subprocess.run([interpreter, "-n"], input=script, text=True, check=True)


def test_verbs_and_options_are_completed() -> None:
    assert complete("knit", "st") == ["start", "status", "stop"]
    assert complete("knit", "run", "--max-r") == ["--max-restarts", "--max-replacements"]


def submitted(cluster: FakeCluster, number: int, state: str) -> str:
    application_id = f"application_1700000000000_{number:04}"
    cluster.resource_manager.applications[application_id] = {
        "id": application_id,
        "user": cluster.user,
        "name": "demo",
        "applicationType": "knit",
        "state": state,
        "startedTime": 1_700_000_000_000 + number,
    }
    return application_id


@pytest.mark.one_python("starts programs; on each Python verbs are completed")
def test_applications_that_have_not_ended_are_completed(cluster: FakeCluster) -> None:
    running = submitted(cluster, 1, "RUNNING")
    submitted(cluster, 2, "FINISHED")
    assert complete("knit", "status", "") == [running]
    assert complete("knit", "kill", "application_") == [running]
    assert complete("knit", "logs", "nothing") == []


@pytest.mark.one_python("starts programs; on each Python verbs are completed")
def test_queues_that_applications_can_be_in_are_completed(cluster: FakeCluster) -> None:
    application_id = submitted(cluster, 1, "RUNNING")
    assert complete("knit", "move", application_id, "root.t") == ["root.team.small"]
    assert complete("knit", "queues", "root.d") == ["root.default"]


@pytest.mark.one_python("starts programs; on each Python verbs are completed")
def test_without_a_cluster_there_is_nothing_to_complete(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.resource_manager.stop()
    assert complete("knit", "status", "") == []
    monkeypatch.setenv("HADOOP_CONF_DIR", f"/no/such/{closed_port()}")
    assert complete("knit", "status", "") == []
