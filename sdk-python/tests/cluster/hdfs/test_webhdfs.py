"""The file system over WebHDFS: Hadoop 3, Hadoop 2 and HttpFS."""

from __future__ import annotations

import io
import os
from collections.abc import Callable

import pytest

from knit._cluster.cluster import Cluster
from knit.exceptions import (
    AccessDeniedError,
    ClusterFileExistsError,
    ClusterFileNotFoundError,
    ClusterResponseError,
    ClusterUnreachableError,
)
from tests.fakes.cluster import FakeCluster
from tests.fakes.pauses import Pauses
from tests.fakes.server import Answer, Request, closed_port

HOME = "/user/alice"


@pytest.fixture(params=["noredirect", "redirect"])
def fake_of_any_version(request: pytest.FixtureRequest, fake: FakeCluster) -> FakeCluster:
    fake.name_node.knows_noredirect = request.param == "noredirect"
    return fake


def test_the_home_directory_is_the_users(cluster: Cluster) -> None:
    assert cluster.files.home_directory() == HOME


@pytest.mark.usefixtures("fake_of_any_version")
def test_what_is_written_can_be_read(cluster: Cluster) -> None:
    data = os.urandom(300_000)
    sent: list[int] = []
    cluster.files.create(f"{HOME}/x", data, permission="600", progress=sent.append)
    assert sum(sent) == len(data)
    assert cluster.files.read(f"{HOME}/x") == data
    assert cluster.files.read(f"{HOME}/x", offset_bytes=1000, length_bytes=10) == data[1000:1010]
    status = cluster.files.status(f"{HOME}/x")
    assert (status.size_bytes, status.permission, status.name) == (len(data), "600", "x")
    assert status.modify_time.year >= 2023


def test_no_data_goes_to_the_name_node(fake: FakeCluster, cluster: Cluster) -> None:
    cluster.files.create(f"{HOME}/x", b"data")
    assert all(request.body == b"" for request in fake.name_node.requests)
    [request] = fake.data_node.requests
    assert request.headers["content-type"] == "application/octet-stream"


def test_an_open_file_is_written_from_where_it_stands(cluster: Cluster) -> None:
    stream = io.BytesIO(b"0123456789")
    stream.seek(4)
    cluster.files.create(f"{HOME}/x", stream)
    assert cluster.files.read(f"{HOME}/x") == b"456789"


def test_an_empty_file_can_be_written_and_read(cluster: Cluster) -> None:
    cluster.files.create(f"{HOME}/x", b"")
    assert cluster.files.read(f"{HOME}/x") == b""


@pytest.mark.parametrize("name", ["a b", "ü", "a%20b", "a+b&c=d", "#?", "'\""])
def test_names_with_special_characters_are_kept(cluster: Cluster, name: str) -> None:
    path = f"{HOME}/{name}"
    cluster.files.create(path, b"x")
    assert [entry.path for entry in cluster.files.list_directory(HOME)] == [path]
    assert cluster.files.read(path) == b"x"
    assert cluster.files.rename(path, f"{path}2")
    assert cluster.files.delete(f"{path}2")


def test_a_file_that_exists_is_kept_unless_asked(cluster: Cluster) -> None:
    cluster.files.create(f"{HOME}/x", b"1")
    with pytest.raises(ClusterFileExistsError):
        cluster.files.create(f"{HOME}/x", b"2")
    cluster.files.create(f"{HOME}/x", b"3", overwrite=True)
    assert cluster.files.read(f"{HOME}/x") == b"3"


def test_what_is_not_there_is_told(cluster: Cluster) -> None:
    files = cluster.files
    for ask in (files.status, files.list_directory, files.read):
        with pytest.raises(ClusterFileNotFoundError, match="/no/such"):
            ask("/no/such")
    assert files.find("/no/such") is None
    assert not files.delete("/no/such")


def test_a_data_node_that_only_the_cluster_knows_is_told(
    fake: FakeCluster, cluster: Cluster, pauses: Pauses
) -> None:
    fake.name_node.data_node_url = "http://datanode-7.internal.invalid:9864"
    with pytest.raises(ClusterUnreachableError) as failure:
        cluster.files.create(f"{HOME}/x", b"1")
    assert "sent us to the DataNode datanode-7.internal.invalid:9864" in failure.value.message
    assert "knit.webhdfs.url" in failure.value.message
    assert not pauses
    fake.file_system.write(f"{HOME}/y", "alice", b"1")
    fake.name_node.data_node_url = f"http://127.0.0.1:{closed_port()}"
    with pytest.raises(ClusterUnreachableError, match="sent us to the DataNode"):
        cluster.files.read(f"{HOME}/y")


