"""The certificates of one application."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from knit._wire.tls import ROLES, SERVER_NAME, ApplicationTls


@pytest.fixture(scope="module")
def tls() -> ApplicationTls:
    return ApplicationTls.generate()


def certs(tls: ApplicationTls) -> list[bytes]:
    """The Application Master's certificate, and its clients'."""
    return [tls.cert, *(client.cert for client in tls.clients.values())]


def test_all_certificates_are_signed_by_the_authority(tls: ApplicationTls) -> None:
    ca = x509.load_pem_x509_certificate(tls.ca)
    for cert in certs(tls):
        x509.load_pem_x509_certificate(cert).verify_directly_issued_by(ca)
    assert {client.ca for client in tls.clients.values()} == {tls.ca}
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_each_certificate_serves_its_side_only(tls: ApplicationTls) -> None:
    usages = [
        list(
            x509.load_pem_x509_certificate(cert)
            .extensions.get_extension_for_class(x509.ExtendedKeyUsage)
            .value
        )
        for cert in certs(tls)
    ]
    clients = [[ExtendedKeyUsageOID.CLIENT_AUTH]] * len(ROLES)
    assert usages == [[ExtendedKeyUsageOID.SERVER_AUTH], *clients]


def test_a_clients_certificate_says_its_role_and_no_name_of_a_host(tls: ApplicationTls) -> None:
    assert list(tls.clients) == ["owner", "operator", "viewer", "container"]
    for role, client in tls.clients.items():
        names = x509.load_pem_x509_certificate(client.cert).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        assert list(names.value) == [x509.UniformResourceIdentifier(f"knit:role/{role}")]
    assert tls.client is tls.clients["owner"]
    keys = {tls.key, *(client.key for client in tls.clients.values())}
    assert len(keys) == 1 + len(ROLES), "no key serves two"
    assert len(tls.token_key) == 32


def test_the_server_is_named_whatever_node_it_runs_on(tls: ApplicationTls) -> None:
    names = x509.load_pem_x509_certificate(tls.cert).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == [SERVER_NAME]
    assert SERVER_NAME == "knit-application-master"


def test_certificates_hold_whatever_a_clock_says(tls: ApplicationTls) -> None:
    """One that lost its battery begins at 1970."""
    for cert in (tls.ca, *certs(tls)):
        loaded = x509.load_pem_x509_certificate(cert)
        assert loaded.not_valid_before_utc <= datetime(1970, 1, 1, tzinfo=timezone.utc)
        assert loaded.not_valid_after_utc >= datetime(9999, 12, 31, tzinfo=timezone.utc)


def test_keys_are_p256_in_pkcs8(tls: ApplicationTls) -> None:
    for key in (tls.key, tls.client.key):
        assert key.startswith(b"-----BEGIN PRIVATE KEY-----")
        loaded = load_pem_private_key(key, None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        assert isinstance(loaded.curve, ec.SECP256R1)


def test_no_two_applications_share_an_authority(tls: ApplicationTls) -> None:
    assert ApplicationTls.generate().ca != tls.ca


def test_nothing_of_it_is_shown(tls: ApplicationTls) -> None:
    assert repr(tls) == "ApplicationTls()"
    assert repr(tls.client) == "ClientTls()"
