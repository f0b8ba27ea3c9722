"""
A realm without a KDC: tickets that are made here, for MIT's own library on both ends.

A ticket is a message to the service under the service's key. Who has that key can write one, so a
client with such a ticket in its cache asks no KDC, and the service cannot tell the difference.
"""

from __future__ import annotations

import ctypes
import os
import struct
import time
from pathlib import Path

import pytest

from knit._cluster.security.gss_library import (
    POINTER,
    UINT32,
    Buffer,
    GssLibraryError,
    call,
    given,
    library_path,
    taken,
)
from knit._cluster.security.gss_library import loaded_library as library
from knit._cluster.security.gssapi import SecurityContext
from tests.fakes.server import closed_port

REALM = "EXAMPLE.COM"
_AES128, _KEY_BYTES = 17, 16
_TICKET_USE = 2
_CONTINUE_NEEDED = 1


class Realm:
    """
    Tickets of `alice@EXAMPLE.COM`, and a keytab for those that take them.

    Args:
        directory: Where the cache and the keytab are written.
    """

    def __init__(self, directory: Path) -> None:
        self.cache = directory / "tickets"
        self.keytab = directory / "service.keytab"
        self._service_key = os.urandom(_KEY_BYTES)

    def write_cache(
        self, *servers: str, owner: str = "alice", ends: float = 3600, renewable: float = 0
    ) -> None:
        """
        A cache with a ticket for each of these, and the one that gets all others.

        Args:
            servers: Such as `rm/localhost`.
            owner: Whose.
            ends: In so many seconds.
            renewable: For so many seconds; 0: they are not.
        """
        now = int(time.time())
        times = (now - 60, now - 60, now + int(ends), now + int(renewable) if renewable else 0)
        tickets = [self._cached(owner, name, times) for name in (f"krbtgt/{REALM}", *servers)]
        head = b"\x05\x04" + struct.pack(">H", 0)
        self.cache.write_bytes(head + _principal_in_cache(owner) + b"".join(tickets))

    def write_keytab(self, *services: str) -> None:
        """The key of each of these."""
        self.keytab.write_bytes(b"\x05\x02" + b"".join(map(self._in_keytab, services)))

    def _in_keytab(self, name: str) -> bytes:
        parts = name.split("/")
        data = struct.pack(">H", len(parts)) + _short(REALM) + b"".join(map(_short, parts))
        data += struct.pack(">IIBH", 1, 0, 1, _AES128) + _short(self._service_key)
        data += struct.pack(">I", 1)
        return struct.pack(">i", len(data)) + data

    def _cached(self, owner: str, server: str, times: tuple[int, ...]) -> bytes:
        session_key = os.urandom(_KEY_BYTES)
        flags = 0x40C00000 if times[3] else 0x40400000
        data = _principal_in_cache(owner) + _principal_in_cache(server)
        data += struct.pack(">H", _AES128) + _long(session_key)
        data += struct.pack(">4IBI", *times, 0, flags) + struct.pack(">II", 0, 0)
        return data + _long(self._ticket(owner, server, session_key, flags, times)) + _long(b"")

    def _ticket(
        self, owner: str, server: str, key: bytes, flags: int, times: tuple[int, ...]
    ) -> bytes:
        """RFC 4120, section 5.3."""
        content = _application(
            3,
            _bit_string(flags),
            _sequence(_integer(_AES128), _octets(key)),
            _string(REALM),
            _name(owner),
            _sequence(_integer(1), _octets(b"")),
            *map(_time, times[:3] if not times[3] else times),
        )
        sealed = _encrypted(self._service_key, content)
        return _application(
            1,
            _integer(5),
            _string(REALM),
            _name(server),
            _sequence(_integer(_AES128), _integer(1), _octets(sealed)),
        )


class Acceptor(SecurityContext):
    """A service's end of a talk, by the keytab that KRB5_KTNAME names."""

    def __init__(self) -> None:
        super().__init__("service@here")
        function = library().gss_accept_sec_context
        function.restype = UINT32
        function.argtypes = (
            *(ctypes.POINTER(UINT32), ctypes.POINTER(POINTER), POINTER, ctypes.POINTER(Buffer)),
            *(POINTER, POINTER, POINTER, ctypes.POINTER(Buffer)),
            *(ctypes.POINTER(UINT32), ctypes.POINTER(UINT32), POINTER),
        )

    def step(self, token: bytes | None = None) -> bytes:
        out = Buffer()
        try:
            major = call(
                "gss_accept_sec_context",
                *(ctypes.byref(self._handle), None, ctypes.byref(given(token or b"")), None, None),
                *(None, ctypes.byref(out), None, None, None),
            )
        finally:
            answer = taken(out)
        self._complete = not major & _CONTINUE_NEEDED
        return answer


