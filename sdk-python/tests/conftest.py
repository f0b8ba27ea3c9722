"""What the tests of this folder share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from knit import Application, ApplicationSpec, Service
from knit.testing import FakeApplicationMaster
from tests.fakes.cluster import FakeCluster

# As the command does, which in tests may find gRPC imported already: its words are nobody's output.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

# A busy machine is no failure.
settings.register_profile("knit", deadline=None, max_examples=50)
settings.load_profile("knit")


def pytest_configure() -> None:
    # A shell starts what runs in its background deaf to Ctrl-C, and children inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def fake() -> Iterator[FakeApplicationMaster]:
    """An Application Master with two workers and a server that run."""
    spec = ApplicationSpec(
        "demo",
        {
            "server": Service("serve", environment={"TOKEN": "secret"}),
            "worker": Service("work", instances=2),
        },
    )
    with FakeApplicationMaster(spec) as running:
        yield running


@pytest.fixture
def application(fake: FakeApplicationMaster) -> Application:
    return fake.application()


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeCluster]:
    """A cluster whose web servers answer, in HADOOP_CONF_DIR."""
    with FakeCluster() as cluster:
        directory = cluster.write_configuration(tmp_path / "conf")
        monkeypatch.setenv("HADOOP_CONF_DIR", str(directory))
        monkeypatch.setenv("HADOOP_USER_NAME", cluster.user)
        yield cluster
