"""What has been measured so far, failures included."""

from __future__ import annotations

import json
import os
import platform
from collections import defaultdict
from pathlib import Path
from typing import Any

import attrs

from integration.bench.figures import FIGURES, FLOOR, KNIT, SIDES, SKEIN, SKEIN_WARM, Figure
from integration.bench.statistics import Summary, ratio

Samples = defaultdict[str, defaultdict[str, list[float]]]
"""Lists that need not be made before something is appended to them."""


def none() -> Samples:
    """No samples yet."""
    return defaultdict(lambda: defaultdict(list))


@attrs.define
class Results:
    """Samples by figure and side, and moments of cold starts by side."""

    hadoop_version: str
    cluster: str
    adds: list[int]
    """How many containers are added, time after time."""
    drain_mib: int = 0
    """How long the log is that is read while it lies there."""
    figures: Samples = attrs.field(factory=none)
    """By key of the figure and side."""
    moments: Samples = attrs.field(factory=none)
    """Seconds since the client process was started, by side and name of the moment."""
    failures: list[str] = attrs.field(factory=list)

    def note(self, figure: str, side: str, value: float) -> None:
        self.figures[figure][side].append(value)

    def title(self, figure: Figure) -> str:
        add, add_more = [*self.adds, 0, 0][:2]
        return figure.title.format(add=add, add_more=add_more, mib=self.drain_mib)

    def versus_skein(self, figure: str) -> float | None:
        """knit's median as a part of skein's: of skein as users start it, where there is that."""
        samples = self.figures[figure]
        return ratio(samples[KNIT], samples[SKEIN] or samples[SKEIN_WARM])

    def versus_floor(self, figure: str) -> float | None:
        return ratio(self.figures[figure][KNIT], self.figures[figure][FLOOR])

    def as_data(self) -> dict[str, Any]:
        return {
            "cluster": self.cluster,
            "hadoop_version": self.hadoop_version,
            "machine": {"cores": os.cpu_count(), "architecture": platform.machine()},
            "figures": {
                figure.key: {
                    "title": self.title(figure),
                    "unit": figure.unit,
                    "means": figure.means,
                    "sides": {
                        side: {
                            "summary": attrs.asdict(summary),
                            "samples": self.figures[figure.key][side],
                        }
                        for side in SIDES
                        if (summary := Summary.of(self.figures[figure.key][side]))
                    },
                    "knit_to_skein": self.versus_skein(figure.key),
                    "knit_to_floor": self.versus_floor(figure.key),
                }
                for figure in FIGURES
                if any(self.figures[figure.key].values())
            },
            "cold_start_moments_s": {side: dict(found) for side, found in self.moments.items()},
            "failures": self.failures,
        }

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_data(), indent=1) + "\n", encoding="utf-8")
