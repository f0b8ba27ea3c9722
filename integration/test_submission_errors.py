"""What cannot run is refused before it costs anything, in a typed error that says what to do."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import knit
import pytest

from integration.applications import SMALL, Applications
from integration.clusters import Cluster
from integration.hdfs import Hdfs

RESOURCE_MANAGER = "knit.resourcemanager.url"
FILE_SYSTEM = "knit.webhdfs.url"

GOOD = knit.Service("true", resources=SMALL)


def spec(service: knit.Service = GOOD, **fields: Any) -> knit.ApplicationSpec:
    return knit.ApplicationSpec("refused", {"worker": service}, **fields)


@pytest.fixture(autouse=True)
def nothing_left_behind(client: knit.Client, hdfs: Hdfs) -> Iterator[None]:
    """Nothing of what was refused lives on in YARN, whoever refused it, or lies in HDFS."""

    def known() -> set[str]:
        reports = client.applications(name="refused", user=None)
        return {report.application_id for report in reports if not report.state.is_final}

    applications, staged, cached = known(), hdfs.staged_applications(), hdfs.cache()
    yield
    assert known() <= applications
    assert hdfs.staged_applications() <= staged
    assert not [name for name in hdfs.cache() if name.endswith(".part")]
    assert {name: hdfs.cache().get(name) for name in cached} == cached


# The cluster is not where it is said to be.


def host_of(url: str) -> str:
    return urlsplit(url).hostname or ""


def nobody_listens(config: knit.ClusterConfig) -> str:
    return "http://localhost:1"


def no_such_host(config: knit.ClusterConfig) -> str:
    return "http://no-such-host.invalid:8088"


def resource_managers_rpc_port(config: knit.ClusterConfig) -> str:
    port = (config.get("yarn.resourcemanager.address") or ":8032").rpartition(":")[2]
    return f"http://{host_of(config.resource_managers[0])}:{port}"


def name_nodes_rpc_port(config: knit.ClusterConfig) -> str:
    port = urlsplit(config.default_fs).port or 8020
    return f"http://{host_of(config.name_nodes[0])}:{port}"


def the_other_daemon(config: knit.ClusterConfig) -> str:
    return config.name_nodes[0]


def the_resource_manager(config: knit.ClusterConfig) -> str:
    return config.resource_managers[0]


@pytest.mark.parametrize(
    ("name", "where", "error"),
    [
        (RESOURCE_MANAGER, nobody_listens, knit.ClusterUnreachableError),
        (RESOURCE_MANAGER, no_such_host, knit.ClusterUnreachableError),
        (RESOURCE_MANAGER, resource_managers_rpc_port, knit.WrongPortError),
        (RESOURCE_MANAGER, the_other_daemon, knit.WrongPortError),
        (FILE_SYSTEM, nobody_listens, knit.ClusterUnreachableError),
        (FILE_SYSTEM, no_such_host, knit.ClusterUnreachableError),
        (FILE_SYSTEM, name_nodes_rpc_port, knit.WrongPortError),
        (FILE_SYSTEM, the_resource_manager, knit.WrongPortError),
    ],
)
def test_a_wrong_address_is_told_with_the_address(
    cluster: Cluster,
    config: knit.ClusterConfig,
    name: str,
    where: Callable[[knit.ClusterConfig], str],
    error: type[knit.ClusterError],
) -> None:
    url = where(config)
    elsewhere = config.with_properties({name: url})
    with (
        knit.Client(elsewhere, user=cluster.user, timeout=timedelta(seconds=20)) as client,
        pytest.raises(error) as caught,
    ):
        client.submit(spec())
    assert host_of(url) in str(caught.value)
    assert caught.value.url is not None
    assert caught.value.url.startswith(url)


def test_a_server_that_is_silent_is_given_up(cluster: Cluster, config: knit.ClusterConfig) -> None:
    with socket.create_server(("localhost", 0)) as silent:
        url = f"http://localhost:{silent.getsockname()[1]}"
        elsewhere = config.with_properties({RESOURCE_MANAGER: url})
        with (
            knit.Client(elsewhere, user=cluster.user, timeout=timedelta(seconds=2)) as client,
            pytest.raises(knit.ClusterTimeoutError, match=url),
        ):
            client.submit(spec())


# The configuration is not one.


def test_a_missing_configuration_is_told(tmp_path: Path) -> None:
    with pytest.raises(knit.ConfigurationNotFoundError, match=tmp_path.name):
        knit.Client.from_config(tmp_path)
    with pytest.raises(knit.ConfigurationNotFoundError, match="HADOOP_CONF_DIR"):
        knit.ClusterConfig.from_environment({"HADOOP_CONF_DIR": str(tmp_path / "nowhere")})


@pytest.mark.parametrize(
    "content", ["", "<configuration>", "not XML at all", "<configuration><property/>"]
)
def test_a_malformed_configuration_is_told_with_its_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "core-site.xml").write_text(content)
    with pytest.raises(knit.ConfigurationError, match=r"core-site\.xml"):
        knit.Client.from_config(tmp_path)


@pytest.mark.parametrize(
    "properties",
    [
        {"fs.defaultFS": "file:///"},
        {"fs.defaultFS": "s3a://bucket"},
        {RESOURCE_MANAGER: "resourcemanager:8088"},
        {"yarn.resourcemanager.ha.enabled": True, "yarn.resourcemanager.ha.rm-ids": ""},
        {"fs.defaultFS": "${fs.defaultFS}"},
    ],
    ids=str,
)
def test_a_configuration_that_makes_no_sense_is_told(
    cluster: Cluster, config: knit.ClusterConfig, properties: dict[str, object]
) -> None:
    broken = config.with_properties(properties)
    with pytest.raises(knit.ConfigurationError):
        knit.Client(broken, user=cluster.user).submit(spec())


# The cluster has not what is asked for.


def ours(cluster: Cluster) -> None:
    """Queues and homes of somebody's cluster are not known to the suite."""
    if cluster.name == "external":
        pytest.skip("this cluster was not set up by the suite")


