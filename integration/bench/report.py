"""Shows the results on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from integration.bench.figures import FIGURES, SIDES
from integration.bench.results import Results
from integration.bench.statistics import Summary


def show(results: Results, console: Console) -> None:
    table = Table(
        "",
        *SIDES,
        "knit ÷ skein",
        "knit ÷ floor",
        title="median (least-most)",
        title_justify="left",
    )
    for figure in FIGURES:
        samples = results.figures[figure.key]
        if not any(samples.values()):
            continue
        table.add_row(
            f"{results.title(figure)}{f' [{figure.unit}]' if figure.unit else ''}".replace(
                "[", r"\["
            ),
            *(_cell(Summary.of(samples[side])) for side in SIDES),
            _ratio(results.versus_skein(figure.key)),
            _ratio(results.versus_floor(figure.key)),
        )
    console.print(table)
    for side in SIDES:
        if moments := results.moments.get(side):
            console.print(_moments(side, moments))
    for failure in results.failures:
        console.print(f"not measured: {failure}", markup=False)


def _moments(side: str, moments: dict[str, list[float]]) -> Table:
    table = Table(
        "moment", "after s", "step s", title=f"cold start of {side}", title_justify="left"
    )
    medians = {
        name: summary.median for name, found in moments.items() if (summary := Summary.of(found))
    }
    before = 0.0
    for name, after in sorted(medians.items(), key=lambda item: item[1]):
        table.add_row(name.replace("_", " "), f"{after:.2f}", f"{after - before:.2f}")
        before = after
    return table


def _cell(summary: Summary | None) -> str:
    if summary is None:
        return "-"
    digits = 2 if summary.most < 100 else 0
    return f"{summary.median:.{digits}f} ({summary.least:.{digits}f}-{summary.most:.{digits}f})"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
