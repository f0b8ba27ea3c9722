"""What README.md shows works as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from integration.clusters import Cluster
from integration.command_line import CommandLine

README = Path(__file__).parent.parent / "README.md"
EXAMPLE = re.compile(
    r"<!-- the suite runs this block as it stands -->\n```python\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
COMMAND = re.compile(r"^\$ (?P<command>knit run .*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def readme() -> str:
    return README.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def environment(cluster: Cluster) -> dict[str, str]:
    return CommandLine(cluster).environment


def three_lines(command: list[str], environment: dict[str, str], directory: Path) -> list[str]:
    """What a command of the README prints, in order: a line of each of its three containers."""
    done = subprocess.run(
        command, env=environment, cwd=directory, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    lines = sorted(done.stdout.splitlines())
    assert len(lines) == 3, done.stdout
    return lines


def test_the_python_example_runs(readme: str, environment: dict[str, str], tmp_path: Path) -> None:
    code, _ = EXAMPLE.findall(readme)
    lines = three_lines([sys.executable, "-c", code], environment, tmp_path)
    for rank, line in enumerate(lines):
        assert line.startswith(f"worker {rank} rank {rank} runs on ")


def test_the_example_of_the_class_runs(
    readme: str, environment: dict[str, str], tmp_path: Path
) -> None:
    _, code = EXAMPLE.findall(readme)
    for line in three_lines([sys.executable, "-c", code], environment, tmp_path):
        assert re.fullmatch(r"\S+:\d+ Python 3\.\d+\.\S+", line)


def test_the_command_line_runs(readme: str, environment: dict[str, str], tmp_path: Path) -> None:
    command = COMMAND.search(readme)
    assert command is not None
    lines = three_lines(["/bin/bash", "-c", command["command"]], environment, tmp_path)
    for rank, line in enumerate(lines):
        assert line.startswith(f"[worker/{rank}] rank {rank} runs on ")
