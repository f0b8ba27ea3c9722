"""
Hadoop's delegation tokens: what they are, what they say of themselves, and their URL form.

A token is an identifier, which anybody may read, and a password, which proves it. Both are kept
out of every representation: who reads the two of them is the user, to that service.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime, timedelta, timezone

import attrs

from knit._cluster.security.serialized import (
    ByteCursor,
    MalformedTokenError,
    blob,
    bytes_in,
    int_in,
    to_text,
)

__all__ = ["MalformedTokenError", "Token", "TokenIdentifier"]

LARGEST_TOKEN_BYTES = 64 * 1024
"""HDFS's and YARN's have some 200 bytes; those of object stores, which hold keys, some KiB."""

HDFS_KIND = "HDFS_DELEGATION_TOKEN"
WEBHDFS_KINDS = ("WEBHDFS delegation", "SWEBHDFS delegation")
RESOURCE_MANAGER_KIND = "RM_DELEGATION_TOKEN"
KMS_KIND = "kms-dt"

_KINDS = {
    HDFS_KIND,
    *WEBHDFS_KINDS,
    RESOURCE_MANAGER_KIND,
    KMS_KIND,
    "HTTPFS_DELEGATION_TOKEN",
    "TIMELINE_DELEGATION_TOKEN",
    "MR_DELEGATION_TOKEN",
}
_WRITABLE_VERSION = 0
_URL_STRING = re.compile(r"[A-Za-z0-9_+/-]*={0,2}")


@attrs.frozen
class Token:
    """One proof of identity, good for one service."""

    identifier: bytes = attrs.field(repr=False)
    password: bytes = attrs.field(repr=False)
    kind: str
    """Hadoop's word for what it is, such as `HDFS_DELEGATION_TOKEN`."""
    service: str
    """For whom it is good: what Hadoop's clients look for when they choose one."""

    def to_bytes(self) -> bytes:
        """What Hadoop's `Token.write` writes."""
        return b"".join(
            map(blob, (self.identifier, self.password, self.kind.encode(), self.service.encode()))
        )

    def url_string(self) -> str:
        """What Hadoop calls `encodeToUrlString`: base64 for URLs, without padding. A secret."""
        return base64.urlsafe_b64encode(self.to_bytes()).decode().rstrip("=")

    @classmethod
    def read(cls, cursor: ByteCursor) -> Token:
        """
        The next token of some bytes.

        Raises:
            MalformedTokenError: There is none.
        """
        before = cursor.left
        token = cls(cursor.blob(), cursor.blob(), cursor.text(), cursor.text())
        _check_size(before - cursor.left)
        return token

    @classmethod
    def from_bytes(cls, data: bytes) -> Token:
        """
        What `to_bytes` wrote.

        Raises:
            MalformedTokenError: It is no token, or more than one.
        """
        _check_size(len(data))
        cursor = ByteCursor(data)
        token = cls.read(cursor)
        if cursor.left:
            raise MalformedTokenError(f"{cursor.left} bytes follow it")
        return token

    @classmethod
    def from_url_string(cls, text: str) -> Token:
        """
        What `url_string` made, in either alphabet of base64, as Hadoop reads it.

        Raises:
            MalformedTokenError: It is no token.
        """
        _check_size(len(text) * 3 // 4)
        if not _URL_STRING.fullmatch(text):
            raise MalformedTokenError("it is not base64")
        text = text.rstrip("=")
        try:
            data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_")
        except binascii.Error:
            raise MalformedTokenError("it is not base64") from None
        return cls.from_bytes(data)

    def replace(self, *, kind: str | None = None, service: str | None = None) -> Token:
        """The same proof under another kind or for another service."""
        return attrs.evolve(
            self,
            kind=self.kind if kind is None else kind,
            service=self.service if service is None else service,
        )


@attrs.frozen(kw_only=True)
class TokenIdentifier:
    """What a delegation token says of itself."""

    owner: str
    """Who it makes one, by the name that the service knows."""
    renewer: str
    """Who may renew and cancel it, by their short name. Empty: nobody."""
    real_user: str
    """Who asked for it in the owner's name. Empty: the owner."""
    issue_time: datetime | None
    """By the service's clock. None: it does not say, or what no calendar has."""
    max_time: datetime | None
    """When it ends, however often it is renewed. None likewise."""
    sequence_number: int = 0
    master_key_id: int = 0

    @classmethod
    def of(cls, token: Token) -> TokenIdentifier | None:
        """
        What a token says; None where the form of its kind is not known.

        Raises:
            MalformedTokenError: It is not of that form.
        """
        if token.kind not in _KINDS:
            return None
        data = token.identifier
        # A protobuf message begins with the key of a field, which is never 0; YARN wrote the
        # older form before Hadoop 2.6, and reads it to this day.
        if data[:1] == bytes([_WRITABLE_VERSION]):
            return cls._from_writable(data[1:])
        return cls._from_protobuf(data)

    @classmethod
    def _from_writable(cls, data: bytes) -> TokenIdentifier:
        cursor = ByteCursor(data)
        return cls(
            owner=cursor.text(),
            renewer=cursor.text(),
            real_user=cursor.text(),
            issue_time=_time(cursor.vlong()),
            max_time=_time(cursor.vlong()),
            sequence_number=cursor.vlong(),
            master_key_id=cursor.vlong(),
        )

    @classmethod
    def _from_protobuf(cls, data: bytes) -> TokenIdentifier:
        """`YARNDelegationTokenIdentifierProto`."""
        if not data:
            raise MalformedTokenError("its identifier is empty")
        found = dict(ByteCursor(data).fields())

        def text(number: int) -> str:
            return to_text(bytes_in(found.get(number, b"")))

        def integer(number: int) -> int:
            return int_in(found.get(number, 0))

        return cls(
            owner=text(1),
            renewer=text(2),
            real_user=text(3),
            issue_time=_time(integer(4)),
            max_time=_time(integer(5)),
            sequence_number=integer(6),
            master_key_id=integer(7),
        )


def _check_size(size: int) -> None:
    if size > LARGEST_TOKEN_BYTES:
        raise MalformedTokenError(
            f"it has {size} bytes, more than the {LARGEST_TOKEN_BYTES} that a token may have"
        )


def _time(milliseconds: int) -> datetime | None:
    if milliseconds <= 0:
        return None
    try:
        return datetime.fromtimestamp(0, timezone.utc) + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None
