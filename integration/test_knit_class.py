"""`Knit`, the class of knit 0.1.1, on a real cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import knit
import pytest
from knit import Knit

from integration.applications import PATIENCE, PROGRAMS, Gate
from integration.clusters import Cluster
from integration.hdfs import Hdfs
from integration.programs import GATE_VARIABLE
from integration.waiting import wait_until

SECONDS = PATIENCE / timedelta(seconds=1)


@pytest.fixture
def k(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Knit]:
    """The user's: autodetected; what it started ends with the test."""
    monkeypatch.setenv("HADOOP_CONF_DIR", str(cluster.conf_dir))
    monkeypatch.setenv("HADOOP_USER_NAME", cluster.user)
    with Knit(autodetect=True) as opened:
        yield opened
        if opened.app_id is not None:
            opened.kill(timeout=30)


def wait_for_logs(k: Knit, text: str, count: int) -> dict[str, dict[str, str]]:
    """Waits until so many containers have written this."""

    def found() -> dict[str, dict[str, str]] | None:
        logs = k.logs()
        return logs if sum(text in each["stdout"] for each in logs.values()) >= count else None

    logs = wait_until(
        found,
        what=f"{text!r} was not written by {count} containers",
        timeout=PATIENCE,
        evidence=lambda: str(k.logs()),
    )
    assert logs is not None
    return logs


def test_it_finds_its_cluster_and_says_so(k: Knit, cluster: Cluster) -> None:
    config = knit.ClusterConfig.from_directory(cluster.conf_dir)
    where = f"Knit<NN={config.default_fs.removeprefix('hdfs://')};RM={k.rm}:{k.rm_port}>"
    assert repr(k) == str(k) == where
    assert f"//{k.rm}:{k.rm_port}" in config.resource_managers[0]


def test_from_start_to_logs(k: Knit) -> None:
    app_id = k.start("echo out of $(hostname); echo err >&2", num_containers=2)
    assert k.wait_for_completion(timeout=SECONDS) is True
    assert k.runtime_status() == k.runtime_status(app_id) == "SUCCEEDED"
    assert k.status()["app"]["state"] == "FINISHED"
    logs = k.logs()
    assert len(logs) == 2
    for container_id, found in logs.items():
        assert container_id.startswith("container_")
        assert re.fullmatch(r"out of \S+\n", found["stdout"])
        assert found["stderr"] == "err\n"
        assert re.fullmatch(r"\S+:\d+", found["nodeId"])


def test_logs_are_the_same_once_the_application_master_has_left(k: Knit) -> None:
    app_id = k.start("echo 'grüße <b>'; echo err >&2", num_containers=2, memory=64)
    assert k.wait_for_completion(timeout=SECONDS) is True
    live = k.logs()
    k.client.application(app_id).release()
    wait_until(
        lambda: k.status()["app"]["runningContainers"] <= 0,
        what="the Application Master did not leave",
        timeout=PATIENCE,
        evidence=lambda: str(k.status()),
    )
    assert k.logs() == live
    assert {found["stdout"] for found in live.values()} == {"grüße <b>\n"}
    with_the_masters = k.logs(app_id, shell=True)
    assert live.items() <= with_the_masters.items()
    (masters,) = with_the_masters.keys() - live.keys()
    assert masters.endswith("_000001")


def test_logs_of_a_killed_application_are_there(k: Knit) -> None:
    k.start("echo here; exec sleep 600", num_containers=2, memory=64)
    live = wait_for_logs(k, "here", 2)
    assert k.kill() is True
    assert k.logs() == live


def test_logs_of_a_running_application_come_from_all_its_nodes(k: Knit, cluster: Cluster) -> None:
    nodes = len(cluster.nodes())
    k.start("echo here; exec sleep 600", num_containers=4 * nodes, memory=64)
    logs = wait_for_logs(k, "here", 4 * nodes)
    assert {found["stdout"] for found in logs.values()} == {"here\n"}
    assert len({found["nodeId"] for found in logs.values()}) == nodes


