"""What a keytab holds: whose keys, and which of them is the newest. Never the keys themselves."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import attrs

_LARGEST_BYTES = 1 << 20
"""Of a file that is read as a keytab: thousands of keys. What is larger is something else."""


class NoKeytabError(Exception):
    """A file is no keytab, or cannot be read."""


@attrs.frozen
class KeytabEntry:
    """One key, without the key."""

    principal: str
    version: int
    """`kvno`, which grows whenever the key or the password is changed."""


def read_keytab(path: str | os.PathLike[str]) -> list[KeytabEntry]:
    """
    The keys of a keytab, in the file's order.

    Raises:
        NoKeytabError: It cannot be read, or is none. The message says why.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise NoKeytabError(error.strerror or str(error)) from error
    return entries_in(data)


def entries_in(data: bytes) -> list[KeytabEntry]:
    """
    The keys of a keytab that has been read.

    Raises:
        NoKeytabError: As `read_keytab`.
    """
    if len(data) > _LARGEST_BYTES or data[:2] not in (b"\x05\x02", b"\x05\x01"):
        raise NoKeytabError("it is not a keytab")
    # Version 1 was written in the byte order of the machine, and is not written any more.
    order = ">" if data[1] == 2 else "="
    try:
        return list(_entries(data, order))
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise NoKeytabError("it is a damaged keytab") from error


def _entries(data: bytes, order: str) -> list[KeytabEntry]:
    found, position = [], 2
    while position + 4 <= len(data):
        (size,) = struct.unpack_from(f"{order}i", data, position)
        position += 4
        if size > 0:
            found.append(_entry(data[position : position + size], order))
        position += abs(size)  # a hole, where a key was removed, is negative
    return found


def _entry(data: bytes, order: str) -> KeytabEntry:
    def text(position: int) -> tuple[str, int]:
        (length,) = struct.unpack_from(f"{order}H", data, position)
        end = position + 2 + length
        if end > len(data):
            raise IndexError
        return data[position + 2 : end].decode(), end

    (count,) = struct.unpack_from(f"{order}H", data, 0)
    if order == "=":
        count -= 1  # version 1 counts the realm too
    realm, position = text(2)
    parts = []
    for _ in range(count):
        part, position = text(position)
        parts.append(part)
    if order == ">":
        position += 4  # the name's type
    position += 4  # when it was made
    version = data[position]
    (_, length) = struct.unpack_from(f"{order}HH", data, position + 1)
    position += 5 + length
    if len(data) >= position + 4:
        # The whole number; the byte above holds its last eight bits.
        version = struct.unpack_from(f"{order}I", data, position)[0] or version
    return KeytabEntry(f"{'/'.join(parts)}@{realm}", version)
