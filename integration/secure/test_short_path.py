"""From submission to collected logs on a cluster with Kerberos, TLS and two of each master."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path

import attrs
import knit
import pytest
from knit import ContainerState, FinalStatus, Knit, YarnState

from integration.applications import (
    PATIENCE,
    SMALL,
    Applications,
    Ending,
    LogKey,
    finish,
    program,
    read_logs,
    wait_for_states,
    wait_for_text,
)
from integration.clusters.embedded import EmbeddedCluster
from integration.command_line import start
from integration.environments import make_venv
from integration.hdfs import Hdfs

INSTANCES = 2
RANKS = range(INSTANCES + 1)

# One more application, which is to be old when daemons are killed.
pytestmark = pytest.mark.usefixtures("veteran")
STOPPED = 1
SAYS = "echo out of $KNIT_RANK; echo err of $KNIT_RANK >&2"


@attrs.frozen
class Run:
    """An application with a keytab that went all the way: one container added, and one stopped."""

    app: knit.Application
    ending: Ending
    staged: frozenset[str]
    """What lay in HDFS while it ran."""


@pytest.fixture(scope="module")
def run(cluster: EmbeddedCluster, module_applications: Applications, hdfs: Hdfs) -> Run:
    gate = module_applications.gate()
    app = module_applications.submit(
        program("wait", instances=INSTANCES, environment=gate.environment),
        keytab=str(cluster.keytab(cluster.user)),
    )
    wait_for_text(app, "waits", INSTANCES)
    (added,) = app.add_containers(1)
    assert added.rank == INSTANCES
    wait_for_text(app, "waits", INSTANCES + 1)
    app.stop_containers([each for each in app.containers() if each.rank == STOPPED])
    wait_for_states(app, 1, ContainerState.STOPPED)
    staged = frozenset(hdfs.staged_applications())
    gate.open()
    return Run(app, finish(app), staged)


def test_it_is_its_users_and_ends_well(run: Run, cluster: EmbeddedCluster) -> None:
    assert run.ending.report.user == cluster.user
    assert run.ending.report.state is YarnState.FINISHED
    assert run.ending.report.final_status is FinalStatus.SUCCEEDED
    states = {container.rank: container.state for container in run.ending.containers}
    expected = dict.fromkeys(RANKS, ContainerState.SUCCEEDED)
    assert states == {**expected, STOPPED: ContainerState.STOPPED}


def test_it_is_heard_live(run: Run) -> None:
    """Nobody got through the gate before all were heard, so what was heard came live."""
    for rank in RANKS:
        goes_on = "" if rank == STOPPED else f"worker/{rank} goes on\n"
        assert run.ending.text("worker", rank) == f"worker/{rank} waits\n{goes_on}"


def test_yarn_collects_what_was_heard(run: Run) -> None:
    logs = run.app.aggregated_logs(wait=PATIENCE)
    assert logs.is_complete, logs.incomplete_reason
    texts = {
        container.read("stdout").decode()
        for container in logs.containers.values()
        if not container.is_application_master
    }
    assert texts == {run.ending.text("worker", rank) for rank in RANKS}


def test_nothing_of_it_stays_in_hdfs(run: Run, hdfs: Hdfs) -> None:
    assert run.app.application_id in run.staged
    assert run.app.application_id not in hdfs.staged_applications()


def test_without_a_keytab_all_is_told_in_the_end(applications: Applications) -> None:
    """By YARN's collection: the Application Master, which may not ask nodes, has left by then."""
    service = knit.Service(SAYS, instances=INSTANCES, resources=SMALL)
    logs = _told_in_the_end(applications, service)
    for rank in range(INSTANCES):
        assert logs["worker", rank, 1, "stdout"] == f"out of {rank}\n".encode()
        assert logs["worker", rank, 1, "stderr"] == f"err of {rank}\n".encode()


def _told_in_the_end(applications: Applications, service: knit.Service) -> dict[LogKey, bytes]:
    """What an application without a keytab, which ends well, has written."""
    app = applications.submit(service)
    logs = read_logs(app, follow=True)
    assert app.wait(timeout=PATIENCE).final_status is FinalStatus.SUCCEEDED
    return logs


def test_who_may_act_for_another_submits_as_the_other(
    cluster: EmbeddedCluster, config: knit.ClusterConfig
) -> None:
    spec = knit.ApplicationSpec("for-another", {"worker": knit.Service(SAYS, resources=SMALL)})
    with knit.Client(config, user="bob") as client, client.submit(spec) as app:
        report = app.wait(timeout=PATIENCE)
        assert (report.user, report.final_status) == ("bob", FinalStatus.SUCCEEDED)
    with knit.Client(config, user="carol") as client, pytest.raises(knit.KnitError) as refused:
        client.submit(spec)
    assert "impersonate" in str(refused.value)


def test_the_command_runs_it_by_an_empty_cache_and_a_keytab(
    cluster: EmbeddedCluster, tmp_path: Path
) -> None:
    environment = {**os.environ, **cluster.environment("bob")}
    environment["KRB5CCNAME"] = f"FILE:{tmp_path / 'cache'}"
    command = ["run", "--memory", "64MiB", "-n", "2", SAYS]
    with start([str(Path(sys.executable).parent / "knit"), *command], environment) as running:
        assert running.wait() == 0, running.evidence()
    assert sorted(running.out.splitlines()) == [f"[worker/{n}] out of {n}" for n in range(2)]


def test_the_class_of_old_goes_from_start_to_logs(cluster: EmbeddedCluster) -> None:
    with Knit(autodetect=True) as k:
        k.start(SAYS, num_containers=2)
        assert k.wait_for_completion(timeout=PATIENCE / timedelta(seconds=1)) is True
        logs = [each["stdout"] for each in k.logs().values()]
    for rank in range(2):
        assert any(f"out of {rank}\n" in text for text in logs), logs


def test_a_virtual_environment_runs_in_containers(
    applications: Applications, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    venv = make_venv(tmp_path / "venv")
    service = knit.Service(
        'python -c "import sys; print(sys.prefix)"', python_environment=venv, resources=SMALL
    )
    logs = _told_in_the_end(applications, service)
    prefix = logs["worker", 0, 1, "stdout"].decode().strip()
    assert prefix
    assert prefix != str(venv)
