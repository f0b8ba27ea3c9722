"""
What the default cache of tickets holds, for people: GSSAPI does not tell where it is.

By the functions of libkrb5 beneath MIT's GSSAPI. Other libraries have others, and nothing is told.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

import attrs

from knit._cluster.security.gssapi import library_path

_MOST_TICKETS = 10_000
"""Of one cache; a library that never says the end would be asked for ever."""


@attrs.frozen
class CacheReport:
    """The default cache, and the ticket in it that gets all others."""

    name: str
    """With its kind: `FILE:/tmp/krb5cc_1000`, `KCM:1000`."""
    principal: str | None = None
    expires_at: datetime | None = None
    """None where there is no such ticket."""
    renewable_until: datetime | None = None
    """None where it cannot be renewed."""
    problem: str | None = None
    """Why it cannot be read, in the library's words."""

    @property
    def kind(self) -> str:
        return self.name.partition(":")[0] if ":" in self.name else "FILE"


class Krb5Error(Exception):
    """libkrb5 said no; the message is its own."""


class _Data(ctypes.Structure):
    _fields_ = (
        *(("magic", ctypes.c_int32), ("length", ctypes.c_uint)),
        ("data", ctypes.c_void_p),
    )


class _Creds(ctypes.Structure):
    """`krb5_creds`, whose layout MIT has promised since 1.0."""

    _fields_ = (
        *(("magic", ctypes.c_int32), ("client", ctypes.c_void_p), ("server", ctypes.c_void_p)),
        *(("key_magic", ctypes.c_int32), ("key_type", ctypes.c_int32)),
        *(("key_length", ctypes.c_uint), ("key", ctypes.c_void_p)),
        *(("authtime", ctypes.c_uint32), ("starttime", ctypes.c_uint32)),
        *(("endtime", ctypes.c_uint32), ("renew_till", ctypes.c_uint32)),
        *(("is_skey", ctypes.c_uint), ("flags", ctypes.c_int32), ("addresses", ctypes.c_void_p)),
        *(("ticket", _Data), ("second_ticket", _Data), ("authdata", ctypes.c_void_p)),
    )


_P = ctypes.c_void_p
_PP = ctypes.POINTER(ctypes.c_void_p)
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "krb5_init_context": (_PP,),
    "krb5_free_context": (_P,),
    "krb5_get_error_message": (_P, ctypes.c_int32),
    "krb5_free_error_message": (_P, _P),
    "krb5_cc_default": (_P, _PP),
    "krb5_cc_default_name": (_P,),
    "krb5_cc_close": (_P, _P),
    "krb5_cc_get_full_name": (_P, _P, _PP),
    "krb5_cc_get_principal": (_P, _P, _PP),
    "krb5_cc_start_seq_get": (_P, _P, _PP),
    "krb5_cc_next_cred": (_P, _P, _PP, ctypes.POINTER(_Creds)),
    "krb5_cc_end_seq_get": (_P, _P, _PP),
    "krb5_free_cred_contents": (_P, ctypes.POINTER(_Creds)),
    "krb5_unparse_name": (_P, _P, _PP),
    "krb5_free_unparsed_name": (_P, _P),
    "krb5_free_string": (_P, _P),
    "krb5_free_principal": (_P, _P),
    "krb5_get_default_realm": (_P, _PP),
    "krb5_free_default_realm": (_P, _P),
}
_TELL_NO_ERROR = (
    *("krb5_free_context", "krb5_free_error_message", "krb5_free_cred_contents"),
    *("krb5_free_unparsed_name", "krb5_free_string", "krb5_free_principal"),
    "krb5_free_default_realm",
)


@functools.cache
def _library() -> ctypes.CDLL | None:
    path = library_path()
    if "gssapi_krb5" not in os.path.basename(path):
        return None
    library = ctypes.CDLL(path)
    try:
        for name, arguments in _FUNCTIONS.items():
            function = getattr(library, name)  # of a library beneath, which comes with it
            function.argtypes = arguments
            function.restype = None if name in _TELL_NO_ERROR else ctypes.c_int32
        for name in ("krb5_get_error_message", "krb5_cc_default_name"):
            getattr(library, name).restype = _P
    except AttributeError:
        return None
    return library


