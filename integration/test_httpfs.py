"""All that knit does on HDFS goes through HttpFS, where DataNodes are out of reach."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import knit
import pytest
from knit._cluster.cluster import Cluster
from knit._cluster.configuration.config import ClusterConfig

from integration.applications import PATIENCE
from integration.clusters.embedded import EmbeddedCluster
from integration.clusters.httpfs import NAME, httpfs
from integration.clusters.security import USERS
from integration.test_aggregated_logs import AT_ONCE, ended

pytestmark = pytest.mark.own_cluster("HttpFS stands before it")

USER = USERS[1]
"""HttpFS may act for no other."""
LINES = 200


@pytest.fixture(scope="module")
def gateway() -> Iterator[EmbeddedCluster]:
    """A cluster of which HttpFS is a daemon."""
    with EmbeddedCluster() as cluster:
        cluster.create_home(USER)
        yield cluster


@pytest.fixture(scope="module")
def config(gateway: EmbeddedCluster) -> Iterator[ClusterConfig]:
    with httpfs(gateway) as url:
        yield ClusterConfig.from_directory(gateway.conf_dir).with_properties(
            {"knit.webhdfs.url": f"{url}/webhdfs/v1"}
        )


def test_files_are_written_and_read_whole(config: ClusterConfig) -> None:
    """More than goes at once, and from the middle."""
    content = secrets.token_bytes(5_000_000)
    with Cluster(config, user=USER) as cluster:
        path = f"{cluster.files.home_directory()}/a file é.bin"
        cluster.files.create(path, content, permission="600")
        assert cluster.files.read(path) == content
        assert (
            cluster.files.read(path, offset_bytes=4_999_000, length_bytes=500)
            == content[-1000:-500]
        )
        status = cluster.files.status(path)
        assert (status.size_bytes, status.permission, status.owner) == (len(content), "600", USER)
        assert [each.path for each in cluster.files.list_directory(path)] == [path]
        assert cluster.files.rename(path, f"{path}.2")
        assert cluster.files.delete(f"{path}.2")
        assert cluster.files.find(path) is None


def test_an_application_is_staged_and_its_logs_are_read(
    gateway: EmbeddedCluster, config: ClusterConfig, tmp_path: Path
) -> None:
    data = tmp_path / "data.txt"
    data.write_text("from a file\n")
    service = knit.Service(
        f"cat data.txt && seq 1 {LINES}",
        files={"data.txt": knit.File(data)},
        resources=knit.Resources("128 MiB"),
    )
    spec = knit.ApplicationSpec(
        "through-httpfs",
        {"worker": service},
        linger=AT_ONCE,
    )
    with knit.Client(config, user=USER) as client, client.submit(spec) as app:
        report = ended(app).report()
        assert report.final_status is knit.FinalStatus.SUCCEEDED, gateway.evidence()
        [worker] = [
            container
            for container in app.aggregated_logs(wait=PATIENCE).containers.values()
            if container.service == "worker"
        ]
        text = worker.read("stdout").decode()
    assert text.splitlines() == ["from a file", *map(str, range(1, LINES + 1))]
    said = gateway._daemons.said(NAME)
    assert f"/user/{USER}/.knit/cache" in said, "nothing was staged through it"
    assert "/tmp/logs" in said, "the logs were not read through it"
