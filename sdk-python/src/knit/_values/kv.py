"""
What an application's key-value store holds, and what can be asked of it.

Keys are bytes. Here they are text, encoded in UTF-8 as file names are: bytes that are no UTF-8 come
as lone surrogates and go back as the bytes they were (`os.fsdecode` does the same), so that every
key of every program can be read, written and handed on. `bytes` are taken wherever a key is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import attrs

from knit._values.references import ContainerRef
from knit.exceptions import InvalidRequestError

if TYPE_CHECKING:
    from knit.v1 import event_service_pb2, key_value_pb2

Key: TypeAlias = str | bytes
"""A key, or a prefix of keys, as text or as the bytes it is."""


def key_to_bytes(key: Key) -> bytes:
    """
    The key as it is stored.

    Raises:
        TypeError: It is neither text nor bytes.
        InvalidRequestError: It is text that stands for no bytes.
    """
    if isinstance(key, bytes):
        return key
    if not isinstance(key, str):
        raise TypeError(f"A key is text or bytes, and not {type(key).__name__}: {key!r}")
    try:
        return key.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise InvalidRequestError(
            f"The key {key!r} stands for no bytes ({error.reason}). Give it as bytes."
        ) from None


def key_to_text(key: bytes) -> str:
    """The key as text; `key_to_bytes` returns the same bytes for it."""
    return key.decode("utf-8", "surrogateescape")


def value_to_bytes(value: object) -> bytes:
    """
    The value as it is stored.

    Raises:
        TypeError: It is not bytes, or something that can be looked at as such.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    hint = " Encode it: text.encode()." if isinstance(value, str) else ""
    raise TypeError(f"A value is bytes, and not {type(value).__name__}.{hint}")


@attrs.frozen(kw_only=True)
class KeyValue:
    """A key of the store with its value, as it was when asked."""

    key: str
    """The key, as text."""
    value: bytes = attrs.field(default=b"", repr=lambda value: _shown(value))
    """The value; empty where values were not asked for."""
    value_bytes: int = 0
    """How long the value is."""
    create_revision: int = 0
    """The sequence number of the change that created the key."""
    modify_revision: int = 0
    """The sequence number of the change that last wrote it."""
    version: int = 0
    """How many times it was written since it was created, from 1."""
    owner: ContainerRef | None = None
    """The container it lives and dies with. None: nobody's."""
    lease_id: int | None = None
    """The lease it lives and dies with. None: none."""

    @property
    def raw_key(self) -> bytes:
        """The key as it is stored."""
        return key_to_bytes(self.key)

    @classmethod
    def _from_proto(cls, message: key_value_pb2.KeyValue) -> KeyValue:
        return cls(
            key=key_to_text(message.key),
            value=message.value,
            value_bytes=message.value_bytes,
            create_revision=message.create_revision,
            modify_revision=message.modify_revision,
            version=message.version,
            owner=(ContainerRef._from_proto(message.owner) if message.HasField("owner") else None),
            lease_id=message.lease_id or None,
        )


def _shown(value: bytes) -> str:
    return repr(value) if len(value) <= 40 else f"{value[:40]!r}… ({len(value):,} bytes)"


@attrs.frozen(kw_only=True)
class KeyChange:
    """A key's new value, or that it is gone."""

    key: str
    """The key, as text."""
    current: KeyValue | None
    """What it is now. None: it is gone."""
    previous: KeyValue | None
    """What it was before. None: it was not there."""
    revision: int
    """The sequence number of the change; those of one transaction have the same."""

    @property
    def is_deletion(self) -> bool:
        """Whether the key is gone."""
        return self.current is None

    @property
    def raw_key(self) -> bytes:
        """The key as it is stored."""
        return key_to_bytes(self.key)

    @classmethod
    def _from_proto(cls, message: event_service_pb2.KeyChange, revision: int) -> KeyChange:
        has_now, had_before = message.HasField("current"), message.HasField("previous")
        return cls(
            key=key_to_text(message.key),
            current=KeyValue._from_proto(message.current) if has_now else None,
            previous=KeyValue._from_proto(message.previous) if had_before else None,
            revision=revision,
        )


def key_range(
    start: Key | None = None, end: Key | None = None, prefix: Key | None = None
) -> key_value_pb2.KeyRange:
    """
    The message of a range of keys.

    Args:
        start: The first key. None: the first there is.
        end: The first key after them. None: to the last there is.
        prefix: Instead of both: all keys that begin so.

    Raises:
        InvalidRequestError: A prefix is given and a bound, too.
    """
    from knit.v1 import key_value_pb2

    if prefix is not None:
        if start is not None or end is not None:
            raise InvalidRequestError("A range is a prefix, or from a start to an end: not both.")
        return key_value_pb2.KeyRange(prefix=key_to_bytes(prefix))
    return key_value_pb2.KeyRange(
        start=key_to_bytes(start) if start is not None else b"",
        end=key_to_bytes(end) if end is not None else b"",
    )


def range_of(key: Key) -> key_value_pb2.KeyRange:
    """The range of this key alone."""
    from knit.v1 import key_value_pb2

    raw = key_to_bytes(key)
    if not raw:
        raise InvalidRequestError("A key has 1 byte at least, and this one is empty.")
    return key_value_pb2.KeyRange(start=raw, end=raw + b"\0")
