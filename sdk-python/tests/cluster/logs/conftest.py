"""What the tests of collected logs stand on."""

from __future__ import annotations

import pytest

from tests.cluster.logs.applications import Application
from tests.fakes.cluster import FakeCluster


@pytest.fixture
def application(fake: FakeCluster) -> Application:
    return Application(fake)
