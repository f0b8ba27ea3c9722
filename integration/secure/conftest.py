"""Fixtures of clusters with Kerberos: everything here is done as a user who has a keytab."""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Iterator, Mapping

import attrs
import knit
import pytest

from integration import evidence
from integration.applications import Applications
from integration.clusters.embedded import EmbeddedCluster
from integration.hdfs import Hdfs
from integration.secure import long
from integration.secure.long import Both
from integration.waiting import wait_until


@pytest.fixture(scope="session")
def cluster(cluster: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    """The cluster; from here on this process is its user's, and finds no other cluster."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HADOOP_USER_NAME", "HADOOP_PROXY_USER"):
            patch.delenv(name, raising=False)
        for name, value in cluster.environment(cluster.user).items():
            patch.setenv(name, value)
        scheme = "https" if cluster.ca_file is not None else "http"
        evidence.ask_nodes(cluster.session(cluster.user), scheme)
        yield cluster


@pytest.fixture(scope="session")
def client(cluster: EmbeddedCluster, config: knit.ClusterConfig) -> Iterator[knit.Client]:
    """A client that everybody shares."""
    with knit.Client(config) as client:
        yield client


@pytest.fixture(scope="session")
def hdfs(cluster: EmbeddedCluster, config: knit.ClusterConfig) -> Hdfs:
    """The cluster's file system, not by way of the code under test."""
    return hdfs_of(cluster, config)


def hdfs_of(cluster: EmbeddedCluster, config: knit.ClusterConfig) -> Hdfs:
    """The cluster's file system, as its user."""
    session = cluster.session(cluster.user)
    return Hdfs(config.name_nodes, config.default_fs, cluster.user, session)


@pytest.fixture
def applications(
    cluster: EmbeddedCluster, client: knit.Client, hdfs: Hdfs
) -> Iterator[Applications]:
    """Applications that end with the test."""
    found = Applications(client, hdfs, gates=cluster.directory / "gates")
    yield found
    found.close()


@pytest.fixture(scope="module")
def module_applications(
    cluster: EmbeddedCluster, client: knit.Client, hdfs: Hdfs
) -> Iterator[Applications]:
    """Applications that several tests of a module look at, and that end with the last of them."""
    found = Applications(client, hdfs, gates=cluster.directory / "gates")
    yield found
    found.close()


@attrs.frozen
class Veteran:
    """An application that has been there from the beginning, whatever the other tests did."""

    app: knit.Application
    lines: Mapping[str, list[int]]
    """By container: the numbers of the lines that came live, kept up to date."""
    failed: list[BaseException]
    """Why the stream of lines broke, if it did."""


@pytest.fixture(scope="session")
def veteran(cluster: EmbeddedCluster, config: knit.ClusterConfig) -> Iterator[Veteran]:
    """It counts, a line a quarter of a second, with a keytab so that it is heard live."""
    count = 'n=0; while :; do n=$((n + 1)); echo "line $n"; sleep 0.25; done'
    service = knit.Service(count, instances=2, resources=knit.Resources(memory="128 MiB"))
    spec = knit.ApplicationSpec(
        "veteran", {"worker": service}, keytab=str(cluster.keytab(cluster.user))
    )
    lines: dict[str, list[int]] = {}
    failed: list[BaseException] = []

    def read(app: knit.Application) -> None:
        try:
            for line in app.logs(follow=True, files=["stdout"]):
                lines.setdefault(line.container_id, []).append(int(line.text.removeprefix("line ")))
        except BaseException as error:
            failed.append(error)

    with knit.Client(config) as client, client.submit(spec) as app:
        reader = threading.Thread(target=read, args=[app], daemon=True)
        reader.start()
        yield Veteran(app, lines, failed)
        app.kill()
        reader.join()


@pytest.fixture(scope="session")
def started(
    cluster: EmbeddedCluster, client: knit.Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Both]:
    """Two applications that look at HDFS by their tokens all the time; see `long`."""
    with long.started(cluster, client, tmp_path_factory.mktemp("long")) as both:
        yield both


@pytest.fixture(scope="session")
def both(started: Both, cluster: EmbeddedCluster) -> Both:
    """
    The two of them, past the end of the tokens that came with them.

    The ResourceManager has fetched others for its own share, which it does as soon as the rest of
    the maximum lifetime is less than three hours, and renews the first ones no more. Each has one
    more container since then, which the tests of long applications hear about in the end: what is
    tested in between costs no time, for they would wait as long.
    """
    for each in (started.with_keytab, started.without):
        each.wait_for(0, "refused")
        application_id = each.app.application_id
        fetched = rf"Renewed delegation-token= \[Kind: HDFS.*realUser=rm/.*\[.*{application_id}"
        wait_until(
            functools.partial(_has_said, cluster, fetched),
            what=f"the ResourceManager has fetched no other token for {application_id}",
            evidence=cluster.evidence,
        )
        each.app.add_containers(1)
    return started


def _has_said(cluster: EmbeddedCluster, pattern: str) -> bool:
    return re.search(pattern, cluster.said("resourcemanager")) is not None
