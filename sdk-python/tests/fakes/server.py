"""Servers over real sockets that say what a test tells them to."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Request:
    """What a server was asked."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def user(self) -> str:
        """As whom it is to be done: a server that believes what it is told."""
        for name in ("doas", "doAs", "user.name"):
            if name in self.query:
                return self.query[name]
        return "dr.who"


@dataclass
class Answer:
    """What it says."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut_off_after: int | None = None
    """So many bytes of the body are sent, and then the connection breaks."""

    @classmethod
    def json(cls, value: object, status: int = 200) -> Answer:
        return cls(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    @classmethod
    def error(cls, status: int, exception: str, message: str) -> Answer:
        remote = {"exception": exception, "javaClassName": f"org.{exception}", "message": message}
        return cls.json({"RemoteException": remote}, status)

    @classmethod
    def html(cls, status: int, title: str) -> Answer:
        page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
        return cls(status, page.encode(), {"Content-Type": "text/html;charset=utf-8"})


class FakeServer:
    """One HTTP server on a port of its own; `answer` says what it does."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Request] = []
        self.answers_with: Callable[[Request], Answer | None] | None = None
        """Asked first; None from it means the usual answer."""
        self._connections: set[socket.socket] = set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def setup(self) -> None:
                super().setup()
                server._connections.add(self.connection)

            def finish(self) -> None:
                server._connections.discard(self.connection)
                super().finish()

            def serve(self) -> None:
                parts = urlsplit(self.path)
                query = {
                    name: values[-1]
                    for name, values in parse_qs(parts.query, keep_blank_values=True).items()
                }
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                if len(body) < length:
                    return  # the client gave up, so nothing comes of it
                request = Request(
                    self.command,
                    unquote(parts.path),
                    query,
                    {name.lower(): value for name, value in self.headers.items()},
                    body,
                )
                server.requests.append(request)
                answer = server.answers_with(request) if server.answers_with else None
                if answer is None:
                    answer = server.answer(request)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body[: answer.cut_off_after])
                self.close_connection = answer.cut_off_after is not None

            do_GET = do_PUT = do_POST = do_DELETE = serve  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that hangs up early is none of a test's business

        self._server = Server(("127.0.0.1", port), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, request: Request) -> Answer:
        raise NotImplementedError

    def asked(self, *, op: str | None = None, path: str | None = None) -> list[Request]:
        """What was asked so far, by WebHDFS operation or path."""
        return [
            request
            for request in self.requests
            if (op is None or request.query.get("op") == op)
            and (path is None or request.path == path)
        ]

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            # As a process that dies does, also for connections that are kept for later.
            for connection in list(self._connections):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class FakeRpcPort:
    """A port of Hadoop's RPC: whatever comes in, it answers as Hadoop does to HTTP."""

    TEXT = (
        b"HTTP/1.1 404 Not Found\r\nContent-type: text/plain\r\n\r\n"
        b"It looks like you are making an HTTP request to a Hadoop IPC port. "
        b"This is not the correct port for the web interface on this daemon.\r\n"
    )

    def __init__(self, text: bytes = TEXT) -> None:
        self._text = text
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(self._text)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        # shutdown, since close alone does not wake accept.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def __enter__(self) -> FakeRpcPort:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def closed_port() -> int:
    """A port at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def now_ms() -> int:
    return int(time.time() * 1000)
