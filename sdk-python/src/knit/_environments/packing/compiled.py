"""
Compiled code, which spares every node the time to compile what it imports.

Only what came with a package, by its own list: the rest appears as programs run, and would make
another archive each time. It is marked to be used without a look at its source's time, since all
files of an archive have the same one.
"""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from knit._environments.packing.entries import Entry, of_file

_HEADER_BYTES = 16
_UNCHECKED = b"\1\0\0\0" + bytes(8)


def entries(site_packages: Iterable[Path], prefix: Path) -> Iterator[Entry]:
    """The compiled files of installed packages, as far as they belong to their sources."""
    for directory in {path.resolve() for path in site_packages}:
        if prefix not in directory.parents:
            continue
        top = directory.relative_to(prefix)
        for name in sorted(_listed(directory)):
            path = directory / name
            source = source_of(path)
            if source is not None and path.is_file() and source.is_file():
                yield attrs.evolve(of_file(f"{top}/{name}", path), compiled_from=source)


def source_of(path: Path) -> Path | None:
    """The source of a compiled file in `__pycache__`; None where it is none."""
    try:
        return Path(importlib.util.source_from_cache(str(path)))
    except ValueError:
        return None


def unchecked(path: Path, source: Path) -> bytes:
    """What a compiled file is to hold: marked if it is current, else as it is, to no effect."""
    content, found = path.read_bytes(), source.stat()
    header = bytes(4) + _four_bytes(found.st_mtime) + _four_bytes(found.st_size)
    if content[4:_HEADER_BYTES] != header:
        return content
    return content[:4] + _UNCHECKED + content[_HEADER_BYTES:]


def _four_bytes(number: float) -> bytes:
    return (int(number) & 0xFFFFFFFF).to_bytes(4, "little")


def _listed(directory: Path) -> set[str]:
    names: set[str] = set()
    for path in directory.glob("*.dist-info/RECORD"):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if ".pyc" in text:
            rows = csv.reader(text.splitlines())
            names.update(row[0] for row in rows if row and row[0].endswith(".pyc"))
    return {name for name in names if not name.startswith(("/", "../"))}
