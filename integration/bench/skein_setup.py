"""Makes skein 0.8.2 run: a Python it can be imported in, and a ``yarn`` command it can ask."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from integration import toolchain
from integration.bench.errors import ClientFailedError, SkeinMissingError

VERSION = "0.8.2"
# skein imports distutils and pkg_resources, and its generated code is refused by protobuf 4.
REQUIREMENTS = [f"skein=={VERSION}", "grpcio==1.85.1", "protobuf==3.20.3", "setuptools<80"]


def install(directory: Path) -> Path:
    """
    Return the Python of a virtual environment with skein, made at the first call.

    Raises:
        SkeinMissingError: no Python 3.11, or the installation failed.
    """
    python = directory / "bin" / "python"
    if _imports(python):
        return python
    toolchain.offer_pyenv_interpreters()
    if (base := shutil.which("python3.11")) is None:
        raise SkeinMissingError(
            "skein is left out: it needs Python 3.11 (3.12 took distutils away), "
            "and there is no python3.11 on the PATH."
        )
    for command in (
        [base, "-m", "venv", "--clear", str(directory)],
        [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            *REQUIREMENTS,
        ],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SkeinMissingError(
                f"skein is left out: {' '.join(command)}: {done.stderr[-1000:]}"
            )
    if not _imports(python):
        raise SkeinMissingError(
            f"skein is left out: it was installed in {directory}, but does not import"
        )
    return python


def _imports(python: Path) -> bool:
    return (
        python.exists()
        and subprocess.run([python, "-c", "import skein"], capture_output=True).returncode == 0
    )


def environment(directory: Path, conf_dir: Path, jars: Path) -> dict[str, str]:
    """
    What skein needs in its environment to reach the cluster.

    The ``yarn`` command is a script that prints, which is quicker than the JVM a real one starts.
    """
    commands = directory / "bin"
    commands.mkdir(parents=True, exist_ok=True)
    yarn = commands / "yarn"
    class_path = ":".join([str(conf_dir), *sorted(map(str, jars.glob("*.jar")))])
    yarn.write_text(f"#!/bin/sh\necho '{class_path}'\n", encoding="utf-8")
    yarn.chmod(0o755)
    return {
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "JAVA_HOME": str(toolchain.find_jdk()),
        "HADOOP_CONF_DIR": str(conf_dir),
        "SKEIN_CONFIG": str(directory / "config"),
    }


def make_credentials(python: Path, env: dict[str, str]) -> None:
    """Make skein's certificates, as it does once for each user at the first use."""
    done = subprocess.run(
        [python, "-W", "ignore", "-c", "import skein; skein.Security.from_default()"],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise SkeinMissingError(f"skein is left out: no certificates: {done.stderr[-1000:]}")


@contextmanager
def driver_running(python: Path, env: Mapping[str, str]) -> Iterator[None]:
    """skein's global driver, started before and stopped after."""

    def call(what: str) -> None:
        done = subprocess.run(
            [python, "-c", f"import skein; skein.Client.{what}"],
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode != 0:
            raise ClientFailedError(f"skein.Client.{what}: {done.stderr[-1000:]}")

    call("start_global_driver(log=False)")
    try:
        yield
    finally:
        call("stop_global_driver()")
