"""The way to an Application Master without the SDK: what any client in any language does."""

from __future__ import annotations

import json

import attrs
import grpc
import knit

from integration.hdfs import Hdfs

SERVER_NAME = "knit-application-master"


@attrs.frozen
class Keys:
    """What an application's clients are let in by, as its staging directory holds it."""

    ca: bytes = attrs.field(repr=False)
    cert: bytes = attrs.field(repr=False)
    key: bytes = attrs.field(repr=False)

    @classmethod
    def of(cls, hdfs: Hdfs, application_id: str) -> Keys:
        path = f"{hdfs.home}/.knit/applications/{application_id}/application.json"
        tls = json.loads(hdfs.read(path))["tls"]
        return cls(tls["ca"].encode(), tls["client_cert"].encode(), tls["client_key"].encode())


def address_of(app: knit.Application) -> str:
    """`host:port` of the Application Master, which has started."""
    app.describe()
    address = app.report().am_address
    assert address is not None
    return address


def channel(address: str, credentials: grpc.ChannelCredentials | None) -> grpc.Channel:
    """A channel with these credentials; without any, in plain text."""
    options = [
        ("grpc.ssl_target_name_override", SERVER_NAME),
        ("grpc.enable_http_proxy", 0),
        # With them a stream that begins as the server leaves may never end.
        ("grpc.enable_retries", 0),
        # So that two channels to one address, with other credentials, share no connection.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if credentials is None:
        return grpc.insecure_channel(address, options=options[1:])
    return grpc.secure_channel(address, credentials, options=options)


def trusted_channel(app: knit.Application, hdfs: Hdfs) -> grpc.Channel:
    """A channel that the Application Master lets in."""
    keys = Keys.of(hdfs, app.application_id)
    return channel(address_of(app), grpc.ssl_channel_credentials(keys.ca, keys.key, keys.cert))


def call(
    channel: grpc.Channel, method: str, request: bytes, *, timeout_seconds: float = 10
) -> bytes:
    """Call a method that takes one message and returns one, both as bytes."""
    multi_callable: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
    return multi_callable(request, timeout=timeout_seconds)


def call_stream(
    channel: grpc.Channel, method: str, request: bytes, *, timeout_seconds: float = 10
) -> bytes:
    """The first message that a bidirectional stream answers to one message."""
    multi_callable: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(method)
    return next(multi_callable(iter([request]), timeout=timeout_seconds))


HEALTH_CHECK = ("/grpc.health.v1.Health/Check", b"")
SERVING = b"\x08\x01"
# ServerReflectionRequest{list_services: "*"}
LIST_SERVICES = ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", b"\x3a\x01*")
LIST_CONTAINERS = ("/knit.v1.ContainerService/ListContainers", b"")
