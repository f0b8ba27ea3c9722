"""Fixtures for applications: a client of the cluster, and applications that end with their test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import knit
import pytest

from integration.applications import Applications, Gate
from integration.clusters import Cluster
from integration.hadoop_jar import HadoopJar
from integration.hdfs import Hdfs

LONGEST_TEST_SECONDS = 240


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No test runs for ever, whatever it waits for."""
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LONGEST_TEST_SECONDS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Show what is known of a failed test's applications."""
    report = yield
    if report.failed and call.when != "teardown":
        for applications in Applications.open:
            report.sections.append(("applications", applications.evidence()))
    return report


@pytest.fixture(scope="session")
def config(cluster: Cluster) -> knit.ClusterConfig:
    """The cluster's configuration."""
    return knit.ClusterConfig.from_directory(cluster.conf_dir)


@pytest.fixture(scope="session")
def client(cluster: Cluster, config: knit.ClusterConfig) -> Iterator[knit.Client]:
    """A client that everybody shares."""
    with knit.Client(config, user=cluster.user) as client:
        yield client


@pytest.fixture
def without_cluster(client: knit.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on nothing of this process finds a cluster but who knows one already."""
    # Without any, there is one where Hadoop's usually is.
    monkeypatch.setenv("HADOOP_CONF_DIR", "/none")


@pytest.fixture(scope="session")
def hdfs(cluster: Cluster, config: knit.ClusterConfig) -> Hdfs:
    """The cluster's file system, as the user who runs the tests."""
    return Hdfs(config.name_nodes, config.default_fs, cluster.user)


@pytest.fixture
def applications(client: knit.Client, hdfs: Hdfs) -> Iterator[Applications]:
    """Applications that end with the test."""
    found = Applications(client, hdfs)
    yield found
    found.close()


@pytest.fixture(scope="module")
def module_applications(client: knit.Client, hdfs: Hdfs) -> Iterator[Applications]:
    """Applications that several tests of a module look at, and that end with the last of them."""
    found = Applications(client, hdfs)
    yield found
    found.close()


@pytest.fixture
def gate(applications: Applications) -> Gate:
    """A gate that is closed."""
    return applications.gate()


@pytest.fixture(scope="session")
def hadoop_jar(cluster: Cluster) -> HadoopJar:
    """The client for the JVM, with the class path of the cluster's own Hadoop."""
    try:
        return HadoopJar.of(cluster)
    except LookupError as error:
        pytest.skip(str(error))
