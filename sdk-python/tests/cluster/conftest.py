from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from knit._cluster.cluster import Cluster
from tests.fakes.cluster import FakeCluster
from tests.fakes.pauses import Pauses


@pytest.fixture
def fake() -> Iterator[FakeCluster]:
    with FakeCluster() as cluster:
        yield cluster


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    return Pauses(monkeypatch)


@pytest.fixture
def cluster(fake: FakeCluster) -> Iterator[Cluster]:
    with Cluster(fake.config, user=fake.user, timeout=timedelta(seconds=5)) as cluster:
        yield cluster