@pytest.mark.parametrize("queue", ["no-such-queue", "root", "root.default.deeper"])
def test_an_unknown_queue_is_told_with_those_there_are(client: knit.Client, queue: str) -> None:
    with pytest.raises(knit.QueueNotFoundError, match=queue) as caught:
        client.submit(spec(queue=queue))
    assert "root.default" in str(caught.value)


@pytest.mark.parametrize("queue", ["stopped", "root.stopped"])
def test_a_stopped_queue_is_told(cluster: Cluster, client: knit.Client, queue: str) -> None:
    ours(cluster)
    with pytest.raises(knit.QueueStoppedError, match="stopped"):
        client.submit(spec(queue=queue))


@pytest.mark.parametrize(
    "resources", [knit.Resources("1 TiB"), knit.Resources(vcores=100_000)], ids=str
)
def test_more_than_any_node_has_is_told(client: knit.Client, resources: knit.Resources) -> None:
    with pytest.raises(knit.ResourcesUnavailableError):
        client.submit(spec(knit.Service("true", resources=resources)))
    with pytest.raises(knit.ResourcesUnavailableError):
        client.submit(spec(application_master=resources))


def test_more_than_the_queue_grants_is_told(cluster: Cluster, client: knit.Client) -> None:
    ours(cluster)
    large = knit.Service("true", resources=knit.Resources("1.5 GiB"))
    with pytest.raises(knit.ResourcesUnavailableError):
        client.submit(spec(large, queue="small"))


# Somebody may not.


def test_a_user_without_a_home_is_told(config: knit.ClusterConfig, cluster: Cluster) -> None:
    ours(cluster)
    with (
        knit.Client(config, user="homeless") as client,
        pytest.raises(PermissionError, match="/user/homeless") as caught,
    ):
        client.submit(spec())
    assert isinstance(caught.value, knit.AccessDeniedError)


def test_a_home_that_cannot_be_written_to_is_told(
    config: knit.ClusterConfig, cluster: Cluster, hdfs: Hdfs
) -> None:
    ours(cluster)
    user = "reader"
    cluster.create_home(user)
    theirs = hdfs.claiming(user)
    theirs.set_permission(theirs.home, "500")
    try:
        with (
            knit.Client(config, user=user) as client,
            pytest.raises(knit.AccessDeniedError, match="/user/reader"),
        ):
            client.submit(spec())
    finally:
        theirs.set_permission(theirs.home, "700")


