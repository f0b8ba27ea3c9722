"""
The system's GSSAPI, by ctypes: nothing to compile, and nothing beside the standard library.

Threads may call everything here at the same time, but each security context is one thread's at a
time.
"""

from __future__ import annotations

import ctypes
import enum
import functools
import hashlib
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from knit._cluster.security.gss_library import (
    BAD_NAME,
    CONTINUE_NEEDED,
    CREDENTIALS_EXPIRED,
    DEFECTIVE_TOKEN,
    FAILURE,
    HOST_BASED,
    INDEFINITE,
    INITIATE,
    KRB5,
    MECHANISMS,
    NO_CREDENTIALS,
    OUT_OF_ORDER,
    POINTER,
    PRINCIPAL,
    UINT32,
    UNAVAILABLE,
    Buffer,
    GssError,
    GssLibraryError,
    Oid,
    OidSet,
    Store,
    StoreElement,
    call,
    given,
    imported_name,
    library_path,
    loaded_library,
    taken,
)

__all__ = [
    "BAD_NAME",
    "CREDENTIALS_EXPIRED",
    "DEFECTIVE_TOKEN",
    "FAILURE",
    "NO_CREDENTIALS",
    "UNAVAILABLE",
    "ContextFlag",
    "Credentials",
    "GssError",
    "GssLibraryError",
    "SecurityContext",
    "library_path",
]


class ContextFlag(enum.IntFlag):
    """What is wanted of a security context."""

    DELEGATE = 1
    MUTUAL = 2
    REPLAY = 4
    SEQUENCE = 8
    CONFIDENTIALITY = 16
    INTEGRITY = 32


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
        if not hasattr(loaded_library(), "gss_acquire_cred_from"):
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
            name = POINTER()
            call("gss_inquire_cred", handle, ctypes.byref(name), None, None, None)
            try:
                out = Buffer()
                call("gss_display_name", name, ctypes.byref(out), None)
                return taken(out).decode("utf-8", "replace")
            finally:
                loaded_library().gss_release_name(UINT32(), name)

    @property
    def expires_at(self) -> datetime | None:
        """
        When the ticket ends; None if never. One that has ended is told with the present.

        Raises:
            GssError: There is no ticket, or none to be had.
        """
        with self._acquired() as handle:
            seconds = UINT32()
            try:
                call("gss_inquire_cred", handle, None, ctypes.byref(seconds), None, None)
            except GssError as error:
                if error.major != CREDENTIALS_EXPIRED:
                    raise
                seconds.value = 0
        if seconds.value == INDEFINITE:
            return None
        return datetime.now(timezone.utc) + timedelta(seconds=seconds.value)

    @contextmanager
    def _acquired(self, mechanism: Oid = KRB5) -> Iterator[ctypes.c_void_p]:
        handle = POINTER()
        wanted = OidSet(1, ctypes.pointer(mechanism))
        arguments: list[Any] = [0, ctypes.byref(wanted), INITIATE]
        function = "gss_acquire_cred"
        if self._keytab is not None:
            function = "gss_acquire_cred_from"
            elements = (StoreElement * 2)(
                StoreElement(b"client_keytab", os.fsencode(f"FILE:{self._keytab}")),
                StoreElement(b"ccache", self._cache().encode()),
            )
            arguments.append(ctypes.byref(Store(2, elements)))
        arguments += [ctypes.byref(handle), None, None]
        if self._wanted is None:
            call(function, None, *arguments, mechanism=mechanism)
        else:
            with imported_name(self._wanted, PRINCIPAL) as name:
                call(function, name, *arguments, mechanism=mechanism)
        try:
            yield handle
        finally:
            loaded_library().gss_release_cred(UINT32(), handle)

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
        self._mechanism = MECHANISMS[mechanism]
        self._credentials = credentials or Credentials.default()
        self._flags = flags
        self._granted = ContextFlag(0)
        self._complete = False
        self._handle = POINTER()
        self._release = weakref.finalize(self, _delete_context, self._handle)
        # At the process's end a thread may be in the middle of a call with it.
        self._release.atexit = False

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
            if self._mechanism is KRB5 or token is not None:
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

    def _step(self, token: bytes | None, mechanism: Oid) -> bytes:
        if self._complete:
            raise GssError(FAILURE, 0, "the context is complete, and takes no more tokens")
        kind = PRINCIPAL if "/" in self.target.partition("@")[0] else HOST_BASED
        incoming = given(token) if token is not None else Buffer(0, None)
        out, flags = Buffer(), UINT32()
        with (
            self._credentials._acquired(mechanism) as credentials,
            imported_name(self.target, kind) as name,
        ):
            try:
                major = call(
                    "gss_init_sec_context",
                    *(credentials, ctypes.byref(self._handle), name, ctypes.byref(mechanism)),
                    *(int(self._flags), 0, None, ctypes.byref(incoming), None),
                    *(ctypes.byref(out), ctypes.byref(flags), None),
                    mechanism=mechanism,
                )
            finally:
                answer = taken(out)
        if not major & CONTINUE_NEEDED:
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
        out, encrypted = Buffer(), ctypes.c_int()
        call(
            "gss_wrap",
            *(self._handle, int(confidential), 0, ctypes.byref(given(data))),
            *(ctypes.byref(encrypted), ctypes.byref(out)),
        )
        message = taken(out)
        if confidential and not encrypted.value:
            raise GssError(FAILURE, 0, "the library did not encrypt what it was to encrypt")
        return message

    def unwrap(self, data: bytes) -> tuple[bytes, bool]:
        """
        What a message holds, and whether it was encrypted.

        Raises:
            GssError: It was changed on its way, or is not the next one.
        """
        out, encrypted = Buffer(), ctypes.c_int()
        # MIT's library decrypts in place, and Python's bytes may be anybody's.
        room = ctypes.create_string_buffer(data, len(data))
        incoming = Buffer(len(data), ctypes.cast(room, POINTER))
        major = call(
            "gss_unwrap",
            *(self._handle, ctypes.byref(incoming), ctypes.byref(out)),
            *(ctypes.byref(encrypted), None),
        )
        message = taken(out)
        if major & OUT_OF_ORDER:  # for the library a success, with a remark
            raise GssError(DEFECTIVE_TOKEN, 0, "a message was repeated, or one before it left out")
        return message, bool(encrypted.value)

    def wrap_size_limit(self, most: int, *, confidential: bool) -> int:
        """How many bytes can be wrapped into a message of this many at most."""
        size = UINT32()
        call("gss_wrap_size_limit", self._handle, int(confidential), 0, most, ctypes.byref(size))
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
        loaded_library().gss_delete_sec_context(UINT32(), ctypes.byref(handle), None)
