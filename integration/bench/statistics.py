"""Numbers about numbers."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import attrs


@attrs.frozen
class Summary:
    """What a handful of samples say."""

    median: float
    least: float
    most: float
    count: int

    @classmethod
    def of(cls, samples: Sequence[float]) -> Summary | None:
        """None where there are no samples."""
        if not samples:
            return None
        return cls(statistics.median(samples), min(samples), max(samples), len(samples))


def ratio(samples: Sequence[float], others: Sequence[float]) -> float | None:
    """How many times the median of the others the median of the samples is."""
    ours, theirs = Summary.of(samples), Summary.of(others)
    if ours is None or theirs is None or theirs.median == 0:
        return None
    return ours.median / theirs.median


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that at least this share of the samples does not exceed."""
    ordered = sorted(samples)
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]
