"""
The system's GSSAPI library as ctypes sees it: what it is called by, its types, one call of it.

MIT's library and Heimdal's on Linux, GSS.framework on macOS.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_LIBRARIES = ("libgssapi_krb5.so.2", "libgssapi.so.3")
_LIBRARY_NAMES = ("gssapi_krb5", "gssapi")
_FRAMEWORK = "/System/Library/Frameworks/GSS.framework/GSS"

_ROUTINE_ERRORS = 0xFFFF0000
"""The bits of a major status that mean failure; those below only add to a success."""
CONTINUE_NEEDED = 1
OUT_OF_ORDER = 2 | 4 | 8 | 16
"""Of a message that comes a second time, too late, too early, or after one that did not come."""
INITIATE = 1
INDEFINITE = 0xFFFFFFFF
_BY_GSS, _BY_MECHANISM = 1, 2

BAD_NAME = 2 << 16
NO_CREDENTIALS = 7 << 16
DEFECTIVE_TOKEN = 9 << 16
CREDENTIALS_EXPIRED = 11 << 16
FAILURE = 13 << 16
UNAVAILABLE = 16 << 16
"""Major statuses of RFC 2744."""


class GssError(Exception):
    """
    The library said no.

    Args:
        major: The major status of RFC 2744, its routine error only.
        minor: The mechanism's own status; of Kerberos, a code of krb5 as a signed number.
        text: What the library says to it, for people.
    """

    def __init__(self, major: int, minor: int, text: str) -> None:
        super().__init__(major, minor, text)
        self.major = major & _ROUTINE_ERRORS
        self.minor = ctypes.c_int32(minor).value
        self.text = text

    def __str__(self) -> str:
        return self.text


class GssLibraryError(GssError):
    """This machine has no GSSAPI library, or one that lacks what was asked of it."""

    def __init__(self, text: str) -> None:
        super().__init__(UNAVAILABLE, 0, text)
        self.args = (text,)


POINTER = ctypes.c_void_p
UINT32 = ctypes.c_uint32


class Oid(ctypes.Structure):
    # Apple packs this one for Intel, as its headers have since PowerPC.
    if sys.platform == "darwin" and os.uname().machine == "x86_64":
        _pack_ = 2
    _fields_ = (("length", UINT32), ("elements", POINTER))


class OidSet(ctypes.Structure):
    _fields_ = (("count", ctypes.c_size_t), ("elements", ctypes.POINTER(Oid)))


class Buffer(ctypes.Structure):
    _fields_ = (("length", ctypes.c_size_t), ("value", POINTER))


class StoreElement(ctypes.Structure):
    _fields_ = (("key", ctypes.c_char_p), ("value", ctypes.c_char_p))


class Store(ctypes.Structure):
    _fields_ = (("count", UINT32), ("elements", ctypes.POINTER(StoreElement)))


class _Place(ctypes.Structure):
    """`Dl_info`, of which the first field is the file."""

    _fields_ = (
        *(("file", ctypes.c_char_p), ("base", POINTER)),
        *(("name", ctypes.c_char_p), ("address", POINTER)),
    )


_keep_alive: list[object] = []


def _oid(encoded: bytes) -> Oid:
    data = ctypes.create_string_buffer(encoded, len(encoded))
    _keep_alive.append(data)
    return Oid(len(encoded), ctypes.cast(data, POINTER))


KRB5 = _oid(bytes.fromhex("2a864886f712010202"))
MECHANISMS = {"krb5": KRB5, "spnego": _oid(bytes.fromhex("2b0601050502"))}
HOST_BASED = _oid(bytes.fromhex("2a864886f71201020104"))
PRINCIPAL = _oid(bytes.fromhex("2a864886f71201020201"))

_u32_p = ctypes.POINTER(UINT32)
_int_p = ctypes.POINTER(ctypes.c_int)
_oid_p = ctypes.POINTER(Oid)
_buffer_p = ctypes.POINTER(Buffer)
_handle_p = ctypes.POINTER(POINTER)

_SIGNATURES: Mapping[str, tuple[Any, ...]] = {
    "gss_display_status": (_u32_p, UINT32, ctypes.c_int, _oid_p, _u32_p, _buffer_p),
    "gss_import_name": (_u32_p, _buffer_p, _oid_p, _handle_p),
    "gss_display_name": (_u32_p, POINTER, _buffer_p, ctypes.POINTER(_oid_p)),
    "gss_release_name": (_u32_p, _handle_p),
    "gss_release_buffer": (_u32_p, _buffer_p),
    "gss_acquire_cred": (
        *(_u32_p, POINTER, UINT32, ctypes.POINTER(OidSet), ctypes.c_int),
        *(_handle_p, POINTER, _u32_p),
    ),
    "gss_inquire_cred": (_u32_p, POINTER, _handle_p, _u32_p, _int_p, POINTER),
    "gss_release_cred": (_u32_p, _handle_p),
    "gss_init_sec_context": (
        *(_u32_p, POINTER, _handle_p, POINTER, _oid_p, UINT32, UINT32, POINTER),
        *(_buffer_p, POINTER, _buffer_p, _u32_p, _u32_p),
    ),
    "gss_delete_sec_context": (_u32_p, _handle_p, _buffer_p),
    "gss_wrap": (_u32_p, POINTER, ctypes.c_int, UINT32, _buffer_p, _int_p, _buffer_p),
    "gss_unwrap": (_u32_p, POINTER, _buffer_p, _buffer_p, _int_p, _u32_p),
    "gss_wrap_size_limit": (_u32_p, POINTER, ctypes.c_int, UINT32, UINT32, _u32_p),
}
_OPTIONAL: Mapping[str, tuple[Any, ...]] = {
    # Of MIT from 1.11 on; Heimdal's releases and GSS.framework do not have it.
    "gss_acquire_cred_from": (
        *(_u32_p, POINTER, UINT32, ctypes.POINTER(OidSet), ctypes.c_int),
        *(ctypes.POINTER(Store), _handle_p, POINTER, _u32_p),
    ),
}


@functools.cache
def loaded_library() -> ctypes.CDLL:
    """
    The library, which is loaded once.

    Raises:
        GssLibraryError: There is none.
    """
    tried: list[str] = []
    for name in _candidates():
        try:
            library = ctypes.CDLL(name)
            for function, arguments in _SIGNATURES.items():
                getattr(library, function).argtypes = arguments
                getattr(library, function).restype = UINT32
        except (OSError, AttributeError) as error:
            tried.append(f"{name}: {error}")
            continue
        for function, arguments in _OPTIONAL.items():
            if hasattr(library, function):
                getattr(library, function).argtypes = arguments
                getattr(library, function).restype = UINT32
        return library
    raise GssLibraryError(f"no GSSAPI library could be loaded ({'; '.join(tried) or 'none found'})")


def _candidates() -> Iterator[str]:
    if sys.platform == "darwin":
        yield _FRAMEWORK
        return
    if sys.platform == "win32":
        return
    yield from _LIBRARIES
    # Slow, for it asks ldconfig or a compiler: only where the usual names did not do.
    yield from filter(None, map(ctypes.util.find_library, _LIBRARY_NAMES))


def library_path() -> str:
    """
    The file of the library that is used.

    Raises:
        GssLibraryError: There is none.
    """
    library = loaded_library()
    place = _Place()
    try:
        dladdr = ctypes.CDLL(None).dladdr
    except (AttributeError, OSError):
        return library._name
    dladdr.argtypes = (POINTER, ctypes.POINTER(_Place))
    dladdr.restype = ctypes.c_int
    address = ctypes.cast(library.gss_import_name, POINTER)
    if dladdr(address, ctypes.byref(place)) and place.file:
        return os.fsdecode(os.path.realpath(place.file))
    return library._name


def call(function: str, *arguments: Any, mechanism: Oid = KRB5) -> int:
    """
    The major status of a call that went well.

    Raises:
        GssError: It did not.
    """
    minor = UINT32()
    major = int(getattr(loaded_library(), function)(ctypes.byref(minor), *arguments))
    if major & _ROUTINE_ERRORS:
        raise _error(major, minor.value, mechanism)
    return major


def _error(major: int, minor: int, mechanism: Oid) -> GssError:
    # The mechanism's sentence is the one that says something, and the library keeps it by thread.
    # Where Kerberos has nothing to add, MIT's numbers that as another code and calls it success.
    said = _status(minor, _BY_MECHANISM, mechanism) if minor else ""
    if said in ("", "Success"):
        said = _status(major, _BY_GSS, None)
    return GssError(major, minor, said)


def _status(code: int, kind: int, mechanism: Oid | None) -> str:
    library, minor, more, said = loaded_library(), UINT32(), UINT32(), []
    oid = None if mechanism is None else ctypes.byref(mechanism)
    # Eight sentences are more than any library has for one code; a broken one would never end.
    for _ in range(8):
        out = Buffer()
        if library.gss_display_status(minor, code, kind, oid, more, out) & _ROUTINE_ERRORS:
            break
        said.append(taken(out).decode("utf-8", "replace").strip())
        if not more.value:
            break
    return "; ".join(filter(None, said))


def taken(buffer: Buffer) -> bytes:
    """What the library wrote, which is then given back to it."""
    data = ctypes.string_at(buffer.value, buffer.length) if buffer.value else b""
    loaded_library().gss_release_buffer(UINT32(), buffer)
    return data


def given(data: bytes) -> Buffer:
    """A buffer over bytes that the caller keeps alive."""
    return Buffer(len(data), ctypes.cast(ctypes.c_char_p(data), POINTER))


@contextmanager
def imported_name(text: str, kind: Oid) -> Iterator[ctypes.c_void_p]:
    """A name in the library's own form, for as long as the block lasts."""
    data = text.encode()
    name = POINTER()
    call("gss_import_name", given(data), kind, ctypes.byref(name))
    try:
        yield name
    finally:
        loaded_library().gss_release_name(UINT32(), name)
