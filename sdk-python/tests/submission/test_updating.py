"""Files of services that are added or updated: on the cluster and noted before the call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from knit import Service
from knit._cluster.cluster import Cluster
from knit._staging.staging import Staging
from knit._staging.values import ConnectionKeys, StagedFile
from knit._submission.updating import stage_services
from knit.exceptions import ApplicationNotFoundError, ClusterResponseError, FileMissingError
from tests.fakes.cluster import FakeCluster

APP = "application_1700000000000_0001"
KEYS = ConnectionKeys(ca="CA", client_cert="CERT", client_key="KEY")
RECORD = f"/user/alice/.knit/applications/{APP}/application.json"


@pytest.fixture
def hadoop() -> Iterator[FakeCluster]:
    with FakeCluster() as cluster:
        yield cluster


@pytest.fixture
def staging(hadoop: FakeCluster, tmp_path: Path) -> Iterator[Staging]:
    """That of an application with one file, which was submitted."""
    with Cluster(hadoop.config, user="alice", timeout=timedelta(seconds=5)) as cluster:
        staging = Staging.on(cluster)
        (tmp_path / "first").write_bytes(b"first")
        used = staging.stage([StagedFile(source=tmp_path / "first")])
        staging.records.register(APP, used, KEYS)
        yield staging


def record(hadoop: FakeCluster) -> Any:
    return json.loads(hadoop.file_system.entries[RECORD].data or b"")


def test_the_files_are_there_and_noted_as_in_use(
    hadoop: FakeCluster, staging: Staging, tmp_path: Path
) -> None:
    before = record(hadoop)
    (tmp_path / "new.py").write_bytes(b"new")
    service = Service("python3 new.py", files=[tmp_path / "new.py"], environment={"A": "b"})
    specs = stage_services(staging, APP, {"worker": service})
    resource = specs["worker"].local_resources["new.py"]
    name = resource.url.rpartition("/")[2]
    assert hadoop.file_system.entries[f"/user/alice/.knit/cache/{name}"].data == b"new"
    assert specs["worker"].command == "python3 new.py"
    assert dict(specs["worker"].environment) == {"A": "b"}
    after = record(hadoop)
    assert after["cache"] == sorted({*before["cache"], name})
    assert {k: v for k, v in after.items() if k != "cache"} == {
        k: v for k, v in before.items() if k != "cache"
    }
    assert staging.records.read(APP).keys == KEYS


def test_what_another_client_notes_at_the_same_time_is_kept(
    hadoop: FakeCluster, staging: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes between our reading and our writing, and its note is lost; so it notes again."""
    (tmp_path / "ours").write_bytes(b"ours")
    write = staging.records._write
    lost = 0

    def late(path: str, content: dict[str, object]) -> None:
        nonlocal lost
        write(path, content)
        if lost < 2:
            lost += 1
            write(path, {**content, "cache": ["theirs"]})

    monkeypatch.setattr(staging.records, "_write", late)
    specs = stage_services(staging, APP, {"worker": Service("x", files=[tmp_path / "ours"])})
    ours = specs["worker"].local_resources["ours"].url.rpartition("/")[2]
    assert record(hadoop)["cache"] == sorted(["theirs", ours])

    (tmp_path / "others").write_bytes(b"others")
    monkeypatch.setattr(
        staging.records, "_write", lambda path, content: write(path, {**content, "cache": []})
    )
    with pytest.raises(ClusterResponseError, match="again and again"):
        stage_services(staging, APP, {"worker": Service("x", files=[tmp_path / "others"])})


def test_a_service_without_files_needs_no_cluster(hadoop: FakeCluster, staging: Staging) -> None:
    before = record(hadoop)
    stage_services(staging, APP, {"worker": Service("x")})
    assert record(hadoop) == before


def test_what_is_missing_here_is_told_before_anything_is_sent(
    hadoop: FakeCluster, staging: Staging, tmp_path: Path
) -> None:
    before = record(hadoop)
    with pytest.raises(FileMissingError, match=r"services.web.files"):
        stage_services(staging, APP, {"web": Service("x", files=[tmp_path / "nobody"])})
    assert record(hadoop) == before


def test_an_application_that_has_ended_takes_no_files(staging: Staging, tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new")
    staging.records.remove(APP)
    with pytest.raises(ApplicationNotFoundError):
        stage_services(staging, APP, {"web": Service("x", files=[tmp_path / "new"])})
