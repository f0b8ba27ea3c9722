"""A client of a fake cluster, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from knit import (
    Client,
)
from tests.fakes.cluster import FakeCluster


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    with FakeCluster() as running:
        yield running


@pytest.fixture(autouse=True)
def _jar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jar = tmp_path / "knit-am.jar"
    jar.write_bytes(b"the jar")
    monkeypatch.setattr("knit._submission.submit.JAR", jar)


@pytest.fixture
def client(cluster: FakeCluster) -> Iterator[Client]:
    with Client(cluster.config, user="alice", timeout=timedelta(seconds=5)) as opened:
        yield opened
