"""
The system's GSSAPI, by ctypes: nothing to compile, and nothing beside the standard library.

MIT's library and Heimdal's on Linux, GSS.framework on macOS. Threads may call everything here at
the same time, but each security context is one thread's at a time.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import enum
import functools
import hashlib
import os
import sys
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

_LIBRARIES = ("libgssapi_krb5.so.2", "libgssapi.so.3")
_LIBRARY_NAMES = ("gssapi_krb5", "gssapi")
_FRAMEWORK = "/System/Library/Frameworks/GSS.framework/GSS"

_ROUTINE_ERRORS = 0xFFFF0000
"""The bits of a major status that mean failure; those below only add to a success."""
_CONTINUE_NEEDED = 1
_INITIATE = 1
_INDEFINITE = 0xFFFFFFFF
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


class ContextFlag(enum.IntFlag):
    """What is wanted of a security context."""

    DELEGATE = 1
    MUTUAL = 2
    REPLAY = 4
    SEQUENCE = 8
    CONFIDENTIALITY = 16
    INTEGRITY = 32


_POINTER = ctypes.c_void_p
_UINT32 = ctypes.c_uint32


class _Oid(ctypes.Structure):
    # Apple packs this one for Intel, as its headers have since PowerPC.
    if sys.platform == "darwin" and os.uname().machine == "x86_64":
        _pack_ = 2
    _fields_ = (("length", _UINT32), ("elements", _POINTER))


class _OidSet(ctypes.Structure):
    _fields_ = (("count", ctypes.c_size_t), ("elements", ctypes.POINTER(_Oid)))


class _Buffer(ctypes.Structure):
    _fields_ = (("length", ctypes.c_size_t), ("value", _POINTER))


class _StoreElement(ctypes.Structure):
    _fields_ = (("key", ctypes.c_char_p), ("value", ctypes.c_char_p))


class _Store(ctypes.Structure):
    _fields_ = (("count", _UINT32), ("elements", ctypes.POINTER(_StoreElement)))


class _Place(ctypes.Structure):
    """`Dl_info`, of which the first field is the file."""

    _fields_ = (
        *(("file", ctypes.c_char_p), ("base", _POINTER)),
        *(("name", ctypes.c_char_p), ("address", _POINTER)),
    )


_keep_alive: list[object] = []


def _oid(encoded: bytes) -> _Oid:
    data = ctypes.create_string_buffer(encoded, len(encoded))
    _keep_alive.append(data)
    return _Oid(len(encoded), ctypes.cast(data, _POINTER))


_KRB5 = _oid(bytes.fromhex("2a864886f712010202"))
_MECHANISMS = {"krb5": _KRB5, "spnego": _oid(bytes.fromhex("2b0601050502"))}
_HOST_BASED = _oid(bytes.fromhex("2a864886f71201020104"))
_PRINCIPAL = _oid(bytes.fromhex("2a864886f71201020201"))

_u32_p = ctypes.POINTER(_UINT32)
_int_p = ctypes.POINTER(ctypes.c_int)
_oid_p = ctypes.POINTER(_Oid)
_buffer_p = ctypes.POINTER(_Buffer)
_handle_p = ctypes.POINTER(_POINTER)

_SIGNATURES: Mapping[str, tuple[Any, ...]] = {
    "gss_display_status": (_u32_p, _UINT32, ctypes.c_int, _oid_p, _u32_p, _buffer_p),
    "gss_import_name": (_u32_p, _buffer_p, _oid_p, _handle_p),
    "gss_display_name": (_u32_p, _POINTER, _buffer_p, ctypes.POINTER(_oid_p)),
    "gss_release_name": (_u32_p, _handle_p),
    "gss_release_buffer": (_u32_p, _buffer_p),
    "gss_acquire_cred": (
        *(_u32_p, _POINTER, _UINT32, ctypes.POINTER(_OidSet), ctypes.c_int),
        *(_handle_p, _POINTER, _u32_p),
    ),
    "gss_inquire_cred": (_u32_p, _POINTER, _handle_p, _u32_p, _int_p, _POINTER),
    "gss_release_cred": (_u32_p, _handle_p),
    "gss_init_sec_context": (
        *(_u32_p, _POINTER, _handle_p, _POINTER, _oid_p, _UINT32, _UINT32, _POINTER),
        *(_buffer_p, _POINTER, _buffer_p, _u32_p, _u32_p),
    ),
    "gss_delete_sec_context": (_u32_p, _handle_p, _buffer_p),
    "gss_wrap": (_u32_p, _POINTER, ctypes.c_int, _UINT32, _buffer_p, _int_p, _buffer_p),
    "gss_unwrap": (_u32_p, _POINTER, _buffer_p, _buffer_p, _int_p, _u32_p),
    "gss_wrap_size_limit": (_u32_p, _POINTER, ctypes.c_int, _UINT32, _UINT32, _u32_p),
}
_OPTIONAL: Mapping[str, tuple[Any, ...]] = {
    # Of MIT from 1.11 on; Heimdal's releases and GSS.framework do not have it.
    "gss_acquire_cred_from": (
        *(_u32_p, _POINTER, _UINT32, ctypes.POINTER(_OidSet), ctypes.c_int),
        *(ctypes.POINTER(_Store), _handle_p, _POINTER, _u32_p),
    ),
}


@functools.cache
def _library() -> ctypes.CDLL:
    tried: list[str] = []
    for name in _candidates():
        try:
            library = ctypes.CDLL(name)
            for function, arguments in _SIGNATURES.items():
                getattr(library, function).argtypes = arguments
                getattr(library, function).restype = _UINT32
        except (OSError, AttributeError) as error:
            tried.append(f"{name}: {error}")
            continue
        for function, arguments in _OPTIONAL.items():
            if hasattr(library, function):
                getattr(library, function).argtypes = arguments
                getattr(library, function).restype = _UINT32
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
    library = _library()
    place = _Place()
    try:
        dladdr = ctypes.CDLL(None).dladdr
    except (AttributeError, OSError):
        return library._name
    dladdr.argtypes = (_POINTER, ctypes.POINTER(_Place))
    dladdr.restype = ctypes.c_int
    address = ctypes.cast(library.gss_import_name, _POINTER)
    if dladdr(address, ctypes.byref(place)) and place.file:
        return os.fsdecode(os.path.realpath(place.file))
    return library._name


def _call(function: str, *arguments: Any, mechanism: _Oid = _KRB5) -> int:
    """The major status of a call that went well."""
    minor = _UINT32()
    major = int(getattr(_library(), function)(ctypes.byref(minor), *arguments))
    if major & _ROUTINE_ERRORS:
        raise _error(major, minor.value, mechanism)
    return major


def _error(major: int, minor: int, mechanism: _Oid) -> GssError:
    # The mechanism's sentence is the one that says something, and the library keeps it by thread.
    # Where Kerberos has nothing to add, MIT's numbers that as another code and calls it success.
    said = _status(minor, _BY_MECHANISM, mechanism) if minor else ""
    if said in ("", "Success"):
        said = _status(major, _BY_GSS, None)
    return GssError(major, minor, said)


def _status(code: int, kind: int, mechanism: _Oid | None) -> str:
    library, minor, more, said = _library(), _UINT32(), _UINT32(), []
    oid = None if mechanism is None else ctypes.byref(mechanism)
    # Eight sentences are more than any library has for one code; a broken one would never end.
    for _ in range(8):
        out = _Buffer()
        if library.gss_display_status(minor, code, kind, oid, more, out) & _ROUTINE_ERRORS:
            break
        said.append(_taken(out).decode("utf-8", "replace").strip())
        if not more.value:
            break
    return "; ".join(filter(None, said))


def _taken(buffer: _Buffer) -> bytes:
    """What the library wrote, which is then given back to it."""
    data = ctypes.string_at(buffer.value, buffer.length) if buffer.value else b""
    _library().gss_release_buffer(_UINT32(), buffer)
    return data


def _given(data: bytes) -> _Buffer:
    """A buffer over bytes that the caller keeps alive."""
    return _Buffer(len(data), ctypes.cast(ctypes.c_char_p(data), _POINTER))


@contextmanager
def _name(text: str, kind: _Oid) -> Iterator[ctypes.c_void_p]:
    data = text.encode()
    name = _POINTER()
    _call("gss_import_name", _given(data), kind, ctypes.byref(name))
    try:
        yield name
    finally:
        _library().gss_release_name(_UINT32(), name)


class Credentials:
    """
    Where tickets come from: a description, which holds none itself.

    Each use reads the cache anew, so that a ticket renewed in the meantime is the one that is used.
    They survive pickle and fork.
    """

    def __init__(self, keytab: str | None, principal: str | None) -> None:
        self._keytab = keytab
        self._wanted = principal

    @classmethod
    def default(cls, principal: str | None = None) -> Credentials:
        """
        As the environment and krb5.conf say: `KRB5CCNAME`, else the library's default cache.

        Where that is empty, MIT's library fetches a ticket with `KRB5_CLIENT_KTNAME`.

        Args:
            principal: Only this one's. The default is whose the cache is.
        """
        return cls(None, principal)

    @classmethod
    def of_keytab(cls, path: str | os.PathLike[str], principal: str | None = None) -> Credentials:
        """
        Those of a keytab, in a cache in this process's memory; a ticket that ends is replaced.

        Args:
            path: The keytab's file.
            principal: Whose, such as `etl@EXAMPLE.COM`. The default is the keytab's first.

        Raises:
            GssLibraryError: There is no library, or it cannot do this (macOS, Heimdal).
        """
        if not hasattr(_library(), "gss_acquire_cred_from"):
            raise GssLibraryError(
                f"{library_path()} cannot take a ticket by keytab; kinit -kt FILE PRINCIPAL can"
            )
        return cls(os.path.abspath(path), principal)

    def __repr__(self) -> str:
        source = "default cache" if self._keytab is None else self._keytab
        return f"<Credentials of {self._wanted or source}>"

    @property
    def keytab(self) -> str | None:
        """The keytab's file; None where it is the default cache."""
        return self._keytab

    @property
    def principal(self) -> str:
        """
        Whose they are: `alice@EXAMPLE.COM`.

        Raises:
            GssError: There is no ticket, or none to be had.
        """
        with self._acquired() as handle:
            name = _POINTER()
            _call("gss_inquire_cred", handle, ctypes.byref(name), None, None, None)
            try:
                out = _Buffer()
                _call("gss_display_name", name, ctypes.byref(out), None)
                return _taken(out).decode("utf-8", "replace")
            finally:
                _library().gss_release_name(_UINT32(), name)

    @property
    def expires_at(self) -> datetime | None:
        """
        When the ticket ends; None if never. One that has ended is told with the present.

        Raises:
            GssError: There is no ticket, or none to be had.
        """
        with self._acquired() as handle:
            seconds = _UINT32()
            try:
                _call("gss_inquire_cred", handle, None, ctypes.byref(seconds), None, None)
            except GssError as error:
                if error.major != CREDENTIALS_EXPIRED:
                    raise
                seconds.value = 0
        if seconds.value == _INDEFINITE:
            return None
        return datetime.now(timezone.utc) + timedelta(seconds=seconds.value)

    @contextmanager
    def _acquired(self, mechanism: _Oid = _KRB5) -> Iterator[ctypes.c_void_p]:
        handle = _POINTER()
        wanted = _OidSet(1, ctypes.pointer(mechanism))
        arguments: list[Any] = [0, ctypes.byref(wanted), _INITIATE]
        function = "gss_acquire_cred"
        if self._keytab is not None:
            function = "gss_acquire_cred_from"
            elements = (_StoreElement * 2)(
                _StoreElement(b"client_keytab", os.fsencode(f"FILE:{self._keytab}")),
                _StoreElement(b"ccache", self._cache().encode()),
            )
            arguments.append(ctypes.byref(_Store(2, elements)))
        arguments += [ctypes.byref(handle), None, None]
        if self._wanted is None:
            _call(function, None, *arguments, mechanism=mechanism)
        else:
            with _name(self._wanted, _PRINCIPAL) as name:
                _call(function, name, *arguments, mechanism=mechanism)
        try:
            yield handle
        finally:
            _library().gss_release_cred(_UINT32(), handle)

    def _cache(self) -> str:
        # The library replaces what is in it from half of a ticket's life on. One name for each
        # keytab, for such a cache lives as long as the process.
        whose = f"{self._keytab}\0{self._wanted or ''}"
        return f"MEMORY:knit-{os.getpid()}-{hashlib.sha256(whose.encode()).hexdigest()[:16]}"


