"""The verb logs."""

from __future__ import annotations

from collections.abc import Sequence

import click

from knit.cli import _values
from knit.cli._containers import find_containers
from knit.cli._log_printer import LogPrinter
from knit.cli._options import Cluster, application_argument, cluster_options, verb
from knit.cli._progress import Progress


@verb(
    "logs",
    short="Print what containers write.",
    example="knit logs -f --tail 10 application_1700000000000_0001",
)
@application_argument
@click.option("-f", "--follow", is_flag=True, help="Go on until the application has ended.")
@click.option("--service", "services", metavar="NAME", multiple=True, help="Only of this service.")
@click.option(
    "--container",
    "containers",
    metavar="CONTAINER",
    multiple=True,
    type=_values.container,
    help="Only of this container: an ID, or a service and rank such as worker/0. Repeatable.",
)
@click.option(
    "--file",
    "files",
    metavar="NAME",
    multiple=True,
    help="This file of the log directory; repeatable.  [default: stdout and stderr]",
)
@click.option(
    "--tail",
    "tail_lines",
    type=click.IntRange(min=0),
    metavar="N",
    help="Begin with the last N lines of each file.  [default: all]",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per line.")
@cluster_options()
def logs(
    *,
    cluster: Cluster,
    application_id: str,
    follow: bool,
    services: Sequence[str],
    containers: Sequence[str],
    files: Sequence[str],
    tail_lines: int | None,
    as_json: bool,
) -> None:
    """
    Print what the containers of a running application have written.

    Ctrl-C ends only the printing.
    """
    printer = LogPrinter(Progress(quiet=True), as_json=as_json)
    with cluster.client() as client, client.application(application_id) as app:
        stream = app.logs(
            follow=follow,
            services=list(services) or None,
            containers=find_containers(app, containers) or None,
            files=list(files) or ("stdout", "stderr"),
            tail_lines=tail_lines,
        )
        with stream:
            printer.print_all(stream)
