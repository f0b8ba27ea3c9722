from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from knit._cluster.cluster import Cluster
from tests.fakes.cluster import FakeCluster
from tests.fakes.rpc import FakeRpcServer
from tests.fakes.rpc_faces import rpc_servers


@pytest.fixture
def servers(fake: FakeCluster) -> Iterator[list[FakeRpcServer]]:
    """The RPC ports of the ResourceManager and of the NameNode."""
    found = rpc_servers(fake.resource_manager, fake.name_node)
    yield found
    for server in found:
        server.stop()


@pytest.fixture
def rpc_properties(servers: list[FakeRpcServer]) -> dict[str, str]:
    """What leads to them."""
    manager, name_node = servers
    return {
        "yarn.resourcemanager.address": f"127.0.0.1:{manager.port}",
        "fs.defaultFS": f"hdfs://127.0.0.1:{name_node.port}",
    }


@pytest.fixture
def cluster(fake: FakeCluster, rpc_properties: dict[str, str]) -> Iterator[Cluster]:
    """The fake cluster, spoken to by RPC alone."""
    config = fake.config.with_properties({**rpc_properties, "knit.door": "rpc"})
    with Cluster(config, user=fake.user, timeout=timedelta(seconds=5)) as cluster:
        yield cluster
