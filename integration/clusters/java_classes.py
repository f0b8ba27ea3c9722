"""The few classes of our own that clusters run: compiled once by the JDK, then kept in a cache."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from integration import artifacts, toolchain
from integration.clusters.jars import ROOT, cache_directory, move_into_cache

_SOURCES = ROOT / "integration" / "java"

KEYTOOL_EXPORT = "--add-exports=java.base/sun.security.tools.keytool=ALL-UNNAMED"
"""What javac and java want to be told for ``java/tools``."""


def kdc_classes(java: Path, jars: Path) -> Path:
    """``Kdc``, made for the KDC's jars."""
    return _compiled("kdc", java, class_path=jars)


def node_classes(java: Path, jars: Path) -> Path:
    """What a secure NodeManager finds before Hadoop's own classes."""
    return _compiled("node", java, class_path=jars)


def tool_classes(java: Path) -> Path:
    """``Keytool``; to be run with ``KEYTOOL_EXPORT``."""
    return _compiled("tools", java, flags=[KEYTOOL_EXPORT])


def _compiled(
    name: str, java: Path, *, class_path: Path | None = None, flags: Sequence[str] = ()
) -> Path:
    """
    A directory of classes.

    Raises:
        ToolchainError: they do not compile.
    """
    sources = sorted((_SOURCES / name).rglob("*.java"))
    against = "" if class_path is None else class_path.name
    made_of = artifacts.fingerprint([_SOURCES / name])[:12]
    jdk = toolchain.jdk_version(java)
    directory = cache_directory() / "-".join(
        filter(None, ["classes", name, against, f"jdk{jdk}", made_of])
    )
    if directory.is_dir():
        return directory
    part = Path(tempfile.mkdtemp(prefix=f"{directory.name}.part-", dir=directory.parent))
    try:
        command = [str(java / "bin" / "javac"), "-d", str(part), *flags]
        if class_path is not None:
            command += ["-cp", f"{class_path}/*"]
        done = subprocess.run([*command, *map(str, sources)], capture_output=True, text=True)
        if done.returncode != 0:
            raise toolchain.ToolchainError(
                f"{_SOURCES / name} does not compile with {java}: {done.stdout}{done.stderr}"
            )
        part.chmod(0o755)
        move_into_cache(part, directory)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return directory
