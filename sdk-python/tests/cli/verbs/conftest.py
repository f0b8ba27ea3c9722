"""What tests of verbs share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import knit
from knit.testing import FakeApplicationMaster
from tests.cli import playing
from tests.cli.playing import FakeClient


@pytest.fixture
def fake() -> Iterator[FakeApplicationMaster]:
    """A running application of two containers, which every verb then talks to."""
    spec = knit.ApplicationSpec(
        "demo",
        {"worker": knit.Service("sleep 60", instances=2, resources=knit.Resources("256 MiB", 2))},
    )
    with FakeApplicationMaster(spec) as fake, playing.playing(FakeClient(playing.well, fake)):
        yield fake
