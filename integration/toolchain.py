"""
Finds what the machine has to build with, and builds the Application Master's jar with it.

Gradle is taken where it is there, else Maven, else the Gradle wrapper, which downloads Gradle.
"""

from __future__ import annotations

import enum
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from integration import artifacts

OLDEST_JDK = 11
OLDEST_JDK_FOR_GRADLE = 17
# Shadow 9, which makes the one jar, needs it; see gradle/libs.versions.toml.
OLDEST_GRADLE = (9, 4)

_DOWNLOAD = re.compile(r"^Download(?:ing|ed)? ?(?:from|https?:)", re.ASCII)
_STEP = re.compile(
    r"^\[INFO\] --- (?P<plugin>[\w.-]+?)(?:-maven-plugin|-plugin)?:[\w.-]+:(?P<goal>[\w-]+)"
    r"|^> Task (?P<task>\S+)"
)


class ToolchainError(Exception):
    """Nothing to build with, or the build failed; the message is one sentence to act on."""


class BuildTool(enum.Enum):
    """What builds the jar."""

    GRADLE = "gradle"
    MAVEN = "maven"
    WRAPPER = "gradlew"


def find_jdk() -> Path:
    """
    Return the home of a JDK: of ``$JAVA_HOME``, or of the ``javac`` on the PATH.

    Raises:
        ToolchainError: there is none, or only one older than Java 11.
    """
    candidates = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    if on_path := shutil.which("javac"):
        candidates.append(Path(on_path).resolve().parent.parent)
    for home in candidates:
        if (home / "bin" / "javac").exists() and jdk_version(home) >= OLDEST_JDK:
            return home
    found = ", ".join(str(home) for home in candidates) or "no javac on the PATH and no JAVA_HOME"
    raise ToolchainError(
        f"knit's build and its embedded cluster need a JDK of version {OLDEST_JDK} or later, "
        f"and none was found ({found}): install one, for example openjdk-17-jdk-headless, "
        "or point JAVA_HOME at it."
    )


def jdk_version(home: Path) -> int:
    """The feature version of a JDK, such as 17; 0 if it cannot be told."""
    answer = subprocess.run([home / "bin" / "java", "-version"], capture_output=True, text=True)
    match = re.search(r'version "(?:1\.)?(\d+)', answer.stderr)
    return int(match.group(1)) if match else 0


def find_build_tool(root: Path, jdk: Path) -> tuple[BuildTool, str]:
    """
    Return what builds the jar, and its program.

    ``$KNIT_BUILD_TOOL`` (gradle, maven or gradlew) decides where it is set.

    Raises:
        ToolchainError: there is none, or not the one ``$KNIT_BUILD_TOOL`` names.
    """
    found: dict[BuildTool, str] = {}
    if jdk_version(jdk) >= OLDEST_JDK_FOR_GRADLE:
        if (gradle := shutil.which("gradle")) and _gradle_version(gradle) >= OLDEST_GRADLE:
            found[BuildTool.GRADLE] = gradle
        found[BuildTool.WRAPPER] = str(root / "gradlew")
    if maven := shutil.which("mvn"):
        found[BuildTool.MAVEN] = maven
    wish = os.environ.get("KNIT_BUILD_TOOL")
    for tool in BuildTool:
        if tool in found and wish in (None, "", tool.value):
            return tool, found[tool]
    raise ToolchainError(
        (
            f"KNIT_BUILD_TOOL={wish} cannot be used here"
            if wish
            else "Neither Gradle nor Maven was found"
        )
        + f": install Maven 3.8 or later, or Gradle {OLDEST_GRADLE[0]}.{OLDEST_GRADLE[1]} or later "
        f"with a JDK of version {OLDEST_JDK_FOR_GRADLE}."
    )


def _gradle_version(gradle: str) -> tuple[int, ...]:
    answer = subprocess.run([gradle, "--version"], capture_output=True, text=True)
    match = re.search(r"^Gradle (\d+)\.(\d+)", answer.stdout, re.MULTILINE)
    return (int(match.group(1)), int(match.group(2))) if match else (0,)


def jar(root: Path) -> Path | None:
    """The newest shaded jar of the Application Master, of either build; None before the first."""
    built = [
        *(root / "am-kotlin" / "build" / "libs").glob("knit-am-*-all.jar"),
        *(root / "am-kotlin" / "target").glob("knit-am-*-all.jar"),
    ]
    return max(built, key=lambda path: path.stat().st_mtime, default=None)


