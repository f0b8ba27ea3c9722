"""Builds the floor's Application Master, stages it, and writes the submission it takes."""

from __future__ import annotations

import base64
import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

from integration import toolchain
from integration.bench.errors import BenchError
from integration.bench.yarn import Yarn

SOURCE = Path(__file__).parent / "floor" / "FloorMaster.java"
MASTER_MEMORY_MIB = 512
# The same as knit's.
JVM = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -Xmx352m"


def build(directory: Path, jars: Path) -> Path:
    """Compile the floor against the cluster's jars; returns its jar."""
    classes = directory / "classes"
    classes.mkdir(parents=True)
    command = [str(toolchain.find_jdk() / "bin" / "javac"), "--release", "8", "-Xlint:-options"]
    command += ["-proc:none", "-cp", f"{jars}/*", "-d", str(classes), str(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"The floor does not compile: {done.stdout}{done.stderr}")
    jar = directory / "floor.jar"
    with zipfile.ZipFile(jar, "w") as archive:
        for path in sorted(classes.glob("*.class")):
            archive.write(path, path.name)
    return jar


def submission(yarn: Yarn, jar: Path, command: str, wish: str) -> dict[str, Any]:
    """
    A submission without its id.

    Args:
        command: what containers run, as typed for ``bash -c``.
        wish: what the Application Master is to ask for as soon as it has registered; may be empty.
    """
    path = f"/user/{yarn.user}/.bench/floor.jar"
    modified = yarn.store(path, jar.read_bytes())
    class_path = ":".join(["floor.jar", *yarn.class_path.split(",")])
    return {
        "application-name": "bench-floor",
        "application-type": "bench",
        "queue": "default",
        "max-app-attempts": 1,
        "resource": {"memory": MASTER_MEMORY_MIB, "vCores": 1},
        "am-container-spec": {
            "commands": {
                "command": f"exec $JAVA_HOME/bin/java {JVM} -cp '{class_path}' FloorMaster {wish} "
                "1><LOG_DIR>/stdout 2><LOG_DIR>/stderr"
            },
            "environment": {
                "entry": [
                    {"key": "BENCH_COMMAND", "value": base64.b64encode(command.encode()).decode()}
                ]
            },
            "local-resources": {
                "entry": [
                    {
                        "key": "floor.jar",
                        "value": {
                            "resource": f"{yarn.default_fs}{path}",
                            "type": "FILE",
                            "visibility": "PRIVATE",
                            "size": jar.stat().st_size,
                            "timestamp": modified,
                        },
                    }
                ]
            },
        },
    }


def write_submission(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
