"""What is found in the cluster's file system, wherever YARN has put it."""

from __future__ import annotations

import time

import pytest

from knit._cluster.cluster import Cluster
from knit._cluster.logs import LogArchive
from knit.exceptions import (
    AccessDeniedError,
    LogAggregationDisabledError,
    LogFormatError,
    LogsNotFoundError,
)
from tests.cluster.logs.applications import (
    APPLICATION,
    HERE,
    MASTER,
    NODE_1,
    NODE_2,
    ONE,
    TWO,
    Application,
    look,
    names,
    record,
)
from tests.cluster.logs.files import fixture, tfile
from tests.fakes.cluster import FakeCluster
from tests.fakes.server import Answer, Request


def test_each_container_is_there_with_its_node_and_place(
    application: Application, cluster: Cluster
) -> None:
    application.write_all()
    logs = look(cluster)
    assert names(logs) == [MASTER, ONE, TWO]
    assert logs.is_complete
    assert logs.incomplete_reason is None
    two = logs.containers[TWO]
    assert (two.service, two.rank, two.attempt_number) == ("web", 1, 1)
    assert (two.node_id, two.is_application_master) == ("node-2:8041", False)
    assert [(file.name, file.size_bytes) for file in two.files] == [("stdout", 4)]
    assert two.read("stdout") == b"two\n"
    assert b"".join(two.open("stdout", offset_bytes=1)) == b"wo\n"
    assert b"".join(two.open("stdout", offset_bytes=9)) == b""
    assert logs.containers[MASTER].is_application_master
    assert logs.containers[MASTER].service == ""
    with pytest.raises(LogsNotFoundError, match=r"no log file 'other'\. It has stdout"):
        two.read("other")


@pytest.mark.parametrize(
    "directory",
    [
        "/tmp/logs/alice/logs",
        "/tmp/logs/alice/logs-tfile",
        "/tmp/logs/alice/bucket-logs/0007",
        "/tmp/logs/alice/bucket-logs-tfile/0007",
        "/tmp/logs/alice/bucket-of-my-own/0007",
        "/tmp/logs/alice",
    ],
)
def test_every_layout_is_found_whatever_the_configuration_says(
    application: Application, cluster: Cluster, directory: str
) -> None:
    application.write_all(directory)
    assert names(look(cluster)) == [MASTER, ONE, TWO]


def test_several_directories_are_one(application: Application, cluster: Cluster) -> None:
    """As on a cluster whose nodes were reconfigured one after the other."""
    application.write("node-1_8041", tfile(NODE_1), "/tmp/logs/alice/logs")
    application.write("node-2_8041", tfile(NODE_2))
    assert names(look(cluster)) == [MASTER, ONE, TWO]


def test_the_configured_directory_is_looked_at(fake: FakeCluster) -> None:
    Application(fake).write_all("/var/logs/alice/logs")
    config = fake.config.with_properties(
        {"yarn.nodemanager.remote-app-log-dir": "hdfs://127.0.0.1:8020/var/logs/"}
    )
    with Cluster(config, user="alice") as cluster:
        assert names(look(cluster)) == [MASTER, ONE, TWO]
    assert not fake.resource_manager.asked(path="/conf")


def test_the_resource_manager_is_asked_where_the_clients_configuration_leads_nowhere(
    application: Application, cluster: Cluster
) -> None:
    application.write_all("/var/tfiles/alice/logs")
    application.fake.resource_manager.configuration = {
        "yarn.log-aggregation.file-formats": "TFile",
        "yarn.log-aggregation.TFile.remote-app-log-dir": "/var/tfiles",
    }
    assert names(look(cluster)) == [MASTER, ONE, TWO]


def test_another_file_system_is_an_error_that_names_it(fake: FakeCluster) -> None:
    Application(fake)
    config = fake.config.with_properties({"yarn.nodemanager.remote-app-log-dir": "s3a://logs/yarn"})
    with (
        Cluster(config, user="alice") as cluster,
        pytest.raises(LogsNotFoundError, match=r"s3a://logs/yarn.*yarn logs"),
    ):
        look(cluster)


