"""Packages that an environment only points to."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from knit.exceptions import PythonEnvironmentError


def check(environment: Path, site_packages: Iterable[Path]) -> None:
    """
    Raises if containers would lack packages because their files lie elsewhere.

    Raises:
        PythonEnvironmentError: Some are installed in editable mode, or named by a .pth file.
    """
    found = sorted({said for directory in site_packages for said in _elsewhere(directory)})
    if found:
        raise PythonEnvironmentError(
            f"The environment {environment} only points to {', '.join(found)}, which containers "
            "would not have. Install it as it is to be shipped: pip install DIRECTORY, "
            "without -e."
        )


def _elsewhere(directory: Path) -> Iterator[str]:
    named = set()
    for path in directory.glob("*.dist-info/direct_url.json"):
        project = path.parent.name.partition("-")[0]
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            if about.get("dir_info", {}).get("editable"):
                named.add(project.lower())
                yield f"{project} in {about.get('url', '').removeprefix('file://')}"
        except (OSError, ValueError, AttributeError):
            continue  # not for us to judge
    for path in directory.glob("*.egg-link"):
        named.add(path.stem.lower())
        yield f"{path.stem} in {_first_line(path)}"
    for path in directory.glob("*.pth"):
        if any(name in path.stem.lower() for name in named):
            continue  # said already
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if said := _pointing(line.strip(), directory):
                yield f"{said} (by {path.name})"


def _pointing(line: str, directory: Path) -> str | None:
    if not line or line.startswith("#"):
        return None
    if re.match(r"import[ \t]", line):
        if match := re.search(r"addsitedir\(\s*(['\"])(.+?)\1", line):
            return match[2]
        return "an editable package" if "__editable__" in line else None
    goal = os.path.normpath(os.path.join(directory, line))
    if not os.path.exists(goal):
        return None
    # An absolute path is wrong in a container even where it leads into the environment.
    inside = os.path.commonpath([goal, os.path.realpath(directory)]) == os.path.realpath(directory)
    return goal if os.path.isabs(line) or not inside else None


def _first_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[0] if lines else "another directory"
