"""Makes skein 0.8.2 run: a Python it can be imported in, and a ``yarn`` command it can ask."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from integration import toolchain
from integration.bench.errors import ClientFailedError, SkeinMissingError, TooLateError
from integration.bench.yarn import Yarn

VERSION = "0.8.2"
DRIVER_PATIENCE_SECONDS = 60
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


def environment(directory: Path, yarn: Yarn) -> dict[str, str]:
    """
    What skein needs in its environment to reach the cluster.

    The configuration is the cluster's, with the class path named where it names none: skein finds
    Hadoop's jars on the nodes by it only. The ``yarn`` command is a script that prints, which is
    quicker than the JVM a real one starts.
    """
    commands = directory / "bin"
    commands.mkdir(parents=True, exist_ok=True)
    program = commands / "yarn"
    conf_dir = yarn.with_class_path(directory / "conf")
    class_path = ":".join([str(conf_dir), *yarn.jars()])
    program.write_text(f"#!/bin/sh\necho '{class_path}'\n", encoding="utf-8")
    program.chmod(0o755)
    return {
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "JAVA_HOME": str(Path(shutil.which("java") or "/usr/bin/java").resolve().parents[1]),
        "HADOOP_CONF_DIR": str(conf_dir),
        "SKEIN_CONFIG": str(directory / "config"),
    }


def installed(packages: Path, directory: Path) -> Path:
    """
    Return a Python that finds skein among packages installed elsewhere, for another machine's.

    Raises:
        SkeinMissingError: this machine's Python does not take them.
    """
    directory.mkdir(parents=True, exist_ok=True)
    python = directory / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{packages}:$PYTHONPATH" exec python3 "$@"\n')
    python.chmod(0o755)
    if not _imports(python):
        raise SkeinMissingError(f"skein is left out: python3 does not import it from {packages}")
    return python


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
    """
    skein's global driver, started before and stopped after.

    It is started as a driver that ends with the process that started it, and made the global one by
    the file that skein writes for it: so none is left behind, also if this process is killed.
    """
    program = (
        "import skein, sys; client = skein.Client(log=False); "
        "print(client.address, flush=True); sys.stdin.read(); client.close()"
    )
    holder = subprocess.Popen(
        [python, "-c", program],
        env={**os.environ, **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    try:
        if not select.select([holder.stdout], [], [], DRIVER_PATIENCE_SECONDS)[0]:
            raise TooLateError(f"skein's driver did not start in {DRIVER_PATIENCE_SECONDS} s")
        address = holder.stdout.readline().strip()
        if not address:
            raise ClientFailedError(f"skein's driver did not start: exit code {holder.wait()}")
        known = {"address": address, "pid": holder.pid}
        (Path(env["SKEIN_CONFIG"]) / "driver").write_text(json.dumps(known), encoding="utf-8")
        yield
    finally:
        try:
            holder.communicate(timeout=20)  # closes its input, which ends it
        except subprocess.TimeoutExpired:
            holder.kill()
            holder.wait()
