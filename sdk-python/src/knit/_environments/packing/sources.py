"""What a specification may name as a Python environment, and what is uploaded for it."""

from __future__ import annotations

import os
from pathlib import Path

from knit._environments.packing import packing
from knit._environments.packing.inspecting import check_archive
from knit._environments.packing.packing import ProgressCallback
from knit._values.files import (
    ENVIRONMENT_SUFFIXES,
    RUNNING_ENVIRONMENT,
    is_environment_archive,
    to_local_path,
)
from knit._values.paths import is_directory, is_file
from knit.exceptions import FileMissingError, PythonEnvironmentError

_GZIP, _ZIPS = b"\x1f\x8b", (b"PK\x03\x04", b"PK\x05\x06")
_TAR, _TAR_OFFSET = b"ustar", 257


def check_source(source: str) -> None:
    """
    Checks what this machine knows of an environment.

    Raises:
        FileMissingError: There is nothing of this name.
        PythonEnvironmentError: It is no environment, or one that would not run elsewhere.
    """
    if source == RUNNING_ENVIRONMENT:
        packing.check()
        return
    path = to_local_path(source)
    if path is None:
        return
    if is_directory(path, what="environment", error=PythonEnvironmentError):
        packing.check(path)
        return
    if not is_file(path, what="environment", error=PythonEnvironmentError):
        raise FileMissingError(f"The environment {path} does not exist on this machine.")
    if not is_environment_archive(path.name):
        raise PythonEnvironmentError(
            f"The environment {path} is neither a directory nor an archive that ends in one of "
            f"{', '.join(ENVIRONMENT_SUFFIXES)}."
        )
    if not os.access(path, os.R_OK):
        raise PythonEnvironmentError(f"The archive {path} cannot be read: check its permissions.")
    if not _is_what_it_says(path):
        raise PythonEnvironmentError(
            f"The archive {path} holds something else than its name says: pack it again, for "
            "instance by: knit env pack DIR -o env.tar.gz"
        )
    check_archive(path)


def to_stage(source: str, progress: ProgressCallback | None) -> Path | str:
    """
    The archive of an environment, packed now where it is a directory: a path, or a URL.

    Raises:
        PythonEnvironmentError: It cannot be packed.
    """
    if source == RUNNING_ENVIRONMENT:
        return packing.pack_environment(progress=progress)
    path = to_local_path(source)
    if path is not None and path.is_dir():
        return packing.pack_environment(path, progress=progress)
    return path or source


def _is_what_it_says(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_TAR_OFFSET + len(_TAR))
    name = path.name.lower()
    if name.endswith(".zip"):
        return head.startswith(_ZIPS)
    if name.endswith(".tar"):
        return head[_TAR_OFFSET:] == _TAR
    return head.startswith(_GZIP)
