"""Measures knit beside skein and beside YARN's floor, turn by turn: ``nox -s bench``."""

from __future__ import annotations

import argparse
import getpass
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import attrs
from rich.console import Console

from integration.bench import floor_setup, report, skein_setup
from integration.bench.errors import BenchError, SkeinMissingError
from integration.bench.figures import KNIT, SIDES, SKEIN
from integration.bench.measures import Bench
from integration.bench.results import Results, none
from integration.bench.side import Side, floor_side, knit_side, skein_sides
from integration.bench.yarn import Yarn
from integration.clusters.embedded import EmbeddedCluster, EmbeddedClusterError
from integration.clusters.jars import hadoop_jars, hadoop_version
from integration.toolchain import ToolchainError

ROOT = Path(__file__).parents[2]
STEPS = ("cold", "submit", "scale", "follow")


@attrs.frozen
class Turn:
    """One measurement of one side."""

    step: str
    side: Side
    measure: Callable[[], None]


def turns(bench: Bench, sides: list[Side], arguments: argparse.Namespace) -> Iterator[Turn]:
    """What one round consists of."""
    for side in sides:
        yield Turn("cold", side, partial(bench.cold, side))
    for side in sides:
        if side.name != SKEIN:  # its driver runs already, so that the call alone is measured
            yield Turn("submit", side, partial(bench.submit, side))
    for side in sides:
        if side.name != SKEIN:
            yield Turn(
                "scale", side, partial(bench.scale, side, arguments.add, arguments.idle_seconds)
            )
    seconds = arguments.follow_seconds
    for side in sides:
        if side.name == KNIT:
            for figure, containers, rate in (("line_slow", 1, 1), ("line_fast", 10, 100)):
                follow = partial(
                    bench.follow, side, figure, containers=containers, rate=rate, seconds=seconds
                )
                yield Turn("follow", side, follow)


def run(bench: Bench, sides: list[Side], arguments: argparse.Namespace, console: Console) -> None:
    """All rounds, each begun by another side; the first one warms up and is thrown away."""
    kept = bench.results
    for number in range(arguments.rounds + 1):
        first = number % len(sides)
        bench.results = kept if number else attrs.evolve(kept, figures=none(), moments=none())
        for turn in turns(bench, sides[first:] + sides[:first], arguments):
            if turn.step in arguments.steps:
                what = (
                    f"{f'round {number}' if number else 'warming up'}: {turn.step} {turn.side.name}"
                )
                console.print(what, style="dim", highlight=False)
                try:
                    bench.yarn.quiesce()
                    turn.measure()
                except BenchError as error:
                    kept.failures.append(f"{what}: {error}")
                    console.print(f"{what}: {error}", markup=False, style="red")
        kept.write(arguments.json)
    bench.yarn.quiesce()


def sides_of(
    yarn: Yarn, jars: Path, directory: Path, arguments: argparse.Namespace, console: Console
) -> list[Side]:
    """Those that can be run here."""
    sides = [knit_side(yarn.conf_dir)]
    try:
        python = skein_setup.install(arguments.skein_venv)
        env = skein_setup.environment(directory / "skein", yarn.conf_dir, jars)
        skein_setup.make_credentials(python, env)
        sides += skein_sides(python, env)
    except SkeinMissingError as error:
        console.print(str(error), markup=False, style="yellow")
    sides.append(floor_side(yarn, floor_setup.build(directory / "floor", jars), directory))
    return [side for side in sides if side.name in arguments.sides]


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s bench --", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="after one to warm up (5)")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS, help="(all)")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES, help="(all)")
    parser.add_argument("--add", type=int, nargs="+", default=[10], help="containers to add (10)")
    parser.add_argument("--nodes", type=int, default=1, help="NodeManagers (1)")
    parser.add_argument("--idle-seconds", type=float, default=60, help="of the idle AM (60)")
    parser.add_argument("--follow-seconds", type=int, default=20, help="of log lines (20)")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench.json")
    parser.add_argument("--skein-venv", type=Path, default=ROOT / ".nox" / "bench-skein")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    console = Console(width=None if sys.stdout.isatty() else 160)
    jars = hadoop_jars(hadoop_version())
    with (
        tempfile.TemporaryDirectory(prefix="knit-bench-") as scratch,
        EmbeddedCluster(node_count=arguments.nodes, say=console.print) as cluster,
    ):
        directory = Path(scratch)
        yarn = Yarn.of(cluster.conf_dir, getpass.getuser())
        results = Results(cluster.hadoop_version, cluster.name, list(arguments.add))
        logs = sorted((cluster.directory / "logs").glob("*manager*.log"))
        bench = Bench(yarn, logs, directory, results)
        try:
            run(bench, sides_of(yarn, jars, directory, arguments, console), arguments, console)
        finally:
            report.show(results, console)
    console.print(f"written to {arguments.json}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BenchError, EmbeddedClusterError, ToolchainError) as problem:
        sys.exit(f"bench: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)
