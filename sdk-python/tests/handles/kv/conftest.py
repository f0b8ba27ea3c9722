"""A store of a fake Application Master, over real gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from knit import (
    Application,
    ApplicationSpec,
    KeyValueStore,
    Service,
)
from knit.testing import FakeApplicationMaster

PATIENCE = timedelta(seconds=60)


@pytest.fixture
def fake() -> Iterator[FakeApplicationMaster]:
    spec = ApplicationSpec("demo", {"worker": Service("work", instances=2)})
    with FakeApplicationMaster(spec, kept_events=50) as fake:
        yield fake


@pytest.fixture
def app(fake: FakeApplicationMaster) -> Application:
    return fake.application(timeout=PATIENCE)


@pytest.fixture
def store(app: Application) -> KeyValueStore:
    return app.kv
