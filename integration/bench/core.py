"""What the Application Master's core costs by itself: no cluster, a JVM of its own."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from integration import toolchain
from integration.toolchain import BuildTool


def measure(root: Path, written: Path) -> None:
    """Run CoreBench of am-kotlin's tests, which writes the figures."""
    written.parent.mkdir(parents=True, exist_ok=True)
    jdk = toolchain.find_jdk()
    tool, program = toolchain.find_build_tool(root, jdk)
    if tool is BuildTool.MAVEN:
        pom = str(root / "am-kotlin" / "pom.xml")
        command = [program, "-B", "-f", pom, "test", "-Dtest=CoreBench", "-Dktlint.skip=true"]
    else:
        test = [":am-kotlin:test", "--rerun", "--tests", "*CoreBench"]
        command = [program, "--console=plain", "-p", str(root), *test]
    env = {"JAVA_HOME": str(jdk), "KNIT_BENCH": str(written.resolve())}
    toolchain.run_visibly(command, what="bench of the core", env=env)


def show(written: Path, console: Console, before: Path | None = None) -> None:
    """Print the figures, beside those of an earlier run where there is one."""
    now = _read(written)
    then = _read(before) if before else {}
    columns = ["", "median (least-most)", *(["before", "÷ before"] if then else [])]
    table = Table(*columns, title="the core by itself", title_justify="left")
    for key, figure in now.items():
        title = f"{figure['title']} [{figure['unit']}]" if figure["unit"] else figure["title"]
        cells = [title.replace("[", r"\["), _cell(figure)]
        if old := then.get(key):
            ratio = _median(figure) / _median(old) if _median(old) else float("nan")
            cells += [_cell(old), f"{ratio:.2f}"]
        table.add_row(*cells)
    console.print(table)


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _median(figure: dict[str, Any]) -> float:
    samples: list[float] = figure["samples"]
    return statistics.median(samples)


def _cell(figure: dict[str, Any]) -> str:
    median = _median(figure)
    digits = 2 if median < 100 else 0
    least, most = min(figure["samples"]), max(figure["samples"])
    return f"{median:.{digits}f} ({least:.{digits}f}-{most:.{digits}f})"
