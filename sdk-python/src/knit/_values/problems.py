"""What is wrong with a document, each fault with its place."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from knit._values.places import Keys, written
from knit.exceptions import SpecError

MOST_PROBLEMS = 100
"""More of them are only counted."""


@attrs.frozen
class Problem:
    """What is wrong at one place of a document."""

    message: str
    """What, in a sentence."""
    keys: Keys = ()
    """Those that lead there. None: the whole document."""
    unknown_key: str | None = None
    """The key within them that is not known, if that is what is wrong."""
    line: int | None = None
    """Counted from 1. None for data that come from no file."""
    column: int | None = None
    """Likewise."""
    cause: SpecError | None = attrs.field(default=None, repr=False, eq=False)
    """The error it comes from."""

    @property
    def where(self) -> str:
        """The keys as people write them: `services.worker.depends[0]`."""
        return written(self.keys)

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


def error_of(problems: Sequence[Problem], what: str) -> SpecError:
    """One error for all of them, of the kind of the only one."""
    lines = [
        f"line {p.line}, column {p.column}: {p}" if p.line is not None else str(p)
        for p in problems[:MOST_PROBLEMS]
    ]
    if len(problems) == 1:
        kind = SpecError if problems[0].cause is None else type(problems[0].cause)
        return kind(lines[0] if what == "The specification" else f"{what}: {lines[0]}")
    if len(problems) > MOST_PROBLEMS:
        lines.append(f"and {len(problems) - MOST_PROBLEMS} more")
    return SpecError("\n  ".join([f"{what} has {len(problems)} faults:", *lines]))
