"""Submission from end to end, against a cluster that is played in this process."""

from __future__ import annotations

import json
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from knit import (
    AccessDeniedError,
    ApplicationNotFoundError,
    ApplicationNotRunningError,
    ApplicationSpec,
    Client,
    ConfigurationError,
    FileMissingError,
    QueueNotFoundError,
    QueueStoppedError,
    Resources,
    ResourcesUnavailableError,
    Service,
    SpecError,
    StagingProgress,
    SubmissionError,
    YarnState,
)
from knit._staging.sweep import _is_in_flight
from knit.testing import FakeApplicationMaster
from knit.v1 import application_pb2, service_pb2
from tests.fakes.cluster import FakeCluster
from tests.fakes.server import Answer, closed_port
from tests.handles.client.submitting import HOME, SPEC, secrets_of, staged


def test_a_submission_carries_what_the_application_master_needs(
    cluster: FakeCluster, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("some")
    spec = ApplicationSpec(
        "demo",
        {
            "one": Service("first", files=[tmp_path / "a.txt"]),
            "two": Service("second", files={"b.txt": tmp_path / "a.txt"}),
        },
        tags=["x"],
        max_attempts=2,
    )
    reports: list[StagingProgress] = []
    application = client.submit(spec, progress=reports.append)

    submission = cluster.resource_manager.submissions[application.application_id]
    assert submission["application-type"] == "knit"
    assert submission["application-name"] == "demo"
    assert submission["max-app-attempts"] == 2
    secrets = secrets_of(cluster, application.application_id)
    keys = {"knit.tls.ca", "knit.tls.cert", "knit.tls.key"}
    keys |= {"knit.container.cert", "knit.container.key", "knit.token.key"}
    assert set(secrets) == {"knit.application", "knit.launch", *keys}
    message = application_pb2.ApplicationSpec.FromString(secrets["knit.application"])
    assert message.user_name == "alice"
    assert message.staging_url.endswith(f"{HOME}/.knit/applications/{application.application_id}")
    one = message.services["one"].local_resources["a.txt"]
    assert one == message.services["two"].local_resources["b.txt"]
    assert one.size_bytes == 4
    assert one.modify_time.ToMilliseconds() > 0
    assert {Path(report.file).name for report in reports} == {"a.txt", "knit-am.jar"}


def test_keys_are_for_their_user_only_and_nowhere_else(
    cluster: FakeCluster, client: Client
) -> None:
    application = client.submit(SPEC)
    (path,) = staged(cluster, "applications")
    entry = cluster.file_system.entries[path]
    assert (path.rpartition("/")[2], entry.permission) == ("application.json", "600")
    assert entry.data is not None
    stored = json.loads(entry.data)
    assert set(stored["tls"]) == {"ca", "client_cert", "client_key", "others"}
    assert set(stored["tls"]["others"]) == {"operator", "viewer"}
    secrets = secrets_of(cluster, application.application_id)
    assert stored["tls"]["ca"].encode() == secrets["knit.tls.ca"]
    for name in ("knit.tls.key", "knit.container.key", "knit.token.key"):
        assert secrets[name] not in entry.data, name
    body = json.dumps(cluster.resource_manager.submissions[application.application_id])
    assert "PRIVATE KEY" not in body
    assert "hunter2" not in body


def test_the_jar_travels_once(cluster: FakeCluster, client: Client) -> None:
    client.submit(SPEC)
    client.submit(SPEC)
    assert len(staged(cluster, "cache")) == 1
    assert len([r for r in cluster.data_node.requests if b"the jar" in r.body]) == 1
    assert len(staged(cluster, "applications")) == 2


def test_submitter_and_others_reach_the_application(cluster: FakeCluster, client: Client) -> None:
    application = client.submit(SPEC)
    application_id = application.application_id
    with FakeApplicationMaster(SPEC, application_id=application_id) as fake:
        # The fake has the keys that travelled in the submission, as the real one has.
        secrets = secrets_of(cluster, application_id)
        with pytest.MonkeyPatch.context() as patch:
            fake.stop()
            patch.setattr(
                fake,
                "tls",
                type(fake.tls)(
                    ca=secrets["knit.tls.ca"],
                    cert=secrets["knit.tls.cert"],
                    key=secrets["knit.tls.key"],
                    clients=fake.tls.clients,
                    token_key=fake.tls.token_key,
                ),
            )
            fake.start()
        starting = threading.Timer(
            0.2,
            lambda: cluster.resource_manager.change(
                application_id, state="RUNNING", amRPCAddress=fake.address
            ),
        )
        starting.start()
        assert application.describe().name == "demo"
        starting.join()
        with Client(cluster.config, user="alice") as other:
            assert len(other.application(application_id).containers()) == 1


def test_where_yarn_cannot_say_the_address_is_read_from_staging(
    cluster: FakeCluster, client: Client
) -> None:
    application = client.submit(SPEC)
    path = f"{HOME}/.knit/applications/{application.application_id}/address"
    cluster.file_system.write(path, "alice", b"node-1:4711\n")
    cluster.resource_manager.change(application.application_id, state="RUNNING")
    yarn = client._yarn
    report = application.report()
    assert yarn.address(report, timedelta(seconds=5)) == "node-1:4711"


def test_killing_removes_the_staging_directory(cluster: FakeCluster, client: Client) -> None:
    application = client.submit(SPEC)
    assert staged(cluster, "applications")
    assert application.kill().state is YarnState.KILLED
    assert not staged(cluster, "applications")
    assert staged(cluster, "cache")
    with pytest.raises(ApplicationNotRunningError):
        application.containers()


def test_nothing_stays_of_a_refused_submission(cluster: FakeCluster, client: Client) -> None:
    cluster.resource_manager.refusal = Answer.error(
        400, "BadRequestException", "java.lang.Exception: no such thing"
    )
    with pytest.raises(SubmissionError):
        client.submit(SPEC)
    assert not staged(cluster, "applications")


def test_an_application_whose_submission_broke_does_not_run_unknown_to_all(
    cluster: FakeCluster, client: Client
) -> None:
    """As after Ctrl-C between YARN's acceptance and its answer."""
    manager = cluster.resource_manager

    def accept_and_interrupt(submission: object, **_: object) -> None:
        submit(submission)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    submit = client._cluster.resource_manager.submit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client._cluster.resource_manager, "submit", accept_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            client.submit(SPEC)
    assert [app["state"] for app in manager.applications.values()] == ["KILLED"]
    assert not staged(cluster, "applications")


REFUSED = [
    (QueueStoppedError, ApplicationSpec("a", {"w": Service("c")}, queue="closed")),
    (
        ResourcesUnavailableError,
        ApplicationSpec("a", {"w": Service("c", resources=Resources("1 TiB"))}),
    ),
    (
        ResourcesUnavailableError,
        ApplicationSpec("a", {"w": Service("c")}, application_master=Resources(512, 5)),
    ),
    (FileMissingError, ApplicationSpec("a", {"w": Service("c", files=["/no/such/file"])})),
]


@pytest.mark.parametrize(("error", "spec"), REFUSED)
def test_what_this_cluster_cannot_run_is_refused_before(
    cluster: FakeCluster, client: Client, error: type[Exception], spec: ApplicationSpec
) -> None:
    with pytest.raises(error):
        client.submit(spec)
    with pytest.raises(error):
        client.check(spec)
    assert not cluster.resource_manager.submissions
    assert not staged(cluster, "applications")


@pytest.mark.parametrize(
    ("queue", "says"),
    [("nowhere", "no queue 'nowhere'"), ("root.team", "root.team only holds other queues")],
)
def test_a_queue_that_yarn_refuses_is_told_with_those_there_are(
    cluster: FakeCluster, client: Client, queue: str, says: str
) -> None:
    cluster.resource_manager.refused_queues.add(queue)
    spec = ApplicationSpec("a", {"w": Service("c")}, queue=queue)
    with pytest.raises(QueueNotFoundError, match=says) as refused:
        client.submit(spec)
    assert "submitted to unknown or stopped queue" in refused.value.message
    assert "Queues that take applications: root.default, root.team.small" in refused.value.message
    assert not staged(cluster, "applications")
    assert any(says in advice for advice in client.check(spec))


def test_a_queue_that_the_scheduler_makes_is_submitted_to(
    cluster: FakeCluster, client: Client
) -> None:
    cluster.resource_manager.places_anywhere = True
    advice: list[str] = []
    spec = ApplicationSpec("a", {"w": Service("c")}, queue="adhoc")
    assert client.submit(spec, advice=advice.append).report().queue == "adhoc"
    assert "no queue 'adhoc'" in advice[0]


def test_the_id_is_told_before_yarn_has_it(cluster: FakeCluster, client: Client) -> None:
    """Whoever is killed afterwards knows what may be running."""
    told: list[str] = []

    def submitting(application_id: str) -> None:
        assert not cluster.resource_manager.submissions
        told.append(application_id)

    assert client.submit(SPEC, before_submit=submitting).application_id == told[0]


def test_many_small_files_travel_as_one(
    cluster: FakeCluster, client: Client, tmp_path: Path
) -> None:
    files = []
    for number in range(1_000):
        path = tmp_path / f"{number:04}.txt"
        path.write_text(f"{number}")
        files.append(path)
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(300_000))
    reports: list[StagingProgress] = []
    spec = ApplicationSpec("a", {"w": Service("c", files=[*files, large])})
    application = client.submit(spec, progress=reports.append)

    assert len(staged(cluster, "cache")) == 3, "the jar, the large file, and an archive"
    message = application_pb2.ApplicationSpec.FromString(
        secrets_of(cluster, application.application_id)["knit.application"]
    )
    service = message.services["w"]
    archive = service.local_resources[".knit-files-0"]
    assert archive.type == service_pb2.LOCAL_RESOURCE_TYPE_ARCHIVE
    assert list(archive.member_names) == [path.name for path in files]
    assert Service._from_proto(service).files.keys() == spec.services["w"].files.keys()
    assert {r.file for r in reports if r.file.endswith("small files")} == {"1,000 small files"}

    client.close()
    sent = len(cluster.data_node.requests)
    with Client(cluster.config, user="alice") as again:
        again.submit(spec)
    bodies = [r.path for r in cluster.data_node.requests[sent:] if r.method == "PUT"]
    assert [path.rpartition("/")[2] for path in bodies] == ["application.json"]


