"""The command `knit`: a file per group of verbs, and `main`, where it starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from knit.cli._packages import problems

__all__ = ["main"]

_INTERRUPTED = 130
"""As shells have it: 128 and SIGINT. `_running.exit_status` has all, and cannot be imported yet."""


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run `knit` with these arguments, by default the process's, and return its exit status.

    Where a package it needs is missing or too old it says which, before it imports any. Ctrl-C
    meanwhile ends it as at any other time, without a trace of what was being imported.
    """
    try:
        return _checked(arguments)
    except KeyboardInterrupt:
        return _INTERRUPTED


def _checked(arguments: Sequence[str] | None) -> int:
    found = problems()
    if not found:
        try:
            from knit.cli._main import main as run

            return run(arguments)
        except ImportError as error:
            if os.environ.get("KNIT_DEBUG", "0") not in ("", "0"):
                raise
            found = [
                f"{error.name or 'a package'} cannot be imported ({error}). This environment is "
                f"not whole; make it so: {sys.executable} -m pip install --force-reinstall "
                "with the wheel of knit, or use a new one"
            ]
    for problem in found:
        print(f"knit: {problem}.", file=sys.stderr)
    return 1
