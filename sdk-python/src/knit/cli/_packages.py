"""
The packages that knit needs, as they are in this environment.

It imports nothing but the standard library: it speaks where the others cannot.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from importlib import metadata

DISTRIBUTION = "knit-yarn"
_REQUIREMENT = re.compile(r"([A-Za-z0-9][\w.-]*)\s*(?:\[[^]]*\])?\s*\(?([^;)]*)\)?\s*(;.*)?")
_BOUND = re.compile(r"(>=|<|<=|>|==|!=|~=)\s*([\w.!*+-]+)")


def requirements() -> Iterator[tuple[str, str]]:
    """The packages that knit itself declares, each with the versions it takes, as pip writes."""
    try:
        declared = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:  # run from its sources
        return
    for text in declared:
        match = _REQUIREMENT.fullmatch(text.strip())
        if match is not None and not match[3]:  # an extra, or another system's
            yield match[1], match[2].replace(" ", "")


def installed(name: str) -> str | None:
    """The version of a package in this environment; None if it is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def problems() -> list[str]:
    """
    What is missing or too old, with what to install, each in a sentence without its full stop.

    One that is newer than the versions declared may well do: nothing is said of it here.
    """
    found = []
    for name, versions in requirements():
        version = installed(name)
        if version is None:
            found.append(f"the package {name} is missing. {_install(name, versions)}")
        elif is_too_old(version, versions):
            found.append(
                f"the package {name} is {version} here, and knit needs "
                f"{versions.replace(',', ', ')}. {_install(name, versions)}"
            )
    return found


def _install(name: str, versions: str) -> str:
    return f"Install it: {sys.executable} -m pip install {shlex.quote(name + versions)}"


def is_too_old(version: str, versions: str) -> bool:
    """Whether a version lies below the lower bounds."""
    return any(
        operator in (">=", ">", "~=", "==") and _numbers(version) < _numbers(bound)
        for operator, bound in _BOUND.findall(versions)
    )


def is_too_new(version: str, versions: str) -> bool:
    """Whether a version lies above the upper bounds."""
    return any(
        operator == "<" and _numbers(version) >= _numbers(bound)
        for operator, bound in _BOUND.findall(versions)
    )


def _numbers(version: str) -> tuple[int, ...]:
    """For comparing: `6.31.1rc1` is (6, 31, 1). Zeros at the end do not count."""
    numbers: list[int] = []
    for part in version.partition("+")[0].split("."):
        match = re.match(r"\d+", part)
        if match is None:
            break
        numbers.append(int(match[0]))
        if match[0] != part:
            break
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
