"""DataNodes that are not there yet, and those that cannot be reached, by whichever door."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from knit._cluster.cluster import Cluster
from knit._cluster.hdfs.elsewhere import MOST_OTHERS
from knit._cluster.hdfs.transfer import DataNodes
from knit._values.deadlines import Deadline
from knit.exceptions import (
    AccessDeniedError,
    ClusterError,
    ClusterFileExistsError,
    ClusterUnreachableError,
    NoDataNodeError,
    WrongPortError,
)
from tests.fakes.cluster import FakeCluster
from tests.fakes.pauses import Pauses
from tests.fakes.server import Answer, closed_port

PATH, OTHER = "/user/alice/x", "/user/alice/y"
MINUTE = timedelta(minutes=1)


def test_a_name_node_that_knows_none_yet_is_waited_for(
    fake: FakeCluster, cluster: Cluster, pauses: Pauses
) -> None:
    fake.name_node.knows_data_nodes = False

    def register() -> None:
        fake.name_node.knows_data_nodes = len(pauses) == 6

    pauses.meanwhile = register
    cluster.files.create(PATH, b"data", patience=MINUTE)
    assert fake.file_system.entries[PATH].data == b"data"
    assert sum(pauses) > cluster.files.timeout.total_seconds()


def test_where_none_comes_that_is_told_and_what_to_do(
    fake: FakeCluster, cluster: Cluster, pauses: Pauses, caplog: pytest.LogCaptureFixture
) -> None:
    fake.name_node.knows_data_nodes = False
    with (
        caplog.at_level(logging.WARNING, "knit"),
        pytest.raises(NoDataNodeError, match=r"knows no DataNode.*hdfs dfsadmin -report") as told,
    ):
        cluster.files.create(PATH, b"data", patience=MINUTE)
    assert told.value.exception == "IOException"
    assert 50 < sum(pauses) <= 60
    [record] = caplog.records
    assert record.getMessage().endswith("Trying again, for 60 s in all.")
    assert not fake.data_node.requests


def test_without_more_patience_a_call_has_its_time(
    fake: FakeCluster, cluster: Cluster, pauses: Pauses
) -> None:
    fake.name_node.knows_data_nodes = False
    with pytest.raises(NoDataNodeError):
        cluster.files.create(PATH, b"data")
    assert sum(pauses) <= cluster.files.timeout.total_seconds()


@pytest.mark.parametrize(
    ("status", "kind"), [(403, AccessDeniedError), (404, WrongPortError), (405, ClusterError)]
)
def test_web_servers_of_data_nodes_that_are_closed_are_named(
    fake: FakeCluster, cluster: Cluster, status: int, kind: type[ClusterError]
) -> None:
    """By both ways to the NameNode data goes there."""
    cluster.files.create(PATH, b"data")
    fake.data_node.answers_with = lambda _: Answer.html(status, "Closed")
    for method in ("PUT", "GET"):
        with pytest.raises(kind, match=r"web servers of DataNodes.*knit\.webhdfs\.url") as told:
            cluster.files.read(PATH) if method == "GET" else cluster.files.create(OTHER, b"data")
        assert told.value.status == status


def gone(count: int) -> list[str]:
    """DataNodes that have died, of which the NameNode does not know yet, each on its own host."""
    return [f"127.0.0.{number}:{closed_port()}" for number in range(2, 2 + count)]


@pytest.mark.parametrize("count", [1, MOST_OTHERS])
def test_another_data_node_is_taken_where_one_is_gone(
    fake: FakeCluster, cluster: Cluster, pauses: Pauses, count: int
) -> None:
    fake.name_node.gone = gone(count)
    cluster.files.create(PATH, b"data")
    assert cluster.files.read(PATH) == b"data"
    assert not pauses


def test_what_is_written_elsewhere_is_whole_and_is_not_taken_for_another_ones(
    fake: FakeCluster, cluster: Cluster, tmp_path: Path
) -> None:
    """By RPC the file is there, empty, once a DataNode is named for it."""
    fake.name_node.gone = gone(2)
    (tmp_path / "data").write_bytes(b"0123456789")
    with (tmp_path / "data").open("rb") as file:
        cluster.files.create(PATH, file, overwrite=False)
    assert fake.file_system.entries[PATH].data == b"0123456789"
    with pytest.raises(ClusterFileExistsError):
        cluster.files.create(PATH, b"other", overwrite=False)


def test_the_only_data_node_is_waited_for_where_it_has_just_been(
    fake: FakeCluster, cluster: Cluster, pauses: Pauses, caplog: pytest.LogCaptureFixture
) -> None:
    url = fake.name_node.data_node_url
    fake.name_node.data_node_url = f"http://127.0.0.1:{closed_port()}"

    def come_back() -> None:
        fake.name_node.data_node_url = url if len(pauses) == 8 else fake.name_node.data_node_url

    pauses.meanwhile = come_back
    with caplog.at_level(logging.WARNING, "knit"):
        cluster.files.create(PATH, b"data", patience=MINUTE)
    assert fake.file_system.entries[PATH].data == b"data"
    [record] = caplog.records
    assert "sent us to the DataNode" in record.getMessage()
    assert record.getMessage().endswith("Trying again, for 60 s in all.")


def test_more_that_are_gone_than_are_left_out_are_waited_for(
    fake: FakeCluster, cluster: Cluster, pauses: Pauses
) -> None:
    fake.name_node.gone = gone(MOST_OTHERS + 1)

    def notice() -> None:
        del fake.name_node.gone[:1]

    pauses.meanwhile = notice
    cluster.files.create(PATH, b"data")
    assert fake.file_system.entries[PATH].data == b"data"
    assert len(pauses) == 1


def test_one_that_does_not_come_back_is_told_at_the_end_of_the_time(
    fake: FakeCluster, cluster: Cluster, pauses: Pauses
) -> None:
    cluster.files.create(PATH, b"data")
    fake.name_node.data_node_url = f"http://127.0.0.1:{closed_port()}"
    for call in (lambda: cluster.files.create(OTHER, b""), lambda: cluster.files.read(PATH)):
        del pauses[:]
        with pytest.raises(ClusterUnreachableError, match="sent us to the DataNode"):
            call()
        assert 0 < sum(pauses) <= cluster.files.timeout.total_seconds()


def test_what_it_was_waited_for_is_told_where_the_time_ends_in_a_try(
    fake: FakeCluster, cluster: Cluster, pauses: Pauses
) -> None:
    cluster.files.create(PATH, b"data")
    fake.name_node.data_node_url = f"http://127.0.0.1:{closed_port()}"
    pauses.meanwhile = lambda: pauses.append(cluster.files.timeout.total_seconds())
    for call in (lambda: cluster.files.create(OTHER, b""), lambda: cluster.files.read(PATH)):
        with pytest.raises(ClusterUnreachableError, match="sent us to the DataNode"):
            call()


def test_a_connection_that_breaks_is_not_tried_elsewhere(
    fake: FakeCluster, cluster: Cluster, pauses: Pauses
) -> None:
    """What was sent may have been taken: whoever gave the data says what is to be done."""
    fake.data_node.answers_with = lambda _: Answer(201, b"0123", cut_off_after=2)
    with pytest.raises(ClusterUnreachableError):
        cluster.files.create(PATH, b"data")
    assert len(fake.data_node.requests) == 1
    assert not pauses


def test_a_refusal_without_an_end_is_told_all_the_same() -> None:
    ended = []

    class Endless:
        def open(self, *_: object, **__: object) -> SimpleNamespace:
            return SimpleNamespace(status=500, headers={})

        def chunks(self, *_: object, **__: object) -> Iterator[bytes]:
            try:
                while True:
                    yield b"x" * 65536
            finally:
                ended.append(1)

    nodes = DataNodes(Endless())  # type: ignore[arg-type]
    with pytest.raises(ClusterError) as told:
        list(nodes.read("http://dn1:9864/x?user.name=a", what="Reading", deadline=Deadline.never()))
    assert ended == [1], "and its connection is closed"
    assert len(str(told.value)) < 2000