def build_jar(root: Path, *, tests: bool) -> Path:
    """
    Build the shaded jar, showing progress, and return it.

    Without ``tests`` a jar that was made of what lies here is taken as it is.

    Raises:
        ToolchainError: there is nothing to build with, or the build failed.
    """
    made_of = artifacts.fingerprint(_sources_of_jar(root))
    built = jar(root)
    if built is not None and not tests and artifacts.is_current(built, made_of):
        _tell(f"Application Master: {built.name} is made of what lies here")
        return built
    jdk = find_jdk()
    tool, program = find_build_tool(root, jdk)
    if tool is BuildTool.MAVEN:
        _remove_stale_classes(root, made_of)
        goals = ["verify"] if tests else ["package", "-Dmaven.test.skip=true", "-Dktlint.skip=true"]
        command = [program, "-B", "-f", str(root / "am-kotlin" / "pom.xml"), *goals]
    else:
        goals = ["build"] if tests else [":am-kotlin:shadowJar"]
        command = [program, "--console=plain", "-p", str(root), *goals]
    run_visibly(command, what="Application Master", env={"JAVA_HOME": str(jdk)})
    built = jar(root)
    if built is None:
        raise ToolchainError(
            f"The build ended well but left no knit-am-*-all.jar: {' '.join(command)}"
        )
    artifacts.note(built, made_of)
    for classes, of_these in _classes(root, made_of).items():
        if classes.is_dir():
            artifacts.note(classes, of_these)
    return built


def _classes(root: Path, made_of: str) -> Mapping[Path, str]:
    """Where Maven compiles to, and what of."""
    target, tests = root / "am-kotlin" / "target", root / "am-kotlin" / "src" / "test"
    of_tests = f"{made_of} {artifacts.fingerprint([tests])}"
    return {target / "classes": made_of, target / "test-classes": of_tests}


def _remove_stale_classes(root: Path, made_of: str) -> None:
    """Compiled from step to step, Kotlin's classes can outlive their sources and reach the jar."""
    stale = [
        classes
        for classes, of_these in _classes(root, made_of).items()
        if classes.is_dir() and not artifacts.is_current(classes, of_these)
    ]
    for directory in [*stale, root / "am-kotlin" / "target" / "kotlin-ic"] if stale else []:
        shutil.rmtree(directory, ignore_errors=True)


def _sources_of_jar(root: Path) -> Sequence[Path]:
    am = root / "am-kotlin"
    return [
        *(root / name for name in ("LICENSE", "build.gradle.kts", "settings.gradle.kts")),
        *(root / name for name in ("gradle", "proto")),
        *(am / name for name in ("pom.xml", "build.gradle.kts", "licenses")),
        am / "src" / "main",
        root / "sdk-python" / "src" / "knit" / "_launch_am.sh",
    ]


def run_visibly(command: Sequence[str], *, what: str, env: Mapping[str, str] | None = None) -> None:
    """
    Run a Maven or Gradle build and show its steps and the number of its downloads as they come.

    Test results and warnings are passed on; the rest is kept, and shown if the build fails.

    Raises:
        ToolchainError: the build failed; its output has been shown.
    """
    lines: list[str] = []
    downloads, last_told, began = 0, 0.0, time.monotonic()
    process = subprocess.Popen(
        command,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            lines.append(line)
            if _DOWNLOAD.match(line.removeprefix("[INFO] ")):
                downloads += "Downloading" not in line
                if time.monotonic() - last_told > 3:
                    last_told = time.monotonic()
                    _tell(f"{what}: {downloads} files downloaded")
            elif step := _STEP.match(line):
                _tell(f"{what}: {step['task'] or step['plugin'] + ' ' + step['goal']}")
            elif "Tests run:" in line or "WARN" in line or "BUILD" in line:
                _tell(line.rstrip())
        status = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if status != 0:
        sys.stdout.writelines(
            line for line in lines if not _DOWNLOAD.match(line.removeprefix("[INFO] "))
        )
        raise ToolchainError(
            f"The build failed with exit code {status}; its output is above: {' '.join(command)}"
        )
    _tell(f"{what}: done in {time.monotonic() - began:.0f} s")


def _tell(line: str) -> None:
    print(line, flush=True)


def docker_answers() -> bool:
    """Whether a Docker engine answers."""
    return (
        shutil.which("docker") is not None
        and subprocess.run(["docker", "info"], capture_output=True).returncode == 0
    )


def offer_pyenv_interpreters() -> None:
    """Let ``python3.X`` on the PATH find every version pyenv has, where its shims are in use."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    versions = sorted(path.name for path in (pyenv / "versions").glob("3.*") if path.is_dir())
    own = ".".join(map(str, sys.version_info[:3]))
    if own in versions:
        os.environ.setdefault(
            "PYENV_VERSION", ":".join([own, *(version for version in versions if version != own)])
        )
