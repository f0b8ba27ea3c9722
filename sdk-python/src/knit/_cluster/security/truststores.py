"""
Java's truststores: the certificates in a PKCS12 or JKS file.

What of such a file counts is told by its content and not by what it is called, as in Java, whose
own `JKS` has read both since version 9.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterator

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

LARGEST_BYTES = 16 * 1024 * 1024
"""Of a truststore. Java's own, with every public authority, has less than 200 KB."""

_JKS, _JCEKS = 0xFEEDFEED, 0xCECECECE
_KEY, _CERTIFICATE = 1, 2
_DIGEST_BYTES = 20
#: What is hashed between the password and the content; it means nothing.
_SALT = b"Mighty Aphrodite"
_X509 = ("X.509", "X509")


class TruststoreError(Exception):
    """A truststore cannot be used; the message says why, in a part of a sentence."""


class PasswordError(TruststoreError):
    """Its password is another one, or none was given."""


def certificates_in(content: bytes, kind: str, password: str | None) -> list[bytes]:
    """
    The certificates that Java would trust by this truststore, in DER.

    Args:
        content: The whole file.
        kind: What it is said to be; looked at only where the content could be two things.
        password: None for none. Without one a JKS file is read and not verified, as in Java.

    Raises:
        PasswordError: Another password is needed.
        TruststoreError: It is damaged, or of a kind that is not read.
    """
    magic = int.from_bytes(content[:4], "big")
    if magic in (_JKS, _JCEKS):
        found = _in_jks(content, password)
    elif content[:1] == b"\x30" and kind.upper() != "BCFKS":
        found = _in_pkcs12(content, password)
    elif content.lstrip().startswith(b"-----BEGIN"):
        found = [each.public_bytes(Encoding.DER) for each in _in_pem(content)]
    else:
        raise TruststoreError(f"is of the type {kind}, and only PKCS12, JKS and PEM are read")
    if not found:
        raise TruststoreError("has no certificate in it")
    return found


def _in_pem(content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise TruststoreError(f"is damaged ({error})") from error


def _in_pkcs12(content: bytes, password: str | None) -> list[bytes]:
    try:
        store = pkcs12.load_pkcs12(content, None if password is None else password.encode())
    except UnsupportedAlgorithm as error:
        raise TruststoreError(f"is encrypted in a way that is not read ({error})") from error
    except ValueError as error:
        # The library says the same of both.
        if "password" in str(error).lower():
            raise PasswordError("has another password, or is damaged") from error
        raise TruststoreError(f"is damaged ({error})") from error
    found = [store.cert, *store.additional_certs]
    return [each.certificate.public_bytes(Encoding.DER) for each in found if each is not None]


def _in_jks(content: bytes, password: str | None) -> list[bytes]:
    """
    Reads a file of Sun's own format.

    After a magic number, the version and a count come the entries, and a digest of password and
    content. Numbers are big-endian, texts have their length in two bytes.
    """
    if len(content) < 12 + _DIGEST_BYTES:
        raise TruststoreError("is damaged (it is too short)")
    body, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if password is not None:
        salted = password.encode("utf-16-be") + _SALT + body
        # The format's own hash, of a file that is as safe as its directory.
        if not hmac.compare_digest(hashlib.sha1(salted).digest(), digest):  # noqa: S324
            raise PasswordError("has another password, or is damaged")
    try:
        return list(_entries(_Reader(body)))
    except (struct.error, ValueError) as error:
        raise TruststoreError(f"is damaged ({error})") from error


def _entries(reader: _Reader) -> Iterator[bytes]:
    reader.number()
    version = reader.number()
    if version not in (1, 2):
        raise TruststoreError(f"has the version {version} of its format, which is not known")
    for _ in range(reader.number()):
        tag = reader.number()
        reader.text()
        reader.take(8)  # when it was added
        if tag == _CERTIFICATE:
            found = [_certificate(reader, version)]
        elif tag == _KEY:
            reader.take(reader.number())
            found = [_certificate(reader, version) for _ in range(reader.number())]
        else:
            raise TruststoreError(
                "holds a secret key beside its certificates (JCEKS), which is not read"
            )
        # Of a key's chain Java trusts the key's own.
        yield from filter(None, found[:1])


def _certificate(reader: _Reader, version: int) -> bytes | None:
    kind = reader.text() if version == 2 else _X509[0]
    found = reader.take(reader.number())
    return found if kind in _X509 else None


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if size < 0 or end > len(self._content):
            raise ValueError("it ends too early")
        found, self._at = self._content[self._at : end], end
        return found

    def number(self) -> int:
        found: int = struct.unpack(">i", self.take(4))[0]
        return found

    def text(self) -> str:
        (size,) = struct.unpack(">H", self.take(2))
        return self.take(size).decode("utf-8", "replace")
