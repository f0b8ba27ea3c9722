"""A gateway in the manner of Knox: its paths, its redirects, and a password nobody else sees."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from knit._cluster.cluster import Cluster
from knit._cluster.configuration.config import ClusterConfig
from knit._cluster.rest.gateway import LARGEST_PASSWORD_BYTES, gateway_of, url_of
from knit._staging.staging import Staging
from knit._staging.values import StagedFile
from knit.exceptions import AccessDeniedError, ConfigurationError, KnitError
from tests.fakes.cluster import FakeCluster
from tests.fakes.server import Answer, FakeServer, Request
from tests.fakes.tls import Identity, serve_tls

SECRET = "swordfish:ä"


class FakeGateway(FakeServer):
    """Lets in who has the password, as alice, and sends data to itself by a query of its own."""

    PREFIX = "/gateway/default"

    def __init__(self, behind: FakeCluster) -> None:
        self.behind = behind
        self.data_url: str | None = None
        """Where it sends data, in place of itself."""
        super().__init__()

    def answer(self, request: Request) -> Answer:
        expected = base64.b64encode(f"alice:{SECRET}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {expected}":
            return Answer(401, b"", {"WWW-Authenticate": 'BASIC realm="application"'})
        assert "user.name" not in request.query
        path = request.path.removeprefix(self.PREFIX)
        query = {**request.query, "user.name": "alice"}
        if path.startswith("/resourcemanager/v1/"):
            path = "/ws" + path.removeprefix("/resourcemanager")
            return self.behind.resource_manager.answer(
                Request(request.method, path, query, request.headers, request.body)
            )
        if path.startswith("/webhdfs/data/v1"):
            path = "/webhdfs/v1" + path.removeprefix("/webhdfs/data/v1")
            query = json.loads(base64.b64decode(query["_"]))
            return self.behind.data_node.answer(
                Request(request.method, path, query, request.headers, request.body)
            )
        query.pop("noredirect", None)
        found = self.behind.name_node.answer(
            Request(request.method, path, query, request.headers, request.body)
        )
        if "Location" in found.headers:
            opaque = base64.b64encode(json.dumps(query).encode()).decode()
            base = self.data_url or f"https://127.0.0.1:{self.port}{self.PREFIX}/webhdfs/data/v1"
            file = quote(path.removeprefix("/webhdfs/v1"))
            found.headers["Location"] = f"{base}{file}?_={quote(opaque)}"
        return found


@pytest.fixture
def gateway(fake: FakeCluster, tmp_path: Path) -> Iterator[FakeGateway]:
    found = FakeGateway(fake)
    identity = Identity.signed("gateway")
    identity.write(tmp_path / "ca.pem")
    serve_tls(found, identity, tmp_path)
    yield found
    found.stop()


def secret(tmp_path: Path, content: str = f"{SECRET}\n") -> Path:
    path = tmp_path / "password"
    path.write_text(content, encoding="utf-8")
    path.chmod(0o600)
    return path


def configured(gateway: FakeGateway, tmp_path: Path, **more: str) -> ClusterConfig:
    base = f"https://127.0.0.1:{gateway.port}{gateway.PREFIX}"
    return ClusterConfig.from_properties(
        {
            "fs.defaultFS": "hdfs://inside:8020",
            "knit.resourcemanager.url": f"{base}/resourcemanager",
            "knit.webhdfs.url": f"{base}/webhdfs/v1",
            "knit.gateway.user": "alice",
            "knit.gateway.password-file": str(secret(tmp_path)),
            "knit.tls.ca-file": str(tmp_path / "ca.pem"),
            **more,
        }
    )


def test_all_goes_through_it(gateway: FakeGateway, fake: FakeCluster, tmp_path: Path) -> None:
    """Reading as well as writing, by addresses that say nothing of who we are."""
    config = configured(gateway, tmp_path)
    with Cluster(config, timeout=timedelta(seconds=5)) as cluster:
        assert cluster.user == "alice"
        assert len(cluster.resource_manager.nodes()) == 2
        assert cluster.resource_manager.new_application().application_id
        assert cluster.files.home_directory() == "/user/alice"
        content = tmp_path / "a.zip"
        content.write_bytes(b"12345")
        staging = Staging.on(cluster)
        [staged] = staging.stage([StagedFile(source=content)])
        assert staged.url.startswith("hdfs://inside:8020/user/alice/.knit/cache/")
        path = staged.url.removeprefix("hdfs://inside:8020")
        assert cluster.files.read(path) == b"12345"
        assert cluster.files.read(path, offset_bytes=3) == b"45"
    assert not fake.resource_manager.requests
    assert not fake.data_node.requests


def test_with_kerberos_behind_it_no_ticket_is_needed(gateway: FakeGateway, tmp_path: Path) -> None:
    more = {"hadoop.security.authentication": "kerberos"}
    with Cluster(configured(gateway, tmp_path, **more), timeout=timedelta(seconds=5)) as cluster:
        assert len(cluster.resource_manager.nodes()) == 2
        assert cluster.claimed_name is None


def test_the_password_goes_to_nobody_else(
    gateway: FakeGateway, fake: FakeCluster, tmp_path: Path
) -> None:
    fake.file_system.write("/user/alice/x", "alice", b"1", "600")
    gateway.data_url = f"{fake.data_node.url}/webhdfs/v1"
    with Cluster(configured(gateway, tmp_path), timeout=timedelta(seconds=5)) as cluster:
        assert cluster.files.read("/user/alice/x") == b"1"
    [request] = fake.data_node.requests
    assert "authorization" not in request.headers


def test_the_password_is_in_no_log_no_error_and_no_representation(
    gateway: FakeGateway, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = configured(gateway, tmp_path)
    shown = base64.b64encode(f"alice:{SECRET}".encode()).decode()
    said = [repr(config), repr(gateway_of(config))]
    with caplog.at_level(logging.DEBUG), Cluster(config, timeout=timedelta(seconds=5)) as cluster:
        cluster.files.home_directory()
        gateway.answers_with = lambda _: Answer.html(500, "broken")
        with pytest.raises(KnitError) as failure:
            cluster.files.home_directory()
    said += [caplog.text, str(failure.value), repr(failure.value.__cause__)]
    assert caplog.records
    assert not any(part in text for text in said for part in (SECRET, shown, "swordfish"))


def test_a_wrong_password_is_told(gateway: FakeGateway, tmp_path: Path) -> None:
    config = configured(gateway, tmp_path)
    secret(tmp_path, "guess")
    with Cluster(config) as cluster, pytest.raises(AccessDeniedError) as failure:
        cluster.resource_manager.nodes()
    assert "knit.gateway.user" in failure.value.message
    assert "guess" not in failure.value.message


URLS = {
    "knit.resourcemanager.url": "https://knox/gateway/c/resourcemanager",
    "knit.webhdfs.url": "https://knox/gateway/c/webhdfs",
}


class TestConfiguration:
    def test_the_file_may_be_named_by_the_environment(self, tmp_path: Path) -> None:
        config = ClusterConfig.from_properties({**URLS, "knit.gateway.user": "alice"})
        found = gateway_of(config, {"KNIT_GATEWAY_PASSWORD_FILE": str(secret(tmp_path, "x\r\ny"))})
        assert found is not None
        exchange = found.exchange("https://knox/gateway/c/x", "Asking")
        assert exchange.headers == {"Authorization": "Basic YWxpY2U6eA=="}
        assert not found.exchange("https://knox:8443/gateway/c/x", "Asking").headers

    def test_without_a_user_there_is_none(self, tmp_path: Path) -> None:
        config = ClusterConfig.from_properties(URLS)
        assert gateway_of(config, {"KNIT_GATEWAY_PASSWORD_FILE": "/no/such"}) is None

    @pytest.mark.parametrize(
        ("more", "content", "says"),
        [
            ({"knit.webhdfs.url": ""}, "x", "the gateway is not, for both"),
            ({"knit.webhdfs.url": "http://knox/"}, "x", "http://knox is not https"),
            ({}, "", "has no password in its first line"),
            ({}, "\nx", "has no password in its first line"),
            ({}, "x" * (LARGEST_PASSWORD_BYTES + 1), "or more than 4096 bytes"),
            ({"knit.gateway.password-file": "/no/such"}, "x", "cannot be read from /no/such"),
            ({"knit.gateway.password-file": ""}, "x", "its password is not known"),
        ],
    )
    def test_what_cannot_be_used_is_told(
        self, tmp_path: Path, more: dict[str, str], content: str, says: str
    ) -> None:
        properties = {
            **URLS,
            "knit.gateway.user": "alice",
            "knit.gateway.password-file": str(secret(tmp_path, content)),
            **more,
        }
        with pytest.raises(ConfigurationError, match=says):
            gateway_of(ClusterConfig.from_properties(properties), {})

    def test_a_password_that_others_can_read_is_refused(self, tmp_path: Path) -> None:
        path = secret(tmp_path)
        path.chmod(0o640)
        properties = {
            **URLS,
            "knit.gateway.user": "alice",
            "knit.gateway.password-file": str(path),
        }
        with pytest.raises(ConfigurationError, match=r"by others \(mode 640\).*chmod 600"):
            gateway_of(ClusterConfig.from_properties(properties), {})

    def test_nobody_acts_for_others_through_it(self, tmp_path: Path) -> None:
        properties = {
            **URLS,
            "knit.gateway.user": "alice",
            "knit.gateway.password-file": str(secret(tmp_path)),
        }
        with pytest.raises(ConfigurationError, match="acts for nobody else"):
            Cluster(ClusterConfig.from_properties(properties), user="bob")

    @pytest.mark.parametrize("name", ["knit.resourcemanager.url", "knit.webhdfs.url"])
    def test_a_password_in_an_address_is_refused_unseen(self, name: str) -> None:
        config = ClusterConfig.from_properties(
            {"fs.defaultFS": "hdfs://nn", name: "https://alice:swordfish@knox/gateway/c"}
        )
        with pytest.raises(ConfigurationError, match="KNIT_GATEWAY_PASSWORD_FILE") as failure:
            _ = config.resource_managers if "manager" in name else config.name_nodes
        assert "swordfish" not in failure.value.message

    @pytest.mark.parametrize(
        ("given", "path", "expected"),
        [
            (
                "/resourcemanager",
                "/ws/v1/cluster/apps",
                "/resourcemanager/v1/cluster/apps",
            ),
            (
                "/resourcemanager/v1/cluster",
                "/ws/v1/cluster",
                "/resourcemanager/v1/cluster",
            ),
            ("", "/ws/v1/cluster", "/ws/v1/cluster"),
            ("/ws/v1/cluster/", "/ws/v1/cluster", "/ws/v1/cluster"),
        ],
    )
    def test_the_resource_managers_paths(self, given: str, path: str, expected: str) -> None:
        config = ClusterConfig.from_properties(
            {"knit.resourcemanager.url": f"https://k/g/c{given}"}
        )
        [base] = config.resource_managers
        assert url_of(base, path) == f"https://k/g/c{expected}"

    @pytest.mark.parametrize("end", ["", "/webhdfs", "/webhdfs/v1", "/webhdfs/v1/"])
    def test_the_file_systems_paths(self, end: str) -> None:
        config = ClusterConfig.from_properties({"knit.webhdfs.url": f"https://k/g/c{end}"})
        assert config.name_nodes == ("https://k/g/c",)
