"""
The certificates of one application.

Each application has an authority of its own, made at submission. It signs two certificates, the
Application Master's and the clients', and its key is then forgotten, so that nobody can sign a
third one.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

SERVER_NAME = "knit-application-master"
"""What the Application Master's certificate names, whichever node it runs on."""

#: Keys are always new and nothing outlives its application, so dates tell nothing; a client's or
#: a node's clock that is days or years off must not matter.
_NOT_BEFORE = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NOT_AFTER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc)


@attrs.frozen(kw_only=True)
class ClientTls:
    """What a client needs to talk to one application, each as PEM. Never shown."""

    ca: bytes = attrs.field(repr=False)
    """The authority's certificate, by which the Application Master is known."""
    cert: bytes = attrs.field(repr=False)
    """The client's certificate."""
    key: bytes = attrs.field(repr=False)
    """The client's private key."""


@attrs.frozen(kw_only=True)
class ApplicationTls:
    """What an application and its clients need, each as PEM. Never shown."""

    ca: bytes = attrs.field(repr=False)
    """The authority's certificate, by which clients are known."""
    cert: bytes = attrs.field(repr=False)
    """The Application Master's certificate."""
    key: bytes = attrs.field(repr=False)
    """The Application Master's private key, PKCS#8."""
    client: ClientTls = attrs.field(repr=False)
    """The clients' part."""

    @classmethod
    def generate(cls) -> ApplicationTls:
        """Makes an authority and what it signs; some milliseconds, and no network."""
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID

        ca_key = ec.generate_private_key(ec.SECP256R1())
        ca_name = _name("knit application authority")
        ca_cert = (
            _builder(ca_name, ca_name, ca_key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .sign(ca_key, _hash())
        )
        ca = _pem(ca_cert)
        cert, key = _signed(ca_cert, ca_key, SERVER_NAME, ExtendedKeyUsageOID.SERVER_AUTH)
        client_cert, client_key = _signed(
            ca_cert, ca_key, "knit-client", ExtendedKeyUsageOID.CLIENT_AUTH
        )
        client = ClientTls(ca=ca, cert=client_cert, key=client_key)
        return cls(ca=ca, cert=cert, key=key, client=client)


def _signed(
    ca_cert: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    name: str,
    usage: x509.ObjectIdentifier,
) -> tuple[bytes, bytes]:
    """Returns a new certificate of this authority, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    cert = (
        _builder(_name(name), ca_cert.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, _hash())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return _pem(cert), pem


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _hash() -> hashes.SHA256:
    from cryptography.hazmat.primitives import hashes

    return hashes.SHA256()


def _pem(cert: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return cert.public_bytes(Encoding.PEM)
