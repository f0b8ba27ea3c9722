"""Conda environments: conda-pack knows which of their files hold the path they were made for."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from knit._environments.packing import archive, compiled
from knit._environments.packing.entries import Entry, made, of_file, walk
from knit.exceptions import PythonEnvironmentError


def entries(prefix: Path) -> list[Entry]:
    """All that is in the environment, by which it is seen whether it has changed."""
    return list(walk(prefix, skip=lambda path: False))


def write(path: Path, prefix: Path, packed: Callable[[int], None]) -> None:
    """
    Writes a `.tar.gz` with conda-pack's own `bin/conda-unpack`.

    Raises:
        PythonEnvironmentError: It cannot be packed as it is.
    """
    from conda_pack.core import CondaEnv, CondaPackException, Packer

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that conda has cleaned its cache is no matter
            environment = CondaEnv.from_prefix(str(prefix), on_missing_cache="ignore")
        # What Python compiled by itself comes and goes, and would make another archive each time.
        files = [file for file in environment if file.is_conda or "__pycache__" not in file.target]
        files.sort(key=lambda file: file.target)
        with (
            path.open("wb") as out,
            archive.Gzip(out) as stream,
            archive.Tar(stream, packed) as tar,
        ):
            packer = Packer(str(prefix), _Archive(tar))
            for each in files:
                packer.add(each)
            packer.finish()
    except CondaPackException as error:
        raise PythonEnvironmentError(
            f"The conda environment {prefix} cannot be packed: {_one_line(error)}"
        ) from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


@attrs.frozen
class _Archive:
    """What conda-pack writes to."""

    tar: archive.Tar

    def add(self, source: str, target: str) -> None:
        for entry in _entry(Path(source), target):
            self.tar.add(entry)

    def add_bytes(self, source: str, content: bytes, target: str) -> None:
        executable = of_file(target, Path(source)).executable
        self.tar.add(made(target, content, executable=executable))


def _entry(source: Path, target: str) -> Sequence[Entry]:
    if source.is_symlink():
        return [Entry(target=target, link=str(source.readlink()))]
    if source.is_dir():
        return [Entry(target=target)]
    origin = compiled.source_of(source) if source.suffix == ".pyc" else None
    if origin is not None and not origin.is_file():
        origin = None
    return [attrs.evolve(of_file(target, source), compiled_from=origin)]
