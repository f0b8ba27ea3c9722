"""
Every daemon of a cluster with two of each master may die and come back.

An application runs all the while, from the tests of other modules on, and outlives all of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from knit import FinalStatus
from knit._cluster.security.gssapi import Credentials, GssError, SecurityContext

from integration.clusters.embedded import EmbeddedCluster
from integration.clusters.high_availability import ZOOKEEPER
from integration.clusters.kdc import KDC
from integration.clusters.site import DATA_NODE
from integration.hdfs import Hdfs
from integration.secure.conftest import Veteran
from integration.waiting import wait_until

PATIENCE = timedelta(minutes=2)

pytestmark = pytest.mark.usefixtures("veteran")


@pytest.fixture
def whole(cluster: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    """The cluster, which has all of its daemons again afterwards."""
    before = set(cluster.daemons())
    yield cluster
    for name in before - set(cluster.daemons()):
        cluster.start(name)
    cluster.wait_until_ready()


def comes(cluster: EmbeddedCluster, find: Callable[[], str | None], *, instead_of: str) -> str:
    """Who is active instead of the one that died."""
    found = wait_until(
        lambda: (name := find()) != instead_of and name,
        what=f"nobody took over from {instead_of}",
        timeout=PATIENCE,
        evidence=cluster.evidence,
    )
    assert isinstance(found, str)
    return found


def test_another_resource_manager_takes_over_by_itself(whole: EmbeddedCluster) -> None:
    active = whole.active_resource_manager()
    assert active is not None
    nodes = whole.nodes()
    whole.kill(active)
    assert active not in whole.daemons()
    other = comes(whole, whole.active_resource_manager, instead_of=active)
    whole.wait_until_ready()
    assert whole.nodes() == nodes
    whole.start(active)
    whole.wait_until_ready()
    assert whole.active_resource_manager() == other


def test_another_name_node_has_what_was_written(whole: EmbeddedCluster, hdfs: Hdfs) -> None:
    active = whole.active_name_node()
    assert active is not None
    path = f"{hdfs.home}/written-before"
    hdfs.write(path, b"kept")
    whole.kill(active)
    (other,) = {name for name in whole.daemons() if name.startswith("namenode")}
    whole.activate(other)
    assert whole.active_name_node() == other
    whole.wait_until_ready()
    assert hdfs.read(path) == b"kept"
    whole.start(active)
    whole.wait_until_ready()
    assert whole.active_name_node() == other


def test_what_a_data_node_holds_is_there_when_it_is_back(
    whole: EmbeddedCluster, hdfs: Hdfs
) -> None:
    path = f"{hdfs.home}/held"
    hdfs.write(path, b"held")
    whole.kill(DATA_NODE)
    whole.start(DATA_NODE)
    read = wait_until(
        lambda: _read(hdfs, path),
        what="the block did not come back with its node",
        timeout=PATIENCE,
        evidence=whole.evidence,
    )
    assert read == b"held"


def _read(hdfs: Hdfs, path: str) -> bytes | None:
    try:
        return hdfs.read(path)
    except OSError:
        return None


def test_a_node_is_the_same_when_it_is_back(whole: EmbeddedCluster) -> None:
    nodes = whole.nodes()
    name = whole.node_manager(nodes[0].node_id)
    whole.kill(name)
    whole.start(name)
    whole.wait_until_ready()
    assert whole.nodes() == nodes


def test_resource_managers_settle_again_when_zookeeper_is_back(whole: EmbeddedCluster) -> None:
    whole.kill(ZOOKEEPER)
    whole.start(ZOOKEEPER)
    whole.wait_until_ready()
    assert whole.active_resource_manager() is not None


def test_tickets_and_keytabs_outlive_the_kdc(
    whole: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert Credentials.default().principal.startswith(f"{whole.user}@")
    whole.kill(KDC)
    with monkeypatch.context() as patch:
        patch.setenv("KRB5CCNAME", f"FILE:{tmp_path / 'while-it-is-gone'}")
        with pytest.raises(GssError):
            _ = Credentials.default().principal
    whole.start(KDC)
    # By the ticket from before, for a service that has not been asked for yet; then by the keytab.
    with SecurityContext("dn/localhost@EXAMPLE.COM", mechanism="krb5") as context:
        assert context.step()
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path / 'afterwards'}")
    assert Credentials.default().principal.startswith(f"{whole.user}@")


def test_an_application_has_outlived_all_of_it(whole: EmbeddedCluster, veteran: Veteran) -> None:
    """Both ResourceManagers have rolled the keys of its tokens, and every line is there, once."""
    for kind in ("AMRMTokenSecretManager", "NMTokenSecretManagerInRM"):
        for name in ("resourcemanager-1", "resourcemanager-2"):
            wait_until(
                lambda kind=kind, name=name: re.search(  # type: ignore[misc]
                    rf"{kind}: Rolling master-key", whole.said(name)
                ),
                what=f"{name} has not rolled the key of its {kind}",
                timeout=PATIENCE,
            )
    before = {key: len(numbers) for key, numbers in veteran.lines.items()}
    (added,) = veteran.app.add_containers(1)
    veteran.app.wait_until_ready("worker")
    wait_until(
        lambda: (
            added.rank == 2
            and len(veteran.lines) == 3
            and all(len(numbers) > before.get(key, 0) for key, numbers in veteran.lines.items())
        ),
        what="not every container is heard live",
        timeout=PATIENCE,
        evidence=lambda: str((veteran.failed, before)),
    )
    assert veteran.failed == []
    veteran.app.stop(final_status=FinalStatus.SUCCEEDED)
    veteran.app.release()
    assert veteran.app.wait(timeout=PATIENCE).final_status is FinalStatus.SUCCEEDED
    logs = veteran.app.aggregated_logs(wait=PATIENCE)
    assert logs.is_complete, logs.incomplete_reason
    for key, numbers in veteran.lines.items():
        collected = logs.containers[key].read("stdout").decode().split("\n")
        assert numbers == list(range(1, len(numbers) + 1))
        assert collected[: len(numbers)] == [f"line {number}" for number in numbers]
