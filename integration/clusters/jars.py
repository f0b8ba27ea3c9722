"""Jars of programs that clusters run: resolved once from Maven Central, then kept in a cache."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from integration import toolchain

ROOT = Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class _Project:
    """A build that does nothing but to name modules and copy their jars."""

    name: str
    """Its directory in ``integration``."""
    target: str
    """The property that says where the jars go."""
    version: str
    """The property that says which version, with its default in the pom."""
    size: str

    @property
    def pom(self) -> Path:
        return ROOT / "integration" / self.name / "pom.xml"

    def default_version(self) -> str:
        match = re.search(
            rf"<{re.escape(self.version)}>([^<]+)<", self.pom.read_text(encoding="utf-8")
        )
        assert match, f"{self.pom} names no {self.version}"
        return match.group(1)


_HADOOP = _Project("hadoop", "hadoop.jars", "hadoop.version", "about 90 MB")
_KDC = _Project("kdc", "kerby.jars", "kerby.version", "about 4 MB")
_HTTPFS = _Project("httpfs", "httpfs.jars", "hadoop.version", "less than 1 MB")
_KMS = _Project("kms", "kms.jars", "hadoop.version", "less than 1 MB")


def hadoop_version() -> str:
    """The version of Hadoop to run: ``$KNIT_HADOOP_VERSION``, or the one the pom names."""
    return os.environ.get("KNIT_HADOOP_VERSION") or _HADOOP.default_version()


def cache_directory() -> Path:
    """``$KNIT_CACHE_DIR``, by default ``~/.cache/knit``; made if it is not there."""
    chosen = os.environ.get("KNIT_CACHE_DIR")
    directory = Path(chosen).resolve() if chosen else Path.home() / ".cache" / "knit"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def hadoop_jars(version: str) -> Path:
    """
    Return a directory with the jars of that version, downloaded at the first use.

    The directory is ``hadoop-<version>`` in the cache.

    Raises:
        ToolchainError: there is nothing to download with, or the download failed.
    """
    jars = _jars(_HADOOP, f"Hadoop {version}", f"hadoop-{version}", {"hadoop.version": version})
    # The web servers of Hadoop 2 need the older of its two, and fail if they meet the newer first.
    if list(jars.glob("asm-3*.jar")):
        for newer in jars.glob("asm-5*.jar"):
            newer.unlink(missing_ok=True)
    return jars


def httpfs_jars(version: str) -> Path:
    """
    Return a directory with the jars that HttpFS has beside Hadoop's, downloaded at the first use.

    Raises:
        ToolchainError: there is nothing to download with, or the download failed.
    """
    return _jars(_HTTPFS, f"HttpFS {version}", f"httpfs-{version}", {"hadoop.version": version})


def kms_jars(version: str) -> Path:
    """
    Return a directory with the jars that the KMS has beside Hadoop's, downloaded at the first use.

    Raises:
        ToolchainError: there is nothing to download with, or the download failed.
    """
    return _jars(_KMS, f"the KMS {version}", f"kms-{version}", {"hadoop.version": version})


def kdc_jars() -> Path:
    """
    Return a directory with the jars of the KDC, downloaded at the first use.

    They are no company for Hadoop's, which have other versions of some of them.

    Raises:
        ToolchainError: there is nothing to download with, or the download failed.
    """
    version = _KDC.default_version()
    return _jars(_KDC, f"Apache Kerby {version}", f"kerby-{version}", {})


def _jars(project: _Project, what: str, name: str, properties: Mapping[str, str]) -> Path:
    directory = cache_directory() / name
    if directory.is_dir():
        return directory
    jdk = toolchain.find_jdk()
    tool, program = toolchain.find_build_tool(ROOT, jdk)
    part = Path(tempfile.mkdtemp(prefix=f"{directory.name}.part-", dir=directory.parent))
    asked = {**properties, project.target: str(part)}
    if tool is toolchain.BuildTool.MAVEN:
        command = [program, "-B", "-f", str(project.pom)]
        command += [f"-D{key}={value}" for key, value in asked.items()] + ["process-resources"]
    else:
        command = [program, "--console=plain", "-p", str(ROOT), f":integration:{project.name}:jars"]
        command += [f"-P{key}={value}" for key, value in asked.items()]
    print(f"Downloading {what} from Maven Central, {project.size}, the first time", flush=True)
    try:
        toolchain.run_visibly(command, what=what, env={"JAVA_HOME": str(jdk)})
        part.chmod(0o755)
        move_into_cache(part, directory)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return directory


def move_into_cache(part: Path, directory: Path) -> None:
    """Give a complete directory its name; where somebody else was quicker, leave theirs."""
    try:
        part.rename(directory)
    except OSError:
        if not directory.is_dir():
            raise
