"""Applications whose YARN answers as a test wants."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from knit import Application
from knit._cluster import patience
from knit._handles import locating, log_stream
from knit._values import deadlines
from knit._wire import connection
from knit.testing import FakeApplicationMaster
from tests.handles.outages.answering import LONG, Yarn


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for between tries is not what these tests are about."""
    for module in (log_stream, connection, locating):
        monkeypatch.setattr(module, "pauses", lambda *_: deadlines.pauses(0.01, 0.05))
    monkeypatch.setattr(patience, "QUIET_SECONDS", 0)


@pytest.fixture
def yarn(fake: FakeApplicationMaster) -> Yarn:
    return Yarn(fake)


@pytest.fixture
def handle(yarn: Yarn) -> Iterator[Application]:
    with Application(yarn, yarn.fake.application_id, timeout=LONG) as opened:  # type: ignore[arg-type]
        yield opened
