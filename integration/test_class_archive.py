"""The archive of classes that a node keeps for the Application Masters after the first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import knit
import pytest
from knit import FinalStatus

from integration.bench import processes
from integration.clusters.embedded import EmbeddedCluster
from integration.waiting import wait_until

pytestmark = [
    pytest.mark.own_cluster("it looks into and breaks what a node keeps"),
    pytest.mark.timeout(400),
]

MAKING = timedelta(minutes=3)
"""At the lowest priority, on a machine that does other things."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster() as cluster:
        yield cluster


def jar_of(cluster: EmbeddedCluster) -> Path:
    [jar] = cluster.directory.glob("nodemanager-1/local/usercache/*/filecache/*/*.jar")
    return jar


def seal_of(cluster: EmbeddedCluster) -> Path | None:
    """What says that there is a whole archive: the newest, or nothing."""
    seals = jar_of(cluster).parent.glob(".knit-classes-*.seal")
    return max(seals, key=lambda path: path.stat().st_mtime_ns, default=None)


def run(cluster: EmbeddedCluster) -> str | None:
    """Runs an application; returns the archive that its Application Master has mapped."""
    with knit.Client.from_config(cluster.conf_dir) as client:
        service = knit.Service(command="echo hello; exec sleep 600", instances=1)
        with client.submit(knit.ApplicationSpec(name="archive", services={"w": service})) as app:
            with app.logs(follow=True) as lines:
                assert next(iter(lines)).text == "hello"
            pid = processes.master_of(app.application_id)
            maps = Path(f"/proc/{pid}/maps").read_text()
            used = {line.split()[-1] for line in maps.splitlines() if ".knit-classes-" in line}
            assert len(used) <= 1
            app.stop(final_status=FinalStatus.SUCCEEDED)
            report = app.wait(timeout=timedelta(minutes=2))
            assert report.final_status is FinalStatus.SUCCEEDED, report.diagnostics
            app.release()
    return used.pop() if used else None


def wait_for_another(cluster: EmbeddedCluster, than: Path | None, since_nanos: int) -> Path:
    def made() -> Path | None:
        seal = seal_of(cluster)
        if seal is None or (seal == than and seal.stat().st_mtime_ns <= since_nanos):
            return None
        return seal

    seal = wait_until(
        made,
        what="no archive was made",
        timeout=MAKING,
        evidence=lambda: sorted(jar_of(cluster).parent.iterdir()),
    )
    assert seal is not None
    return seal


def test_the_second_application_starts_with_what_the_first_has_loaded(
    cluster: EmbeddedCluster,
) -> None:
    """And with none that does not fit; another is made then."""
    assert run(cluster) is None
    seal = wait_for_another(cluster, None, 0)
    archive = seal.with_suffix("")
    assert run(cluster) == str(archive)

    made = seal.stat().st_mtime_ns
    archive.chmod(0o600)
    os.truncate(archive, archive.stat().st_size // 2)
    assert run(cluster) is None, "the JVM would end at once with this one"
    seal = wait_for_another(cluster, seal, made)
    assert seal.with_suffix("") == archive
    assert run(cluster) == str(archive)

    os.utime(jar_of(cluster), (1, 1))
    assert run(cluster) is None
    renewed = wait_for_another(cluster, seal, seal.stat().st_mtime_ns)
    assert renewed != seal
    assert run(cluster) == str(renewed.with_suffix(""))
