"""What tests of staging share: a cluster, and a user's directory on it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from knit._cluster.cluster import Cluster
from knit._staging.staging import Staging
from tests.fakes.cluster import FakeCluster
from tests.fakes.pauses import Pauses


@pytest.fixture
def hadoop() -> Iterator[FakeCluster]:
    with FakeCluster() as cluster:
        yield cluster


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    return Pauses(monkeypatch)


@pytest.fixture
def staging(hadoop: FakeCluster) -> Iterator[Staging]:
    with Cluster(hadoop.config, user="alice", timeout=timedelta(seconds=5)) as cluster:
        yield Staging.on(cluster)
