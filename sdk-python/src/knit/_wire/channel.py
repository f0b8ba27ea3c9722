"""Channels to an Application Master, which are encrypted and notice when it is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knit._wire.tls import ClientTls
from knit.exceptions import ResourceExhaustedError

if TYPE_CHECKING:
    import grpc
    from google.protobuf.message import Message

LARGEST_MESSAGE_BYTES = 16 * 1024 * 1024
"""The most that an Application Master takes or sends at once, by the contract."""

TOKEN_HEADER = "knit-token"  # noqa: S105  (its name)

_OPTIONS = (
    # A proxy in the environment is for the web, not for the nodes of a cluster.
    ("grpc.enable_http_proxy", 0),
    # A node that vanished without a word is noticed within these two together.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # The same to newer versions of grpcio, which wait a minute unless told in these words.
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", LARGEST_MESSAGE_BYTES),
    ("grpc.max_send_message_length", LARGEST_MESSAGE_BYTES),
    # A restarted Application Master is found again soon; the default waits up to 2 minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Who calls tries again. gRPC's own second try, after a GOAWAY that overtook the first, loses a
    # stream where it cannot connect: its status comes and its message never, and a deadline ends
    # only what has no status yet (from 1.69 to 1.85, which is the newest).
    ("grpc.enable_retries", 0),
)


def check_size(request: Message, what: str) -> None:
    """
    Refuses what an Application Master would refuse without a word.

    Raises:
        ResourceExhaustedError: The request is too large.
    """
    size = request.ByteSize()
    if size > LARGEST_MESSAGE_BYTES:
        raise ResourceExhaustedError(
            f"{what}: the request has {size:,} bytes, and an Application Master takes "
            f"{LARGEST_MESSAGE_BYTES:,} at most. Ask for less at a time."
        )


def open_channel(address: str, tls: ClientTls) -> grpc.Channel:
    """Returns a channel to an Application Master; it connects with its first call."""
    import grpc

    credentials = grpc.ssl_channel_credentials(
        root_certificates=tls.ca, private_key=tls.key, certificate_chain=tls.cert
    )
    if tls.token is not None:
        token = grpc.metadata_call_credentials(_sending(tls.token), name=TOKEN_HEADER)
        credentials = grpc.composite_channel_credentials(credentials, token)
    options = (("grpc.ssl_target_name_override", tls.server_name), *_OPTIONS)
    return grpc.secure_channel(address, credentials, options=options)


def _sending(token: str) -> grpc.AuthMetadataPlugin:
    """What sends a container's token with each call, over an encrypted connection only."""
    import grpc

    class Token(grpc.AuthMetadataPlugin):
        def __call__(
            self,
            context: grpc.AuthMetadataContext,
            callback: grpc.AuthMetadataPluginCallback,
        ) -> None:
            callback(((TOKEN_HEADER, token),), None)

    return Token()
