"""
Runs the suite: what may run at once by several workers on one cluster, then the rest alone.

    python -m integration [--cluster=embedded|docker|external] [--kind=KIND] [ARGUMENTS...]

On embedded clusters that is done on a plain one, and then the tests of every other kind on one of
that kind (``integration/kinds.py``), two kinds at a time.

The arguments are pytest's. Those that select tests (``-k``, ``-m``, a name) make it one ordinary
run, on the one kind that is named.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO

import pytest

from integration.kinds import DOCKER_SECURE, KINDS, PLAIN
from integration.parts import Part

# The suite waits more than it works: three workers keep two cores busy, more wait for memory.
WORKERS = 3
# Likewise: they wait for what expires, and for daemons that were killed.
KINDS_AT_A_TIME = 2

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
        runs += [[f"--kind={DOCKER_SECURE}"]]
        if kind:
            runs = [runs[kind != PLAIN]]
    elif kind:
        runs = plain if kind == PLAIN else [[]]
    else:
        runs = plain
    statuses = []
    for each in runs:
        statuses.append(_pytest([*each, *arguments]))
        if statuses[-1] == pytest.ExitCode.INTERRUPTED:
            return pytest.ExitCode.INTERRUPTED
    if runs is plain and not kind:
        others = [name for name, each in KINDS.items() if name != PLAIN and not each.is_docker]
        statuses += _beside_each_other([[f"--kind={name}", *arguments] for name in others])
    if all(status == pytest.ExitCode.NO_TESTS_COLLECTED for status in statuses):
        return pytest.ExitCode.NO_TESTS_COLLECTED
    good = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    return next((status for status in statuses if status not in good), pytest.ExitCode.OK)


def _last(arguments: Sequence[str], option: str) -> str | None:
    found = [each for each in arguments if each.startswith(f"{option}=")]
    return found[-1].partition("=")[2] if found else None


def _beside_each_other(runs: Sequence[Sequence[str]]) -> list[int]:
    """Run some at the same time, and show what each has printed once it is over."""

    def run(arguments: Sequence[str]) -> int:
        with tempfile.TemporaryFile("w+") as output:
            status = _pytest(arguments, output)
            output.seek(0)
            # In one piece, for others do the same.
            sys.stdout.write(f"{' '.join(arguments)}\n{output.read()}")
            sys.stdout.flush()
        return status

    with ThreadPoolExecutor(KINDS_AT_A_TIME) as pool:
        return list(pool.map(run, runs))


def _pytest(arguments: Sequence[str], output: IO[str] | None = None) -> int:
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "integration", *arguments],
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
    )
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # pytest has heard it too, and takes the cluster down


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