@pytest.mark.parametrize("name", ["tfile-none", "tfile-gz", "ifile-none", "ifile-gz"])
def test_what_hadoop_wrote_is_told_apart_by_itself(
    fake: FakeCluster, cluster: Cluster, name: str
) -> None:
    application_id, files = fixture(name)
    application = Application(fake, application_id)
    application.attempts()
    for file, data in files.items():
        application.write(file, data, "/tmp/logs/alice/logs")
    logs = look(cluster, application_id)
    assert [logs.containers[key].service for key in logs.containers].count("numbers") == 2
    assert [each.is_application_master for each in logs.containers.values()].count(True) == 1
    assert logs.is_complete


@pytest.mark.parametrize("name", ["tfile-gz-rolling", "ifile-gz-rolling"])
def test_what_was_collected_bit_by_bit_is_one_log(
    fake: FakeCluster, cluster: Cluster, name: str
) -> None:
    application_id, files = fixture(name)
    application = Application(fake, application_id)
    application.attempts()
    for file, data in files.items():
        application.write(file, data, "/tmp/logs/alice/logs")
    [rolling] = [c for c in look(cluster, application_id).containers.values() if c.service]
    expected = b"".join(b"%d\n" % number for number in range(100, 400))
    assert rolling.read("rolled.log") == expected
    assert {file.name: file.size_bytes for file in rolling.files}["rolled.log"] == len(expected)
    assert b"".join(rolling.open("rolled.log", offset_bytes=500)) == expected[500:]


def test_without_a_record_containers_are_told_by_their_numbers(
    application: Application, cluster: Cluster
) -> None:
    application.write("node-1_8041", tfile([(MASTER, []), NODE_1[1]]))
    one = look(cluster).containers[ONE]
    assert (one.service, one.rank, one.attempt_number) == ("", 2, 1)


def test_a_container_that_left_nothing_on_a_node_that_left_all_is_not_missed(
    application: Application, cluster: Cluster
) -> None:
    """Its launch was refused, say."""
    application.write("node-1_8041", tfile(NODE_1))
    application.write("node-2_8041", tfile([]))
    logs = look(cluster)
    assert logs.is_complete
    assert (set(logs._missing), set(logs._silent)) == ({TWO}, {TWO})


def test_a_file_called_like_the_record_in_another_container_is_not_believed(
    application: Application, cluster: Cluster
) -> None:
    application.write("node-1_8041", tfile([(ONE, [record((ONE, "fake", 9, "x"))])]))
    assert look(cluster).containers[ONE].service == ""


# Whether it is all


def test_looking_again_reads_only_what_is_new(application: Application, cluster: Cluster) -> None:
    application.change(logAggregationStatus="RUNNING")
    application.write("node-1_8041", tfile(NODE_1))
    archive = LogArchive(cluster, APPLICATION)
    archive.look()
    before = len(application.fake.data_node.requests)
    archive.look()
    assert len(application.fake.data_node.requests) == before
    application.write("node-2_8041", tfile(NODE_2))
    assert names(archive.look()) == [MASTER, ONE, TWO]


# What cannot be had


def test_what_was_opened_and_is_no_more_is_forgotten(
    application: Application, cluster: Cluster
) -> None:
    """A node that writes on a damaged file for days gives another one at each look."""
    application.write_all()
    archive = LogArchive(cluster, APPLICATION)
    archive.look()
    opened = len(archive._opened)
    for size in range(1, 4):
        application.write("node-2_8041", tfile(NODE_2)[:-size])
        assert not archive.look().is_complete
        assert len(archive._opened) == opened


def test_a_cluster_that_keeps_no_logs_is_an_error(
    application: Application, cluster: Cluster
) -> None:
    application.change(logAggregationStatus="DISABLED")
    with pytest.raises(LogAggregationDisabledError, match=r"yarn\.log-aggregation-enable"):
        look(cluster)


def test_deleted_logs_are_an_error(application: Application, cluster: Cluster) -> None:
    application.change(finishedTime=int((time.time() - 3600) * 1000))
    with pytest.raises(LogsNotFoundError, match=r"/tmp/logs.*retain-seconds") as caught:
        look(cluster)
    assert isinstance(caught.value, FileNotFoundError)


def test_an_application_that_never_had_a_container_has_no_logs(
    application: Application, cluster: Cluster
) -> None:
    application.change(state="KILLED", logAggregationStatus="NOT_START")
    application.attempts({"id": 1})
    with pytest.raises(LogsNotFoundError, match="before it had a container"):
        look(cluster)


