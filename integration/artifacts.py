"""
What is built once, and again as soon as anything it is made of differs.

By content: the time of a file says nothing where one was moved, deleted or restored, and so an old
wheel was tested once. Each artifact has a note beside it of what it was made of, and of what came
out; an artifact that somebody else has put in its place is therefore built anew, too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

# What builds and interpreters leave among the sources.
NOT_SOURCES = frozenset({"__pycache__", "build", "target", "node_modules", "gen", "dist"})


def fingerprint(inputs: Iterable[Path], *, without: frozenset[str] = NOT_SOURCES) -> str:
    """
    A digest of files, and of all that is in directories: names and contents.

    Args:
        inputs: a path that is not there is as good as an empty directory.
        without: names of directories that are left out wherever they are.
    """
    digest = hashlib.sha256()
    for each in inputs:
        root = each.parent if each.is_file() else each
        for path in [each] if each.is_file() else sorted(each.rglob("*")):
            inner = path.relative_to(root)
            if without.isdisjoint(inner.parts) and path.is_file():
                digest.update(f"{inner.as_posix()}\0{digest_of(path)}\0".encode())
        digest.update(b"\0")
    return digest.hexdigest()


def digest_of(file: Path) -> str:
    """The SHA-256 of a file's content."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def is_current(artifact: Path, made_of: str) -> bool:
    """Whether this is still what was made, and of inputs with this fingerprint."""
    try:
        noted = json.loads(_note(artifact).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(noted == _facts(artifact, made_of))


def note(artifact: Path, made_of: str) -> None:
    """Keep in mind what this was made of: the fingerprint from before it was made."""
    _note(artifact).write_text(json.dumps(_facts(artifact, made_of)), encoding="utf-8")


def _facts(artifact: Path, made_of: str) -> dict[str, str]:
    return {"made of": made_of, "made": fingerprint([artifact], without=frozenset())}


def _note(artifact: Path) -> Path:
    return artifact.with_name(f".{artifact.name}.made-of")