def test_a_directory_travels_packed(cluster: FakeCluster, client: Client, tmp_path: Path) -> None:
    (tmp_path / "data" / "inner").mkdir(parents=True)
    (tmp_path / "data" / "inner" / "a").write_text("1")
    spec = ApplicationSpec("a", {s: Service("c", files=[tmp_path / "data"]) for s in ("v", "w")})
    application = client.submit(spec)
    message = application_pb2.ApplicationSpec.FromString(
        secrets_of(cluster, application.application_id)["knit.application"]
    )
    one, two = (message.services[name].local_resources["data"] for name in "vw")
    assert one == two
    assert one.url.endswith(".tar.gz")
    assert one.type == service_pb2.LOCAL_RESOURCE_TYPE_ARCHIVE
    assert not one.member_names


def test_checking_submits_nothing(cluster: FakeCluster, client: Client) -> None:
    client.check(SPEC)
    assert not cluster.resource_manager.submissions
    assert not staged(cluster, "cache")


def test_a_home_that_cannot_be_written_to_is_told(cluster: FakeCluster) -> None:
    with (
        Client(cluster.config, user="mallory") as client,
        pytest.raises(AccessDeniedError, match="/user/mallory"),
    ):
        client.submit(SPEC)


def test_a_specification_too_large_leaves_nothing(cluster: FakeCluster, client: Client) -> None:
    services = {f"s{n}": Service("a" * 120_000) for n in range(18)}
    with pytest.raises(SpecError, match="more than"):
        client.submit(ApplicationSpec("a", services))
    assert not cluster.resource_manager.submissions
    assert not staged(cluster, "applications")


