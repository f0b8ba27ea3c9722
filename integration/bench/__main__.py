"""Measures knit beside skein and beside YARN's floor, turn by turn: ``nox -s bench``."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import attrs
from rich.console import Console

from integration.bench import core, floor_setup, report, skein_setup
from integration.bench.errors import BenchError, SkeinMissingError
from integration.bench.figures import KNIT, SIDES, SKEIN, SKEIN_WARM
from integration.bench.measures import Bench
from integration.bench.results import Results, none
from integration.bench.side import Side, floor_side, knit_side, skein_sides
from integration.bench.yarn import Yarn
from integration.clusters.docker import DockerCluster
from integration.clusters.docker_host import CLIENT_PYTHON, REPOSITORY_IN_CLIENT, dockerized_cluster
from integration.clusters.docker_image import DockerError, docker
from integration.clusters.embedded import EmbeddedCluster, EmbeddedClusterError
from integration.clusters.jars import hadoop_jars, hadoop_version
from integration.toolchain import ToolchainError

ROOT = Path(__file__).parents[2]
SKEIN_VENV = ROOT / ".nox" / "bench-skein"
STEPS = ("core", "cold", "submit", "scale", "store", "follow", "drain")


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
    for side in sides:
        if side.name in (KNIT, SKEIN_WARM):
            yield Turn("store", side, partial(bench.store, side, arguments.keys))
    seconds = arguments.follow_seconds
    for side in sides:
        if side.name == KNIT:
            for figure, containers, rate in (("line_slow", 1, 1), ("line_fast", 10, 100)):
                follow = partial(
                    bench.follow, side, figure, containers=containers, rate=rate, seconds=seconds
                )
                yield Turn("follow", side, follow)
            for figure, readers in (("drain_one", 1), ("drain_ten", 10)):
                if readers not in arguments.readers:
                    continue
                drain = partial(bench.drain, side, figure, readers=readers, mib=arguments.drain_mib)
                yield Turn("drain", side, drain)


def run(bench: Bench, sides: list[Side], arguments: argparse.Namespace, console: Console) -> None:
    """All rounds, each begun by another side; the first one warms up and is thrown away."""
    kept = bench.results
    for side in sides:
        if side.name == KNIT:
            bench.prime(side)
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
    yarn: Yarn, directory: Path, arguments: argparse.Namespace, console: Console
) -> list[Side]:
    """Those that can be run here."""
    sides = [knit_side(yarn.conf_dir)]
    try:
        if arguments.skein_packages:
            python = skein_setup.installed(arguments.skein_packages, directory / "python")
        else:
            python = skein_setup.install(SKEIN_VENV)
        env = skein_setup.environment(directory / "skein", yarn)
        skein_setup.make_credentials(python, env)
        sides += skein_sides(python, env)
    except SkeinMissingError as error:
        console.print(str(error), markup=False, style="yellow")
    jar = arguments.floor_jar or floor_setup.build(
        directory / "floor", hadoop_jars(hadoop_version())
    )
    sides.append(floor_side(yarn, jar, directory))
    return [side for side in sides if side.name in arguments.sides]


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s bench --", description=__doc__)
    parser.add_argument("--cluster", choices=["embedded", "docker"], default="embedded")
    parser.add_argument("--rounds", type=int, default=5, help="after one to warm up (5)")
    parser.add_argument("--steps", nargs="+", choices=STEPS, help="(all that the cluster allows)")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES, help="(all)")
    parser.add_argument("--add", type=int, nargs="+", help="(10; on docker 10, then 50)")
    parser.add_argument("--idle-seconds", type=float, default=60, help="of the idle AM (60)")
    parser.add_argument("--keys", type=int, default=500, help="written, read and watched (500)")
    parser.add_argument("--follow-seconds", type=int, default=20, help="of log lines (20)")
    parser.add_argument("--drain-mib", type=int, default=954, help="of a log that is there (954)")
    parser.add_argument(
        "--readers", type=int, nargs="+", choices=[1, 10], default=[1, 10], help="of it (1 and 10)"
    )
    parser.add_argument("--json", type=Path, help="(build/bench-CLUSTER.json)")
    parser.add_argument("--core-json", type=Path, help="(build/bench-core.json)")
    parser.add_argument("--core-before", type=Path, help="such a file, to compare the core with")
    parser.add_argument("--floor-jar", type=Path, help="a floor that is built already")
    parser.add_argument("--skein-packages", type=Path, help="where skein is installed already")
    arguments = parser.parse_args(argv)
    docker = arguments.cluster == "docker"
    arguments.json = arguments.json or ROOT / "build" / f"bench-{arguments.cluster}.json"
    arguments.core_json = arguments.core_json or ROOT / "build" / "bench-core.json"
    arguments.steps = arguments.steps or (["submit", "scale"] if docker else STEPS)
    arguments.add = arguments.add or ([10, 50] if docker else [10])
    return arguments


def measure(
    cluster: EmbeddedCluster | DockerCluster,
    host: str,
    logs: list[Path],
    arguments: argparse.Namespace,
    console: Console,
) -> None:
    """All of it, on a cluster that runs; logs are its daemons', where this machine has them."""
    with tempfile.TemporaryDirectory(prefix="knit-bench-") as scratch:
        yarn = Yarn.of(cluster)
        results = Results(
            cluster.hadoop_version, cluster.name, list(arguments.add), arguments.drain_mib
        )
        bench = Bench(yarn, logs, host, results)
        try:
            run(bench, sides_of(yarn, Path(scratch), arguments, console), arguments, console)
        finally:
            report.show(results, console)


