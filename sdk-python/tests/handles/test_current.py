"""What a program finds that knit has started, and a client that was given credentials."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import attrs
import grpc
import pytest

import knit
from knit import Endpoint, Role
from knit._wire.tls import ApplicationTls
from knit.exceptions import (
    ConfigurationNotFoundError,
    ConnectionLostError,
    CredentialsError,
    KnitError,
    NotInApplicationError,
)
from knit.testing import FakeApplicationMaster
from knit.v1 import application_service_pb2, container_service_pb2

APPLICATION = "application_1700000000000_0001"
TOKEN = "worker/3/2/MAC"
VARIABLES = {
    "KNIT_APPLICATION_ID": APPLICATION,
    "KNIT_CONTAINER_ID": "container_1700000000000_0001_01_000004",
    "KNIT_SERVICE_NAME": "worker",
    "KNIT_RANK": "1",
    "KNIT_ATTEMPT_NUMBER": "2",
    "KNIT_ORDINAL": "3",
    "KNIT_MEMORY_MIB": "512",
    "KNIT_VCORES": "2",
}


@attrs.define
class Recorder:
    """An Application Master that notes what it is asked, and with which token."""

    tls: ApplicationTls = attrs.field(factory=ApplicationTls.generate)
    address: str = ""
    calls: list[tuple[str, str | None, bytes]] = attrs.field(factory=list)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        name = details.method.rpartition("/")[2]
        metadata = dict(details.invocation_metadata)
        answers = {
            "ReportReady": container_service_pb2.ReportReadyResponse(sequence=7),
            "ReportProgress": application_service_pb2.ReportProgressResponse(),
            "GetApplication": application_service_pb2.GetApplicationResponse(),
        }

        def answer(request: bytes, _: grpc.ServicerContext) -> bytes:
            token = metadata.get("knit-token")
            self.calls.append((name, str(token) if token is not None else None, request))
            return answers[name].SerializeToString()

        return grpc.unary_unary_rpc_method_handler(answer)

    def save(self, directory: Path, role: str, token: str | None = None) -> Path:
        """Writes credentials as a launch, or `knit credentials`, does."""
        tls = attrs.evolve(self.tls.clients[role], token=token)
        return Endpoint._of(APPLICATION, self.address, tls).save(directory)


@pytest.fixture
def master() -> Iterator[Recorder]:
    recorder = Recorder()
    server = grpc.server(ThreadPoolExecutor(4))

    class Handler(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
            return recorder.service(details)

    server.add_generic_rpc_handlers((Handler(),))
    credentials = grpc.ssl_server_credentials(
        [(recorder.tls.key, recorder.tls.cert)], recorder.tls.ca, require_client_auth=True
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    recorder.address = f"127.0.0.1:{port}"
    server.start()
    yield recorder
    server.stop(None).wait()


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No cluster is known here, as in a container whose node does not say."""
    for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "HADOOP_INSTALL", *VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HADOOP_HOME", str(tmp_path))
    monkeypatch.delenv("KNIT_CREDENTIALS", raising=False)


def variables(directory: Path, **others: str) -> dict[str, str]:
    return {**VARIABLES, "KNIT_CREDENTIALS": str(directory), **others}


def test_a_container_knows_itself_and_reports_with_its_token(
    master: Recorder, tmp_path: Path
) -> None:
    directory = master.save(tmp_path / "keys", "container", TOKEN)
    with knit.current(environment=variables(directory)) as me:
        assert me.in_container
        assert me.container == knit.CurrentContainer(
            container_id=VARIABLES["KNIT_CONTAINER_ID"],
            service="worker",
            rank=1,
            attempt_number=2,
            ordinal=3,
            memory_mib=512,
            vcores=2,
        )
        assert me.application.application_id == APPLICATION
        me.ready()
        me.not_ready()
        me.progress(0.5)
        me.progress(None)
    assert {token for _, token, _ in master.calls} == {TOKEN}
    names, _, requests = zip(*master.calls, strict=True)
    assert names == ("ReportReady", "ReportReady", "ReportProgress", "ReportProgress")
    ready, not_ready = map(container_service_pb2.ReportReadyRequest.FromString, requests[:2])
    assert (ready.container.service_name, ready.container.ordinal) == ("worker", 3)
    assert (ready.is_not_ready, not_ready.is_not_ready) == (False, True)
    half, none = map(application_service_pb2.ReportProgressRequest.FromString, requests[2:])
    assert half.progress == 0.5
    assert not none.HasField("progress")


def test_whoever_is_no_container_sends_no_token(master: Recorder, tmp_path: Path) -> None:
    knit.connect(master.save(tmp_path / "keys", "viewer")).report_progress(1)
    assert [token for _, token, _ in master.calls] == [None]


