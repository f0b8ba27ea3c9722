"""
Whether a conda environment has what is asked for, told from its metadata.

Package specifications are read as conda does, as far as people write them on a command line:
`python`, `python=3`, `numpy>=1.20,<2`, `numpy==1.26.4`, `scipy=1.11=py311*`, `conda-forge::dask`.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import attrs

from knit.exceptions import CondaException

_SPEC = re.compile(r"\s*(?:[^\s=<>!~]+::)?(?P<name>[A-Za-z0-9_.\-]+)\s*(?P<version>[^\[\]]*?)\s*")
_FILL = ((2, 0, ""),)


@attrs.frozen
class Package:
    """An installed package."""

    name: str
    version: str
    build: str


def installed(prefix: Path) -> dict[str, Package]:
    """The packages of an environment, by their names."""
    found = {}
    for path in sorted((prefix / "conda-meta").glob("*.json")):
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            package = Package(
                str(about["name"]), str(about["version"]), str(about.get("build", ""))
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CondaException(
                f"{path} cannot be read ({error}): the environment {prefix} is damaged. "
                "Make it anew (remove=True)."
            ) from None
        found[package.name.lower()] = package
    return found


def missing(prefix: Path, specs: Sequence[str]) -> list[str]:
    """
    Which of the specifications an environment does not satisfy, with what it has instead.

    Raises:
        CondaException: One is not understood, or the environment is damaged.
    """
    packages = installed(prefix)
    lacking = []
    for spec in specs:
        name, version, build = parse(spec)
        package = packages.get(name)
        if package is None:
            lacking.append(spec)
        elif not _matches(package.version, version) or not fnmatch.fnmatchcase(
            package.build, build
        ):
            lacking.append(f"{spec} (it has {package.version})")
    return lacking


def parse(spec: str) -> tuple[str, str, str]:
    """The name, the version and the build that a specification asks for, `*` where it does not."""
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise CondaException(
            f"The package {spec!r} is not understood: write it as in python=3.11 or numpy>=1.20."
        )
    name, version = match["name"].lower(), re.sub(r"\s*([<>=!~,|])\s*", r"\1", match["version"])
    build = "*"
    words = version.split()
    if len(words) == 2:
        version, build = words
    elif len(words) > 2:
        raise CondaException(f"The package {spec!r} is not understood: it has too many words.")
    elif found := re.fullmatch(r"(=[^=<>!~,|]+)=([^=<>!~,|]+)", version):
        version, build = found[1].replace("=", "==", 1), found[2]
    return name, version or "*", build


def _matches(version: str, wanted: str) -> bool:
    return any(
        all(_matches_one(version, each) for each in group.split(",")) for group in wanted.split("|")
    )


def _matches_one(version: str, wanted: str) -> bool:
    match = re.fullmatch(r"(==|!=|>=|<=|~=|=|>|<|)(.*)", wanted)
    operator, goal = (match[1], match[2]) if match else ("", wanted)
    if goal in ("*", ""):
        return True
    begins = goal.endswith("*") or operator == "="
    goal = goal.rstrip("*").rstrip(".")
    if operator == "!=":
        return not (_begins(version, goal) if begins else _compare(version, goal) == 0)
    if begins and operator in ("", "=", "=="):
        return _begins(version, goal)
    if operator == "~=":
        return _compare(version, goal) >= 0 and _begins(version, goal.rpartition(".")[0] or goal)
    order = _compare(version, goal)
    return {
        "": order == 0,
        "==": order == 0,
        ">=": order >= 0,
        "<=": order <= 0,
        ">": order > 0,
        "<": order < 0,
    }[operator]


def _begins(version: str, start: str) -> bool:
    """Whether the version is the other one or one below it: 3.11.2 is of 3.11, and 3.1 is not."""
    (epoch, parts), (other_epoch, others) = _parts(version), _parts(start)
    return epoch == other_epoch and parts[: len(others)] == others


def _compare(one: str, other: str) -> int:
    (epoch, parts), (other_epoch, others) = _parts(one), _parts(other)
    if epoch != other_epoch:
        return -1 if epoch < other_epoch else 1
    for mine, theirs in zip_longest(parts, others, fillvalue=_FILL):
        for left, right in zip_longest(mine, theirs, fillvalue=_FILL[0]):
            if left != right:
                return -1 if left < right else 1
    return 0


def _parts(version: str) -> tuple[int, list[tuple[tuple[int, int, str], ...]]]:
    """
    A version in a form that compares: dev before other letters, these before numbers, then post.
    """
    epoch, _, rest = version.lower().rpartition("!")
    parts = []
    for part in re.split(r"[._+-]", rest):
        pieces = [_piece(text) for text in re.findall(r"\d+|[^\d]+", part)]
        if pieces and pieces[0][0] != 2:
            pieces.insert(0, _FILL[0])  # so that 1.1.a1 comes after 1.1.0a1's own kind
        parts.append(tuple(pieces) or _FILL)
    return int(epoch) if epoch.isdigit() else 0, parts


def _piece(text: str) -> tuple[int, int, str]:
    if text.isdigit():
        return (2, int(text), "")
    return {"dev": (0, 0, ""), "post": (3, 0, "")}.get(text, (1, 0, text))
