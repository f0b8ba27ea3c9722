"""
Runs the suite: what may run at once by several workers on one cluster, then the rest alone.

    python -m integration [--cluster=embedded|docker|external] [--kind=KIND] [ARGUMENTS...]

On embedded clusters that is done on a plain one, and then the tests of every other kind on one of
that kind (``integration/kinds.py``).

The arguments are pytest's. Those that select tests (``-k``, ``-m``, a name) make it one ordinary
run, on the one kind that is named.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence

import pytest

from integration.kinds import KINDS, PLAIN
from integration.parts import Part

# The suite waits more than it works: three workers keep two cores busy, more wait for memory.
WORKERS = 3

_SELECTS = re.compile(r"-[km]|--(lf|ff|last-failed|part|collect-only|co)\b|.*\btest_")


def main(arguments: Sequence[str]) -> int:
    """Run it and return pytest's exit code; the first that is bad, if there are two runs."""
    several = ["-n", str(WORKERS), "--dist=loadfile", "--no-loadscope-reorder"]
    plain = [[*several, f"--part={Part.SHARED.value}"], [f"--part={Part.ALONE.value}"]]
    # As pytest does: what comes later counts, so that nox's own can be overridden.
    cluster = _last(arguments, "--cluster") or "embedded"
    kind = _last(arguments, "--kind")
    if any(map(_SELECTS.match, arguments)) or cluster == "external":
        runs: list[list[str]] = [[]]
    elif cluster == "docker":
        runs = [[f"--client-workers={WORKERS}"]]  # the client makes two runs of it
    else:
        runs = [
            run
            for each in ([kind] if kind else KINDS)
            for run in ([[f"--kind={each}"]] if each != PLAIN else plain)
        ]
    statuses = []
    for each in runs:
        statuses.append(_pytest([*each, *arguments]))
        if statuses[-1] == pytest.ExitCode.INTERRUPTED:
            return pytest.ExitCode.INTERRUPTED
    if all(status == pytest.ExitCode.NO_TESTS_COLLECTED for status in statuses):
        return pytest.ExitCode.NO_TESTS_COLLECTED
    good = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    return next((status for status in statuses if status not in good), pytest.ExitCode.OK)


def _last(arguments: Sequence[str], option: str) -> str | None:
    found = [each for each in arguments if each.startswith(f"{option}=")]
    return found[-1].partition("=")[2] if found else None


def _pytest(arguments: Sequence[str]) -> int:
    process = subprocess.Popen([sys.executable, "-m", "pytest", "integration", *arguments])
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # pytest has heard it too, and takes the cluster down


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