class SecurityContext:
    """
    A talk with one server that proves who each side is. Not to be shared by threads, nor forked.

    Args:
        target: `HTTP@host`, which the library makes a principal of as krb5.conf says, or a whole
            principal, `rm/host@REALM`, which is taken as it is.
        mechanism: `spnego`, as web servers want it, or bare `krb5`, as SASL does.
        credentials: Whose. The default is the environment's.
        flags: What is wanted. MUTUAL: the server has to prove itself too.
    """

    def __init__(
        self,
        target: str,
        *,
        mechanism: Literal["spnego", "krb5"] = "spnego",
        credentials: Credentials | None = None,
        flags: ContextFlag = ContextFlag.MUTUAL,
    ) -> None:
        self.target = target
        self._mechanism = _MECHANISMS[mechanism]
        self._credentials = credentials or Credentials.default()
        self._flags = flags
        self._granted = ContextFlag(0)
        self._complete = False
        self._handle = _POINTER()
        self._release = weakref.finalize(self, _delete_context, self._handle)

    @property
    def is_complete(self) -> bool:
        """Whether both sides have said all."""
        return self._complete

    @property
    def granted(self) -> ContextFlag:
        """What was agreed on, once it is complete."""
        return self._granted

    def step(self, token: bytes | None = None) -> bytes:
        """
        The next token for the server; empty where there is nothing more to say.

        Args:
            token: What the server sent; None at the beginning.

        Raises:
            GssError: No ticket, an unknown server, or a token that proves nothing.
        """
        try:
            return self._step(token, self._mechanism)
        except GssError as error:
            if self._mechanism is _KRB5 or token is not None:
                raise
            # SPNEGO renumbers what Kerberos says; Kerberos itself is asked why.
            self.close()
            raise self._reason() or error from None

    def _reason(self) -> GssError | None:
        bare = SecurityContext(
            self.target, mechanism="krb5", credentials=self._credentials, flags=self._flags
        )
        try:
            bare.step()
        except GssError as error:
            return error
        finally:
            bare.close()
        return None

    def _step(self, token: bytes | None, mechanism: _Oid) -> bytes:
        if self._complete:
            raise GssError(FAILURE, 0, "the context is complete, and takes no more tokens")
        kind = _PRINCIPAL if "/" in self.target.partition("@")[0] else _HOST_BASED
        incoming = _given(token) if token is not None else _Buffer(0, None)
        out, flags = _Buffer(), _UINT32()
        with (
            self._credentials._acquired(mechanism) as credentials,
            _name(self.target, kind) as name,
        ):
            try:
                major = _call(
                    "gss_init_sec_context",
                    *(credentials, ctypes.byref(self._handle), name, ctypes.byref(mechanism)),
                    *(int(self._flags), 0, None, ctypes.byref(incoming), None),
                    *(ctypes.byref(out), ctypes.byref(flags), None),
                    mechanism=mechanism,
                )
            finally:
                answer = _taken(out)
        if not major & _CONTINUE_NEEDED:
            self._granted = ContextFlag(flags.value & int(_EVERY_FLAG))
            missing = self._flags & ContextFlag.MUTUAL & ~self._granted
            if missing:
                raise GssError(FAILURE, 0, "the server did not prove who it is")
            self._complete = True
        return answer

    def wrap(self, data: bytes, *, confidential: bool) -> bytes:
        """
        A message with its checksum, and encrypted if wanted.

        Raises:
            GssError: Encryption is wanted and was not agreed on, or the context has ended.
        """
        out, encrypted = _Buffer(), ctypes.c_int()
        _call(
            "gss_wrap",
            *(self._handle, int(confidential), 0, ctypes.byref(_given(data))),
            *(ctypes.byref(encrypted), ctypes.byref(out)),
        )
        message = _taken(out)
        if confidential and not encrypted.value:
            raise GssError(FAILURE, 0, "the library did not encrypt what it was to encrypt")
        return message

    def unwrap(self, data: bytes) -> tuple[bytes, bool]:
        """
        What a message holds, and whether it was encrypted.

        Raises:
            GssError: It was changed on its way, or repeated.
        """
        out, encrypted = _Buffer(), ctypes.c_int()
        _call(
            "gss_unwrap",
            *(self._handle, ctypes.byref(_given(data)), ctypes.byref(out)),
            *(ctypes.byref(encrypted), None),
        )
        return _taken(out), bool(encrypted.value)

    def wrap_size_limit(self, most: int, *, confidential: bool) -> int:
        """How many bytes can be wrapped into a message of this many at most."""
        size = _UINT32()
        _call("gss_wrap_size_limit", self._handle, int(confidential), 0, most, ctypes.byref(size))
        return size.value

    def close(self) -> None:
        """Gives back what the library holds for it. May be called again."""
        self._release()

    def __enter__(self) -> SecurityContext:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_EVERY_FLAG = functools.reduce(lambda one, other: one | other, ContextFlag)


def _delete_context(handle: ctypes.c_void_p) -> None:
    if handle:
        _library().gss_delete_sec_context(_UINT32(), ctypes.byref(handle), None)
