"""Speaks HTTP/2 by hand, to do to an Application Master what no gRPC library would."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

from integration.wire import SERVER_NAME, Keys

_DATA, _HEADERS, _SETTINGS, _WINDOW_UPDATE = 0, 1, 4, 8
_END_STREAM, _END_HEADERS = 1, 4
_INITIAL_WINDOW_SIZE = 4
_LARGEST_WINDOW = 2**31 - 1
_DEFAULT_WINDOW = 65_535


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream)
    return head + payload


def _literal(name: str, value: str) -> bytes:
    """A header without indexing, its name as it is."""
    return bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def _context(keys: Keys) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=keys.ca.decode())
    context.set_alpn_protocols(["h2"])
    # Python reads a certificate's key from a file only.
    with tempfile.TemporaryDirectory(prefix="knit-test-") as directory:
        path = Path(directory, "client.pem")
        path.touch(mode=0o600)
        path.write_bytes(keys.cert + b"\n" + keys.key)
        context.load_cert_chain(path)
    return context


@contextlib.contextmanager
def call_that_reads_nothing(
    address: str, keys: Keys, method: str, request: bytes
) -> Iterator[ssl.SSLSocket]:
    """A call with the largest windows there are, whose answer nobody takes from the socket."""
    host, _, port = address.rpartition(":")
    headers = {
        ":method": "POST",
        ":scheme": "https",
        ":path": method,
        ":authority": SERVER_NAME,
        "content-type": "application/grpc",
        "te": "trailers",
    }
    block = b"".join(_literal(name, value) for name, value in headers.items())
    message = struct.pack(">BI", 0, len(request)) + request
    with (
        socket.create_connection((host, int(port)), timeout=30) as plain,
        _context(keys).wrap_socket(plain, server_hostname=SERVER_NAME) as tls,
    ):
        tls.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + _frame(_SETTINGS, 0, 0, struct.pack(">HI", _INITIAL_WINDOW_SIZE, _LARGEST_WINDOW))
            + _frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _LARGEST_WINDOW - _DEFAULT_WINDOW))
            + _frame(_HEADERS, _END_HEADERS, 1, block)
            + _frame(_DATA, _END_STREAM, 1, message)
        )
        yield tls
