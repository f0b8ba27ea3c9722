"""
Shows knit at work: a real YARN on this machine, a Python program in containers, their output live.

``nox -s demo`` runs it, and ``nox -s demo -- --secure`` on a cluster with Kerberos and TLS, where
the application brings a keytab along so that its output is live. It leaves with 0 only if
everything it says has happened.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import attrs
import knit
from rich.console import Console
from rich.table import Table

from integration.clusters.embedded import EmbeddedCluster, EmbeddedClusterError
from integration.clusters.security import Security, keytab_options
from integration.toolchain import ToolchainError

PROGRAM = Path(__file__).parent.parent / "examples" / "count.py"
INSTANCES = 3
ADDED = 2
PATIENCE = timedelta(minutes=3)


class DemoError(Exception):
    """Something the demo promises has not happened."""


@attrs.define
class Stopwatch:
    """What took how long, in the order it was done."""

    console: Console
    steps: list[tuple[str, float]] = attrs.field(factory=list)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        self.console.rule(what, align="left")
        began = time.monotonic()
        yield
        self.note(what, began)

    def note(self, what: str, began: float) -> None:
        self.steps.append((what, time.monotonic() - began))


def watch(app: knit.Application, stopwatch: Stopwatch, submitted: float) -> None:
    """Print the containers' lines as they come, and add containers once all have been heard."""
    console = stopwatch.console
    heard: set[int] = set()
    asked = 0.0
    with app.logs(follow=True) as lines:
        for line in lines:
            console.print(f"[bold]{line.service}/{line.rank}[/] | ", end="")
            console.print(line.text, markup=False, highlight=False)
            if line.rank in heard:
                continue
            heard.add(line.rank)
            if len(heard) == 1:
                stopwatch.note("submitted to first line of output", submitted)
            if heard == set(range(INSTANCES)):
                console.print(f"[green]adding {ADDED} containers while these run[/]")
                asked = time.monotonic()
                app.add_containers(ADDED)
            if len(heard) == INSTANCES + ADDED:
                stopwatch.note(f"{ADDED} more containers asked for to their first lines", asked)
    if heard != set(range(INSTANCES + ADDED)):
        raise DemoError(f"only these ranks were heard from: {sorted(heard)}")


def table_of(containers: list[knit.Container]) -> Table:
    """The containers as they ended."""
    table = Table("service", "rank", "container", "node", "state", "exit code", "run time")
    for container in containers:
        exit_ = container.exit
        table.add_row(
            container.service,
            str(container.rank),
            container.container_id,
            container.node_id,
            container.state.name,
            "-" if exit_ is None or exit_.exit_code is None else str(exit_.exit_code),
            "-" if container.run_time is None else f"{container.run_time.total_seconds():.1f} s",
        )
    return table


def show(cluster: EmbeddedCluster, stopwatch: Stopwatch) -> None:
    """
    Submit the program to a cluster, follow it to its end, and print what became of it.

    Raises:
        DemoError: it has not gone as it should.
        knit.KnitError: something has failed.
    """
    console = stopwatch.console
    keytab = keytab_options(cluster.security, cluster.user, cluster.keytab)
    with knit.Client.from_config(cluster.conf_dir, **keytab) as client:
        spec = knit.ApplicationSpec(
            name="demo",
            services={
                "worker": knit.Service(
                    command=f"python3 {PROGRAM.name}",
                    instances=INSTANCES,
                    resources=knit.Resources(memory="256 MiB", vcores=1),
                    files=[PROGRAM],
                )
            },
            **keytab,
        )
        submitted = time.monotonic()
        with stopwatch.step(f"submit {PROGRAM.name} to run in {INSTANCES} containers"):
            app = client.submit(spec)
        with app:
            console.print(app.application_id)
            watch(app, stopwatch, submitted)
            containers = app.containers()
            app.release()
            app.wait(timeout=PATIENCE).raise_for_status()
    console.rule("containers", align="left")
    console.print(table_of(containers))
    ended_well = [c for c in containers if c.state is knit.ContainerState.SUCCEEDED]
    if len(ended_well) != INSTANCES + ADDED:
        raise DemoError(f"{len(ended_well)} of {INSTANCES + ADDED} containers ended well")


def run(console: Console, security: Security | None) -> None:
    """Do all of it, or raise."""
    stopwatch = Stopwatch(console)
    with ExitStack() as stack:
        with stopwatch.step("start HDFS and YARN on this machine"):
            cluster = stack.enter_context(EmbeddedCluster(security=security, say=console.print))
        # Where Kerberos' library finds its configuration.
        os.environ.update(cluster.environment(cluster.user))
        show(cluster, stopwatch)
        with stopwatch.step("take the cluster down"):
            stack.close()
    steps = Table("step", "seconds")
    for what, seconds in stopwatch.steps:
        steps.add_row(what, f"{seconds:.2f}")
    console.print(steps)


def main() -> int:
    parser = argparse.ArgumentParser(prog="nox -s demo --", description="Show knit at work.")
    parser.add_argument("--secure", action="store_true", help="with Kerberos and TLS everywhere")
    chosen = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        run(console, Security() if chosen.secure else None)
    except (DemoError, EmbeddedClusterError, ToolchainError, knit.KnitError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