def in_docker(argv: list[str], arguments: argparse.Namespace, console: Console) -> None:
    """Do it in a client of the dockerized cluster, where its names mean something."""
    built = ROOT / "build" / "bench-floor"
    shutil.rmtree(built, ignore_errors=True)
    jar = floor_setup.build(built, hadoop_jars(hadoop_version()))
    argv = [*argv, "--json", "/tmp/bench.json", "--floor-jar", str(jar)]
    try:
        skein = skein_setup.install(SKEIN_VENV)
        packages = skein.parents[1] / "lib" / "python3.11" / "site-packages"
        argv += ["--skein-packages", str(packages)]
    except SkeinMissingError as error:
        console.print(str(error), markup=False, style="yellow")
    with dockerized_cluster(console.print) as client:
        argv = [word.replace(str(ROOT), REPOSITORY_IN_CLIENT) for word in argv]
        status = client.start([CLIENT_PYTHON, "-m", "integration.bench", *argv], env={}).wait()
        if status != 0:
            raise BenchError(f"The bench in the cluster's client left with {status}")
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        docker("cp", f"{client.container}:/tmp/bench.json", str(arguments.json))


def main(argv: list[str]) -> int:
    arguments = parse(argv)
    console = Console(width=None if sys.stdout.isatty() else 170)
    if "core" in arguments.steps:
        core.measure(ROOT, arguments.core_json)
        core.show(arguments.core_json, console, arguments.core_before)
        console.print(f"written to {arguments.core_json}")
    if set(arguments.steps) == {"core"}:
        return 0
    if arguments.cluster == "embedded":
        with EmbeddedCluster(say=console.print) as embedded:
            logs = sorted((embedded.directory / "logs").glob("*manager*.log"))
            measure(embedded, "localhost", logs, arguments, console)
    elif DockerCluster.is_here():
        with DockerCluster() as dockerized:
            measure(dockerized, "client", [], arguments, console)
    else:
        in_docker(argv, arguments, console)
    console.print(f"written to {arguments.json}")
    return 0


if __name__ == "__main__":
    # Clients, drivers and the cluster end with this process, also if it is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        sys.exit(main(sys.argv[1:]))
    except (BenchError, EmbeddedClusterError, DockerError, ToolchainError) as problem:
        sys.exit(f"bench: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)
