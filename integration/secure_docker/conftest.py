"""Fixtures of the dockerized cluster with Kerberos: everything is done as a user with a keytab."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import knit
import pytest

from integration.clusters.docker import SecureDockerCluster

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def cluster(cluster: SecureDockerCluster) -> Iterator[SecureDockerCluster]:
    """The cluster; from here on this process is its user's."""
    with pytest.MonkeyPatch.context() as patch:
        # Under Kerberos nobody believes it, and it is there on purpose.
        patch.setenv("HADOOP_USER_NAME", "somebody-else")
        for name, value in cluster.environment(cluster.user).items():
            patch.setenv(name, value)
        yield cluster


@pytest.fixture(scope="session")
def client(cluster: SecureDockerCluster, config: knit.ClusterConfig) -> Iterator[knit.Client]:
    """A client that everybody shares."""
    with knit.Client(config) as client:
        yield client


@pytest.fixture
def tickets(cluster: SecureDockerCluster, tmp_path: Path) -> Mapping[str, str]:
    """The variables of a process that has an empty ticket cache of its own, and no keytab."""
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HADOOP_CONF_DIR": str(cluster.conf_dir),
        "KRB5CCNAME": f"FILE:{tmp_path / 'tickets'}",
        "LANG": "C.UTF-8",
    }


@pytest.fixture
def command(tickets: Mapping[str, str]) -> Command:
    """Runs a command with these tickets, and returns what it said."""

    def run(*words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, env=dict(tickets), input=text, capture_output=True, text=True, timeout=120
        )

    return run
