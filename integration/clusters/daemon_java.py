"""The Java that the embedded cluster's daemons run on, and how."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

from integration import toolchain

# Java 24 took away what Hadoop before 3.5 asks for the user's identity.
NEWEST_JDK_BEFORE_HADOOP_3_5 = 23
_FIRST_WITH_MODULES = 9
_REALM_EXPORT = "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED"


def daemon_java(version: str) -> Path:
    """
    The Java that Hadoop's daemons of this version run on, and all containers.

    ``$KNIT_DAEMON_JAVA``, of Java 8 or later, or the JDK that all else is built with.

    Raises:
        ToolchainError: there is none, or it is too new for this version.
    """
    chosen = os.environ.get("KNIT_DAEMON_JAVA")
    java = Path(chosen).resolve() if chosen else toolchain.find_jdk()
    feature = toolchain.jdk_version(java)
    if _is_before(version, 3, 5) and feature > NEWEST_JDK_BEFORE_HADOOP_3_5:
        raise toolchain.ToolchainError(
            f"Hadoop {version} runs on Java 8 to "
            f"{NEWEST_JDK_BEFORE_HADOOP_3_5}, and {java} is Java {feature}: "
            "point JAVA_HOME or KNIT_DAEMON_JAVA at an older one."
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
    )
    if toolchain.jdk_version(java) >= _FIRST_WITH_MODULES:
        flags += ("--add-opens=java.base/java.lang=ALL-UNNAMED",)
    if 18 <= toolchain.jdk_version(java) <= NEWEST_JDK_BEFORE_HADOOP_3_5:
        flags += ("-Djava.security.manager=allow",)
    return flags


def kerberos_flags(java: Path, version: str) -> tuple[str, ...]:
    """What a JVM needs where there is Kerberos, the Application Master's as much as a daemon's."""
    # Before 3.3 Hadoop asks a class within the JDK for the realm.
    is_needed = _is_before(version, 3, 3) and toolchain.jdk_version(java) >= _FIRST_WITH_MODULES
    return (_REALM_EXPORT,) if is_needed else ()


def hadoop_flags(java: Path, version: str) -> tuple[str, ...]:
    """For Hadoop's own programs, of that version."""
    return (*daemon_flags(java), *kerberos_flags(java, version))


def _is_before(version: str, major: int, minor: int) -> bool:
    return tuple(map(int, re.findall(r"\d+", version)[:2])) < (major, minor)


def daemon_environment(java: Path, conf_dir: Path) -> dict[str, str]:
    """Little of the caller's: containers inherit from NodeManagers, and must not depend on it."""
    kept = ("PATH", "HOME", "USER", "LOGNAME", "TZ")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "LANG": "C.UTF-8",
        "JAVA_HOME": str(java),
        "HADOOP_CONF_DIR": str(conf_dir),
    }
