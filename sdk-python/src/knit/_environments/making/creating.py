"""Conda environments made by name, as knit 0.1.1 did."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from knit._environments.making import conda_tools, matching, rattler
from knit._environments.packing.packing import PackingProgress, pack_environment
from knit._values.paths import expanded
from knit.exceptions import CondaException, PackageListError

CHANNELS_VARIABLE = "KNIT_CONDA_CHANNELS"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def create_env(
    env_name: str,
    packages: Sequence[str] | None = None,
    *,
    channels: Sequence[str] = (),
    conda_root: str | os.PathLike[str] | None = None,
    remove: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """
    Makes a conda environment, or takes the one there is, and packs it.

    It is made by conda, mamba or micromamba if one is found (in `conda_root`, by `$CONDA_EXE` or
    `$MAMBA_EXE`, on the PATH), else by py-rattler in this process (`pip install
    py-rattler`). If that fails, nothing half-made is left, and what was there stays.

    Args:
        env_name: Its name: letters, digits, `_`, `-` and `.`.
        packages: What it is to have, as in `["python=3.11", "numpy>=1.20"]`. Default: it exists,
            and is packed as it is.
        channels: Where packages come from, by name or URL. Default: `$KNIT_CONDA_CHANNELS`,
            separated by commas; else as conda is configured; else conda-forge.
        conda_root: Environments are in `envs` below it. Default: where conda has its own, or
            `~/.local/share/knit/environments`.
        remove: Make it anew, instead of taking the one there is.
        progress: Told how far it is, in a few words, from other threads. Default: shown on
            stderr, if that is a terminal.

    Returns:
        The path of the archive, a `.tar.gz`.

    Raises:
        PackageListError: `packages` is no list (also a TypeError).
        CondaException: It could not be made, or does not satisfy `packages`.
        PythonEnvironmentError: It could not be packed.
    """
    wanted, sources = _checked(env_name, packages, channels)
    with _telling(progress) as say:
        root = None if conda_root is None else expanded(conda_root).absolute()
        tool = conda_tools.find(root)
        directory = tool.environments(root) if tool else rattler.environments(root)
        prefix = directory / env_name
        if wanted is None and not _is_environment(prefix):
            raise CondaException(
                f"There is no environment {env_name!r} in {directory}: give the packages that it "
                "is to have, and it is made."
            )
        if wanted is not None:
            with _alone(prefix, say):
                if remove or not prefix.exists():
                    create = _creator(tool)
                    with _replacing(prefix):
                        create(prefix, wanted, sources, say)
                        _check_has_python(prefix)
                else:
                    _check_satisfies(prefix, wanted)
        say(f"packing {prefix}")

        def packed(state: PackingProgress) -> None:
            say(f"packing {prefix}: {100 * state.packed_bytes // max(1, state.total_bytes)} %")

        return pack_environment(prefix, progress=packed)


Creator = Callable[[Path, Sequence[str], Sequence[str], Callable[[str], None]], None]


def _creator(tool: conda_tools.Tool | None) -> Creator:
    if tool is not None:
        return tool.create
    if rattler.is_there():
        return rattler.create
    raise CondaException(
        "There is nothing to make a conda environment with: no conda, mamba or micromamba on the "
        "PATH, and no py-rattler. Install one of them, or: pip install py-rattler"
    )


def _checked(
    name: str, packages: Sequence[str] | None, channels: Sequence[str]
) -> tuple[list[str] | None, list[str]]:
    if not sys.platform.startswith("linux"):
        raise CondaException(
            "The nodes of the cluster run Linux, so an environment for them is made on Linux."
        )
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise CondaException(
            f"{name!r} is no name for an environment: use letters, digits, _, - and ."
        )
    if packages is not None:
        if not isinstance(packages, (list, tuple)):
            raise PackageListError(
                f"packages is {packages!r}: give a list, such as ['python=3.11', 'numpy']."
            )
        for spec in packages:
            if not isinstance(spec, str) or not spec.strip() or spec.startswith("-"):
                raise PackageListError(f"packages holds {spec!r}, which is the name of no package.")
    sources = [channels] if isinstance(channels, str) else list(channels)
    if not sources:
        sources = re.split(r"[\s,]+", os.environ.get(CHANNELS_VARIABLE, ""))
    if any(source.startswith("-") for source in sources):
        raise CondaException(f"{', '.join(sources)}: these are no channels.")
    return None if packages is None else list(packages), [s for s in sources if s]


def _is_environment(prefix: Path) -> bool:
    return (prefix / "conda-meta").is_dir()


def _check_satisfies(prefix: Path, wanted: Sequence[str]) -> None:
    if not _is_environment(prefix):
        raise CondaException(
            f"{prefix} is there and is no conda environment: choose another name, or move it away."
        )
    lacking = matching.missing(prefix, wanted)
    if lacking:
        raise CondaException(
            f"The environment {prefix} exists and lacks {', '.join(lacking)}. Have it made anew "
            "(remove=True, or --remove), or choose another name."
        )
    _check_has_python(prefix)


def _check_has_python(prefix: Path) -> None:
    if not os.access(prefix / "bin" / "python", os.X_OK):
        raise CondaException(
            f"The environment {prefix} has no Python: add 'python' to its packages."
        )


@contextlib.contextmanager
def _replacing(prefix: Path) -> Iterator[None]:
    """What is there makes room for what the block makes, and is back if the block fails."""
    aside = prefix.with_name(f".{prefix.name}.{secrets.token_hex(8)}.old")
    try:
        prefix.parent.mkdir(parents=True, exist_ok=True)
        if prefix.exists():
            prefix.rename(aside)
    except OSError as error:
        raise CondaException(f"{prefix} cannot be made ({error.strerror}).") from None
    try:
        yield
    except BaseException:
        _remove(prefix)
        if aside.exists():
            aside.rename(prefix)
        raise
    _remove(aside)


def _remove(path: Path) -> None:
    # What was broken off may still be writing for a moment.
    for _ in range(20):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
        time.sleep(0.1)


@contextlib.contextmanager
def _alone(prefix: Path, say: Callable[[str], None]) -> Iterator[None]:
    """One process at a time makes an environment; the others wait and find it made."""
    import fcntl

    lock = prefix.with_name(f".{prefix.name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("w")
    except OSError as error:
        raise CondaException(f"{prefix} cannot be made ({error.strerror}).") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that makes {prefix}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _telling(progress: Callable[[str], None] | None) -> Iterator[Callable[[str], None]]:
    if progress is not None:
        yield progress
        return
    if not sys.stderr or not sys.stderr.isatty():
        yield lambda _: None
        return

    def say(text: str) -> None:
        width = max(20, shutil.get_terminal_size().columns) - 1
        sys.stderr.write(f"\r\x1b[2K{text[:width]}")
        sys.stderr.flush()

    try:
        yield say
    finally:
        sys.stderr.write("\r\x1b[2K")
        sys.stderr.flush()
