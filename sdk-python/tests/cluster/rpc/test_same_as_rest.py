"""The tests of both doors that tell nothing of REST, by the other one."""

# ruff: noqa: F401  (to be imported is to be run)
from __future__ import annotations

from typing import Any

import pytest

from knit._cluster.cluster import Cluster
from knit._cluster.yarn.application_filter import ApplicationFilter
from knit._cluster.yarn.changes import move, set_priority
from knit._cluster.yarn.lifetimes import limit_lifetime
from knit._cluster.yarn.submission import SubmittedFile
from knit.exceptions import ChangeRefusedError, QueueNotFoundError, SubmissionError
from tests.cluster.hdfs.test_data_nodes import (
    test_a_connection_that_breaks_is_not_tried_elsewhere,
    test_a_name_node_that_knows_none_yet_is_waited_for,
    test_another_data_node_is_taken_where_one_is_gone,
    test_more_that_are_gone_than_are_left_out_are_waited_for,
    test_one_that_does_not_come_back_is_told_at_the_end_of_the_time,
    test_the_only_data_node_is_waited_for_where_it_has_just_been,
    test_web_servers_of_data_nodes_that_are_closed_are_named,
    test_what_is_written_elsewhere_is_whole_and_is_not_taken_for_another_ones,
    test_where_none_comes_that_is_told_and_what_to_do,
    test_without_more_patience_a_call_has_its_time,
)
from tests.cluster.hdfs.test_webhdfs import (
    test_a_data_node_that_only_the_cluster_knows_is_told,
    test_a_file_that_exists_is_kept_unless_asked,
    test_a_relative_path_is_a_mistake_of_ours,
    test_an_empty_file_can_be_written_and_read,
    test_an_open_file_is_written_from_where_it_stands,
    test_directories_are_listed_in_order,
    test_names_with_special_characters_are_kept,
    test_no_data_goes_to_the_name_node,
    test_permission_is_checked_by_the_cluster,
    test_the_home_directory_is_the_users,
    test_times_and_permissions_are_set_one_by_one,
    test_what_is_not_there_is_told,
)
from tests.cluster.yarn.test_resource_manager import TestApplications as _TestApplications
from tests.cluster.yarn.test_resource_manager import TestKill, submit
from tests.cluster.yarn.test_resource_manager import TestOfOthers as _TestOfOthers
from tests.fakes.cluster import FakeCluster
from tests.fakes.rpc import FakeRpcServer, JavaError, RpcCall


class TestApplications(_TestApplications):
    # Of what REST sends.
    test_an_answer_without_an_id_is_told = None  # type: ignore[assignment]
    test_a_refusal_says_what_yarn_says = None  # type: ignore[assignment]
    test_a_queue_that_is_not_for_us_is_told_with_what_to_do = None  # type: ignore[assignment]


class TestOfOthers(_TestOfOthers):
    test_by_rest_it_has_no_start = None  # type: ignore[assignment]


def test_large_data_is_written_and_read_in_parts(cluster: Cluster) -> None:
    data = bytes(range(256)) * 1200
    cluster.files.create("/user/alice/x", data, permission="600")
    assert cluster.files.read("/user/alice/x", offset_bytes=1000, length_bytes=9) == data[1000:1009]
    assert b"".join(cluster.files.open("/user/alice/x", offset_bytes=len(data))) == b""
    assert cluster.files.status("/user/alice/x").permission == "600"


def test_a_directory_of_many_pages_is_listed_whole(cluster: Cluster) -> None:
    """The fake tells of two at a time."""
    for number in range(7):
        cluster.files.create(f"/user/alice/d/{number}", b"")
    listed = cluster.files.list_directory("/user/alice/d")
    assert [entry.name for entry in listed] == list("0123456")


def test_nodes_queues_and_sums_are_told(cluster: Cluster) -> None:
    manager = cluster.resource_manager
    assert [node.node_id for node in manager.nodes()] == ["node-1:45454", "node-2:45454"]
    assert manager.metrics().total_mib == 8192 + 4096
    queues = {queue.path: queue for queue in manager.queues()}
    assert list(queues) == [
        *("root", "root.default", "root.closed", "root.team"),
        "root.team.small",
    ]
    assert not queues["root.closed"].is_open
    assert queues["root.team"].children == ("root.team.small",)
    assert manager.cluster_info().is_active
    assert manager.configured("yarn.acl.enable") is None


