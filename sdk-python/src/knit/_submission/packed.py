"""
What travels packed: directories, and small files of which there are many.

Each file by itself costs its submission five requests and each node a download of its own. An
archive costs that once, however much it holds, and nodes unpack it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from knit._environments.packing import archive
from knit._environments.packing.entries import Entry, of_file
from knit._values.files import File, Visibility
from knit._values.paths import reason
from knit.exceptions import PythonEnvironmentError, SpecError

SUFFIX = ".tar.gz"
SMALL_BYTES = 256 * 1024
"""A file that is larger travels by itself: when it changes, nothing else has to be sent again."""
FEW = 16
"""So many small files travel by themselves, each at the same time as the others."""
LARGEST_BUNDLE_BYTES = 64 << 20
"""Of what is bundled: more makes another bundle, which is sent beside the first."""
MOST_ENTRIES = 100_000
"""Of one directory. Nodes unpack all of it, and more is likely to be a mistake (`/`)."""
BUNDLE_NAME = ".knit-files"
"""What a bundle is called in the working directory, with a number behind it."""


@attrs.frozen(kw_only=True)
class Bundle:
    """Small files that travel in one archive and lie beside the command by their own names."""

    name: str
    """The archive's own name in the working directory, which commands do not see."""
    files: Mapping[str, Path]
    """By name."""

    @property
    def shown(self) -> str:
        return f"{len(self.files):,} small files"

    def write(self, path: Path) -> None:
        """
        Writes the archive.

        Raises:
            SpecError: One of them cannot be read.
        """
        entries = []
        for name, source in sorted(self.files.items()):
            try:
                entries.append(of_file(name, source))
            except OSError as error:  # noqa: PERF203
                raise SpecError(f"The file {source} cannot be read ({reason(error)}).") from None
        write(path, entries)


def bundled(files: Mapping[str, File]) -> tuple[list[Bundle], dict[str, File]]:
    """The files of one service, as those that travel together and those that do not."""
    small: dict[str, int] = {}
    for name, file in files.items():
        path = file.local_path
        if path is None or file.archive or file.visibility != Visibility.PRIVATE:
            continue
        try:
            found = path.stat()
        except OSError:
            continue  # told when it is sent
        if stat.S_ISREG(found.st_mode) and found.st_size <= SMALL_BYTES:
            small[name] = found.st_size
    if len(small) <= FEW:
        return [], dict(files)
    bundles: list[Bundle] = []
    for group in _groups(small):
        name = next(
            name
            for number in range(len(files) + 1)
            if (name := f"{BUNDLE_NAME}-{len(bundles) + number}") not in files
            and name not in {bundle.name for bundle in bundles}
        )
        paths = {n: path for n in group if (path := files[n].local_path) is not None}
        bundles.append(Bundle(name=name, files=paths))
    return bundles, {name: file for name, file in files.items() if name not in small}


def _groups(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Names in their order, of no more bytes in one group than a bundle may have."""
    group: list[str] = []
    total = 0
    for name in sorted(sizes):
        if group and total + sizes[name] > LARGEST_BUNDLE_BYTES:
            yield group
            group, total = [], 0
        group.append(name)
        total += sizes[name]
    yield group


def write_directory(directory: Path, path: Path) -> None:
    """
    Writes the archive of all that is in a directory.

    Files keep whether they can be executed. Links within the directory stay links; what others
    lead to is packed in their place, and one that leads nowhere stays what it is.

    Raises:
        SpecError: Something in it cannot be read or shipped, or it holds too much.
    """
    entries: list[Entry] = []
    for entry in _walk(directory, os.path.realpath(directory), "", frozenset()):
        entries.append(entry)
        if len(entries) > MOST_ENTRIES:
            raise SpecError(
                f"The directory {directory} holds more than {MOST_ENTRIES:,} files. If all of it "
                "is needed, pack it (tar -czf) and give it as an archive."
            )
    write(path, entries)


def _walk(directory: Path, root: str, target: str, above: frozenset[str]) -> Iterator[Entry]:
    here = os.path.realpath(directory)
    if here in above:
        raise SpecError(
            f"The directory {directory} leads back to itself by a link, so it has no end. Remove "
            "the link, or give what is needed by itself."
        )
    try:
        children = sorted(os.scandir(directory), key=lambda child: child.name)
    except OSError as error:
        raise SpecError(
            f"The directory {directory} cannot be read ({reason(error)}): check its permissions."
        ) from None
    if not children and target:
        yield Entry(target=target)
    for child in children:
        goal = f"{target}/{child.name}" if target else child.name
        try:
            link = _kept_link(child, root, here)
            if link is not None:
                yield Entry(target=goal, link=link)
            elif child.is_dir():
                yield from _walk(Path(child.path), root, goal, above | {here})
            elif child.is_file():
                yield of_file(goal, Path(child.path))
            else:
                raise SpecError(
                    f"{child.path} is neither a file nor a directory, but a socket, pipe or "
                    "device, which cannot be shipped. Remove it, or give what is needed by itself."
                )
        except OSError as error:
            raise SpecError(f"{child.path} cannot be read ({reason(error)}).") from None


def _kept_link(child: os.DirEntry[str], root: str, here: str) -> str | None:
    """Where a link is to lead from its own directory; None for what is packed itself."""
    if not child.is_symlink():
        return None
    link = os.readlink(child.path)
    if not os.path.exists(child.path):
        return link
    # Not resolved any further: it may lead to another link that is there, too.
    goal = os.path.normpath(os.path.join(here, link))
    if os.path.commonpath([goal, root]) != root:
        return None
    return os.path.relpath(goal, here)


def write(path: Path, entries: Iterable[Entry]) -> None:
    """
    Writes an archive, the same bytes whenever it holds the same.

    Raises:
        SpecError: Something cannot be read, or the archive not be written.
    """
    listed: Sequence[Entry] = sorted(entries, key=lambda entry: entry.target)
    try:
        archive.write(path, listed, lambda _: None)
    except PythonEnvironmentError as error:
        raise SpecError(error.message) from None
    except OSError as error:
        raise SpecError(
            f"The archive {path} cannot be written ({reason(error)}). It is made in the directory "
            "for temporary files: set TMPDIR to one with more room."
        ) from None
