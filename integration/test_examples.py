"""What `examples/` shows works as it stands."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import knit
import pytest

from integration.clusters import Cluster
from integration.command_line import CommandLine

EXAMPLES = Path(__file__).parent.parent / "examples"
Run = Callable[[str], str]
CONTAINER = r"container_\w+ on \S+"


@pytest.fixture
def run(cluster: Cluster, client: knit.Client, tmp_path: Path) -> Run:
    """Runs an example to its end and returns what it printed; it leaves no application behind."""

    def run(name: str) -> str:
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / name)],
            env={**CommandLine(cluster).environment, "IPYTHONDIR": str(tmp_path / "ipython")},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        left = [report for report in client.applications(name="knit") if not report.state.is_final]
        assert not left
        return done.stdout

    return run


def test_date(run: Run) -> None:
    lines = run("date.py").splitlines()
    assert re.fullmatch(r"application_\d+_\d+", lines[0])
    assert re.fullmatch(CONTAINER, lines[1])
    assert re.search(r"\d\d:\d\d:\d\d", lines[2])


def test_short_python_commands(run: Run) -> None:
    out = run("python_commands.py")
    assert len(re.findall(r"^### " + CONTAINER + "$", out, re.MULTILINE)) == 3
    assert len(re.findall(r"^sys\.version_info\(major=3, .*\)\n0\.\d+", out, re.MULTILINE)) == 2
    assert len(re.findall(r"^\['', .*\]\n\S+", out, re.MULTILINE)) == 1


def test_a_long_running_http_server(run: Run) -> None:
    lines = run("http_server.py").splitlines()
    assert len(set(lines[:2])) == 2
    for line in lines[:2]:
        assert re.fullmatch(r"container_\w+ at http://\S+:\d+/: 200", line)
    assert lines[2:] == ["killed: True"]


@pytest.mark.parametrize("package", ["ipyparallel", "distributed"])
def test_the_nodes_lack_what_the_examples_bring(package: str, cluster: Cluster) -> None:
    assert importlib.util.find_spec(package) is not None
    done = CommandLine(cluster).run(
        "run", "--memory", "64MiB", f"python3 -c 'import {package}'", status=None
    )
    assert "ModuleNotFoundError" in done.err


def test_ipython_parallel(run: Run) -> None:
    lines = run("ipython_parallel.py").splitlines()
    assert re.fullmatch(r"engines \[\d+, \d+, \d+\]", lines[0])
    assert lines[1:] == ["squares [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]", "killed: True"]


def test_dask_distributed(run: Run) -> None:
    lines = run("dask_distributed.py").splitlines()
    assert lines == ["workers 3", "sum of squares 328350", "killed: True"]