def test_an_application_is_moved_and_its_priority_changed(
    fake: FakeCluster, cluster: Cluster
) -> None:
    manager = cluster.resource_manager
    application_id = submit(cluster)
    fake.resource_manager.change(application_id, state="RUNNING")
    assert move(manager, application_id, "small").queue == "root.team.small"
    assert set_priority(manager, application_id, 99).priority == 10
    with pytest.raises(QueueNotFoundError):
        move(manager, application_id, "nowhere")
    fake.resource_manager.full_queues = {"root.default"}
    with pytest.raises(ChangeRefusedError, match=r"^Moving application_\S+ to default: the sched"):
        move(manager, application_id, "default")


def test_a_lifetime_is_limited(fake: FakeCluster, cluster: Cluster) -> None:
    from datetime import timedelta

    application_id = submit(cluster)
    limit_lifetime(cluster.resource_manager, application_id, timedelta(hours=1))
    assert application_id in fake.resource_manager.lifetimes


def test_a_password_is_no_part_of_a_list(cluster: Cluster, servers: list[FakeRpcServer]) -> None:
    """Only the name is claimed, once for the connection."""
    submit(cluster)
    assert cluster.resource_manager.applications(ApplicationFilter(user="alice"))
    assert cluster.resource_manager.applications(ApplicationFilter(user="bob")) == []
    assert {call.user for call in servers[0].calls} == {"alice"}
    assert servers[0].connections == 1


def test_files_are_named_with_the_size_and_time_by_which_nodes_know_them(
    cluster: Cluster, servers: list[FakeRpcServer]
) -> None:
    """A node takes no file that is another one by now."""
    file = SubmittedFile(
        url="hdfs://ns:8020/user/alice/a%20b",
        size_bytes=1 << 40,
        modify_time_ms=1_700_000_000_123,
        type="ARCHIVE",
        visibility="PRIVATE",
    )
    submit(cluster, files={"a b": file})
    [call] = [call for call in servers[0].calls if call.method == "submitApplication"]
    [named] = call.request.context.container.local_resources
    assert named.key == "a b"
    sent = named.value
    assert (sent.size, sent.timestamp) == (1 << 40, 1_700_000_000_123)
    where = sent.resource
    assert (where.scheme, where.host, where.port) == ("hdfs", "ns", 8020)
    assert where.file == "/user/alice/a b"


def test_no_more_is_asked_for_than_is_wanted(
    cluster: Cluster, servers: list[FakeRpcServer]
) -> None:
    """All queues without their applications, those of a name alone, files without their places."""
    cluster.resource_manager.queues()
    cluster.resource_manager.applications(ApplicationFilter(name="demo"))
    cluster.files.list_directory("/user")
    asked = {call.method: call.request for server in servers for call in server.calls}
    queues = asked["getQueueInfo"]
    wanted = (queues.include_children, queues.recursive, queues.include_applications)
    assert wanted == (True, True, False)
    assert asked["getApplications"].name == "demo"
    assert not asked["getListing"].with_places


def test_a_submission_that_yarn_refuses_is_told_as_one(
    cluster: Cluster, servers: list[FakeRpcServer]
) -> None:
    handler = servers[0].handler

    def refuse(call: RpcCall) -> Any:
        if call.method == "submitApplication":
            inner = "org.apache.hadoop.yarn.exceptions.InvalidResourceRequestException: too much"
            raise JavaError("org.apache.hadoop.yarn.exceptions.YarnException", inner)
        return handler(call)

    servers[0].handler = refuse
    with pytest.raises(SubmissionError, match="too much"):
        submit(cluster)


def test_a_priority_that_yarn_refuses_is_told_with_what_it_depends_on(
    fake: FakeCluster, cluster: Cluster, servers: list[FakeRpcServer]
) -> None:
    application_id = submit(cluster)
    fake.resource_manager.change(application_id, state="RUNNING")
    handler = servers[0].handler

    def refuse(call: RpcCall) -> Any:
        if call.method == "updateApplicationPriority":
            raise JavaError("org.apache.hadoop.yarn.exceptions.YarnException", "not so high")
        return handler(call)

    servers[0].handler = refuse
    with pytest.raises(ChangeRefusedError, match=r"not so high.*acl_application_max_priority"):
        set_priority(cluster.resource_manager, application_id, 99)
