"""Conda environments without conda: solved and installed in this process by py-rattler."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import threading
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from knit._environments.making.conda_tools import DEFAULT_CHANNELS
from knit._values.paths import expanded
from knit.exceptions import CondaException

if TYPE_CHECKING:
    from rattler.install import InstallerReporter


def is_there() -> bool:
    """Whether py-rattler is installed."""
    return importlib.util.find_spec("rattler") is not None


def environments(conda_root: Path | None) -> Path:
    """The directory below which environments are by their names."""
    if conda_root is not None:
        return conda_root / "envs"
    base = os.environ.get("XDG_DATA_HOME", "")
    root = Path(base) if os.path.isabs(base) else Path.home() / ".local" / "share"
    return root / "knit" / "environments"


def create(
    prefix: Path, packages: Sequence[str], channels: Sequence[str], say: Callable[[str], None]
) -> None:
    """
    Makes an environment.

    Args:
        prefix: Where; it does not exist yet.
        packages: What it is to have.
        channels: Where from. Empty: as `~/.condarc` says, else conda-forge.
        say: Told how far it is.

    Raises:
        CondaException: It could not.
    """
    from rattler.exceptions import (
        FetchRepoDataError,
        GatewayError,
        InstallerError,
        InvalidChannelError,
        InvalidMatchSpecError,
        SolverError,
    )

    channels = channels or _configured() or DEFAULT_CHANNELS
    try:
        _run(_create(prefix, packages, channels, say))
    except (
        *(FetchRepoDataError, GatewayError, InstallerError, InvalidChannelError),
        *(InvalidMatchSpecError, SolverError, OSError),
    ) as error:
        raise CondaException(
            f"The packages {', '.join(packages)} cannot be installed from "
            f"{', '.join(channels)}: {' '.join(str(error).split())}"
        ) from None


async def _create(
    prefix: Path, packages: Sequence[str], channels: Sequence[str], say: Callable[[str], None]
) -> None:
    import rattler

    say(f"solving for {', '.join(packages)}")
    virtual = rattler.VirtualPackage.detect()
    records = await rattler.solve(
        sources=list(channels), specs=list(packages), virtual_packages=virtual
    )
    await rattler.install(
        records, target_prefix=prefix, show_progress=False, reporter=_reporter(len(records), say)
    )


def _reporter(packages: int, say: Callable[[str], None]) -> InstallerReporter:
    """What puts the installer's reports into a sentence."""
    from rattler.install import InstallerReporter

    class Reporter(InstallerReporter):
        """Its methods are called from threads."""

        def __init__(self) -> None:
            self._lock = threading.Lock()
            self._bytes: dict[int, int] = {}
            self._linked = 0

        def on_download_start(self, cache_entry: int) -> int:
            return cache_entry

        def on_download_progress(self, download_idx: int, progress: int, total: int | None) -> None:
            with self._lock:
                self._bytes[download_idx] = progress
                self._tell()

        def on_link_complete(self, index: int) -> None:
            with self._lock:
                self._linked += 1
                self._tell()

        def _tell(self) -> None:
            sent = sum(self._bytes.values()) / (1 << 20)
            say(f"downloaded {sent:.0f} MiB, installed {self._linked} of {packages}")

    return Reporter()  # type: ignore[abstract]  # what is left does nothing, by its protocol


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Runs it in a thread of its own, since a notebook's has a loop already."""
    failures: list[BaseException] = []
    loop = asyncio.new_event_loop()
    task = loop.create_task(work)

    def run() -> None:
        try:
            loop.run_until_complete(task)
        except BaseException as error:
            failures.append(error)
        finally:
            loop.close()

    thread = threading.Thread(target=run, name="knit-rattler", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.1)
    except BaseException:  # Ctrl-C
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
        raise
    if failures:
        raise failures[0]


def _configured() -> list[str]:
    """The channels of the user's own configuration of conda, if there is one."""
    import yaml

    named = [os.environ.get("CONDARC", ""), "~/.condarc", "~/.config/conda/.condarc", "~/.mambarc"]
    for name in filter(None, named):
        try:
            data = yaml.safe_load(expanded(name).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError, UnicodeDecodeError):
            continue
        channels = data.get("channels") if isinstance(data, dict) else None
        if isinstance(channels, list) and channels:
            return [str(channel) for channel in channels]
    return []
