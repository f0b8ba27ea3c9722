"""
Token files: what Hadoop puts beside a container, and what `hdfs fetchdt` and `dtutil` write.

`HDTS`, a byte for the form, then tokens by their aliases and secrets by theirs: as Writables (0),
or as a protobuf message after its length (1), which Hadoop 3 writes if it is told to.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from knit._cluster.security.serialized import (
    ByteCursor,
    MalformedTokenError,
    blob,
    bytes_in,
    to_text,
    vlong,
)
from knit._cluster.security.tokens import LARGEST_TOKEN_BYTES, Token

MAGIC = b"HDTS"
LARGEST_FILE_BYTES = 32 * 1024 * 1024
"""What lies beside a container holds its variables and specification too, some MiB at most."""
MOST_ENTRIES = 10_000
"""Of tokens, and of secrets."""
_WRITABLE, _PROTOBUF = 0, 1
_ONLY_OWNER = stat.S_IRUSR | stat.S_IWUSR


@attrs.frozen
class Credentials:
    """What a token file holds. Nothing of it is shown."""

    tokens: Mapping[str, Token] = attrs.field(factory=dict, repr=False)
    """By alias: mostly the service."""
    secrets: Mapping[str, bytes] = attrs.field(factory=dict, repr=False)
    """By alias."""

    def of_kind(self, kind: str) -> list[Token]:
        """Its tokens of one kind."""
        return [token for token in self.tokens.values() if token.kind == kind]

    def to_bytes(self) -> bytes:
        """A file of the older form, which every Hadoop reads."""
        parts = [MAGIC, bytes([_WRITABLE]), vlong(len(self.tokens))]
        for alias, token in self.tokens.items():
            parts += blob(alias.encode()), token.to_bytes()
        parts.append(vlong(len(self.secrets)))
        for alias, secret in self.secrets.items():
            parts += blob(alias.encode()), blob(secret)
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> Credentials:
        """
        The contents of a file, of either form.

        Raises:
            MalformedTokenError: It is no token file, or a larger one than Hadoop writes.
        """
        if len(data) > LARGEST_FILE_BYTES:
            raise MalformedTokenError(f"it has more than {LARGEST_FILE_BYTES} bytes")
        cursor = ByteCursor(data)
        if data[: len(MAGIC)] != MAGIC:
            raise MalformedTokenError("it does not begin with HDTS")
        cursor.read(len(MAGIC))
        (form,) = cursor.read(1)
        if form == _WRITABLE:
            tokens = {cursor.text(): Token.read(cursor) for _ in range(_count(cursor.vlong()))}
            secrets = {cursor.text(): cursor.blob() for _ in range(_count(cursor.vlong()))}
        elif form == _PROTOBUF:
            tokens, secrets = _from_protobuf(cursor)
        else:
            raise MalformedTokenError(f"its form is {form}, and 0 and 1 are known")
        if cursor.left:
            raise MalformedTokenError(f"{cursor.left} bytes follow it")
        return cls(tokens, secrets)

    @classmethod
    def from_file(cls, path: Path) -> Credentials:
        """
        The contents of a file.

        Raises:
            MalformedTokenError: As `from_bytes`.
            OSError: It cannot be read.
        """
        with path.open("rb") as file:
            return cls.from_bytes(file.read(LARGEST_FILE_BYTES + 1))

    def to_file(self, path: Path) -> None:
        """
        Writes a file that nobody else may read, from its first byte on.

        It takes the place of another one in one step, so that no reader meets half of it.

        Raises:
            OSError: It cannot be written.
        """
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        part.unlink(missing_ok=True)
        # os.open, for a file that is made with its final permissions; never through a link.
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _ONLY_OWNER)
        try:
            with open(descriptor, "wb") as file:
                file.write(self.to_bytes())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _count(count: int) -> int:
    if not 0 <= count <= MOST_ENTRIES:
        raise MalformedTokenError(f"it announces {count} entries, and may have {MOST_ENTRIES}")
    return count


def _from_protobuf(cursor: ByteCursor) -> tuple[dict[str, Token], dict[str, bytes]]:
    """`CredentialsProto`, after its length."""
    tokens: dict[str, Token] = {}
    secrets: dict[str, bytes] = {}
    message = ByteCursor(cursor.read(cursor.varint()))
    for position, (number, value) in enumerate(message.fields()):
        _count(position)
        if number not in (1, 2):
            continue
        entry = dict(ByteCursor(bytes_in(value)).fields())
        alias = to_text(bytes_in(entry.get(1, b"")))
        if number == 1:
            tokens[alias] = _token_from_protobuf(bytes_in(entry.get(2, b"")))
        else:
            secrets[alias] = bytes_in(entry.get(3, b""))
    return tokens, secrets


def _token_from_protobuf(data: bytes) -> Token:
    """`TokenProto`."""
    if len(data) > LARGEST_TOKEN_BYTES:
        raise MalformedTokenError(f"a token in it has {len(data)} bytes")
    identifier, password, kind, service = _texts(dict(ByteCursor(data).fields()))
    return Token(identifier, password, to_text(kind), to_text(service))


def _texts(found: Mapping[int, int | bytes]) -> Iterator[bytes]:
    """The four required fields of a token."""
    for number in (1, 2, 3, 4):
        if number not in found:
            raise MalformedTokenError("a token in it lacks a field")
        yield bytes_in(found[number])
