"""Only who holds the application's certificate is answered, and nobody is shown a secret."""

from __future__ import annotations

import json
import socket
import ssl
import urllib.request
from collections.abc import Callable, Iterator

import attrs
import grpc
import knit
import pytest

from integration import evidence, wire
from integration.applications import Applications, find, program, read_logs, wait_for_text
from integration.clusters import Cluster
from integration.hdfs import Hdfs

pytestmark = pytest.mark.topology("addresses and certificates of other machines")

SECRET = "correct-horse-battery-staple"
GREETING_OF_HTTP_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"

NOT_FOR_STRANGERS = {
    "health": (wire.call, wire.HEALTH_CHECK),
    "reflection": (wire.call_stream, wire.LIST_SERVICES),
    "containers": (wire.call, wire.LIST_CONTAINERS),
    "shutdown": (wire.call, ("/knit.v1.ApplicationService/Shutdown", b"")),
    "no-such-method": (wire.call, ("/knit.v1.ContainerService/NoSuchMethod", b"")),
}


@attrs.frozen
class Guarded:
    """An application that waits, and another one beside it."""

    app: knit.Application
    other: knit.Application
    address: str
    keys: wire.Keys = attrs.field(repr=False)
    other_keys: wire.Keys = attrs.field(repr=False)


@pytest.fixture(scope="module")
def guarded(module_applications: Applications, hdfs: Hdfs) -> Guarded:
    gate = module_applications.gate()
    environment = {**gate.environment, "SERVICE_SECRET": SECRET}
    app = module_applications.submit(program("leaks", environment=environment))
    other = module_applications.submit(program("wait", environment=environment))
    wait_for_text(app, "has shown everything", 1)
    wait_for_text(other, "waits", 1)
    keys, other_keys = (wire.Keys.of(hdfs, each.application_id) for each in (app, other))
    return Guarded(app, other, wire.address_of(app), keys, other_keys)


def without_certificate(guarded: Guarded) -> grpc.ChannelCredentials | None:
    return grpc.ssl_channel_credentials(guarded.keys.ca)


def with_certificate_of_another_application(guarded: Guarded) -> grpc.ChannelCredentials | None:
    keys = guarded.other_keys
    return grpc.ssl_channel_credentials(guarded.keys.ca, keys.key, keys.cert)


def in_plain_text(guarded: Guarded) -> grpc.ChannelCredentials | None:
    return None


STRANGERS = [without_certificate, with_certificate_of_another_application, in_plain_text]


@pytest.fixture(params=STRANGERS, ids=lambda stranger: stranger.__name__)
def stranger(request: pytest.FixtureRequest, guarded: Guarded) -> Iterator[grpc.Channel]:
    credentials: Callable[[Guarded], grpc.ChannelCredentials | None] = request.param
    with wire.channel(guarded.address, credentials(guarded)) as channel:
        yield channel


@pytest.mark.parametrize("what", NOT_FOR_STRANGERS)
def test_a_stranger_gets_nothing(guarded: Guarded, stranger: grpc.Channel, what: str) -> None:
    call, (method, request) = NOT_FOR_STRANGERS[what]
    with pytest.raises(grpc.RpcError) as caught:
        call(stranger, method, request)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE, caught.value
    assert guarded.app.describe().state is knit.ApplicationState.RUNNING


def test_no_byte_is_sent_to_who_shows_no_certificate(guarded: Guarded) -> None:
    """Not even the greeting of HTTP/2, which an encrypted connection begins with."""
    context = ssl.create_default_context(cadata=guarded.keys.ca.decode())
    context.set_alpn_protocols(["h2"])
    host, _, port = guarded.address.rpartition(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        try:
            with context.wrap_socket(connection, server_hostname=wire.SERVER_NAME) as encrypted:
                encrypted.sendall(GREETING_OF_HTTP_2)
                received = encrypted.recv(1024)
        except (ssl.SSLError, ConnectionError):
            pass
    assert received == b""


def test_the_application_master_shows_its_own_certificate(guarded: Guarded) -> None:
    """So a client that knows the authority of another application is not deceived."""
    keys = guarded.other_keys
    credentials = grpc.ssl_channel_credentials(keys.ca, guarded.keys.key, guarded.keys.cert)
    with (
        wire.channel(guarded.address, credentials) as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        wire.call(channel, *wire.HEALTH_CHECK)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_with_the_certificate_health_and_reflection_answer(guarded: Guarded, hdfs: Hdfs) -> None:
    with wire.trusted_channel(guarded.app, hdfs) as channel:
        assert wire.call(channel, *wire.HEALTH_CHECK) == wire.SERVING
        services = wire.call_stream(channel, *wire.LIST_SERVICES)
    for name in (
        b"knit.v1.ApplicationService",
        b"knit.v1.ContainerService",
        b"knit.v1.LogService",
        b"grpc.health.v1.Health",
    ):
        assert name in services


def test_every_application_has_an_authority_of_its_own(guarded: Guarded) -> None:
    assert guarded.keys.ca != guarded.other_keys.ca
    assert guarded.keys.key != guarded.other_keys.key


def secrets_of(guarded: Guarded) -> list[bytes]:
    """What may be seen nowhere: lines of keys, and the names under which they travel."""
    lines = guarded.keys.key.splitlines()[1:-1]
    return [*lines, b"PRIVATE KEY", b"knit.tls", b"knit.application"]


def test_no_container_sees_a_key(guarded: Guarded) -> None:
    """
    Neither in an environment nor in a command line of any process of the node, the
    Application Master's included, nor among the tokens it is handed.
    """
    seen = read_logs(guarded.app, files=["stdout"])["worker", 0, 1, "stdout"]
    assert b"KNIT_RANK=0" in seen, "it has looked"
    assert b"HDTS" in seen, "tokens begin with this"
    for secret in (*secrets_of(guarded), b"YARN_AM_RM_TOKEN"):
        assert secret not in seen


def test_no_secret_is_in_the_application_masters_log(guarded: Guarded) -> None:
    report = guarded.app.report()
    for file in ("stdout", "stderr"):
        log = evidence.application_master_log(report, file, tail_bytes=10_000_000)
        assert "not to be had" not in log
        assert not any(secret.decode() in log for secret in secrets_of(guarded))
        assert SECRET not in log, "values of environments may be secret"


def test_no_secret_is_shown_by_yarn(guarded: Guarded, cluster: Cluster) -> None:
    container = find(guarded.app.containers(), "worker")
    application = f"{cluster.resource_manager_url}/ws/v1/cluster/apps/{guarded.app.application_id}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for url in (
        application,
        f"{application}/appattempts",
        f"http://{container.node_http_address}/ws/v1/node/containers/{container.container_id}",
        f"http://{container.node_http_address}/ws/v1/node/apps/{guarded.app.application_id}",
    ):
        with opener.open(url, timeout=10) as response:
            shown = response.read()
        assert json.loads(shown)
        assert not any(secret in shown for secret in (*secrets_of(guarded), SECRET.encode()))


def test_no_secret_is_told_to_clients(guarded: Guarded) -> None:
    assert SECRET not in repr(guarded.app.describe())
    assert SECRET not in repr(guarded.app.containers())
    assert "PRIVATE KEY" not in repr(vars(guarded.app))
