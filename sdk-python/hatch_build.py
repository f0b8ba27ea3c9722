"""
What is built with the package: stubs from the contract, and the Application Master's jar.

Neither is committed. A wheel takes both from a temporary directory, so that builds side by
side in one checkout do not meet; an editable install puts them beside the sources; a source
distribution carries the proto files and the jar, from which its own wheel is built.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

JAR_NAME = "knit-am.jar"
JAR_PATTERNS = ("build/libs/knit-am-*-all.jar", "target/knit-am-*-all.jar")
JAR_LICENSES = "META-INF/licenses/"
WITHOUT_JAR = "KNIT_WHEEL_WITHOUT_JAR"


if TYPE_CHECKING:
    # Generic for a type checker only.
    _Hook = BuildHookInterface[Any]
else:
    _Hook = BuildHookInterface


class KnitBuildHook(_Hook):
    """Adds what is generated to what is packed."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it packs; `version` is `editable` for `pip install -e`."""
        root = Path(self.root)
        proto = _proto_directory(root)
        jar = _jar(root)
        editable = self.target_name == "wheel" and version == "editable"
        if jar is None and not editable and os.environ.get(WITHOUT_JAR) != "1":
            raise SystemExit(
                "The Application Master's jar is not built: run `./gradlew :am-kotlin:build` or "
                "`mvn -f am-kotlin/pom.xml package` first, or set "
                f"{WITHOUT_JAR}=1 for a wheel that cannot submit."
            )
        included: dict[str, str] = build_data["force_include"]
        if self.target_name == "sdist":
            included[str(proto)] = "proto"
            if jar is not None:
                included[str(jar)] = JAR_NAME
        elif editable:
            package = root / "src" / "knit"
            _refresh(_generate(proto, self._work()), package / "v1")
            if jar is not None:
                _replace(jar, package / "_jar" / JAR_NAME)
        else:
            work = self._work()
            included[str(_generate(proto, work))] = "knit/v1"
            if jar is not None:
                included[str(jar)] = f"knit/_jar/{JAR_NAME}"
                included[str(_licenses(jar, work))] = "knit/_jar/licenses"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called by hatchling after it has packed."""
        work = getattr(self, "_work_directory", None)
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)

    def _work(self) -> Path:
        self._work_directory = Path(tempfile.mkdtemp(prefix="knit-build-"))
        return self._work_directory


def _proto_directory(root: Path) -> Path:
    """The contract: the copy inside a source distribution, else the repository's."""
    for directory in (root / "proto", root.parent / "proto"):
        if (directory / "knit" / "v1").is_dir():
            return directory
    raise SystemExit(
        f"The contract is missing: neither {root / 'proto'} nor {root.parent / 'proto'}."
    )


def _jar(root: Path) -> Path | None:
    """The copy inside a source distribution, else the newest that Gradle or Maven has built."""
    if (root / JAR_NAME).is_file():
        return root / JAR_NAME
    am = root.parent / "am-kotlin"
    built = [jar for pattern in JAR_PATTERNS for jar in am.glob(pattern)]
    return max(built, key=lambda jar: jar.stat().st_mtime, default=None)


def _generate(proto: Path, work: Path) -> Path:
    """Writes modules, gRPC stubs and their types for every proto file; returns their directory."""
    plugin = _mypy_plugin()
    protos = sorted(str(path) for path in (proto / "knit" / "v1").glob("*.proto"))
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={proto}"]
    command += [f"--{name}={work}" for name in ("python_out", "grpc_python_out")]
    command += [f"--plugin=protoc-gen-{name}={plugin[name]}" for name in ("mypy", "mypy_grpc")]
    command += [f"--{name}={work}" for name in ("mypy_out", "mypy_grpc_out")]
    done = subprocess.run(command + protos, capture_output=True, text=True)  # noqa: S603
    if done.returncode != 0:
        raise SystemExit(f"protoc failed on {proto}:\n{done.stdout}{done.stderr}")
    package = work / "knit" / "v1"
    (package / "__init__.py").write_text('"""Generated from proto/knit/v1; private."""\n')
    for path in protos:  # for whoever generates a client in another language
        shutil.copy(path, package)
    return package


def _licenses(jar: Path, work: Path) -> Path:
    """The licences of what the jar contains, which its build has gathered in it."""
    with zipfile.ZipFile(jar) as archive:
        names = [name for name in archive.namelist() if name.startswith(JAR_LICENSES)]
        if not any(not name.endswith("/") for name in names):
            raise SystemExit(f"{jar} holds no {JAR_LICENSES}: build it anew.")
        archive.extractall(work / "jar", names)
    return work / "jar" / JAR_LICENSES


def _mypy_plugin() -> dict[str, str]:
    """Where mypy-protobuf's two plugins are, also where the scripts are not on the PATH."""
    scripts = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
    found = {}
    for name in ("mypy", "mypy_grpc"):
        path = shutil.which(f"protoc-gen-{name}", path=scripts)
        if path is None:
            raise SystemExit(f"protoc-gen-{name} is missing: install mypy-protobuf.")
        found[name] = path
    return found


def _refresh(source: Path, target: Path) -> None:
    """Makes `target` hold what `source` holds, touching only what differs."""
    target.mkdir(parents=True, exist_ok=True)
    wanted = {path.name for path in source.iterdir()}
    for path in source.iterdir():
        _replace(path, target / path.name)
    for path in target.iterdir():
        if path.is_file() and path.name not in wanted:
            path.unlink()


def _replace(source: Path, target: Path) -> None:
    if target.is_file() and target.read_bytes() == source.read_bytes():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    shutil.copyfile(source, part)
    part.replace(target)
