"""From a Python environment on this machine to an archive that runs on another one."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from knit._environments.packing import archive, cache, compiled, conda, editable, plain, venv
from knit._environments.packing.entries import Entry, fingerprint
from knit._environments.packing.interpreter import Interpreter, with_libraries
from knit._environments.packing.scripts import relocated
from knit._values.paths import expanded
from knit.exceptions import FileMissingError, PythonEnvironmentError

FORMAT = "1"
"""Of the archives made here; another one makes those in the cache useless."""

_INTERVAL_SECONDS = 0.1
"""Between two reports of progress."""
_SYSTEM = frozenset({"/", "/usr", "/usr/local", "/bin", "/opt", "/home", "/root", "/usr/bin"})


@attrs.frozen(kw_only=True)
class PackingProgress:
    """How far the packing of an environment is."""

    environment: str
    """Its directory."""
    packed_bytes: int
    """So far, before compression."""
    total_bytes: int
    """As far as that can be told before."""
    cached: bool
    """Whether it was packed before and has not changed since, so that nothing is to be done."""


ProgressCallback = Callable[[PackingProgress], None]


def pack_environment(
    source: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    *,
    progress: ProgressCallback | None = None,
) -> Path:
    """
    Packs a Python environment for machines with the same kind of processor and a like Linux.

    A virtual environment is packed with its interpreter, so that the machine needs no Python. What
    has not changed since it was packed is not packed again.

    Args:
        source: The directory of a virtual environment, a conda environment, or any other with an
            interpreter of its own. Default: the environment this program runs in.
        output: The file to write, ending in `.tar.gz` or `.tgz`. Default: one in the cache,
            `~/.cache/knit/environments`, which is removed after it was not used for 30 days.
        progress: Told how far it is.

    Returns:
        The path of the archive. The same environment always makes the same bytes.

    Raises:
        FileMissingError: There is no such directory.
        PythonEnvironmentError: It is no environment, or one that would not run elsewhere.
    """
    environment = find(source)
    goal = _output(output)
    listing = _Listing.of(environment)
    cached = cache.path_of(environment.prefix, fingerprint(listing.entries, FORMAT))
    total = sum(entry.size_bytes for entry in listing.entries)
    state = _Progress(str(environment.prefix), total, progress)
    if cache.is_there(cached):
        state.cached()
    else:
        with cache.appearing(cached) as part:
            listing.write(part, state.packed)
            # What has changed meanwhile is half old, half new, and would be taken for the old.
            again = fingerprint(_Listing.of(environment).entries, FORMAT)
            if cached != cache.path_of(environment.prefix, again):
                raise PythonEnvironmentError(
                    f"The environment {environment.given} changed while it was packed. Try again "
                    "when nothing is installed into it any more."
                )
        state.done()
        cache.prune(environment.prefix)
    if goal is None:
        return cached
    with cache.appearing(goal) as part:
        shutil.copyfile(cached, part)
    return goal


def check(source: str | os.PathLike[str] | None = None) -> None:
    """
    Raises what `pack_environment` would find wrong, without packing anything.

    Raises:
        FileMissingError: There is no such directory.
        PythonEnvironmentError: It is no environment, or one that would not run elsewhere.
    """
    find(source)


@attrs.frozen
class Environment:
    """A directory that can be packed."""

    prefix: Path
    """Without links."""
    given: Path
    """As the user named it."""
    interpreter: Interpreter | None
    """None for a conda environment, which is packed by its metadata."""

    @property
    def is_virtual(self) -> bool:
        return (self.prefix / "pyvenv.cfg").is_file()


def find(source: str | os.PathLike[str] | None) -> Environment:
    """
    Looks at an environment.

    Raises:
        FileMissingError: There is no such directory.
        PythonEnvironmentError: It is no environment, or one that would not run elsewhere.
    """
    given = Path(os.path.abspath(sys.prefix if source is None else expanded(source)))
    if not given.is_dir():
        raise FileMissingError(f"The environment {given} does not exist on this machine.")
    prefix = Path(os.path.realpath(given))
    if str(prefix) in _SYSTEM:
        raise PythonEnvironmentError(
            f"{'The running Python is that of the system: ' if source is None else ''}{prefix} is "
            "no environment of its own, and much more than one. Make a virtual environment with "
            "what the program needs (python3 -m venv DIR; DIR/bin/pip install …) and give that."
        )
    if (prefix / "conda-meta").is_dir():
        return Environment(prefix, given, None)
    python = next(
        (
            path
            for name in ("python", "python3", f"python3.{sys.version_info[1]}")
            if os.path.lexists(path := prefix / "bin" / name)
        ),
        None,
    )
    if python is None:
        raise PythonEnvironmentError(
            f"The directory {given} is no Python environment of Linux: it has no bin/python."
        )
    interpreter = Interpreter.ask(python, given)
    environment = Environment(prefix, given, interpreter)
    if environment.is_virtual:
        venv.check(prefix)
    else:
        plain.check(interpreter, prefix)
    editable.check(given, interpreter.site_packages)
    return environment


@attrs.frozen
class _Listing:
    """All that belongs into an archive, and how it is written."""

    entries: Sequence[Entry]
    write: Callable[[Path, Callable[[int], None]], None]

    @classmethod
    def of(cls, environment: Environment) -> _Listing:
        prefix, interpreter = environment.prefix, environment.interpreter
        if interpreter is None:
            return cls(
                conda.entries(prefix), lambda path, packed: conda.write(path, prefix, packed)
            )
        if environment.is_virtual:
            base = f"{venv.BASE}/"
            files = venv.entries(interpreter, prefix)
            python = f"{base}bin/{interpreter.name}"
        else:
            base = ""
            files = plain.entries(interpreter, prefix)
            python = str(interpreter.executable.relative_to(prefix))
        found = list(relocated(files, {prefix, environment.given}))
        found += compiled.entries(interpreter.site_packages, prefix)
        entries = with_libraries(found, python, base)
        entries.sort(key=lambda entry: entry.target)
        return cls(entries, lambda path, packed: archive.write(path, entries, packed))


class _Progress:
    def __init__(self, environment: str, total: int, callback: ProgressCallback | None) -> None:
        self._environment = environment
        self._total = total
        self._callback = callback
        self._packed = 0
        self._said = float("-inf")

    def packed(self, count: int) -> None:
        self._packed += count
        self._total = max(self._total, self._packed)
        if time.monotonic() - self._said > _INTERVAL_SECONDS:
            self._said = time.monotonic()
            self._say(cached=False)

    def done(self) -> None:
        self._total = self._packed
        self._say(cached=False)

    def cached(self) -> None:
        self._packed = self._total
        self._say(cached=True)

    def _say(self, *, cached: bool) -> None:
        if self._callback is not None:
            self._callback(
                PackingProgress(
                    environment=self._environment,
                    packed_bytes=self._packed,
                    total_bytes=self._total,
                    cached=cached,
                )
            )


def _output(output: str | os.PathLike[str] | None) -> Path | None:
    if output is None:
        return None
    path = expanded(output)
    if not path.name.endswith((".tar.gz", ".tgz")):
        raise PythonEnvironmentError(
            f"The archive {path} would be a gzipped tar file: let its name end in .tar.gz."
        )
    if path.is_dir():
        raise PythonEnvironmentError(f"{path} is a directory: name the file to write.")
    return path
