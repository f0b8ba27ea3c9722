"""The short path on a cluster of several hosts with Kerberos."""

from __future__ import annotations

import json
from datetime import timedelta

import knit
import pytest

from integration.clusters.docker import SecureDockerCluster
from integration.secure_docker.conftest import Command

PATIENCE = timedelta(minutes=2)


def test_knit_run_prints_every_line_and_leaves_with_the_programs_code(
    command: Command, cluster: SecureDockerCluster
) -> None:
    keytab = str(cluster.keytab(cluster.user))
    ran = command(
        *("knit", "run", "--keytab", keytab, "--instances", "3", "--memory", "128 MiB", "--json"),
        'echo "$KNIT_RANK as $(id -un), ${HADOOP_USER_NAME-nobody}"; exit $((KNIT_RANK * 0 + 7))',
    )
    assert ran.returncode == 7, ran.stderr
    said = map(json.loads, ran.stdout.splitlines())
    lines = sorted(each["text"] for each in said if "text" in each)
    # No name is claimed, in containers neither.
    assert [line.rpartition(", ")[2] for line in lines] == ["nobody"] * len(lines)
    assert {line[0] for line in lines} <= {"0", "1", "2"}
    assert lines


def test_an_application_is_grown_shrunk_stopped_and_its_logs_are_collected(
    client: knit.Client,
) -> None:
    worker = knit.Service(
        "hadoop_token=$HADOOP_TOKEN_FILE_LOCATION; echo token ${hadoop_token:+there}; sleep 300",
        resources=knit.Resources(memory="128 MiB"),
    )
    with client.submit(knit.ApplicationSpec("short", {"worker": worker})) as app:
        app.wait_until_ready("worker")
        app.add_containers(1)
        app.wait_until_ready("worker")
        app.stop(final_status=knit.FinalStatus.SUCCEEDED)
        app.release()
        app.wait().raise_for_status()
        logs = app.aggregated_logs(wait=PATIENCE)
        texts = [
            container.read("stdout")
            for container in logs.containers.values()
            if not container.is_application_master
        ]
    assert texts == [b"token there\n"] * 2


@pytest.mark.parametrize("user", ["bob"])
def test_who_may_acts_for_others(
    config: knit.ClusterConfig, cluster: SecureDockerCluster, user: str
) -> None:
    with knit.Client(config, user=user) as client:
        spec = knit.ApplicationSpec("for-bob", {"w": knit.Service("true")})
        with client.submit(spec) as app:
            report = app.wait().raise_for_status()
        assert report.user == user


def test_who_may_not_is_told_what_the_cluster_said(
    config: knit.ClusterConfig, monkeypatch: pytest.MonkeyPatch, cluster: SecureDockerCluster
) -> None:
    for name, value in cluster.environment("bob").items():
        monkeypatch.setenv(name, value)
    with (
        knit.Client(config, user="alice") as client,
        pytest.raises(knit.AccessDeniedError, match="not allowed to impersonate alice"),
    ):
        client.nodes()
