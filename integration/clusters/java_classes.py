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

OLDEST_JAVA = 8
"""Hadoop's, on the nodes."""
KEYTOOL_EXPORT = "--add-exports=java.base/sun.security.tools.keytool=ALL-UNNAMED"
"""What javac and java want to be told for ``java/tools``."""


def kdc_classes(java: Path, jars: Path) -> Path:
    """``Kdc``, made for the KDC's jars."""
    return _compiled("kdc", toolchain.jdk_version(java), class_path=jars)


def node_classes(jars: Path) -> Path:
    """What a secure NodeManager finds before Hadoop's own classes, on any Java that it runs on."""
    return _compiled("node", OLDEST_JAVA, class_path=jars)


def tool_classes(java: Path) -> Path:
    """``Keytool``; to be run with ``KEYTOOL_EXPORT``."""
    return _compiled("tools", toolchain.jdk_version(java), flags=[KEYTOOL_EXPORT])


def _compiled(
    name: str, feature: int, *, class_path: Path | None = None, flags: Sequence[str] = ()
) -> Path:
    """
    A directory of classes, for Java of that feature version and later.

    Raises:
        ToolchainError: they do not compile.
    """
    sources = sorted((_SOURCES / name).rglob("*.java"))
    against = "" if class_path is None else class_path.name
    made_of = artifacts.fingerprint([_SOURCES / name])[:12]
    compiler = toolchain.find_jdk()
    if feature < toolchain.jdk_version(compiler):
        flags = [*flags, "--release", str(feature)]
    directory = cache_directory() / "-".join(
        filter(None, ["classes", name, against, f"jdk{feature}", made_of])
    )
    if directory.is_dir():
        return directory
    part = Path(tempfile.mkdtemp(prefix=f"{directory.name}.part-", dir=directory.parent))
    try:
        command = [str(compiler / "bin" / "javac"), "-d", str(part), *flags]
        if class_path is not None:
            command += ["-cp", f"{class_path}/*"]
        done = subprocess.run([*command, *map(str, sources)], capture_output=True, text=True)
        if done.returncode != 0:
            raise toolchain.ToolchainError(
                f"{_SOURCES / name} does not compile with {compiler}: {done.stdout}{done.stderr}"
            )
        part.chmod(0o755)
        move_into_cache(part, directory)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return directory
