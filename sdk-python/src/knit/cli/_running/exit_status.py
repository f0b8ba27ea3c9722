"""How an application ended, in words and as an exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import knit


TIMED_OUT = 124
"""The exit status of `timeout(1)`, and of ours when time runs out."""


def ending(report: knit.ApplicationReport) -> str:
    """How it ended, in YARN's word: its final status, or the state if it never gave one."""
    return report.final_status.name if report.state.name == "FINISHED" else report.state.name


def exit_code_of(report: knit.ApplicationReport, outcome: knit.ApplicationOutcome | None) -> int:
    """0 for an application that succeeded, never 0 for another one."""
    if ending(report) == "SUCCEEDED":
        return 0
    return (outcome.exit_code if outcome is not None else 0) or 1
