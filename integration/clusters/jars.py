"""The jars of Hadoop's daemons: resolved once from Maven Central, then kept in a cache."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from integration import toolchain

ROOT = Path(__file__).parents[2]
POM = ROOT / "integration" / "hadoop" / "pom.xml"


def hadoop_version() -> str:
    """The version of Hadoop to run: ``$KNIT_HADOOP_VERSION``, or the one the pom names."""
    if chosen := os.environ.get("KNIT_HADOOP_VERSION"):
        return chosen
    match = re.search(r"<hadoop\.version>([^<]+)<", POM.read_text(encoding="utf-8"))
    assert match, f"{POM} names no hadoop.version"
    return match.group(1)


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
    directory = cache_directory() / f"hadoop-{version}"
    if directory.is_dir():
        return directory
    jdk = toolchain.find_jdk()
    tool, program = toolchain.find_build_tool(ROOT, jdk)
    part = Path(tempfile.mkdtemp(prefix=f"{directory.name}.part-", dir=directory.parent))
    if tool is toolchain.BuildTool.MAVEN:
        command = [program, "-B", "-f", str(POM)]
        command += [f"-Dhadoop.version={version}", f"-Dhadoop.jars={part}", "process-resources"]
    else:
        command = [program, "--console=plain", "-p", str(ROOT), ":integration:hadoop:jars"]
        command += [f"-Phadoop.version={version}", f"-Phadoop.jars={part}"]
    print(
        f"Downloading Hadoop {version} from Maven Central, about 90 MB, the first time", flush=True
    )
    try:
        toolchain.run_visibly(command, what=f"Hadoop {version}", env={"JAVA_HOME": str(jdk)})
        part.chmod(0o755)
        try:
            part.rename(directory)
        except OSError:
            if not directory.is_dir():  # else somebody else was quicker
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return directory