# The specification can run nowhere.


def test_a_missing_file_is_told(client: knit.Client, tmp_path: Path) -> None:
    missing = tmp_path / "missing.txt"
    with pytest.raises(FileNotFoundError, match=r"missing\.txt") as caught:
        client.submit(spec(knit.Service("true", files=[missing])))
    assert isinstance(caught.value, knit.FileMissingError)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: knit.Service(""), knit.SpecError),
        (lambda: knit.Service(" \n\t"), knit.SpecError),
        (lambda: knit.Service("true", instances=-1), knit.SpecError),
        (lambda: knit.Service("true", max_restarts=-1), knit.SpecError),
        (lambda: knit.Service("true", files=["a/x", "b/x"]), knit.DuplicateFileError),
        (lambda: knit.File("a", name="b/c"), knit.SpecError),
        (lambda: knit.File("a", name="$HOME"), knit.SpecError),
        (lambda: knit.File("a", name='a"b'), knit.SpecError),
        (lambda: knit.Service("true", environment={"A B": ""}), knit.SpecError),
        (lambda: knit.Service("true", environment={"A": "\0"}), knit.SpecError),
        (lambda: knit.Service("x" * 128 * 1024), knit.SpecError),
        (lambda: knit.Resources(memory=0), knit.SpecError),
        (lambda: knit.Resources(memory="-1 GiB"), knit.SpecError),
        (lambda: knit.Resources(vcores=0), knit.SpecError),
        (lambda: knit.ApplicationSpec("none", {}), knit.SpecError),
        (lambda: knit.ApplicationSpec("none", {"No Name": GOOD}), knit.SpecError),
        (lambda: knit.ApplicationSpec("", {"worker": GOOD}), knit.SpecError),
        (lambda: spec(max_attempts=0), knit.SpecError),
    ],
)
def test_what_makes_no_sense_is_told(
    make: Callable[[], object], error: type[knit.KnitError]
) -> None:
    with pytest.raises(error) as caught:
        make()
    assert isinstance(caught.value, ValueError)


def test_a_specification_that_is_too_long_is_told(client: knit.Client) -> None:
    services = {f"s{number}": knit.Service(": " + "x" * 120_000) for number in range(18)}
    with pytest.raises(knit.SpecError, match="specification"):
        client.submit(knit.ApplicationSpec("refused", services))


# YARN itself refuses it, after everything was staged.


@pytest.fixture
def refusing_resource_manager(config: knit.ClusterConfig) -> Iterator[str]:
    """The real one, but for submissions, which it refuses."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            if self.command == "POST" and urlsplit(self.path).path.endswith("/cluster/apps"):
                refusal = {"exception": "YarnException", "message": "This cluster is full."}
                self.answer(500, json.dumps({"RemoteException": refusal}).encode())
                return
            request = urllib.request.Request(
                config.resource_managers[0] + self.path, body, method=self.command
            )
            for header in ("Content-Type", "Accept"):
                if value := self.headers.get(header):
                    request.add_header(header, value)
            try:
                with opener.open(request, timeout=30) as response:
                    self.answer(response.status, response.read())
            except urllib.error.HTTPError as error:
                self.answer(error.code, error.read())

        do_POST = do_GET  # noqa: N815

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("localhost", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_submission_that_yarn_refuses_leaves_nothing_staged(
    config: knit.ClusterConfig,
    cluster: Cluster,
    hdfs: Hdfs,
    refusing_resource_manager: str,
    tmp_path: Path,
) -> None:
    file = tmp_path / "file.txt"
    file.write_text(uuid.uuid4().hex)
    elsewhere = config.with_properties({RESOURCE_MANAGER: refusing_resource_manager})
    before = hdfs.staged_applications()
    with (
        knit.Client(elsewhere, user=cluster.user) as client,
        pytest.raises(knit.SubmissionError, match=r"This cluster is full\."),
    ):
        client.submit(spec(knit.Service("true", files=[file], resources=SMALL)))
    assert hdfs.staged_applications() <= before


def test_after_all_that_a_good_one_still_runs(applications: Applications) -> None:
    assert applications.run(GOOD).report.raise_for_status()
