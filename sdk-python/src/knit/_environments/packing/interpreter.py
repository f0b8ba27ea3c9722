"""What belongs to an interpreter, so that it runs where there is none, or another one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import attrs

from knit._environments.packing import elf
from knit._environments.packing.entries import Entry, made, of_file, walk
from knit.exceptions import PythonEnvironmentError

LIBRARIES = "lib"
"""Where in an interpreter's own directory the libraries lie that a node may lack."""

_START = timedelta(seconds=60)
_QUESTION = """
import json, os, sys
print(json.dumps({
    "prefix": sys.prefix,
    "base_prefix": sys.base_prefix,
    "executable": os.path.realpath(sys.executable),
    "version": sys.version_info[:3],
    "implementation": sys.implementation.name,
    "library": os.path.dirname(os.path.realpath(os.__file__)),
    "dynamic": [path for path in sys.path if os.path.basename(path) == "lib-dynload"],
    "site_packages": [path for path in sys.path if os.path.basename(path).endswith("-packages")],
}))
"""
# At the top of the standard library: what a program does not need, or what is not of it.
_LEFT_OUT = re.compile(
    r"(test|idlelib|tkinter|turtledemo|lib2to3/tests|unittest/test|distutils/tests|ctypes/test"
    r"|sqlite3/test|EXTERNALLY-MANAGED|config-[^/]*|site-packages|dist-packages)"
)
_DYNAMIC_LEFT_OUT = re.compile(r"(_tkinter|_test|_ctypes_test|_xxtestfuzz|xxlimited|xxsubtype).*")
# Every node has these, and they belong to its kernel and its loader, or, in a process that loads
# other programs' libraries, have to be the newest there are.
_OF_THE_NODE = re.compile(
    r"(ld-linux.*|ld64|linux-(vdso|gate)\d*|lib(c|m|pthread|dl|rt|util|resolv|anl|mvec|thread_db"
    r"|BrokenLocale|nss_.*|nsl\.so\.1|gcc_s|stdc\+\+|gomp))(\.so.*)?"
)


@attrs.frozen
class Interpreter:
    """A Python as it is on this machine."""

    prefix: Path
    """Of the environment it runs."""
    base_prefix: Path
    executable: Path
    """The program itself, however many links lead to it."""
    version: tuple[int, int, int]
    library: Path
    """The standard library."""
    dynamic: Path | None
    """The part of it that is compiled; None where all of that is in the program."""
    site_packages: tuple[Path, ...]

    @property
    def name(self) -> str:
        """`python3.11`."""
        return f"python{self.version[0]}.{self.version[1]}"

    @classmethod
    def ask(cls, python: Path, environment: Path) -> Interpreter:
        """
        Starts an interpreter and asks what it consists of.

        Args:
            python: Its path within the environment, so that it knows whose it is.
            environment: For messages.

        Raises:
            PythonEnvironmentError: It does not start, or is of a kind that cannot be packed.
        """
        try:
            answer = subprocess.run(  # noqa: S603 - the user's own
                [str(python), "-I", "-B", "-c", _QUESTION],
                capture_output=True,
                text=True,
                timeout=_START.total_seconds(),
            )
            found = json.loads(answer.stdout.splitlines()[-1]) if answer.stdout else None
        except (OSError, subprocess.TimeoutExpired, ValueError) as error:
            raise _does_not_start(environment, python, str(error)) from None
        if answer.returncode != 0 or found is None:
            raise _does_not_start(environment, python, answer.stderr.strip()[-500:])
        executable = Path(found["executable"])
        if found["implementation"] != "cpython":
            raise PythonEnvironmentError(
                f"The environment {environment} is of {found['implementation']}; knit packs those "
                "of CPython. Put an archive that you made yourself in its place."
            )
        with executable.open("rb") as file:
            if not elf.is_elf(file.read(4)):
                raise PythonEnvironmentError(
                    f"The environment {environment} is not of Linux, and the cluster's nodes are: "
                    "make it on Linux, in a container for instance, or with knit.create_env there."
                )
        return cls(
            prefix=Path(os.path.realpath(found["prefix"])),
            base_prefix=Path(os.path.realpath(found["base_prefix"])),
            executable=executable,
            version=tuple(found["version"]),
            library=Path(found["library"]),
            dynamic=Path(os.path.realpath(found["dynamic"][0])) if found["dynamic"] else None,
            site_packages=tuple(Path(path) for path in found["site_packages"]),
        )

    def entries(self, target: str) -> Iterator[Entry]:
        """The program and its standard library, for a directory of the archive."""
        if self.base_prefix not in self.library.parents:
            raise PythonEnvironmentError(
                f"The Python {self.executable} has its standard library in {self.library}, which "
                f"is not below {self.base_prefix}: such a one cannot be moved."
            )
        yield of_file(f"{target}/bin/{self.name}", self.executable)
        for alias in ("python", "python3"):
            yield Entry(target=f"{target}/bin/{alias}", link=self.name)
        for directory in self._library_directories():
            inner = directory.relative_to(self.base_prefix)
            yield from walk(directory, f"{target}/{inner}", skip=is_left_out)

    def _library_directories(self) -> Sequence[Path]:
        if self.dynamic is None or self.library in self.dynamic.parents:
            return (self.library,)
        return (self.library, self.dynamic)


