"""Environments travel with a submission, and what goes wrong ends what is under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from knit import (
    ApplicationSpec,
    Client,
    FileMissingError,
    KnitError,
    PackingProgress,
    PythonEnvironmentError,
    QueueStoppedError,
    Service,
    SpecError,
    StagingProgress,
    _environments,
)
from knit._wire.tls import ApplicationTls
from knit.v1 import application_pb2, service_pb2
from tests.environments.building import make_venv, write_archive
from tests.fakes.cluster import FakeCluster
from tests.handles.client.submitting import secrets_of, staged


def test_an_archive_of_an_environment_travels_as_one(
    cluster: FakeCluster, client: Client, tmp_path: Path
) -> None:
    archive = tmp_path / "env.tar.gz"
    write_archive(archive)
    (tmp_path / "a.txt").write_text("some")
    spec = ApplicationSpec(
        "demo",
        {
            "one": Service("first", files=[tmp_path / "a.txt"], python_environment=archive),
            "two": Service("second", files={"b.txt": tmp_path / "a.txt"}),
        },
    )
    application = client.submit(spec)

    secrets = secrets_of(cluster, application.application_id)
    message = application_pb2.ApplicationSpec.FromString(secrets["knit.application"])
    one, two = message.services["one"], message.services["two"]
    assert one.python_environment == "PYTHON_DIR"
    found = one.local_resources["PYTHON_DIR"]
    assert found.type == service_pb2.LOCAL_RESOURCE_TYPE_ARCHIVE
    assert found.url.endswith(".tar.gz")
    assert found.size_bytes == archive.stat().st_size
    assert one.local_resources["a.txt"] == two.local_resources["b.txt"]
    assert two.python_environment == ""
    assert set(two.local_resources) == {"b.txt"}


def test_an_environment_is_packed_once_and_travels_once(
    cluster: FakeCluster, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    venv = make_venv(tmp_path / "venv")
    spec = ApplicationSpec("demo", {"one": Service("first", python_environment=venv)})
    packing: list[PackingProgress] = []
    staging: list[StagingProgress] = []
    for _ in range(2):
        client.submit(spec, progress=staging.append, packing_progress=packing.append)

    assert [state.cached for state in packing].count(True) == 1
    assert packing[-1].cached
    assert {s.cached for s in staging if s.file.endswith(".tar.gz")} == {False, True}
    assert staging[-1].cached


def test_packing_ends_once_a_check_has_failed(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody needs the archive any more, and it may take minutes to make."""
    ended: list[BaseException] = []
    state = PackingProgress(environment="env", packed_bytes=1, total_bytes=2, cached=False)

    def pack(_: object, progress: Callable[[PackingProgress], None]) -> Path:
        try:
            for _ in range(1000):
                progress(state)
                time.sleep(0.005)
        except BaseException as error:
            ended.append(error)
            raise
        return tmp_path / "knit-am.jar"

    monkeypatch.setattr(_environments, "to_stage", pack)
    venv = make_venv(tmp_path / "venv")
    service = Service("first", python_environment=venv)
    with pytest.raises(QueueStoppedError):
        client.submit(ApplicationSpec("demo", {"one": service}, queue="closed"))
    assert len(ended) == 1


def test_uploads_end_once_the_submission_has_failed(
    cluster: FakeCluster, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 64 << 20
    with (tmp_path / "large").open("wb") as file:
        file.truncate(size)
    begun = threading.Event()
    states: list[StagingProgress] = []

    def progress(state: StagingProgress) -> None:
        if state.sent_bytes > 1 << 20:
            begun.set()
            time.sleep(0.05)
        states.append(state)

    def generate() -> ApplicationTls:
        begun.wait(60)
        raise SpecError("no keys")

    monkeypatch.setattr(ApplicationTls, "generate", generate)
    spec = ApplicationSpec("demo", {"one": Service("first", files=[tmp_path / "large"])})
    with pytest.raises(SpecError, match="no keys"):
        client.submit(spec, progress=progress)
    assert states[-1].sent_bytes < size
    assert not [name for name in staged(cluster, "cache") if name.endswith(".part")]


def test_an_environment_is_checked_before_anything_is_asked(
    cluster: FakeCluster, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "env.zip").write_text("this is no archive")
    refused: list[tuple[str | Path, type[KnitError]]] = [
        (tmp_path / "nothing", FileMissingError),
        (tmp_path, PythonEnvironmentError),
        (tmp_path / "env.zip", PythonEnvironmentError),
        ("/usr", PythonEnvironmentError),
    ]
    for source, error in refused:
        spec = ApplicationSpec("demo", {"one": Service("first", python_environment=source)})
        for act in (client.submit, client.check):
            with pytest.raises(error, match=r"services\.one\.python_environment: "):
                act(spec)
    assert cluster.resource_manager.submissions == {}
    assert cluster.resource_manager.requests == []