def test_permission_is_checked_by_the_cluster(cluster: Cluster) -> None:
    with pytest.raises(AccessDeniedError, match="user=alice"):
        cluster.files.create("/user/bob/x", b"1")
    with pytest.raises(AccessDeniedError):
        cluster.files.check_access("/user")
    cluster.files.check_access(HOME)


def test_directories_are_listed_in_order(cluster: Cluster) -> None:
    for name in "cab":
        cluster.files.make_directories(f"{HOME}/{name}", permission="700")
    entries = cluster.files.list_directory(HOME)
    assert [entry.name for entry in entries] == ["a", "b", "c"]
    assert all(entry.is_directory and entry.permission == "700" for entry in entries)
    assert cluster.files.content_summary(HOME).directory_count == 4


def test_times_and_permissions_are_set_one_by_one(cluster: Cluster) -> None:
    path = f"{HOME}/x"
    cluster.files.create(path, b"1")
    before = cluster.files.status(path).modify_time_ms
    cluster.files.set_times(path, access_time_ms=5)
    cluster.files.set_permission(path, "640")
    status = cluster.files.status(path)
    assert (status.access_time_ms, status.modify_time_ms) == (5, before)
    assert status.permission == "640"
    cluster.files.set_times(path, modify_time_ms=6)
    status = cluster.files.status(path)
    assert (status.access_time_ms, status.modify_time_ms) == (5, 6)


def test_a_relative_path_is_a_mistake_of_ours(cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="absolute"):
        cluster.files.status("x")


def test_an_answer_of_the_data_node_that_says_no_is_told(
    fake: FakeCluster, cluster: Cluster
) -> None:
    fake.file_system.write(f"{HOME}/x", "alice", b"1")
    fake.data_node.answers_with = lambda _: Answer.error(500, "IOException", "disk on fire")
    with pytest.raises(ClusterResponseError, match="disk on fire"):
        cluster.files.read(f"{HOME}/x")


def test_a_gateway_that_sends_to_itself_is_told_who_we_are(
    fake: FakeCluster, cluster: Cluster
) -> None:
    """HttpFS sends the client to itself with `data=true`, and may leave the user out."""
    location = f"{fake.data_node.url}/webhdfs/v1{HOME}/x?op=CREATE&data=true"
    fake.name_node.answers_with = lambda request: (
        Answer(307, b"", {"Location": location}) if request.query.get("op") == "CREATE" else None
    )
    cluster.files.create(f"{HOME}/x", b"1")
    [request] = fake.data_node.requests
    assert request.query == {"op": "CREATE", "data": "true", "user.name": "alice"}


@pytest.mark.parametrize("answer", [{}, {"FileStatuses": []}, {"FileStatuses": {"FileStatus": 1}}])
def test_a_listing_that_is_none_is_told(
    fake: FakeCluster, cluster: Cluster, answer: object
) -> None:
    fake.name_node.answers_with = lambda _: Answer.json(answer)
    with pytest.raises(ClusterResponseError, match=f"Listing {HOME}: .*FileStatuses"):
        cluster.files.list_directory(HOME)


def test_what_may_be_done_twice_is_asked_for_again_after_a_broken_connection(
    fake: FakeCluster, cluster: Cluster
) -> None:
    """A change of permission, of times, a directory that is made, and what is deleted."""
    cluster.files.create(f"{HOME}/x", b"data")
    files = cluster.files
    changes: dict[str, Callable[[], object]] = {
        "SETPERMISSION": lambda: files.set_permission(f"{HOME}/x", "600"),
        "SETTIMES": lambda: files.set_times(f"{HOME}/x", modify_time_ms=1_000),
        "MKDIRS": lambda: files.make_directories(f"{HOME}/d"),
        "DELETE": lambda: files.delete(f"{HOME}/d"),
    }
    left: list[str] = []

    def breaks(request: Request) -> Answer | None:
        if request.query.get("op") not in left:
            return None
        left.clear()
        return Answer(200, b"x" * 10, cut_off_after=0)

    fake.name_node.answers_with = breaks
    for op, change in changes.items():
        left.append(op)
        before = len(fake.name_node.asked(op=op))
        change()
        assert len(fake.name_node.asked(op=op)) == before + 2
    assert cluster.files.status(f"{HOME}/x").permission == "600"
