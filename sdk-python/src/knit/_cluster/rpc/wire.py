"""How messages of Hadoop's RPC lie on the wire, version 9: headers, frames, delimited messages."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from knit._cluster.rpc.schema import Schema

VERSION = 9
AUTH_NONE = 0
AUTH_SASL = 0xDF
SASL_CALL = -33
CONTEXT_CALL = -3

#: What a SASL message is.
SUCCESS, NEGOTIATE, INITIATE, CHALLENGE, RESPONSE, WRAP = range(6)
#: What became of a call; after FATAL the connection is closed.
STATUS_SUCCESS, STATUS_ERROR, STATUS_FATAL = range(3)

_RPC_PROTOCOL_BUFFER = 2
_NO_CLIENT = b""
_NO_RETRIES = -1

MESSAGES = Schema(
    "rpc",
    """
message RpcRequestHeader {
  optional int32 rpc_kind = 1;
  optional int32 rpc_op = 2;
  optional sint32 call_id = 3;
  optional bytes client_id = 4;
  optional sint32 retry_count = 5;
}
message RpcResponseHeader {
  optional uint32 call_id = 1;
  optional int32 status = 2;
  optional uint32 server_version = 3;
  optional string exception = 4;
  optional string message = 5;
  optional int32 detail = 6;
}
message RequestHeader {
  optional string method = 1;
  optional string protocol = 2;
  optional uint64 protocol_version = 3;
}
message UserInformation {
  optional string effective_user = 1;
  optional string real_user = 2;
}
message ConnectionContext {
  optional UserInformation user = 2;
  optional string protocol = 3;
}
message SaslAuth {
  optional string method = 1;
  optional string mechanism = 2;
  optional string protocol = 3;
  optional string server_id = 4;
  optional bytes challenge = 5;
}
message Sasl {
  optional uint32 version = 1;
  optional int32 state = 2;
  optional bytes token = 3;
  repeated SaslAuth auths = 4;
}
""",
)


class MalformedError(Exception):
    """What came is no message of this protocol."""


def connection_header(*, sasl: bool) -> bytes:
    """The first bytes of a connection. Its service class is 0."""
    return b"hrpc" + bytes((VERSION, 0, AUTH_SASL if sasl else AUTH_NONE))


def context_frame(protocol: str, effective_user: str | None, real_user: str | None) -> bytes:
    """
    Whose connection it is, and for which protocol; nothing is answered to it.

    Args:
        protocol: Its name in Java.
        effective_user: Whose calls these are. None: who the other side knows us to be.
        real_user: Who acts for that user. None: nobody.
    """
    user = None
    if effective_user is not None:
        user = MESSAGES.new("UserInformation", effective_user=effective_user, real_user=real_user)
    return frame(
        request_header(CONTEXT_CALL),
        MESSAGES.new("ConnectionContext", user=user, protocol=protocol),
    )


def sasl_frame(state: int, token: bytes | None = None, auth: Any = None) -> bytes:
    """A message of the negotiation, or one that carries others (`WRAP`)."""
    message = MESSAGES.new("Sasl", version=0, state=state, token=token)
    if auth is not None:
        message.auths.add(
            method=auth.method,
            mechanism=auth.mechanism,
            protocol=auth.protocol,
            server_id=auth.server_id,
        )
    return frame(request_header(SASL_CALL), message)


def request_header(
    call_id: int, client_id: bytes = _NO_CLIENT, retry_count: int = _NO_RETRIES
) -> Any:
    return MESSAGES.new(
        "RpcRequestHeader",
        rpc_kind=_RPC_PROTOCOL_BUFFER,
        rpc_op=0,
        call_id=call_id,
        client_id=client_id,
        retry_count=retry_count,
    )


def frame(*messages: Any) -> bytes:
    """Messages that go together, each with its length before it, and the length of all of them."""
    parts: list[bytes] = []
    for message in messages:
        data = message.SerializeToString()
        parts += (_varint(len(data)), data)
    body = b"".join(parts)
    return struct.pack(">i", len(body)) + body


def delimited(data: bytes) -> Sequence[bytes]:
    """
    The messages of a frame, without its length.

    Raises:
        MalformedError: They do not end where it ends.
    """
    found: list[bytes] = []
    position = 0
    while position < len(data):
        size, position = _read_varint(data, position)
        if position + size > len(data):
            raise MalformedError(f"a message of {size} bytes is longer than its frame")
        found.append(data[position : position + size])
        position += size
    return found


def signed(call_id: int) -> int:
    """The number of a call, which answers have as an unsigned one."""
    return call_id - (1 << 32) if call_id >= 1 << 31 else call_id


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data) or shift > 28:
            raise MalformedError("a length that does not end")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
