"""What a specification says reaches YARN, or is refused or told before anything is submitted."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from knit import (
    AccessControl,
    ApplicationSpec,
    AttemptPolicy,
    Client,
    Driver,
    LogLevel,
    NeedsAgentError,
    Placement,
    Probe,
    Readiness,
    Resources,
    ResourcesUnavailableError,
    Service,
    Spread,
)
from knit._staging.values import LocalResource
from knit._submission.am_container import (
    LAUNCH_SECRET,
    SPEC_SECRET,
    AmSubmission,
    am_script,
    heap_mib,
)
from knit._submission.support import restrictions
from knit.cli import main
from knit.exceptions import ChangeRefusedError
from knit.v1 import application_pb2
from tests.fakes.cluster import FakeCluster

HERE = Service("c")


def spec(service: Service = HERE, **changes: Any) -> ApplicationSpec:
    return ApplicationSpec("demo", {"w": service}, **changes)


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    with FakeCluster() as running:
        yield running


@pytest.fixture(autouse=True)
def _jar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jar = tmp_path / "jar"
    jar.write_bytes(b"the jar")
    monkeypatch.setattr("knit._submission.submit.JAR", jar)


@pytest.fixture
def client(cluster: FakeCluster) -> Iterator[Client]:
    with Client(cluster.config, user="alice", timeout=timedelta(seconds=5)) as opened:
        yield opened


def submitted(cluster: FakeCluster) -> dict[str, Any]:
    [body] = cluster.resource_manager.submissions.values()
    return body


def secret_of(body: dict[str, Any], name: str) -> bytes:
    entries = body["am-container-spec"]["credentials"]["secrets"]["entry"]
    [value] = [entry["value"] for entry in entries if entry["key"] == name]
    return base64.urlsafe_b64decode(value)


def test_all_that_yarn_is_told_is_in_the_submission(cluster: FakeCluster, client: Client) -> None:
    cluster.resource_manager.node_labels = ["gpu", "big"]
    cluster.resource_manager.configuration = {"yarn.acl.enable": "true"}
    client.submit(
        spec(
            type="batch",
            priority=0,
            tags=["a", "b"],
            max_attempts=2,
            attempt_failures_validity=timedelta(minutes=90),
            attempt_policy=AttemptPolicy.FAILURES,
            node_label="gpu",
            master_node_label="big",
            access_control=AccessControl(
                view_users=["ada", "bob"], view_groups=["g"], modify_groups=["h"]
            ),
            master_environment={"JAVA_TOOL_OPTIONS": "-Dsecret=hunter2"},
            master_log_level=LogLevel.DEBUG,
            annotations={"k": "v"},
        )
    ).close()
    body = submitted(cluster)
    assert body["application-type"] == "batch"
    assert body["priority"] == 0
    assert body["application-tags"] == {"tag": ["a", "b"]}
    assert body["attempt-failures-validity-interval"] == 90 * 60 * 1000
    assert body["app-node-label-expression"] == "gpu"
    assert body["am-container-node-label-expression"] == "big"
    acls = body["am-container-spec"]["application-acls"]["entry"]
    assert {entry["key"]: entry["value"] for entry in acls} == {
        "VIEW_APP": "ada,bob g",
        "MODIFY_APP": " h",
    }
    message = application_pb2.ApplicationSpec.FromString(secret_of(body, SPEC_SECRET))
    assert message.submission.application_type == "batch"
    assert message.annotations == {"k": b"v"}
    assert message.log_level == application_pb2.LOG_LEVEL_DEBUG
    assert message.attempt_policy == application_pb2.ATTEMPT_POLICY_FAILURES
    # Values of variables are nobody's but the Application Master's.
    del body["am-container-spec"]["credentials"]
    assert "hunter2" not in json.dumps(body)


def test_what_is_not_said_is_left_to_the_queue(cluster: FakeCluster, client: Client) -> None:
    client.submit(spec()).close()
    body = submitted(cluster)
    for key in (
        "priority",
        "app-node-label-expression",
        "am-container-node-label-expression",
        "attempt-failures-validity-interval",
        "application-tags",
    ):
        assert key not in body
    assert "application-acls" not in body["am-container-spec"]
    assert body["application-type"] == "knit"


def test_the_application_masters_own_label_is_the_applications_unless_it_is_said(
    cluster: FakeCluster, client: Client
) -> None:
    cluster.resource_manager.node_labels = ["gpu"]
    client.submit(spec(node_label="gpu")).close()
    assert submitted(cluster)["am-container-node-label-expression"] == "gpu"


def test_a_driver_has_its_files_beside_the_application_master(
    cluster: FakeCluster, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "main.py").write_text("print()")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").touch()
    driver = Driver(
        "python3 main.py",
        files=[tmp_path / "main.py", tmp_path / "data"],
        environment={"TOKEN": "hunter2"},
    )
    given = ApplicationSpec("driven", driver=driver, application_master=Resources("2 GiB"))
    client.submit(given).close()
    body = submitted(cluster)
    entries = body["am-container-spec"]["local-resources"]["entry"]
    assert {entry["key"]: entry["value"]["type"] for entry in entries} == {
        "knit-am.jar": "FILE",
        "main.py": "FILE",
        "data": "ARCHIVE",
    }
    message = application_pb2.ApplicationSpec.FromString(secret_of(body, SPEC_SECRET))
    assert message.driver.command == "python3 main.py"
    assert message.driver.environment == {"TOKEN": "hunter2"}
    assert not message.services
    script = base64.b64decode(secret_of(body, LAUNCH_SECRET).split(b":", 1)[1])
    assert b"\nheap_mib=128\n" in script


def test_beside_a_driver_the_heap_is_small_however_large_the_container() -> None:
    assert [heap_mib(size, has_driver=True) for size in (256, 511, 512, 65_536)] == [
        96,
        96,
        128,
        128,
    ]
    assert heap_mib(65_536) > 40_000


def test_variables_of_the_application_master_are_set_before_it_looks_for_java() -> None:
    value = "a 'b'\n$HOME `c` \\"
    script = am_script(512, (), environment={"A": value, "JAVA_HOME": "/own"})
    settings = script.partition("application_classpath=")[0]
    told = subprocess.run(
        ["bash", "-c", settings + 'printf %s "$A$JAVA_HOME"'], capture_output=True, check=True
    )
    assert told.stdout.decode() == f"{value}/own"


def test_a_submission_shows_no_values() -> None:
    made = AmSubmission(
        application_id="application_1_0001",
        name="n",
        queue="q",
        memory_mib=512,
        vcores=1,
        jar=LocalResource(url="hdfs://nn/x", size_bytes=1, modify_time_ms=1),
        application_classpath=(),
        secrets={},
        environment={"A": "hunter2"},
    )
    assert "hunter2" not in repr(made)


class TestLifetime:
    def test_it_is_set_by_the_clock_of_the_resource_manager(
        self, cluster: FakeCluster, client: Client
    ) -> None:
        """Not taken until the scheduler has accepted the application, so it is told again."""
        cluster.resource_manager.takes_lifetimes_after = 2
        with client.submit(spec(lifetime=timedelta(hours=2))) as app:
            began = app.report().start_time
            [expiry] = cluster.resource_manager.lifetimes.values()
        assert began is not None
        told = datetime.strptime(expiry, "%Y-%m-%dT%H:%M:%S.%f%z")
        assert abs(told - began - timedelta(hours=2)) < timedelta(milliseconds=2)

    def test_where_it_is_refused_nothing_is_left_running(
        self, cluster: FakeCluster, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("knit._cluster.yarn.lifetimes.ACCEPT_PATIENCE", timedelta())
        cluster.resource_manager.takes_lifetimes_after = 1_000
        with pytest.raises(ChangeRefusedError, match=r"lifetime of application_.* YARN refuses"):
            client.submit(spec(lifetime=timedelta(hours=2)))
        [app] = cluster.resource_manager.applications.values()
        assert app["state"] == "KILLED"


def test_what_needs_an_agent_is_refused_before_anything_is_asked(
    cluster: FakeCluster, client: Client
) -> None:
    probe = Probe(tcp_port=80)
    for service, where in (
        (Service("c", readiness=Readiness(probe=probe)), "services.w.readiness.probe"),
        (Service("c", liveness=probe), "services.w.liveness"),
    ):
        for call in (client.submit, client.check):
            before = len(cluster.resource_manager.requests)
            with pytest.raises(NeedsAgentError, match=rf"^{where}: .*NEEDS_AGENT") as caught:
                call(spec(service))
            assert caught.value.reason == "NEEDS_AGENT"
            assert len(cluster.resource_manager.requests) == before


def test_another_users_application_is_submitted_as_that_user(
    client: Client, cluster: FakeCluster
) -> None:
    cluster.file_system.make("/user/bob", "bob", "700")
    with client.submit(spec(user="bob")) as application:
        submitted = cluster.resource_manager.submissions[application.application_id]
    asked = [*cluster.resource_manager.requests, *cluster.name_node.requests]
    of_bob = [r for r in asked if r.query.get("doAs", r.query.get("doas")) == "bob"]
    assert of_bob
    assert {request.query["user.name"] for request in of_bob} == {"alice"}
    assert not [r for r in asked if r.path.endswith("/apps") and r not in of_bob]
    urls = str(submitted["am-container-spec"]["local-resources"])
    assert "/user/bob/.knit/" in urls
    assert "/user/alice/" not in urls


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (spec(), []),
        (spec(Service("c", stop_grace=timedelta(milliseconds=250))), []),
        (
            spec(Service("c", stop_grace=timedelta(seconds=30))),
            ["services.w.stop_grace: nodes kill a process yarn.nodemanager.sleep-delay"],
        ),
        (
            spec(
                Service(
                    "c",
                    instances=3,
                    placement=Placement(nodes=["a", "b"], strict=True, spread=Spread.ANTI_AFFINITY),
                )
            ),
            ["services.w.placement: 3 containers are to be each on a node of its own, and 2 are"],
        ),
        (spec(attempt_policy=AttemptPolicy.FAILURES), ["attempt_policy: a failed application"]),
        (
            spec(attempt_failures_validity=timedelta(hours=1)),
            ["attempt_failures_validity: without max_attempts of 2"],
        ),
        (spec(attempt_policy=AttemptPolicy.FAILURES, max_attempts=2), []),
    ],
)
def test_what_holds_only_in_part_is_told(given: ApplicationSpec, told: list[str]) -> None:
    found = list(restrictions(given))
    assert len(found) == len(told)
    for sentence, beginning in zip(found, told, strict=True):
        assert sentence.startswith(beginning)


class TestAgainstTheCluster:
    def test_an_unknown_resource_is_refused_by_name(
        self, cluster: FakeCluster, client: Client
    ) -> None:
        cluster.resource_manager.maximum_others = {"yarn.io/gpu": 4, "yarn.io/fpga": 1}
        with pytest.raises(
            ResourcesUnavailableError,
            match=r"service 'w' asks for 1 yarn.io/gpus, and .* It has yarn.io/fpga, yarn.io/gpu",
        ):
            client.submit(spec(Service("c", resources=Resources(others={"yarn.io/gpus": 1}))))
        assert not cluster.resource_manager.submissions
        with pytest.raises(ResourcesUnavailableError, match=r"asks for 5 yarn.io/gpu .* at most 4"):
            client.check(spec(Service("c", resources=Resources(others={"yarn.io/gpu": 5}))))
        client.submit(spec(Service("c", resources=Resources(others={"yarn.io/gpu": 4})))).close()

    def test_a_cluster_without_named_resources_says_so(self, client: Client) -> None:
        with pytest.raises(ResourcesUnavailableError, match="It has none but memory and vcores"):
            client.check(spec(Service("c", resources=Resources(others={"gpu": 1}))))

    @pytest.mark.parametrize(
        ("given", "where"),
        [
            (spec(node_label="nope"), "node_label"),
            (spec(master_node_label="nope"), "master_node_label"),
            (
                spec(Service("c", placement=Placement(node_label="nope"))),
                r"services\.w\.placement\.node_label",
            ),
        ],
    )
    def test_an_unknown_label_is_refused_by_name(
        self, cluster: FakeCluster, client: Client, given: ApplicationSpec, where: str
    ) -> None:
        with pytest.raises(ResourcesUnavailableError, match=rf"^{where}: .*'nope'\. It has none"):
            client.check(given)
        cluster.resource_manager.node_labels = ["gpu", "big"]
        with pytest.raises(ResourcesUnavailableError, match="It has big, gpu; `knit nodes`"):
            client.check(given)

    def test_a_label_that_the_queue_may_not_use_is_refused(
        self, cluster: FakeCluster, client: Client
    ) -> None:
        cluster.resource_manager.node_labels = ["gpu", "big"]
        cluster.resource_manager.queues[1].node_labels = ("big",)
        with pytest.raises(ResourcesUnavailableError, match=r"queue root\.default may not use"):
            client.check(spec(node_label="gpu"))
        client.check(spec(node_label="big"))

    def test_labels_are_asked_for_only_where_one_is_named(
        self, cluster: FakeCluster, client: Client
    ) -> None:
        client.check(spec())
        asked = cluster.resource_manager.requests
        assert not [request for request in asked if "label" in request.path]
        # Whether logs are collected concerns every application.
        names = [request.query["name"] for request in asked if request.path == "/conf"]
        assert names == ["yarn.log-aggregation-enable"]

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            (spec(priority=5), "priority: YARN makes 3 of 5"),
            (spec(priority=3), None),
            (spec(max_attempts=9), "max_attempts: YARN begins it 4 times at most, and not 9"),
            (spec(access_control=AccessControl()), "access_control: this cluster does not enforce"),
            (spec(lifetime=timedelta(hours=2)), "lifetime: YARN ends applications of the queue"),
            (
                spec(Service("c", placement=Placement(nodes=["node-1", "node-9"]))),
                r"services.w.placement.nodes: of the nodes that run, none is node-9. There are",
            ),
            (
                spec(Service("c", placement=Placement(racks=["/x"], strict=True))),
                "services.w.placement.racks: of the nodes that run, none is /x; its containers "
                "wait until one is. There are /default-rack.",
            ),
            (spec(Service("c", placement=Placement(nodes=["node-1"], strict=True))), None),
        ],
    )
    def test_what_yarn_makes_of_it_is_told(
        self, cluster: FakeCluster, client: Client, given: ApplicationSpec, told: str | None
    ) -> None:
        cluster.resource_manager.configuration = {
            "yarn.cluster.max-application-priority": "3",
            "yarn.resourcemanager.am.max-attempts": "4",
            "yarn.acl.enable": "false",
        }
        cluster.resource_manager.queues[1].maximum_lifetime = 3600
        advice = client.check(given)
        assert len(advice) == (told is not None)
        assert told is None or advice[0].startswith(told)


def test_validate_asks_the_cluster_where_it_is_told_to(
    cluster: FakeCluster,
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    cluster.file_system.make("/user/bob", "bob", "700")
    monkeypatch.setattr("knit.cli._arguments.options.Cluster.client", lambda _: client)
    path = tmp_path / "app.yaml"
    path.write_text(
        "name: a\nnode_label: nope\nuser: bob\npriority: 7\nservices:\n"
        "  w: {command: c, stop_grace: 9, resources: {others: {gpu: 1}}}\n"
    )
    assert main(["validate", str(path)]) == 0
    out, err = capfd.readouterr()
    assert "is well: 1 service, 1 container" in out
    assert f"knit: {path}: note: services.w.stop_grace" in err
    assert not cluster.resource_manager.requests

    assert main(["validate", "--cluster", "--json", str(path)]) == 1
    [found] = json.loads(capfd.readouterr().out)
    messages = "\n".join(problem["message"] for problem in found["problems"])
    for words in ("no node label 'nope'", "asks for 1 gpu"):
        assert words in messages
    assert len(found["problems"]) == 2
    assert {request.user for request in cluster.resource_manager.requests} == {"bob"}
    assert any(sentence.startswith("services.w.stop_grace") for sentence in found["advice"])
    assert not cluster.resource_manager.submissions


def test_a_probe_is_refused_by_validate_too(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "app.yaml"
    path.write_text("name: a\nservices: {w: {command: c, liveness: {tcp_port: 1}}}\n")
    assert main(["validate", str(path)]) == 1
    assert f"{path}: services.w.liveness: YARN runs nothing in a running" in capfd.readouterr().err


def test_a_dry_run_shows_no_values_of_any_variable(
    cluster: FakeCluster,
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("knit.cli._arguments.options.Cluster.client", lambda _: client)
    path = tmp_path / "app.json"
    hidden = attrs.evolve(
        spec(Service("c", environment={"A": "hunter2"})),
        driver=Driver("d", environment={"B": "hunter2"}),
        master_environment={"C": "hunter2"},
    )
    path.write_text(hidden.to_json())
    assert main(["run", "--dry-run", "--json", "--spec", str(path)]) == 0
    assert "hunter2" not in capfd.readouterr().out
