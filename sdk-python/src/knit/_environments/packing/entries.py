"""What an archive is to hold, before it is written."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

import attrs

from knit.exceptions import PythonEnvironmentError


@attrs.frozen(kw_only=True)
class Entry:
    """A file, a symbolic link or an empty directory of an archive."""

    target: str
    """Its path within the archive."""
    source: Path | None = None
    """The file on this machine that it is made of; None for what is made up."""
    content: bytes | None = None
    """What it holds instead of what `source` does."""
    compiled_from: Path | None = None
    """Of compiled code, the source beside it."""
    link: str | None = None
    """Of a symbolic link, where it leads."""
    executable: bool = False
    size_bytes: int = 0
    modify_time_ns: int = 0
    """Of `source`; only to see whether it has changed."""

    @property
    def is_directory(self) -> bool:
        return self.source is None and self.content is None and self.link is None


def made(target: str, content: bytes, *, executable: bool = False) -> Entry:
    """A file that lies nowhere."""
    return Entry(target=target, content=content, executable=executable, size_bytes=len(content))


def of_file(target: str, path: Path) -> Entry:
    """A file of this machine; of a symbolic link, what it leads to."""
    found = path.stat()
    return Entry(
        target=target,
        source=path,
        executable=bool(found.st_mode & stat.S_IXUSR),
        size_bytes=found.st_size,
        modify_time_ns=found.st_mtime_ns,
    )


def walk(root: Path, target: str = "", *, skip: Callable[[str], bool]) -> Iterator[Entry]:
    """
    Everything below a directory. Links that leave it are replaced by what they lead to.

    Args:
        root: The directory.
        target: Where in the archive it goes.
        skip: Told the path of each file or directory, from `root`; True leaves it out.
    """
    yield from _walk(root, os.path.realpath(root), "", target, skip, frozenset())


def _walk(
    directory: Path,
    root: str,
    inner: str,
    target: str,
    skip: Callable[[str], bool],
    above: frozenset[str],
) -> Iterator[Entry]:
    here = os.path.realpath(directory)
    if here in above:
        return  # links in a circle
    empty = True
    try:
        children = sorted(os.scandir(directory), key=lambda child: child.name)
    except OSError as error:
        raise PythonEnvironmentError(
            f"The directory {directory} cannot be read ({error.strerror}): check its permissions."
        ) from None
    for child in children:
        path = f"{inner}{child.name}"
        if child.name == "__pycache__" or skip(path):
            continue
        empty = False
        goal = str(PurePosixPath(target) / child.name)
        if child.is_symlink():
            link = _inner_link(child.path, root, here)
            if link is not None:
                yield Entry(target=goal, link=link)
                continue
        try:
            if child.is_dir():
                yield from _walk(Path(child.path), root, f"{path}/", goal, skip, above | {here})
            elif child.is_file():
                yield of_file(goal, Path(child.path))
            # Else a socket, a device, or a link that leads nowhere.
        except FileNotFoundError:
            continue  # gone while we looked
    if empty and inner:
        yield Entry(target=target)


def _inner_link(path: str, root: str, here: str) -> str | None:
    """Where a link leads from its own directory, if that is within the root."""
    link = os.readlink(path)
    # Not resolved any further: the link may lead to another one that is there, too.
    goal = os.path.normpath(os.path.join(here, link))
    if os.path.commonpath([goal, root]) != root or not os.path.exists(path):
        return None
    return os.path.relpath(goal, here)


def fingerprint(entries: Iterable[Entry], *more: str) -> str:
    """What is another one as soon as an archive of these would be: names, sizes, times."""
    digest = hashlib.sha256(repr(more).encode())
    for entry in entries:
        told: tuple[object, ...] = (entry.target, entry.executable, entry.link)
        if entry.content is not None:
            told += (hashlib.sha256(entry.content).hexdigest(),)
        elif entry.source is not None:
            told += (entry.size_bytes, entry.modify_time_ns)
        digest.update(repr(told).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
