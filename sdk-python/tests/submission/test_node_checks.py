"""After the start or a failover of a ResourceManager nodes need a while to come back."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest

from knit._cluster.cluster import Cluster
from knit._cluster.patience import NODES_RETURN
from knit._submission.checks import advise
from knit._submission.facts import ClusterFacts, ResourceRequest
from knit._submission.node_checks import await_nodes, check_nodes
from knit._submission.spec_checks import check_spec
from knit._values.placement import Placement
from knit._values.services import Service
from knit._values.spec import ApplicationSpec
from knit.exceptions import ResourcesUnavailableError
from tests.fakes.cluster import FakeCluster
from tests.fakes.pauses import Pauses
from tests.fakes.server import now_ms
from tests.fakes.yarn import FakeNode

LARGE = ResourceRequest(what="service w", memory_mib=8192, vcores=4)


@pytest.fixture
def hadoop() -> Iterator[FakeCluster]:
    with FakeCluster() as cluster:
        yield cluster


@pytest.fixture
def facts(hadoop: FakeCluster) -> Iterator[ClusterFacts]:
    with Cluster(hadoop.config, user="alice", timeout=timedelta(seconds=5)) as cluster:
        yield ClusterFacts(cluster)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    return Pauses(monkeypatch)


def start_anew(hadoop: FakeCluster) -> list[FakeNode]:
    """Its nodes, which have yet to come back."""
    hadoop.resource_manager.started_ms = now_ms() - 2000
    nodes, hadoop.resource_manager.nodes = hadoop.resource_manager.nodes, []
    return nodes


def test_they_are_not_said_to_be_missing(hadoop: FakeCluster, facts: ClusterFacts) -> None:
    start_anew(hadoop)
    with pytest.raises(ResourcesUnavailableError, match="No node has come back yet") as failure:
        check_nodes(facts)
    assert "no running node" not in failure.value.message
    assert "Applications may be submitted meanwhile" in failure.value.message
    [advice] = advise(facts, [LARGE])
    assert advice == failure.value.message


def test_those_that_are_lost_are_told_all_the_same(
    hadoop: FakeCluster, facts: ClusterFacts
) -> None:
    [lost, _] = start_anew(hadoop)
    lost.state = "LOST"
    hadoop.resource_manager.nodes = [lost]
    with pytest.raises(ResourcesUnavailableError, match="node-1:45454 LOST"):
        check_nodes(facts)


def test_those_that_are_back_are_not_said_to_be_all(
    hadoop: FakeCluster, facts: ClusterFacts
) -> None:
    """Of a size, or in a place, that those have which are still to come."""
    hadoop.resource_manager.nodes = [
        FakeNode("small:45454", memory_mib=1024) for _ in start_anew(hadoop)
    ]
    spec = ApplicationSpec("x", {"w": Service("true", placement=Placement(nodes=["large"]))})
    assert advise(facts, [LARGE]) == []
    assert check_spec(facts, spec, None) == []
    hadoop.resource_manager.started_ms -= int(NODES_RETURN / timedelta(milliseconds=1))
    facts.forget("info")
    assert len(advise(facts, [LARGE])) == 1
    assert len(check_spec(facts, spec, None)) == 1


class TestAwaiting:
    def test_they_are_waited_for(
        self,
        hadoop: FakeCluster,
        facts: ClusterFacts,
        pauses: Pauses,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        nodes = start_anew(hadoop)

        def come() -> None:
            if len(pauses) == 8:
                hadoop.resource_manager.nodes = nodes

        pauses.meanwhile = come
        with caplog.at_level(logging.WARNING, "knit"):
            assert await_nodes(facts).startswith("2 nodes are running")
        assert len(pauses) == 8
        [record] = caplog.records
        assert "Looking again, for 45 s in all." in record.getMessage()

    def test_they_are_waited_for_so_long(
        self, hadoop: FakeCluster, facts: ClusterFacts, pauses: Pauses
    ) -> None:
        start_anew(hadoop)

        def stay() -> None:
            hadoop.resource_manager.started_ms = now_ms()

        pauses.meanwhile = stay
        with pytest.raises(ResourcesUnavailableError):
            await_nodes(facts)
        assert 30 < sum(pauses) <= NODES_RETURN.total_seconds()

    def test_one_of_a_pair_may_just_have_taken_over(
        self, hadoop: FakeCluster, pauses: Pauses
    ) -> None:
        """It does not say when: it may have been started long ago."""
        nodes, hadoop.resource_manager.nodes = hadoop.resource_manager.nodes, []

        def come() -> None:
            hadoop.resource_manager.nodes = nodes if len(pauses) == 3 else []

        pauses.meanwhile = come
        config = hadoop.config.with_properties(
            {
                "yarn.resourcemanager.ha.enabled": True,
                "yarn.resourcemanager.ha.rm-ids": "rm1",
                "knit.resourcemanager.url": hadoop.resource_manager.url,
            }
        )
        with Cluster(config, user="alice") as cluster:
            assert await_nodes(ClusterFacts(cluster)).startswith("2 nodes are running")
        assert len(pauses) == 3

    def test_of_one_that_has_been_there_for_long_they_are_not(
        self, hadoop: FakeCluster, facts: ClusterFacts, pauses: Pauses
    ) -> None:
        hadoop.resource_manager.nodes = []
        with pytest.raises(ResourcesUnavailableError, match="no running node"):
            await_nodes(facts)
        assert pauses == []
