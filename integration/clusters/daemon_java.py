"""The Java that the embedded cluster's daemons run on, and how."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

from integration import toolchain

# Java 24 took away what Hadoop before 3.5 asks for the user's identity.
NEWEST_JDK_BEFORE_HADOOP_3_5 = 23


def daemon_java(version: str) -> Path:
    """The JDK that Hadoop's daemons of this version run on."""
    java = toolchain.find_jdk()
    feature = toolchain.jdk_version(java)
    before_3_5 = tuple(map(int, re.findall(r"\d+", version)[:2])) < (3, 5)
    if before_3_5 and feature > NEWEST_JDK_BEFORE_HADOOP_3_5:
        raise toolchain.ToolchainError(
            f"Hadoop {version} runs on Java {toolchain.OLDEST_JDK} to "
            f"{NEWEST_JDK_BEFORE_HADOOP_3_5}, and {java} is Java {feature}: "
            "point JAVA_HOME at an older JDK."
        )
    return java


@functools.cache
def daemon_flags(java: Path) -> tuple[str, ...]:
    """What makes a daemon small and quick to start."""
    flags: tuple[str, ...] = (
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Xshare:auto",
        "-Xss512k",
        "-Djava.net.preferIPv4Stack=true",
        "-Dfile.encoding=UTF-8",
        "--add-opens=java.base/java.lang=ALL-UNNAMED",
    )
    if 18 <= toolchain.jdk_version(java) <= NEWEST_JDK_BEFORE_HADOOP_3_5:
        flags += ("-Djava.security.manager=allow",)
    return flags


def daemon_environment(java: Path, conf_dir: Path) -> dict[str, str]:
    """Little of the caller's: containers inherit from NodeManagers, and must not depend on it."""
    kept = ("PATH", "HOME", "USER", "LOGNAME", "TZ")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "LANG": "C.UTF-8",
        "JAVA_HOME": str(java),
        "HADOOP_CONF_DIR": str(conf_dir),
    }
