"""conda, mamba and micromamba, where one of them is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs

from knit.exceptions import CondaException

NAMES = ("conda", "mamba", "micromamba")
DEFAULT_CHANNELS = ("conda-forge",)

_INFO = timedelta(minutes=2)
_LINES_IN_ERRORS = 30


@attrs.frozen
class Tool:
    """A program that makes conda environments."""

    program: str

    @property
    def name(self) -> str:
        return Path(self.program).name

    def environments(self, conda_root: Path | None) -> Path:
        """
        The directory below which environments are by their names.

        Raises:
            CondaException: The program does not say.
        """
        if conda_root is not None:
            return conda_root / "envs"
        info = self._info()
        # conda and mamba 1 say the one, micromamba and mamba 2 the other.
        found = info.get("envs_dirs") or info.get("envs directories")
        if isinstance(found, list) and found:
            return Path(found[0])
        root = info.get("root_prefix") or info.get("base environment")
        if isinstance(root, str) and root:
            return Path(root.split(" ")[0]) / "envs"
        raise CondaException(
            f"`{self.program} info` does not say where its environments are: give conda_root."
        )

    def create(
        self,
        prefix: Path,
        packages: Sequence[str],
        channels: Sequence[str],
        say: Callable[[str], None],
    ) -> None:
        """
        Makes an environment.

        Args:
            prefix: Where; it does not exist yet.
            packages: What it is to have.
            channels: Where from. Empty: as the program is configured, else conda-forge.
            say: Told what the program says.

        Raises:
            CondaException: It could not.
        """
        channels = channels or (() if self._is_configured() else DEFAULT_CHANNELS)
        options = [f"--channel={channel}" for channel in channels]
        if channels:
            options.append("--override-channels")
        command = [self.program, "create", "--yes", "--prefix", str(prefix), *options, *packages]
        last: deque[str] = deque(maxlen=_LINES_IN_ERRORS)
        with _running(command) as process:
            for line in _lines(process):
                last.append(line)
                say(f"{self.name}: {line}")
            status = process.wait()
        if status != 0:
            raise CondaException(
                f"{self.name} could not make the environment (exit status {status}): "
                + (" / ".join(last) or "it said nothing")
            )

    def _is_configured(self) -> bool:
        info = self._info()
        files = info.get("config_files") or info.get("populated config files")
        return bool(files)

    def _info(self) -> dict[str, Any]:
        try:
            answer = subprocess.run(  # noqa: S603 - the user's own
                [self.program, "info", "--json"],
                capture_output=True,
                text=True,
                timeout=_INFO.total_seconds(),
            )
            info = json.loads(answer.stdout)
        except (OSError, subprocess.TimeoutExpired, ValueError) as error:
            raise CondaException(
                f"`{self.program} info --json` does not work ({error}): repair the program, or "
                "take its directory off the PATH."
            ) from None
        if answer.returncode != 0 or not isinstance(info, dict):
            raise CondaException(
                f"`{self.program} info --json` failed: {answer.stderr.strip()[-500:]}"
            )
        return info


def find(conda_root: Path | None) -> Tool | None:
    """
    The program to use: of that installation, else of the shell's, else the first on the PATH.

    `$MAMBA_EXE` and `$CONDA_EXE` are what a shell in which they were set up says.
    """
    for candidate in _candidates(conda_root):
        program = shutil.which(candidate)
        if program is not None:
            return Tool(program)
    return None


def _candidates(conda_root: Path | None) -> Iterator[str]:
    if conda_root is not None:
        yield from (str(conda_root / "bin" / name) for name in NAMES)
    yield from (os.environ[name] for name in ("CONDA_EXE", "MAMBA_EXE") if os.environ.get(name))
    yield from NAMES


class _running:  # noqa: N801 - reads as a sentence in `with`
    """A program with its output in one pipe, which ends with the block."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    def __enter__(self) -> subprocess.Popen[bytes]:
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            raise CondaException(f"{self._command[0]} does not start ({error.strerror}).") from None
        return self._process

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    assert process.stdout is not None  # noqa: S101 - it was asked for
    for line in process.stdout:
        # Of a line that was written over, the last state.
        text = line.decode("utf-8", "replace").rstrip().rpartition("\r")[2].strip()
        if text:
            yield text
