"""What can be told of an archive before it is sent: whether a node can run its Python."""

from __future__ import annotations

import posixpath
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import attrs

from knit._values.paths import reason
from knit.exceptions import PythonEnvironmentError

_INTERPRETERS = ("bin/python", "bin/python3")
_MOST_LINKS = 40
"""In one path, as Linux has it."""
#: What a node may well have where this machine has it: its own Python.
_OF_THE_SYSTEM = ("/usr/", "/bin/")


@attrs.frozen
class _Member:
    link: str | None
    """Of a symbolic link, where it leads."""
    is_file: bool
    executable: bool


@attrs.frozen
class _Outside:
    """Where a path of the archive leads that is none of its own."""

    path: str


def check_archive(path: Path) -> None:
    """
    Refuses an archive whose interpreter no node could run.

    It is read only as far as it takes to find one that can be run.

    Raises:
        PythonEnvironmentError: There is none, it is a link to somewhere else, or not executable;
            or the archive is damaged.
    """
    members: dict[str, _Member] = {}
    try:
        for name, member in _members(path):
            members[name] = member
            if "python" in posixpath.basename(name) and _runs(members):
                return
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        OSError,
    ) as error:
        said = reason(error) or type(error).__name__
        raise PythonEnvironmentError(
            f"The archive {path} is damaged ({said}): pack it again, for instance by: "
            "knit env pack DIR -o env.tar.gz"
        ) from None
    if not _runs(members):
        raise _problem(path, members)


def _members(path: Path) -> Iterator[tuple[str, _Member]]:
    if path.name.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            for item in archive.infolist():
                mode = item.external_attr >> 16
                link = archive.read(item).decode() if stat.S_ISLNK(mode) else None
                # YARN, which unpacks it, lets everything be run.
                yield _normal(item.filename), _Member(link, not item.is_dir() and not link, True)
        return
    with tarfile.open(path, "r:*") as archive:
        for info in archive:
            # A hard link is another name of a file that came before.
            file = info.isfile() or info.islnk()
            link = info.linkname if info.issym() else None
            yield _normal(info.name), _Member(link, file, bool(info.mode & 0o111))


def _normal(name: str) -> str:
    return posixpath.normpath(name).lstrip("/")


def _candidates(members: dict[str, _Member]) -> Iterator[str]:
    """As containers look: at the top, or in a directory there."""
    tops = dict.fromkeys(name.partition("/")[0] for name in members if "/" in name)
    for prefix in ("", *(f"{top}/" for top in tops)):
        for name in _INTERPRETERS:
            yield prefix + name


def _runs(members: dict[str, _Member]) -> bool:
    """Whether the interpreter can be run, as far as can be told here."""
    for name in _candidates(members):
        found = _resolved(name, members)
        if isinstance(found, _Outside):
            if found.path.startswith(_OF_THE_SYSTEM):
                return True
        elif found is not None and found.is_file and found.executable:
            return True
    return False


def _resolved(name: str, members: dict[str, _Member]) -> _Member | _Outside | None:
    """What a path of the archive means, links followed; None where nothing of it is there."""
    left, path = name.split("/"), ""
    for _ in range(_MOST_LINKS):
        while left:
            path = posixpath.join(path, left.pop(0))
            member = members.get(path)
            if member is not None and member.link is not None:
                break
        else:
            return members.get(path)
        goal = posixpath.normpath(posixpath.join(posixpath.dirname(path), member.link))
        if goal.startswith(("/", "../")):
            return _Outside(posixpath.join(goal, *left))
        left, path = goal.split("/") + left, ""
    return None


def _problem(path: Path, members: dict[str, _Member]) -> PythonEnvironmentError:
    hint = "Pack the environment with its interpreter: knit env pack DIR -o env.tar.gz"
    for name in _candidates(members):
        found = _resolved(name, members)
        if isinstance(found, _Outside):
            return PythonEnvironmentError(
                f"The archive {path} has no Python of its own: its {name} is a link to "
                f"{found.path}, which a node of the cluster does not have. {hint}"
            )
        if found is not None:
            return PythonEnvironmentError(
                f"In the archive {path} nobody may execute {name}, so no container can run it. "
                f"{hint}"
            )
        if name in members:
            return PythonEnvironmentError(
                f"The archive {path} has no Python of its own: its {name} is a link to "
                f"{members[name].link}, which is not in it. {hint}"
            )
    return PythonEnvironmentError(
        f"The archive {path} is no Python environment: there is no bin/python in it, neither at "
        f"its top nor in a directory there. {hint}"
    )
