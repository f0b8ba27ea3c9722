"""Certificates made for a test, and servers that show them."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from tests.fakes.server import FakeServer

PASSWORD = "changeit"


@attrs.frozen
class Identity:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def signed(
        cls,
        name: str,
        by: Identity | None = None,
        *,
        ends: timedelta = timedelta(days=1),
        address: str = "127.0.0.1",
    ) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = datetime.now(timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(by.certificate.subject if by else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), False
            )
        )
        return cls(builder.sign(by.key if by else key, hashes.SHA256()), key)

    def write(self, path: Path) -> Path:
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(self.certificate.public_bytes(Encoding.PEM) + key)
        return path

    def truststore(self, password: str = PASSWORD) -> bytes:
        if not hasattr(pkcs12, "serialize_java_truststore"):
            pytest.skip("the lowest cryptography reads truststores, and writes none")
        mine = pkcs12.PKCS12Certificate(self.certificate, b"authority")
        encryption = BestAvailableEncryption(password.encode())
        return pkcs12.serialize_java_truststore([mine], encryption)


def serve_tls(
    server: FakeServer, identity: Identity, path: Path, *, demands: Identity | None = None
) -> None:
    """Has a server speak TLS from now on, and want a certificate that somebody signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.write(path / "server.pem"))
    if demands is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(demands.write(path / "clients.pem"))
    server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
