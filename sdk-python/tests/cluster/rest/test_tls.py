"""Daemons behind TLS: which authorities are trusted, and what is told of the others."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from knit._cluster.rest.authentication import SimpleAuthentication
from knit._cluster.rest.client import HttpClient
from knit._cluster.rest.daemons import RESOURCE_MANAGER
from knit._cluster.rest.trust import Trust, context_of
from knit._values.deadlines import Deadline
from knit.exceptions import (
    ClusterUnreachableError,
    ConfigurationError,
    WrongPortError,
)
from tests.fakes.yarn import FakeResourceManager


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
        "-subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 "
        "-keyout key.pem -out cert.pem"
    )
    try:
        subprocess.run(command.split(), cwd=directory, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl makes the certificate")
    return directory


class TestTls:
    @pytest.fixture
    def secure(self, certificate: Path) -> Iterator[str]:
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
        server = FakeResourceManager()
        server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
        yield server.url.replace("http:", "https:")
        server.stop()

    def _info(self, url: str, ca_file: str | None) -> int:
        trust = Trust(context_of(ca_file)) if ca_file else None
        http = HttpClient(SimpleAuthentication("alice"), trust=trust)
        response = http.request(
            "GET",
            f"{url}/ws/v1/cluster/info",
            what="Asking",
            daemon=RESOURCE_MANAGER,
            deadline=Deadline.after(timedelta(seconds=5)),
        )
        http.close()
        return response.status

    def test_the_authority_named_is_trusted(self, secure: str, certificate: Path) -> None:
        assert self._info(secure, str(certificate / "cert.pem")) == 200

    def test_an_unknown_authority_is_told_with_the_property(self, secure: str) -> None:
        with pytest.raises(ClusterUnreachableError, match=r"not trusted here.*knit\.tls\.ca-file"):
            self._info(secure, None)

    def test_http_to_a_tls_port_is_told(self, secure: str) -> None:
        with pytest.raises((WrongPortError, ClusterUnreachableError)) as failure:
            self._info(secure.replace("https:", "http:"), None)
        assert "web port" in failure.value.message

    @pytest.mark.parametrize("content", [None, "not a certificate"])
    def test_a_file_of_authorities_that_is_none_is_told(
        self, tmp_path: Path, content: str | None
    ) -> None:
        path = tmp_path / "ca.pem"
        if content is not None:
            path.write_text(content)
        with pytest.raises(ConfigurationError, match=r"ca\.pem.*knit\.tls\.ca-file"):
            context_of(str(path))