def test_containers_are_added_listed_and_removed(k: Knit, gate: Gate) -> None:
    k.start(
        f"exec python3 {PROGRAMS.name} wait",
        num_containers=1,
        memory=64,
        files=[str(PROGRAMS)],
        envvars={GATE_VARIABLE: gate.environment[GATE_VARIABLE]},
    )
    wait_for_logs(k, "waits", 1)
    k.add_containers(1, memory=96)
    logs = wait_for_logs(k, "waits", 2)
    assert set(k.get_containers()) == set(logs)
    assert k.status()["app"]["runningContainers"] == 3
    first, _ = sorted(logs)
    k.remove_containers(first)
    wait_until(
        lambda: k.get_container_statuses()[first] == "STOPPED",
        what=f"{first} did not stop",
        timeout=PATIENCE,
        evidence=lambda: str(k.get_container_statuses()),
    )
    with pytest.raises(knit.KnitException, match="never held"):
        k.remove_containers("container_1700000000000_0001_01_000099")
    gate.open()
    assert k.wait_for_completion(timeout=SECONDS) is True


def test_waiting_ends_at_a_failure(k: Knit) -> None:
    k.start("exit 3", num_containers=2, memory=64)
    assert k.wait_for_completion(timeout=SECONDS) is False
    assert k.runtime_status() == "FAILED"


def test_every_container_runs_to_its_end_although_one_fails(k: Knit, gate: Gate) -> None:
    k.start(
        f'test "$KNIT_RANK" = 1 || exit 3; exec python3 {PROGRAMS.name} wait',
        num_containers=2,
        memory=64,
        files=[str(PROGRAMS)],
        envvars=gate.environment,
    )
    wait_until(
        lambda: "FAILED" in k.get_container_statuses().values(),
        what="nobody has failed",
        timeout=PATIENCE,
        evidence=lambda: str(k.get_container_statuses()),
    )
    gate.open()
    assert k.wait_for_completion(timeout=SECONDS) is False
    nothing, all_of_it = sorted(found["stdout"] for found in k.logs().values())
    assert nothing == ""
    assert all_of_it.endswith("goes on\n")


def test_waiting_gives_up_in_time_and_a_second_start_is_refused(k: Knit) -> None:
    app_id = k.start("exec sleep 600", memory=64)
    assert k.wait_for_completion(timeout=0.5) is False
    with pytest.raises(knit.WrongStateError, match=app_id):
        k.start("date")
    assert k.kill(app_id) is True
    assert k.runtime_status() == "KILLED"
    assert k.wait_for_completion() is False
    assert k.start("true", memory=64) != app_id
    assert k.wait_for_completion(timeout=SECONDS) is True


def test_files_travel_once_and_those_of_the_cluster_are_used_in_place(
    k: Knit, hdfs: Hdfs, tmp_path: Path
) -> None:
    (tmp_path / "creds.txt").write_text("hunter2")
    there = f"{hdfs.home}/knit-test-data.csv"
    hdfs.write(there, b"1,2\n")
    try:
        files = [str(tmp_path / "creds.txt"), f"{hdfs.default_fs}{there}"]
        k.start("cat creds.txt knit-test-data.csv", files=files, memory=64)
        assert k.wait_for_completion(timeout=SECONDS) is True
        (found,) = k.logs().values()
        assert found["stdout"] == "hunter21,2\n"
        cached = hdfs.cache()
        k.start("cat creds.txt", files=files, memory=64)
        assert k.wait_for_completion(timeout=SECONDS) is True
        assert hdfs.cache() == cached
    finally:
        hdfs.delete(there)


@pytest.mark.parametrize(
    "arguments",
    [
        {"memory": "128"},
        {"memory": 1 << 30},
        {"num_containers": 0},
        {"files": "a,b,c"},
        {"files": ["/no/such/file"]},
        {"queue": "no-such-queue"},
        {"env": "/no/such/environment.zip"},
        {"env": "/usr"},
    ],
)
def test_what_cannot_run_is_refused_and_leaves_nothing(
    k: Knit, hdfs: Hdfs, arguments: dict[str, object]
) -> None:
    before = hdfs.staged_applications(), hdfs.cache()
    with pytest.raises(knit.KnitException):
        k.start("date", **arguments)  # type: ignore[arg-type]
    assert k.app_id is None
    assert (hdfs.staged_applications(), hdfs.cache()) == before


def test_what_names_another_cluster_is_refused(k: Knit) -> None:
    for given in ({"nn": "foobarbiz"}, {"rm": "foobarbiz"}, {"rm_port": 1}, {"nn_port": 1}):
        with pytest.raises(knit.HDFSConfigException, match="validate=False"):
            Knit(**given)


def test_a_cluster_that_does_not_answer_is_told(k: Knit) -> None:
    with Knit(rm="localhost", rm_port=1, validate=False) as wrong:
        with pytest.raises(knit.YARNException, match="localhost:1"):
            wrong.start("date")
        with pytest.raises(knit.YARNException, match="localhost:1"):
            wrong.status("application_1700000000000_0001")
