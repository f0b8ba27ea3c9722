"""
The certificates of one application.

Each application has an authority of its own, made at submission. It signs the Application
Master's certificate and one for each role of its clients, and its key is then forgotten, so that
nobody can sign another one.

A client's certificate says its role as a URI among its alternative names, `knit:role/viewer`.
There, and not in the subject, for a subject is made for people and is spelled in as many ways as
there are programs that print it, while an alternative name is compared byte by byte.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

SERVER_NAME = "knit-application-master"
"""What the Application Master's certificate names, whichever node it runs on."""

OWNER = "owner"
ROLES = (OWNER, "operator", "viewer", "container")
"""What a client may be. Containers have a token of their own beside the certificate."""

TOKEN_KEY_BYTES = 32

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
    token: str | None = attrs.field(default=None, repr=False)
    """By which a container says which one it is; sent as `knit-token` with each call."""
    server_name: str = attrs.field(default=SERVER_NAME, repr=False)
    """The name that the Application Master's certificate must have."""


@attrs.frozen(kw_only=True)
class ApplicationTls:
    """What an application and its clients need, each as PEM. Never shown."""

    ca: bytes = attrs.field(repr=False)
    """The authority's certificate, by which clients are known."""
    cert: bytes = attrs.field(repr=False)
    """The Application Master's certificate."""
    key: bytes = attrs.field(repr=False)
    """The Application Master's private key, PKCS#8."""
    clients: Mapping[str, ClientTls] = attrs.field(repr=False)
    """The clients' part, by role."""
    token_key: bytes = attrs.field(repr=False)
    """With which the Application Master makes the tokens of containers."""

    @property
    def client(self) -> ClientTls:
        """The owner's part, with which everything may be done."""
        return self.clients[OWNER]

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
        cert, key = _signed(
            ca_cert,
            ca_key,
            SERVER_NAME,
            ExtendedKeyUsageOID.SERVER_AUTH,
            x509.DNSName(SERVER_NAME),
        )
        clients = {}
        for role in ROLES:
            client_cert, client_key = _signed(
                ca_cert,
                ca_key,
                f"knit-{role}",
                ExtendedKeyUsageOID.CLIENT_AUTH,
                x509.UniformResourceIdentifier(f"knit:role/{role}"),
            )
            clients[role] = ClientTls(ca=ca, cert=client_cert, key=client_key)
        token_key = secrets.token_bytes(TOKEN_KEY_BYTES)
        return cls(ca=ca, cert=cert, key=key, clients=clients, token_key=token_key)


def _signed(
    ca_cert: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    name: str,
    usage: x509.ObjectIdentifier,
    alternative_name: x509.GeneralName,
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
        .add_extension(x509.SubjectAlternativeName([alternative_name]), critical=False)
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