def test_without_its_jar_a_client_says_what_to_do(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("knit._submission.submit.JAR", tmp_path / "none.jar")
    with pytest.raises(ConfigurationError, match="install"):
        client.submit(SPEC)


def test_a_later_submission_sweeps_behind_applications_that_are_over(
    cluster: FakeCluster, client: Client
) -> None:
    def directories() -> set[str]:
        return {path.split("/")[-2] for path in staged(cluster, "applications")}

    old, recent, running = (client.submit(SPEC).application_id for _ in range(3))
    long_ago = int((time.time() - 3600) * 1000)
    cluster.resource_manager.change(old, state="FINISHED", finishedTime=long_ago)
    # Its Application Master may still answer, to clients that find the keys there.
    now = int(time.time() * 1000)
    cluster.resource_manager.change(recent, state="FINISHED", finishedTime=now)
    newest = client.submit(SPEC).application_id
    client.close()
    assert directories() == {old, recent, running, newest}, "one sweep an hour is enough"

    cluster.file_system.entries[f"{HOME}/.knit/swept"].modify_time_ms = long_ago - 60_000
    with Client(cluster.config, user="alice") as later:
        last = later.submit(SPEC).application_id
    assert directories() == {recent, running, newest, last}


def test_of_many_submissions_one_sweeps(cluster: FakeCluster) -> None:
    """Each would look at every application there is."""
    for _ in range(2):
        with Client(cluster.config, user="alice") as client:
            for _ in range(5):
                client.submit(SPEC)
    lists = [r for r in cluster.resource_manager.requests if r.path.endswith("/apps")]
    assert len([request for request in lists if request.method == "GET"]) == 1
    assert len(cluster.name_node.asked(op="LISTSTATUS")) == 2


@pytest.mark.parametrize(
    ("other", "in_flight"),
    [
        ("application_1700_0205", True),
        ("application_1700_0150", True),
        ("application_1700_0001", False),
        ("application_1600_0205", False),
    ],
)
def test_what_yarn_does_not_know_may_be_about_to_be_submitted(other: str, in_flight: bool) -> None:
    assert _is_in_flight(other, "application_1700_0200") is in_flight


def test_applications_are_listed_by_choice(cluster: FakeCluster, client: Client) -> None:
    first, second = client.submit(SPEC), client.submit(SPEC)
    cluster.resource_manager.change(first.application_id, state="FINISHED")
    with Client(cluster.config, user="bob") as bob:
        assert bob.applications() == []
        assert len(bob.applications(user=None)) == 2
    assert [report.application_id for report in client.applications()] == [
        second.application_id,
        first.application_id,
    ]
    assert len(client.applications(states=[YarnState.FINISHED])) == 1
    assert client.applications(name="other") == []


def test_an_unknown_application_is_told(client: Client) -> None:
    with pytest.raises(ApplicationNotFoundError, match="is not the ID"):
        client.application("../../secret")
    unknown = client.application("application_1700000000000_0099")
    with pytest.raises(ApplicationNotFoundError):
        unknown.report()
    with pytest.raises(ApplicationNotFoundError):
        unknown.containers()


def test_a_configuration_comes_from_where_it_is_said(
    cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = cluster.write_configuration(tmp_path / "conf")
    url = f"http://127.0.0.1:{cluster.resource_manager.port}"
    with Client.from_config(directory, user="alice") as client:
        assert client.config.resource_managers == (url,)
        assert client.user == "alice"
    monkeypatch.setenv("HADOOP_CONF_DIR", str(directory))
    with Client.from_config(user="alice") as client:
        assert client.applications() == []
    with Client.from_config(properties=cluster.properties, user="alice") as client:
        assert client.applications() == []
    changed = {"yarn.resourcemanager.webapp.address": f"127.0.0.1:{closed_port()}"}
    with Client.from_config(directory, properties=changed) as client:
        assert client.config.resource_managers != (url,)


def test_the_doctor_is_content(client: Client) -> None:
    results = client.doctor()
    assert [result for result in results if not result.ok] == []
    assert len(results) > 5


def test_leaving_the_block_closes_the_handles(cluster: FakeCluster) -> None:
    with Client(cluster.config, user="alice") as client:
        application = client.submit(SPEC)
    with pytest.raises(ConnectionError):
        application.containers()
