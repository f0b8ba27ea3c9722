"""The verb logs."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from knit.cli._arguments import values
from knit.cli._arguments.choosing import find_containers
from knit.cli._arguments.options import Cluster, application_argument, cluster_options, verb
from knit.cli._running.waiting import saying_why
from knit.cli._terminal.log_printer import LogPrinter
from knit.cli._terminal.output import print_json, print_table, say
from knit.cli._terminal.progress import Progress

if TYPE_CHECKING:
    import knit

PATIENCE_WITH_COLLECTION = timedelta(seconds=30)
"""How long YARN may take to collect the record of which container was which."""


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
    type=values.container,
    help="Only of this container: an ID, or a service and rank such as worker/0. Repeatable.",
)
@click.option(
    "--driver", is_flag=True, help="Of the driver, beside the Application Master, and nothing else."
)
@click.option(
    "--file",
    "files",
    metavar="NAME",
    multiple=True,
    help="This file of the log directory; repeatable.  [default: stdout and stderr; of a driver, "
    "its own]",
)
@click.option(
    "--list",
    "as_list",
    is_flag=True,
    help="Print which files there are, and how long they are, instead of what is in them.",
)
@click.option(
    "--tail",
    "tail_lines",
    type=click.IntRange(min=0),
    metavar="N",
    help="Begin with the last N lines of each file.  [default: all]",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print a JSON object per line; with --list, one array.",
)
@cluster_options()
def logs(
    *,
    cluster: Cluster,
    application_id: str,
    follow: bool,
    services: Sequence[str],
    containers: Sequence[str],
    driver: bool,
    files: Sequence[str],
    as_list: bool,
    tail_lines: int | None,
    as_json: bool,
) -> int:
    """
    Print what the containers of an application have written, be it running or ended.

    Files whose names end in .rolled, which nodes may collect and remove while their program runs,
    are read from there, too, and then from the node. --list says which files there are.

    After the end YARN collects the logs of all nodes, which takes some seconds; with --follow
    that is waited for. Ctrl-C ends only the printing. The exit status is 1 if there was nothing
    to print because it could not be had.
    """
    if driver and (services or containers):
        raise click.UsageError("--driver is for itself: leave out --service and --container.")
    if as_list and (follow or files or tail_lines is not None):
        raise click.UsageError("--list is of all files: leave out --follow, --file and --tail.")
    if as_list:
        return _list(cluster, application_id, services, containers, driver=driver, as_json=as_json)
    shown = files or (("driver.stdout", "driver.stderr") if driver else ("stdout", "stderr"))
    progress = Progress(quiet=True)
    printer = LogPrinter(progress, as_json=as_json)
    with cluster.client() as client, client.application(application_id) as app:
        stream = app.logs(
            follow=follow,
            services=list(services) or None,
            containers=_find(app, containers) or None,
            files=shown,
            driver=driver,
            tail_lines=tail_lines,
        )
        with stream, saying_why(app, master=False) if follow else contextlib.nullcontext():
            printer.print_all(stream)
        if printer.printed_anything:
            return 0
        names = " or ".join(shown)
        if stream.incomplete_reason is None:
            say(f"no container that was asked for has written anything to {names}")
            return 0
        say(f"there is nothing of {names} to print")
        return 1


def _list(
    cluster: Cluster,
    application_id: str,
    services: Sequence[str],
    containers: Sequence[str],
    *,
    driver: bool,
    as_json: bool,
) -> int:
    from knit.exceptions import ConnectionLostError, LogsUnavailableError

    rows: list[tuple[str, str, knit.LogFile]] = []
    missing: dict[str, None] = {}
    with cluster.client() as client, client.application(application_id) as app:
        for name, container_id in _wanted(app, services, containers, driver=driver):
            try:
                found = app.log_files(container_id)
            except (ConnectionLostError, LogsUnavailableError) as error:
                missing[error.message] = None  # of other nodes there may be all
                continue
            rows += [(name, container_id, file) for file in found]
            if found.incomplete_reason is not None:
                missing[found.incomplete_reason] = None
    if as_json:
        print_json(
            [
                {
                    "container": name,
                    "container_id": key,
                    "file": file.name,
                    "size_bytes": file.size_bytes,
                }
                for name, key, file in rows
            ]
        )
    else:
        print_table(
            ("container", "ID", "file", "bytes"),
            [(name, key, file.name, file.size_bytes) for name, key, file in rows],
            optional=("ID",),
        )
    for reason in missing:
        say(f"files may be missing: {reason}")
    return 1 if missing and not rows else 0


def _wanted(
    app: knit.Application, services: Sequence[str], containers: Sequence[str], *, driver: bool
) -> list[tuple[str, str]]:
    """Names and IDs of the containers that have been granted, of those that are asked for."""
    if driver:
        return [("driver", app.master_container_id())]
    known = {
        c.container_id: (c.service, f"{c.service}/{c.rank}")
        for c in app.containers()
        if c.container_id is not None
    }
    if containers:
        found = [c if isinstance(c, str) else c.container_id for c in _find(app, containers)]
        chosen = [each for each in found if each is not None]
    else:
        chosen = [key for key, (service, _) in known.items() if service in (services or [service])]
    return [(known.get(key, ("", "-"))[1], key) for key in chosen]


def _find(app: knit.Application, names: Sequence[str]) -> list[str | knit.Container]:
    """The containers of these names, also of an application that has ended."""
    from knit.exceptions import ApplicationNotRunningError, ContainerNotFoundError

    try:
        return find_containers(app, names)
    except ApplicationNotRunningError:
        logs = app.aggregated_logs(wait=PATIENCE_WITH_COLLECTION)
    by_attempt = sorted(logs.containers.values(), key=lambda container: container.attempt_number)
    latest = {
        f"{each.service}/{each.rank}": each.container_id for each in by_attempt if each.service
    }
    missing = [name for name in names if values.is_place(name) and name not in latest]
    if missing:
        raise ContainerNotFoundError(
            f"There are no logs of {', '.join(missing)} among those of {app.application_id}. "
            f"There are some of {', '.join(latest) or 'no container'}."
        )
    return [latest.get(name, name) for name in names]