class _Context:
    def __init__(self, library: ctypes.CDLL, handle: ctypes.c_void_p) -> None:
        self.library, self.handle = library, handle

    def call(self, function: str, *arguments: Any) -> None:
        code = getattr(self.library, function)(self.handle, *arguments)
        if code:
            raise Krb5Error(self.said(code))

    def said(self, code: int) -> str:
        return _said(self.library, self.handle, code)

    def text(self, function: str, free: str, *arguments: Any) -> str:
        out = _P()
        self.call(function, *arguments, ctypes.byref(out))
        try:
            return ctypes.string_at(out.value or 0).decode("utf-8", "replace")
        finally:
            getattr(self.library, free)(self.handle, out)


def _said(library: ctypes.CDLL, handle: ctypes.c_void_p | None, code: int) -> str:
    message = library.krb5_get_error_message(handle, code)
    if not message:
        return f"krb5 error {code}"
    try:
        return ctypes.string_at(message).decode("utf-8", "replace")
    finally:
        library.krb5_free_error_message(handle, message)


@contextmanager
def _context() -> Iterator[_Context | None]:
    library = _library()
    if library is None:
        yield None
        return
    handle = _P()
    code = library.krb5_init_context(ctypes.byref(handle))
    if code:
        raise Krb5Error(_said(library, None, code))
    try:
        yield _Context(library, handle)
    finally:
        library.krb5_free_context(handle)


def default_realm() -> str | None:
    """
    The realm that krb5.conf names; None where it names none, or the library does not tell.

    Raises:
        GssLibraryError: There is no library.
        Krb5Error: krb5.conf cannot be read.
    """
    with _context() as context:
        if context is None:
            return None
        try:
            return context.text("krb5_get_default_realm", "krb5_free_default_realm")
        except Krb5Error:
            return None


def default_cache() -> CacheReport | None:
    """
    The cache that is looked at where no other is named; None where the library does not tell.

    Raises:
        GssLibraryError: There is no library.
        Krb5Error: krb5.conf cannot be read.
    """
    with _context() as context:
        if context is None:
            return None
        name = context.library.krb5_cc_default_name(context.handle)
        report = CacheReport(ctypes.string_at(name).decode("utf-8", "replace") if name else "none")
        cache = _P()
        try:
            context.call("krb5_cc_default", ctypes.byref(cache))
        except Krb5Error as error:
            return attrs.evolve(report, problem=str(error))
        try:
            name = context.text("krb5_cc_get_full_name", "krb5_free_string", cache)
            return _read(context, cache, attrs.evolve(report, name=name))
        except Krb5Error as error:
            return attrs.evolve(report, problem=str(error))
        finally:
            context.library.krb5_cc_close(context.handle, cache)


def _read(context: _Context, cache: ctypes.c_void_p, report: CacheReport) -> CacheReport:
    principal = _P()
    context.call("krb5_cc_get_principal", cache, ctypes.byref(principal))
    try:
        name = context.text("krb5_unparse_name", "krb5_free_unparsed_name", principal)
    finally:
        context.library.krb5_free_principal(context.handle, principal)
    report = attrs.evolve(report, principal=name)
    realm = name.rpartition("@")[2]
    cursor = _P()
    context.call("krb5_cc_start_seq_get", cache, ctypes.byref(cursor))
    try:
        for _ in range(_MOST_TICKETS):
            creds = _Creds()
            if context.library.krb5_cc_next_cred(
                context.handle, cache, ctypes.byref(cursor), ctypes.byref(creds)
            ):
                break
            try:
                server = context.text("krb5_unparse_name", "krb5_free_unparsed_name", creds.server)
                if server == f"krbtgt/{realm}@{realm}":
                    report = attrs.evolve(
                        report,
                        expires_at=_time(creds.endtime),
                        renewable_until=_time(creds.renew_till),
                    )
            finally:
                context.library.krb5_free_cred_contents(context.handle, ctypes.byref(creds))
    finally:
        context.library.krb5_cc_end_seq_get(context.handle, cache, ctypes.byref(cursor))
    return report


def _time(seconds: int) -> datetime | None:
    return datetime.fromtimestamp(seconds, timezone.utc) if seconds else None
