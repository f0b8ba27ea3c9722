"""What a keytab holds, without its keys."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from knit._cluster.security.keytabs import KeytabEntry, NoKeytabError, read_keytab


def text(value: str) -> bytes:
    return struct.pack(">H", len(value)) + value.encode()


def entry(principal: str, version: int, *, wide: bool = True) -> bytes:
    """As ktutil writes it (https://web.mit.edu/kerberos/krb5-latest/doc/formats/)."""
    name, _, realm = principal.partition("@")
    parts = name.split("/")
    data = struct.pack(">H", len(parts)) + text(realm) + b"".join(map(text, parts))
    data += struct.pack(">IIB", 1, 1_700_000_000, version & 0xFF)
    data += struct.pack(">HH", 17, 16) + b"k" * 16
    if wide:
        data += struct.pack(">I", version)
    return struct.pack(">i", len(data)) + data


def write(path: Path, *entries: bytes) -> Path:
    path.write_bytes(b"\x05\x02" + b"".join(entries))
    return path


def test_principals_and_versions_are_told_in_order(tmp_path: Path) -> None:
    hole = struct.pack(">i", -10) + bytes(10)
    path = write(
        tmp_path / "k",
        entry("alice@EXAMPLE.COM", 3),
        hole,
        entry("rm/host.example@EXAMPLE.COM", 300),
        entry("old@EXAMPLE.COM", 2, wide=False),
    )
    assert read_keytab(path) == [
        KeytabEntry("alice@EXAMPLE.COM", 3),
        KeytabEntry("rm/host.example@EXAMPLE.COM", 300),
        KeytabEntry("old@EXAMPLE.COM", 2),
    ]
    assert "kkkk" not in repr(read_keytab(path))


def test_what_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoKeytabError, match="No such file"):
        read_keytab(tmp_path / "missing")
    with pytest.raises(NoKeytabError, match="directory"):
        read_keytab(tmp_path)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(NoKeytabError, match="it is not a keytab"):
        read_keytab(tmp_path / "text")
    cut = write(tmp_path / "cut", entry("alice@EXAMPLE.COM", 3)[:20])
    with pytest.raises(NoKeytabError, match="damaged"):
        read_keytab(cut)
    (tmp_path / "large").write_bytes(b"\x05\x02" + bytes(2 << 20))
    with pytest.raises(NoKeytabError, match="it is not a keytab"):
        read_keytab(tmp_path / "large")


def test_an_empty_one_holds_nothing(tmp_path: Path) -> None:
    assert read_keytab(write(tmp_path / "k")) == []