class _Key(ctypes.Structure):
    _fields_ = (
        *(("magic", ctypes.c_int32), ("kind", ctypes.c_int32)),
        *(("length", ctypes.c_uint), ("contents", ctypes.c_char_p)),
    )


class _Data(ctypes.Structure):
    _fields_ = (("magic", ctypes.c_int32), ("length", ctypes.c_uint), ("data", ctypes.c_void_p))


class _Encrypted(ctypes.Structure):
    _fields_ = (
        *(("magic", ctypes.c_int32), ("kind", ctypes.c_int32)),
        *(("version", ctypes.c_uint32), ("text", _Data)),
    )


def _encrypted(key: bytes, content: bytes) -> bytes:
    krb5 = library()  # which brings the others along
    context, size = ctypes.c_void_p(), ctypes.c_size_t()
    assert krb5.krb5_init_context(ctypes.byref(context)) == 0
    lengths = (context, _AES128, ctypes.c_size_t(len(content)), ctypes.byref(size))
    assert krb5.krb5_c_encrypt_length(*lengths) == 0
    room = ctypes.create_string_buffer(size.value)
    source = ctypes.create_string_buffer(content, len(content))
    plain = _Data(0, len(content), ctypes.cast(source, ctypes.c_void_p))
    sealed = _Encrypted(text=_Data(0, size.value, ctypes.cast(room, ctypes.c_void_p)))
    arguments = (_TICKET_USE, None, ctypes.byref(plain), ctypes.byref(sealed))
    made = _Key(0, _AES128, len(key), key)
    assert krb5.krb5_c_encrypt(context, ctypes.byref(made), *arguments) == 0
    krb5.krb5_free_context.restype = None
    krb5.krb5_free_context(context)
    return room.raw[: sealed.text.length]


def _short(data: str | bytes) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    return struct.pack(">H", len(data)) + data


def _long(data: str | bytes) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    return struct.pack(">I", len(data)) + data


def _principal_in_cache(name: str) -> bytes:
    parts = name.split("/")
    return struct.pack(">II", 1, len(parts)) + _long(REALM) + b"".join(map(_long, parts))


def _der(tag: int, data: bytes) -> bytes:
    size = len(data)
    if size < 0x80:
        return bytes((tag, size)) + data
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + data


def _sequence(*fields: bytes) -> bytes:
    return _der(0x30, b"".join(_der(0xA0 + number, field) for number, field in enumerate(fields)))


def _application(number: int, *fields: bytes) -> bytes:
    return _der(0x60 + number, _sequence(*fields))


def _integer(value: int) -> bytes:
    return _der(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _octets(data: bytes) -> bytes:
    return _der(0x04, data)


def _string(text: str) -> bytes:
    return _der(0x1B, text.encode())


def _bit_string(bits: int) -> bytes:
    return _der(0x03, b"\0" + bits.to_bytes(4, "big"))


def _time(seconds: int) -> bytes:
    return _der(0x18, time.strftime("%Y%m%d%H%M%SZ", time.gmtime(seconds)).encode())


def _name(name: str) -> bytes:
    return _sequence(_integer(1), _der(0x30, b"".join(map(_string, name.split("/")))))


def use_realm(monkeypatch: pytest.MonkeyPatch, directory: Path) -> Realm:
    """
    A realm for this process: of its tickets the cache is empty, and its KDC is down.

    Skips where the library is not MIT's, whose forms these are.
    """
    try:
        path = library_path()
    except GssLibraryError as none:
        pytest.skip(str(none))
    if "gssapi_krb5" not in path:
        pytest.skip(f"{path} is not MIT's, whose forms these are")
    realm = Realm(directory)
    conf = directory / "krb5.conf"
    conf.write_text(
        f"[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n"
        " udp_preference_limit = 1\n dns_canonicalize_hostname = false\n"
        f"[realms]\n {REALM} = {{\n  kdc = localhost:{closed_port()}\n }}\n"
    )
    monkeypatch.setenv("KRB5_CONFIG", str(conf))
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{realm.cache}")
    monkeypatch.setenv("KRB5_KTNAME", f"FILE:{realm.keytab}")
    monkeypatch.setenv("KRB5RCACHENAME", "none:")
    monkeypatch.delenv("KRB5_CLIENT_KTNAME", raising=False)
    return realm