def test_the_variables_of_the_process_are_the_default(
    master: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables(master.save(tmp_path / "keys", "container", TOKEN)).items():
        monkeypatch.setenv(name, value)
    with knit.current() as me:
        assert (me.container.rank, repr(me)) == (1, f"Current('{APPLICATION}', worker#3)")


def test_a_driver_has_an_application_and_no_container(master: Recorder, tmp_path: Path) -> None:
    directory = master.save(tmp_path / "keys", "container", TOKEN)
    own = {"KNIT_APPLICATION_ID": APPLICATION, "KNIT_CREDENTIALS": str(directory)}
    with knit.current(environment=own) as me:
        assert not me.in_container
        me.progress(0.1)
        for refused in (lambda: me.container, me.ready, me.not_ready):
            with pytest.raises(NotInApplicationError, match="driver"):
                refused()
    assert [name for name, _, _ in master.calls] == ["ReportProgress"]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"KNIT_APPLICATION_ID": ""}, "runs in no application of knit.*KNIT_APPLICATION_ID"),
        ({"KNIT_CREDENTIALS": ""}, "has no credentials: KNIT_CREDENTIALS is not set"),
        ({"KNIT_SERVICE_NAME": ""}, "KNIT_SERVICE_NAME is not set"),
        ({"KNIT_ORDINAL": ""}, "KNIT_ORDINAL is not set"),
        ({"KNIT_RANK": "-1"}, "KNIT_RANK is '-1' and must be a number"),
        ({"KNIT_RANK": "\u0661"}, "must be a number"),
    ],
)
def test_outside_of_an_application_it_says_what_is_missing(
    master: Recorder, tmp_path: Path, changed: dict[str, str], expected: str
) -> None:
    directory = master.save(tmp_path / "keys", "container", TOKEN)
    with pytest.raises(NotInApplicationError, match=expected):
        knit.current(environment={**variables(directory), **changed})
    assert issubclass(NotInApplicationError, KnitError)


def test_credentials_of_another_application_are_told(master: Recorder, tmp_path: Path) -> None:
    directory = master.save(tmp_path / "keys", "container", TOKEN)
    other = variables(directory, KNIT_APPLICATION_ID="application_1700000000000_0002")
    with pytest.raises(CredentialsError, match="another directory than it should"):
        knit.current(environment=other)


def test_what_only_the_cluster_knows_says_so_where_there_is_none(
    master: Recorder, tmp_path: Path
) -> None:
    application = knit.connect(master.save(tmp_path / "keys", "viewer"))
    for ask in (application.report, application.kill, application.wait):
        with pytest.raises(ConfigurationNotFoundError, match=r"and not the cluster\..*HADOOP_CONF"):
            ask()


def test_an_application_master_out_of_reach_is_told_as_such_where_there_is_no_cluster(
    master: Recorder, tmp_path: Path
) -> None:
    """What is known after the end is the cluster's to say, and there is nobody to ask."""
    directory = master.save(tmp_path / "keys", "viewer")
    with knit.connect(directory, address="127.0.0.1:1") as application:
        soon = timedelta(seconds=0.5)
        for ask in (
            lambda: application.containers(timeout=soon),
            lambda: application.events(after=0, timeout=soon),
        ):
            with pytest.raises(ConnectionLostError, match=r"127\.0\.0\.1:1"):
                ask()


def test_credentials_are_read_again_when_the_application_master_does_not_answer(
    tmp_path: Path,
) -> None:
    """Whoever replaces them is heard; and without a cluster nobody else could say where it is."""
    with FakeApplicationMaster(application_id=APPLICATION) as fake:
        owner = fake.application()
        directory = owner.endpoint(role=Role.VIEWER).save(tmp_path / "keys")
        application = knit.connect(directory)
        assert application.describe().application_id == APPLICATION
        fake.restart()
        with pytest.raises(ConnectionLostError):
            application.describe(timeout=timedelta(seconds=1))
        begun = threading.Timer(0.5, lambda: owner.endpoint(role=Role.VIEWER).save(directory))
        begun.start()
        assert application.describe().application_id == APPLICATION
        begun.join()


def test_an_address_may_be_given_beside_them(tmp_path: Path) -> None:
    with FakeApplicationMaster(application_id=APPLICATION) as fake:
        endpoint = fake.application().endpoint(role=Role.OPERATOR)
        directory = attrs.evolve(endpoint, address="127.0.0.1:1").save(tmp_path / "keys")
        with knit.connect(directory, address=endpoint.address) as application:
            assert application.describe().application_id == APPLICATION


def test_each_role_has_a_certificate_of_its_own_and_given_ones_are_not_to_give(
    tmp_path: Path,
) -> None:
    with FakeApplicationMaster(application_id=APPLICATION) as fake:
        owner = fake.application()
        endpoints = {
            role: owner.endpoint(role=role) for role in (Role.OWNER, Role.OPERATOR, Role.VIEWER)
        }
        for role, endpoint in endpoints.items():
            assert endpoint.cert == fake.tls.clients[role.name.lower()].cert
            assert endpoint.application_id == APPLICATION
        given = knit.connect(endpoints[Role.VIEWER].save(tmp_path / "keys"))
        assert given.endpoint() == endpoints[Role.VIEWER]
        with pytest.raises(CredentialsError, match="Whoever submitted the application"):
            given.endpoint(role=Role.OPERATOR)