def test_an_application_that_yarn_has_forgotten_may_have_logs(
    fake: FakeCluster, cluster: Cluster
) -> None:
    application = Application(fake)
    application.write_all()
    del fake.resource_manager.applications[APPLICATION]
    logs = look(cluster)
    assert names(logs) == [MASTER, ONE, TWO]
    assert logs.containers[MASTER].is_application_master
    assert logs.is_complete


def test_somebody_elses_logs_are_an_error_that_says_whose(
    application: Application, cluster: Cluster
) -> None:
    application.write_all()

    def deny(request: Request) -> Answer | None:
        if request.path.startswith("/webhdfs/v1/tmp/logs/alice"):
            return Answer.error(403, "AccessControlException", "Permission denied: user=bob")
        return None

    application.fake.name_node.answers_with = deny
    with pytest.raises(AccessDeniedError, match=r"belong to alice.*HADOOP_USER_NAME") as caught:
        look(cluster)
    assert caught.value.status == 403


def test_a_directory_that_may_not_be_listed_may_be_open_below(
    application: Application, cluster: Cluster
) -> None:
    application.write_all()

    def deny(request: Request) -> Answer | None:
        if request.path == "/webhdfs/v1/tmp/logs/alice":
            return Answer.error(403, "AccessControlException", "Permission denied: user=bob")
        return None

    application.fake.name_node.answers_with = deny
    assert names(look(cluster)) == [MASTER, ONE, TWO]


def test_one_damaged_file_hides_no_other(application: Application, cluster: Cluster) -> None:
    application.write("node-1_8041", tfile(NODE_1))
    path = application.write("node-2_8041", tfile(NODE_2)[:-5])
    logs = look(cluster)
    assert names(logs) == [MASTER, ONE]
    assert path in (logs.incomplete_reason or "")


@pytest.mark.parametrize("size", [0, 10, 100])
def test_nothing_but_a_damaged_file_is_an_error(
    application: Application, cluster: Cluster, size: int
) -> None:
    path = application.write("node-1_8041", tfile(NODE_1)[:size])
    with pytest.raises(LogFormatError, match="may be cut off") as caught:
        look(cluster)
    assert caught.value.path == path


def test_a_file_that_is_being_written_is_not_damaged(
    application: Application, cluster: Cluster
) -> None:
    """An IFile gets its name before it has its end."""
    application.change(logAggregationStatus="RUNNING")
    application.write("node-1_8041", b"half of it")
    logs = look(cluster)
    assert names(logs) == []
    assert "still being collected" in (logs.incomplete_reason or "")


def test_another_codec_is_an_error_that_names_it(
    application: Application, cluster: Cluster
) -> None:
    application.write("node-1_8041", tfile(NODE_1).replace(b"\x04none", b"\x04lzo!"))
    with pytest.raises(LogFormatError, match="lzo!") as caught:
        look(cluster)
    assert caught.value.codec == "lzo!"


def test_logs_that_were_packed_into_an_archive_are_an_error(
    application: Application, cluster: Cluster
) -> None:
    application.fake.file_system.make_parents(f"{HERE}/{APPLICATION}/x", "alice")
    application.fake.file_system.make(f"{HERE}/{APPLICATION}/{APPLICATION}.har", "alice")
    with pytest.raises(LogFormatError, match=r"Hadoop archive.*\.har"):
        look(cluster)


# Over WebHDFS


def test_a_connection_that_breaks_is_made_again_where_it_was(
    application: Application, cluster: Cluster
) -> None:
    large = bytes(range(256)) * 4000
    application.write("node-1_8041", tfile([(ONE, [("stdout", large)])]))
    breaks = 0

    def break_off(request: Request) -> Answer | None:
        nonlocal breaks
        breaks += 1
        if breaks % 2:
            return None
        path = request.path.removeprefix("/webhdfs/v1")
        data = application.fake.file_system.entries[path].data or b""
        offset, length = int(request.query["offset"]), int(request.query["length"])
        return Answer(200, data[offset : offset + length], cut_off_after=length // 2)

    application.fake.data_node.answers_with = break_off
    assert look(cluster).containers[ONE].read("stdout") == large
    assert breaks >= 3


def test_a_data_node_that_never_gives_anything_is_given_up(
    application: Application, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("knit._cluster.hdfs.transfer._PAUSE_SECONDS", 0.001)
    application.write_all()
    application.fake.data_node.answers_with = lambda _: Answer(200, b"x" * 100, cut_off_after=0)
    with pytest.raises(ConnectionError, match="Reading /tmp/logs"):
        look(cluster)
