"""Whether what YARN has collected is all that there will be."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from knit._cluster.cluster import Cluster
from knit._cluster.logs import AggregatedLogs, LogArchive, wait_until_settled
from knit.exceptions import (
    LogsNotFoundError,
)
from tests.cluster.logs.applications import (
    APPLICATION,
    MASTER,
    NODE_1,
    NODE_2,
    ONE,
    TWO,
    Application,
    look,
    names,
)
from tests.cluster.logs.files import tfile


def test_while_yarn_collects_what_is_there_is_given_and_the_rest_is_named(
    application: Application, cluster: Cluster
) -> None:
    application.change(logAggregationStatus="RUNNING")
    application.write("node-1_8041", tfile(NODE_1))
    application.write("node-2_8041.tmp", tfile(NODE_2)[:50])
    logs = look(cluster)
    assert names(logs) == [MASTER, ONE]
    assert not logs.is_complete
    assert "still being collected" in (logs.incomplete_reason or "")
    assert "node-2:8041" in (logs.incomplete_reason or "")


def test_nothing_yet_is_no_error(application: Application, cluster: Cluster) -> None:
    application.change(logAggregationStatus="NOT_START")
    logs = look(cluster)
    assert names(logs) == []
    assert not logs.is_complete


def test_all_nodes_files_are_enough_where_yarns_word_is_late(
    application: Application, cluster: Cluster
) -> None:
    application.change(logAggregationStatus="RUNNING")
    application.write_all()
    assert look(cluster).is_complete


def test_what_a_node_still_writes_is_waited_for_whatever_yarn_says(
    application: Application, cluster: Cluster
) -> None:
    """A ResourceManager that has just taken over speaks of the nodes that have come back so far."""
    application.write("node-1_8041", tfile(NODE_1))
    writing = application.write("node-2_8041.tmp", b"")
    logs = look(cluster)
    assert not logs._is_settled
    assert "still being collected" in (logs.incomplete_reason or "")
    assert "SUCCEEDED" not in (logs.incomplete_reason or "")
    application.fake.file_system.entries.pop(writing)
    application.write("node-2_8041", tfile(NODE_2))
    assert look(cluster).is_complete


@pytest.mark.parametrize(("seconds_ago", "is_settled"), [(0, False), (120, True)])
def test_a_node_of_which_there_is_nothing_is_waited_for_as_long_as_it_may_need_to_come_back(
    application: Application, cluster: Cluster, seconds_ago: int, is_settled: bool
) -> None:
    """Later there is nothing: a cluster may keep only the logs of containers that failed."""
    application.write("node-1_8041", tfile(NODE_1))
    application.change(finishedTime=int((time.time() - seconds_ago) * 1000))
    assert look(cluster)._is_settled is is_settled


def test_what_a_node_began_and_left_is_not_waited_for_for_ever(
    application: Application, cluster: Cluster
) -> None:
    application.write("node-1_8041", tfile(NODE_1))
    application.write("node-2_8041.tmp", b"")
    application.change(finishedTime=int((time.time() - 3600) * 1000))
    logs = look(cluster)
    assert logs._is_settled
    assert "begun and never finished" in (logs.incomplete_reason or "")


def test_a_running_application_has_none_yet(application: Application, cluster: Cluster) -> None:
    application.change(state="RUNNING", finishedTime=0, logAggregationStatus="NOT_START")
    logs = look(cluster)
    assert names(logs) == []
    assert "still running" in (logs.incomplete_reason or "")


@pytest.mark.parametrize(
    ("status", "said"), [("FAILED", "failed on a node"), ("TIME_OUT", "not heard of in time")]
)
def test_a_collection_that_went_wrong_is_settled_and_not_complete(
    application: Application, cluster: Cluster, status: str, said: str
) -> None:
    application.change(logAggregationStatus=status)
    application.write("node-1_8041", tfile(NODE_1))
    began = time.monotonic()
    logs = wait_until_settled(LogArchive(cluster, APPLICATION).look, timedelta(minutes=1))
    assert time.monotonic() - began < 30
    assert names(logs) == [MASTER, ONE]
    assert said in (logs.incomplete_reason or "")
    assert "node-2:8041" in (logs.incomplete_reason or "")


def test_what_was_not_collected_long_after_the_end_never_will_be(
    application: Application, cluster: Cluster
) -> None:
    long_ago = int((time.time() - 3600) * 1000)
    application.change(logAggregationStatus="NOT_START", finishedTime=long_ago)
    with pytest.raises(LogsNotFoundError, match="retain-seconds"):
        look(cluster)
    application.write("node-1_8041", tfile(NODE_1))
    assert "node-2:8041" in (look(cluster).incomplete_reason or "")


def test_waiting_ends_when_all_is_there(application: Application, cluster: Cluster) -> None:
    application.change(logAggregationStatus="RUNNING")
    application.write("node-1_8041", tfile(NODE_1))
    looks = 0
    archive = LogArchive(cluster, APPLICATION)

    def look_again() -> AggregatedLogs:
        nonlocal looks
        looks += 1
        if looks == 3:
            application.write("node-2_8041", tfile(NODE_2))
        return archive.look()

    logs = wait_until_settled(look_again, timedelta(minutes=1), lambda _: None)
    assert looks == 3
    assert names(logs) == [MASTER, ONE, TWO]


def test_waiting_ends_when_the_time_is_over(application: Application, cluster: Cluster) -> None:
    application.change(logAggregationStatus="RUNNING")
    logs = wait_until_settled(LogArchive(cluster, APPLICATION).look, timedelta(seconds=0.3))
    assert not logs.is_complete
