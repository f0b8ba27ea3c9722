"""Directories with an interpreter of their own, which can be moved as they are."""

from __future__ import annotations

from collections.abc import Iterator
from os.path import relpath
from pathlib import Path

from knit._environments.packing.entries import Entry, walk
from knit._environments.packing.interpreter import Interpreter, is_left_out
from knit._environments.packing.scripts import UNPACK, unpack_script
from knit.exceptions import PythonEnvironmentError


def check(interpreter: Interpreter, prefix: Path) -> None:
    """
    Raises where the directory is not all there is to the interpreter in its `bin`.

    Raises:
        PythonEnvironmentError: That belongs to another directory.
    """
    if interpreter.prefix != prefix or prefix not in interpreter.executable.parents:
        raise PythonEnvironmentError(
            f"The Python in {prefix / 'bin'} belongs to {interpreter.prefix}, so {prefix} is no "
            "environment of its own. Give that one, or make a virtual environment: "
            "python3 -m venv DIR"
        )


def entries(interpreter: Interpreter, prefix: Path) -> Iterator[Entry]:
    """What the archive of the directory holds, apart from shared libraries of the system."""
    library = f"{interpreter.library.relative_to(prefix)}/"
    names = set()

    def skip(path: str) -> bool:
        inner = path.removeprefix(library)
        is_packages = inner == "site-packages"  # which are not left out here
        return inner != path and not is_packages and is_left_out(inner)

    for entry in walk(prefix, skip=skip):
        names.add(entry.target)
        if entry.target != UNPACK:
            yield entry
    yield unpack_script()
    if "bin/python" not in names:
        yield Entry(target="bin/python", link=relpath(interpreter.executable, prefix / "bin"))
