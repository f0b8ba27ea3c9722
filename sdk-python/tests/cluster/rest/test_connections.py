"""Servers that say no while they are being sent something, and hang up."""

from __future__ import annotations

import io
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from knit._cluster.hdfs.transfer import DataNodes
from knit._cluster.rest.authentication import SimpleAuthentication
from knit._cluster.rest.client import HttpClient
from knit._cluster.rest.trust import Trust, context_of
from knit.exceptions import ClusterUnreachableError, QuotaExceededError
from tests.fakes.server import Answer
from tests.fakes.tls import Identity

MORE_THAN_FITS_BETWEEN = 64 << 20
"""Bytes: more than the buffers of both sides take, so that the end of the talk is noticed."""
REFUSAL = Answer.error(403, "NSQuotaExceededException", "The NameSpace quota is exceeded").body


class HangsUp:
    """Reads the head of a request, says something, and closes whatever is on its way."""

    def __init__(self, says: bytes, tls: ssl.SSLContext | None) -> None:
        self._says, self._tls = says, tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        # As Netty: what has not left is lost with the connection.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            try:
                connection = self._tls.wrap_socket(connection, server_side=True)
            except OSError:  # the client does not trust us
                return
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(1)
            connection.sendall(self._says)

    def stop(self) -> None:
        self._listener.close()
        self._thread.join(60)


@pytest.fixture(params=["http", "https"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[bytes], None]]:
    """Sends a file to a DataNode that says this and hangs up."""
    servers = []
    authority = Identity.signed("127.0.0.1")
    certificate = authority.write(tmp_path / "server.pem")
    trust = Trust(context_of(str(certificate)))
    http = HttpClient(SimpleAuthentication("alice"), trust=trust)

    def write(says: bytes) -> None:
        tls = None
        if request.param == "https":
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
        servers.append(HangsUp(says, tls))
        DataNodes(http).write(
            f"{request.param}://127.0.0.1:{servers[-1].port}/webhdfs/v1/x?op=CREATE&delegation=t",
            io.BytesIO(bytes(MORE_THAN_FITS_BETWEEN)),
            MORE_THAN_FITS_BETWEEN,
            what="Writing /x",
            progress=None,
            timeout=timedelta(seconds=60),
        )

    yield write
    http.close()
    for server in servers:
        server.stop()


def test_what_a_data_node_says_before_it_hangs_up_is_heard(
    write: Callable[[bytes], None],
) -> None:
    head = f"HTTP/1.1 403 Forbidden\r\nContent-Length: {len(REFUSAL)}\r\nConnection: close\r\n\r\n"
    with pytest.raises(QuotaExceededError, match="quota is exceeded"):
        write(b"HTTP/1.1 100 Continue\r\n\r\n" + head.encode() + REFUSAL)


def test_one_that_is_not_trusted_is_told_with_what_trusts_it(tmp_path: Path) -> None:
    """It was reached, and another way there would help nobody."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(Identity.signed("127.0.0.1").write(tmp_path / "server.pem"))
    server = HangsUp(b"", tls)
    http = HttpClient(SimpleAuthentication("alice"), trust=Trust(ssl.create_default_context()))
    with pytest.raises(ClusterUnreachableError) as failure:
        DataNodes(http).write(
            f"https://127.0.0.1:{server.port}/webhdfs/v1/x?op=CREATE&delegation=t",
            io.BytesIO(b"x"),
            1,
            what="Writing /x",
            progress=None,
            timeout=timedelta(seconds=60),
        )
    http.close()
    server.stop()
    message = failure.value.message
    assert f"sent us to the DataNode 127.0.0.1:{server.port}, and that failed: the cert" in message
    assert "ssl-client.xml" in message
    assert "HttpFS" not in message
    assert message.count("Writing /x") == 1


def test_one_that_says_nothing_is_gone(write: Callable[[bytes], None]) -> None:
    with pytest.raises(ClusterUnreachableError, match="closed the connection before it had"):
        write(b"")
