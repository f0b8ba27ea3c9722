"""Paths of this machine, as people write them, and what lies there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from knit.exceptions import KnitError, SpecError


def expanded(source: str | os.PathLike[str]) -> Path:
    """
    The path that is meant, with `~` and `~user` replaced.

    A name that begins with `~` and exists here is that file, as the lock files of some editors
    do; one whose user is not known stays as it is, and then does not exist.
    """
    path = os.fspath(source)
    if path.startswith("~") and not os.path.lexists(path):
        path = os.path.expanduser(path)
    return Path(path)


def below(directory: Path, source: str) -> str:
    """A path that somebody wrote, taken from a directory unless it is absolute."""
    path = expanded(source)
    return source if path.is_absolute() else str(directory / path)


def to_path_or_none(value: str | os.PathLike[str] | None) -> str | None:
    """Text of a path that somebody gave; raises SpecError where it is none."""
    if value is None:
        return None
    source = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(source, str) or not source or "\0" in source:
        raise SpecError(f"{value!r} is no path: give that of a file on this machine.")
    return source


def look_at(
    path: Path, *, what: str = "path", error: type[KnitError] = SpecError
) -> os.stat_result | None:
    """
    What lies at a path, links followed; None if nothing does.

    Args:
        path: Where.
        what: What it is to be, for messages.
        error: What to raise.

    Raises:
        KnitError: It cannot be told; of the class that was given.
    """
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as problem:
        raise error(
            f"The {what} {path} cannot be looked at ({reason(problem)}). Check how it is written, "
            "and the permissions of the directories that lead to it."
        ) from None


def is_directory(path: Path, *, what: str = "path", error: type[KnitError] = SpecError) -> bool:
    """Whether there is a directory; raises where that cannot be told."""
    found = look_at(path, what=what, error=error)
    return found is not None and stat.S_ISDIR(found.st_mode)


def is_file(path: Path, *, what: str = "path", error: type[KnitError] = SpecError) -> bool:
    """Whether there is a regular file; raises where that cannot be told."""
    found = look_at(path, what=what, error=error)
    return found is not None and stat.S_ISREG(found.st_mode)


def home(what_for: str, *, error: type[KnitError]) -> Path:
    """
    The user's home directory.

    Raises:
        KnitError: Nobody knows it; of the class that was given.
    """
    path = os.path.expanduser("~")
    if not os.path.isabs(path):
        raise error(
            f"This process has no home directory, which is needed for {what_for}. Set HOME."
        )
    return Path(path)


def reason(problem: Exception) -> str:
    """What the operating system has to say, without the path, which is told beside it."""
    return (problem.strerror if isinstance(problem, OSError) else None) or str(problem)
