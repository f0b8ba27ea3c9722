"""Java's truststores are read without Java."""

from __future__ import annotations

import contextlib
import hashlib
import struct
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from knit._cluster.security.truststores import PasswordError, TruststoreError, certificates_in

DATA = Path(__file__).parent / "data" / "truststores"
STORES = ("trust.jks", "trust.jceks", "trust.p12", "legacy.p12")
PASSWORD = "changeit"
AUTHORITY = x509.load_pem_x509_certificate((DATA / "authority.pem").read_bytes()).public_bytes(
    Encoding.DER
)


def text(value: str) -> bytes:
    return struct.pack(">H", len(value)) + value.encode()


def sized(value: bytes) -> bytes:
    return struct.pack(">i", len(value)) + value


def certificate(value: bytes, version: int = 2, kind: str = "X.509") -> bytes:
    return (text(kind) if version == 2 else b"") + sized(value)


def entry(tag: int, content: bytes) -> bytes:
    return struct.pack(">i", tag) + text("alias") + bytes(8) + content


def jks(
    *entries: bytes, version: int = 2, password: str = PASSWORD, magic: int = 0xFEEDFEED
) -> bytes:
    body = struct.pack(">Iii", magic, version, len(entries)) + b"".join(entries)
    salted = password.encode("utf-16-be") + b"Mighty Aphrodite" + body
    return body + hashlib.sha1(salted).digest()


class TestFilesOfJavas:
    @pytest.mark.parametrize("name", STORES)
    @pytest.mark.parametrize("kind", ["jks", "PKCS12"])
    def test_what_is_in_them(self, name: str, kind: str) -> None:
        """Whatever they are said to be: Java does not mind either."""
        assert certificates_in((DATA / name).read_bytes(), kind, PASSWORD) == [AUTHORITY]

    @pytest.mark.parametrize("name", STORES)
    def test_a_wrong_password_is_told(self, name: str) -> None:
        with pytest.raises(PasswordError, match="another password"):
            certificates_in((DATA / name).read_bytes(), "jks", "wrong")

    def test_one_of_suns_own_format_is_read_without_a_password(self) -> None:
        """What is in it is no secret, and Java reads it too, unverified."""
        assert certificates_in((DATA / "trust.jks").read_bytes(), "jks", None) == [AUTHORITY]
        with pytest.raises(PasswordError):
            certificates_in((DATA / "trust.p12").read_bytes(), "PKCS12", None)

    def test_a_file_of_pem_is_one_too(self) -> None:
        content = (DATA / "authority.pem").read_bytes()
        assert certificates_in(content + content, "PEM", None) == [AUTHORITY, AUTHORITY]

    @pytest.mark.parametrize(
        ("content", "kind"),
        [((DATA / "trust.p12").read_bytes(), "BCFKS"), (b"\0\0\0\1nonsense", "jks"), (b"", "jks")],
    )
    def test_another_kind_is_told(self, content: bytes, kind: str) -> None:
        with pytest.raises(TruststoreError, match=f"of the type {kind}"):
            certificates_in(content, kind, PASSWORD)


class TestSunsFormat:
    def test_of_a_key_its_own_certificate_counts(self) -> None:
        """And of its chain no other, as in Java."""
        chain = struct.pack(">i", 2) + certificate(b"own") + certificate(b"issuer's")
        content = jks(entry(1, sized(b"secret") + chain), entry(2, certificate(b"other")))
        assert certificates_in(content, "jks", PASSWORD) == [b"own", b"other"]

    def test_of_its_first_version(self) -> None:
        content = jks(entry(2, certificate(b"one", version=1)), version=1)
        assert certificates_in(content, "jks", PASSWORD) == [b"one"]

    def test_certificates_of_another_kind_are_left_out(self) -> None:
        content = jks(entry(2, certificate(b"pgp", kind="PGP")), entry(2, certificate(b"x")))
        assert certificates_in(content, "jks", PASSWORD) == [b"x"]

    def test_a_password_may_have_any_letters(self) -> None:
        content = jks(entry(2, certificate(b"x")), password="pässwörd")
        assert certificates_in(content, "jks", "pässwörd") == [b"x"]

    def test_a_changed_byte_is_noticed(self) -> None:
        content = bytearray(jks(entry(2, certificate(b"true"))))
        content[content.index(b"true")] ^= 1
        with pytest.raises(PasswordError, match="or is damaged"):
            certificates_in(bytes(content), "jks", PASSWORD)

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (jks(), "has no certificate"),
            (jks(version=3), "version 3"),
            (jks(entry(3, b""), magic=0xCECECECE), "a secret key"),
            (jks(entry(2, certificate(b"x")))[:-21] + bytes(20), "ends too early"),
            (jks(entry(2, text("X.509") + struct.pack(">i", -5))), "ends too early"),
            (jks(entry(2, text("X.509") + struct.pack(">i", 2**31 - 1))), "ends too early"),
            (b"\xfe\xed\xfe\xed" + bytes(8), "too short"),
        ],
    )
    def test_a_damaged_one_is_told(self, content: bytes, says: str) -> None:
        with pytest.raises(TruststoreError, match=says):
            certificates_in(content, "jks", None)

    @given(st.binary(max_size=200))
    def test_whatever_it_holds_nothing_else_is_raised(self, content: bytes) -> None:
        for beginning in (b"\xfe\xed\xfe\xed\0\0\0\2\0\0\0\3", b"\x30", b"-----BEGIN", b""):
            with contextlib.suppress(TruststoreError):
                assert certificates_in(beginning + content, "jks", None)
