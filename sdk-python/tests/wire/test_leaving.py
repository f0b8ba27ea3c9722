"""
Calls that begin just as their server leaves.

Its HTTP/2 is spoken by hand: a server of gRPC's says so at another moment each time.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator

import grpc
import pytest

from knit._wire.channel import _OPTIONS
from knit._wire.connection import Stubs
from knit.v1 import application_service_pb2, event_service_pb2

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, SETTINGS, GOAWAY = 1, 4, 7

Call = Callable[[Stubs], object]

CALLS: dict[str, Call] = {
    "unary": lambda stubs: stubs.application.GetApplication(
        application_service_pb2.GetApplicationRequest(), timeout=5
    ),
    "stream": lambda stubs: list(
        stubs.events.WatchEvents(event_service_pb2.WatchEventsRequest(), timeout=5)
    ),
}


class Leaving:
    """A server that says goodbye to the first call, which it has not looked at, and is gone."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.was_called = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.close()
        self._thread.join(60)

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rb") as received:
            assert received.read(len(PREFACE)) == PREFACE
            connection.sendall(frame(SETTINGS))
            while head := received.read(9):
                length, kind = int.from_bytes(head[:3], "big"), head[3]
                received.read(length)
                if kind == HEADERS:
                    self.was_called = True
                    break
            self._listener.close()
            last_stream_seen, no_error = 0, 0
            connection.sendall(frame(GOAWAY, struct.pack(">II", last_stream_seen, no_error)))


def frame(kind: int, payload: bytes = b"") -> bytes:
    """On the connection itself, not on a stream of it."""
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, 0, 0) + payload


@pytest.fixture
def leaving() -> Iterator[Leaving]:
    server = Leaving()
    yield server
    server.close()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_that_begins_as_its_server_leaves_ends(leaving: Leaving, call: Call) -> None:
    """One that has not ended long after its deadline would not end at all."""
    channel = grpc.insecure_channel(leaving.address, options=_OPTIONS)
    found: list[grpc.StatusCode] = []

    def make() -> None:
        try:
            call(Stubs.over(channel))
        except grpc.RpcError as error:
            found.append(error.code())

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    thread.join(60)
    assert leaving.was_called
    assert found == [grpc.StatusCode.UNAVAILABLE]
    channel.close()
