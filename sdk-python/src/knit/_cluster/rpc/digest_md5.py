"""
SASL's DIGEST-MD5 mechanism (RFC 2831), as Hadoop uses it with tokens.

The user is a token's identifier and the password its password. MD5 and the ciphers are what the
protocol has, and what Java's side of it knows; who listens to such a connection and may not, should
find Kerberos or an encrypted network in its place.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import re
import secrets
import struct
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from knit._cluster.rpc.protection import (
    LARGEST_MESSAGE_BYTES,
    Layer,
    Protection,
    SaslRefusedError,
    describe,
)
from knit._cluster.security.tokens import Token

#: Those worth the name, the faster one first, with the bytes of a block.
_CIPHERS = {"rc4": 1, "3des": 8}
_MAC_BYTES = 10
_VERSION = struct.pack(">H", 1)
_OVERHEAD_BYTES = 32
"""Of a wrapped message at most: a MAC, padding to a block, version and number."""
_PAIR = re.compile(
    rb'\s*([A-Za-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",\s]+))\s*(?:,|$)', re.DOTALL
)
_MD5 = functools.partial(hashlib.md5, usedforsecurity=False)
"""Machines in FIPS mode refuse it else; what it protects is what Hadoop protects by it."""
_SIZE = re.compile(r"[0-9]{1,8}")
"""RFC 2831 ends it before 16 MiB."""


class DigestMd5:
    """
    Proves that we know a secret, and has the server prove that it knows it.

    Args:
        user: Whose secret; of a token, its identifier in base64.
        password: The secret, likewise.
        protections: What may protect the connection, the best liked first.
        protocol: The first part of what the server goes by; empty for tokens.
        server_id: The second.
        client_nonce: Our part of the challenge. Default: random.
    """

    def __init__(
        self,
        user: str,
        password: str,
        protections: Sequence[Protection],
        *,
        protocol: str,
        server_id: str,
        client_nonce: str | None = None,
    ) -> None:
        self._user = user
        self._password = password
        self._uri = f"{protocol}/{server_id}"
        self._protections = protections
        self._client_nonce = client_nonce or base64.b64encode(secrets.token_bytes(24)).decode()
        self._expected: str | None = None
        self._proven = False
        self._layer: Layer | None = None

    @classmethod
    def of_token(
        cls, token: Token, protections: Sequence[Protection], *, protocol: str, server_id: str
    ) -> DigestMd5:
        """Proves that we hold a token."""
        user, password = (
            base64.b64encode(part).decode() for part in (token.identifier, token.password)
        )
        return cls(user, password, protections, protocol=protocol, server_id=server_id)

    @property
    def is_complete(self) -> bool:
        return self._proven

    @property
    def layer(self) -> Layer | None:
        return self._layer

    def respond(self, challenge: bytes) -> bytes:
        if self._expected is None:
            return self._answer(_parsed(challenge))
        told = _parsed(challenge).get("rspauth", "")
        if not hmac.compare_digest(told.encode(), self._expected.encode()):
            raise SaslRefusedError("the server does not know the token's secret")
        self._proven = True
        return b""

    def _answer(self, asked: Mapping[str, str]) -> bytes:
        if asked.get("algorithm") != "md5-sess" or not asked.get("nonce"):
            raise SaslRefusedError("the server's challenge is not one of DIGEST-MD5")
        chosen = self._choose(asked.get("qop", "auth"))
        realm, nonce = asked.get("realm", ""), asked["nonce"]
        given: dict[str, str | int] = {
            "charset": "utf-8",
            "username": self._user,
            "realm": realm,
            "nonce": nonce,
            "nc": "00000001",
            "cnonce": self._client_nonce,
            "digest-uri": self._uri,
        }
        if chosen is not Protection.AUTHENTICATION:
            given["maxbuf"] = LARGEST_MESSAGE_BYTES
        cipher = None
        if chosen is Protection.PRIVACY:
            offered = [name.strip() for name in asked.get("cipher", "").split(",")]
            cipher = next((name for name in _CIPHERS if name in offered), None)
            if cipher is None:
                raise SaslRefusedError(
                    f"the server offers the ciphers {', '.join(offered) or 'none'}, of which none "
                    f"is {' or '.join(_CIPHERS)}; other ones hide nothing"
                )
            given["cipher"] = cipher
        secret = _md5(f"{self._user}:{realm}:{self._password}".encode())
        session = _md5(secret + f":{nonce}:{self._client_nonce}".encode())

        def proof(verb: str) -> str:
            about = f"{verb}:{self._uri}"
            if chosen is not Protection.AUTHENTICATION:
                about += ":" + "0" * 32
            middle = f"{nonce}:00000001:{self._client_nonce}:{chosen.value}"
            return _hex(f"{session.hex()}:{middle}:{_hex(about)}")

        given |= {"response": proof("AUTHENTICATE"), "qop": chosen.value}
        self._expected = proof("")
        if chosen is not Protection.AUTHENTICATION:
            taken = asked.get("maxbuf") or str(LARGEST_MESSAGE_BYTES)
            if not _SIZE.fullmatch(taken):
                raise SaslRefusedError("the server does not say how much it takes at a time")
            largest = max(1, int(taken) - _OVERHEAD_BYTES)
            self._layer = layer_of(session, cipher, largest, "client")
        return ",".join(map(_written, given, given.values())).encode()

    def _choose(self, told: str) -> Protection:
        offered = [Protection(name.strip()) for name in told.split(",") if name.strip() in _NAMES]
        chosen = next((p for p in self._protections if p in offered), None)
        if chosen is None:
            raise SaslRefusedError(
                f"the server offers as protection: {describe(offered)}; hadoop.rpc.protection "
                f"here allows: {describe(self._protections)}. Set it as the cluster has it"
            )
        return chosen

    def close(self) -> None:
        """Nothing is held."""


_NAMES = {protection.value for protection in Protection}
_BARE = ("charset", "nc", "response", "qop", "maxbuf")


def _written(name: str, value: str | int) -> str:
    if name in _BARE:
        return f"{name}={value}"
    quoted = re.sub(r'(["\\])', r"\\\1", str(value))
    return f'{name}="{quoted}"'


def _parsed(data: bytes) -> Mapping[str, str]:
    """The pairs of a challenge; of names that come more than once, the first."""
    found: dict[str, str] = {}
    position = 0
    while position < len(data):
        match = _PAIR.match(data, position)
        if match is None:
            raise SaslRefusedError("the server's challenge cannot be read")
        value = match[3] if match[2] is None else re.sub(rb"\\(.)", rb"\1", match[2])
        found.setdefault(match[1].decode().lower(), value.decode("utf-8", "replace"))
        position = match.end()
    return found


def layer_of(session: bytes, cipher: str | None, largest_bytes: int, side: str) -> Layer:
    """
    What protects one end of a connection.

    Args:
        session: The hash that both ends have of the secret and their challenges.
        cipher: What encrypts; None for checksums alone.
        largest_bytes: How much may be wrapped at a time.
        side: Which end: `client` or `server`.
    """
    other = "server" if side == "client" else "client"
    signing = {
        end: _md5(
            session + f"Digest session key to {end}-to-{peer} signing key magic constant".encode()
        )
        for end, peer in (("client", "server"), ("server", "client"))
    }
    if cipher is None:
        return _Integrity(signing[side], signing[other], largest_bytes)
    # rc4 and 3des have all of the hash for their keys.
    sealing = {
        end: _md5(session + f"Digest H(A1) to {end}-to-{peer} sealing key magic constant".encode())
        for end, peer in (("client", "server"), ("server", "client"))
    }
    return _Privacy(
        (signing[side], signing[other]), (sealing[side], sealing[other]), cipher, largest_bytes
    )


class _Integrity:
    """Checksums and numbers: a message that was changed, left out or repeated is not taken."""

    def __init__(self, own: bytes, theirs: bytes, largest_bytes: int) -> None:
        self.largest_bytes = largest_bytes
        self._own = own
        self._theirs = theirs
        self._sent = 0
        self._received = 0
        self._sending, self._receiving = threading.Lock(), threading.Lock()

    def wrap(self, data: bytes) -> bytes:
        with self._sending:
            number = struct.pack(">I", self._sent)
            self._sent += 1
            return self._seal(data, _mac(self._own, number, data)) + _VERSION + number

    def unwrap(self, data: bytes) -> bytes:
        with self._receiving:
            body, version, number = data[:-6], data[-6:-4], data[-4:]
            message, mac = self._open(body)
            if (
                version != _VERSION
                or number != struct.pack(">I", self._received)
                or not hmac.compare_digest(mac, _mac(self._theirs, number, message))
            ):
                raise SaslRefusedError("a message was changed on its way")
            self._received += 1
            return message

    def _seal(self, data: bytes, mac: bytes) -> bytes:
        return data + mac

    def _open(self, body: bytes) -> tuple[bytes, bytes]:
        return body[:-_MAC_BYTES], body[-_MAC_BYTES:]


class _Privacy(_Integrity):
    """The same, encrypted."""

    def __init__(
        self,
        signing: tuple[bytes, bytes],
        sealing: tuple[bytes, bytes],
        cipher: str,
        largest_bytes: int,
    ) -> None:
        super().__init__(*signing, largest_bytes)
        self._block = _CIPHERS[cipher]
        self._encryptor = _cipher(cipher, sealing[0]).encryptor()
        self._decryptor = _cipher(cipher, sealing[1]).decryptor()

    def _seal(self, data: bytes, mac: bytes) -> bytes:
        padding = b""
        if self._block > 1:
            count = self._block - (len(data) + _MAC_BYTES) % self._block
            padding = bytes((count,)) * count
        sealed: bytes = self._encryptor.update(data + padding + mac)
        return sealed

    def _open(self, body: bytes) -> tuple[bytes, bytes]:
        opened = self._decryptor.update(body)
        message, mac = opened[:-_MAC_BYTES], opened[-_MAC_BYTES:]
        if self._block > 1:
            count = message[-1] if message else 0
            if not 1 <= count <= self._block:
                raise SaslRefusedError("a message was changed on its way")
            message = message[:-count]
        return message, mac


def _cipher(name: str, key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers import Cipher, modes

    try:
        from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4, TripleDES
    except ImportError:  # before cryptography 43 for the one, 45 for the other
        from cryptography.hazmat.primitives.ciphers.algorithms import (
            ARC4,
            TripleDES,
        )
    if name == "rc4":
        return Cipher(ARC4(key), mode=None)  # noqa: S304  (what the protocol has)
    # Two keys of 56 bits, each spread over 8 bytes, and the vector is the end of the hash.
    one, two = _des_key(key[:7]), _des_key(key[7:14])
    return Cipher(TripleDES(one + two + one), modes.CBC(key[8:]))


def _des_key(key: bytes) -> bytes:
    """56 bits as DES wants them: seven in each byte, and a bit for parity that nobody looks at."""
    bits = int.from_bytes(key, "big")
    return bytes((bits >> 7 * (7 - index) & 0x7F) << 1 for index in range(8))


def _mac(key: bytes, number: bytes, data: bytes) -> bytes:
    return hmac.new(key, number + data, _MD5).digest()[:_MAC_BYTES]


def _md5(data: bytes) -> bytes:
    return _MD5(data).digest()


def _hex(text: str) -> str:
    return _md5(text.encode()).hex()