def is_left_out(path: str) -> bool:
    """Whether a path of the standard library, from its top, stays at home."""
    directory, _, name = path.rpartition("/")
    if directory in ("lib-dynload", "") and _DYNAMIC_LEFT_OUT.fullmatch(name):
        return True
    return _LEFT_OUT.fullmatch(path) is not None


def _does_not_start(environment: Path, python: Path, why: str) -> PythonEnvironmentError:
    return PythonEnvironmentError(
        f"The environment {environment} cannot be packed, since its interpreter {python} does not "
        f"start: {why or 'it says nothing'}. Make the environment anew."
    )


def with_libraries(entries: Sequence[Entry], python: str, target: str) -> list[Entry]:
    """
    The entries, and the shared libraries that the interpreter among them needs and a node may lack.

    Args:
        entries: What is packed.
        python: Which of them is the interpreter, in `<target>/bin`.
        target: The directory of the archive whose `lib` the libraries go to.
    """
    programs = {
        entry.target: entry
        for entry in entries
        if entry.source is not None
        and (entry.target == python or "/lib-dynload/" in entry.target or _is_libpython(entry))
    }
    there = {entry.target for entry in entries}
    libraries = {
        f"{target}{LIBRARIES}/{name}": path
        for name, path in _needed([entry.source for entry in programs.values() if entry.source])
    }
    added = [of_file(goal, path) for goal, path in libraries.items() if goal not in there]
    if not added and not any(map(_is_libpython, programs.values())):
        return list(entries)  # it finds all it needs where it is
    result = []
    shipped = {entry.target for entry in added} | set(programs)
    for entry in [*entries, *added]:
        if entry.target == python and entry.source is not None:
            content = elf.with_rpath(entry.source.read_bytes(), f"$ORIGIN/../{LIBRARIES}")
            if content is None:
                result.append(_library_path(target))
            entry = attrs.evolve(entry, content=content)
        elif entry.target in shipped and entry.source is not None:
            entry = attrs.evolve(entry, content=elf.without_runpath(entry.source.read_bytes()))
        result.append(entry)
    return result


def _is_libpython(entry: Entry) -> bool:
    return re.fullmatch(r"(.*/)?lib/libpython[^/]*\.so[^/]*", entry.target) is not None


def _needed(programs: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """The libraries that programs load as they start, by the names they are asked for."""
    ldd = shutil.which("ldd")
    if ldd is None:
        return
    answer = subprocess.run(  # noqa: S603
        [ldd, *map(str, programs)], capture_output=True, text=True, errors="surrogateescape"
    )
    found = dict(re.findall(r"^\s+(\S+) => (/\S+) \(", answer.stdout, re.MULTILINE))
    for name, path in sorted(found.items()):
        if not _OF_THE_NODE.fullmatch(name) and "/" not in name:
            yield name, Path(path)


def _library_path(target: str) -> Entry:
    """Where the program itself cannot be told: an environment variable, set with the others."""
    script = (
        f'LD_LIBRARY_PATH="${{LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}}$CONDA_PREFIX/{target}{LIBRARIES}"\n'
        "export LD_LIBRARY_PATH\n"
    )
    return made("etc/conda/activate.d/knit-libraries.sh", script.encode())
