"""DataNodes that are not there yet, and those that cannot be reached, by whichever door."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from knit._cluster.cluster import Cluster
from knit.exceptions import AccessDeniedError, ClusterError, NoDataNodeError, WrongPortError
from tests.fakes.cluster import FakeCluster
from tests.fakes.pauses import Pauses
from tests.fakes.server import Answer

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
