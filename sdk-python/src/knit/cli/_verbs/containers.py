"""Verbs on containers: containers, add, stop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from knit.cli._arguments import values
from knit.cli._arguments.choosing import find_containers
from knit.cli._arguments.options import (
    Cluster,
    application_argument,
    cluster_options,
    env_options,
    json_option,
    verb,
    wide_option,
)
from knit.cli._running.waiting import within_reach
from knit.cli._terminal.as_json import container_as_json
from knit.cli._terminal.output import print_json, print_table

if TYPE_CHECKING:
    import knit

STATES = (
    *("pending", "requested", "held", "launching", "running"),
    *("stopping", "succeeded", "failed", "stopped"),
)
ENDINGS = ("succeeded", "failed", "killed")


@verb(
    "containers",
    short="List the containers of an application.",
    example="knit containers application_1700000000000_0001 --state running",
)
@application_argument
@click.option("--service", "services", metavar="NAME", multiple=True, help="Only of this service.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(STATES, case_sensitive=False),
    help="Only those in this state; repeatable.",
)
@wide_option
@json_option
@cluster_options()
def containers(
    *,
    cluster: Cluster,
    application_id: str,
    services: Sequence[str],
    states: Sequence[str],
    wide: bool,
    as_json: bool,
) -> None:
    """
    List the containers of an application, those that have ended included.

    After its end they are read from what YARN collects, which takes some seconds.
    """
    import knit

    with cluster.client() as client, client.application(application_id) as app, within_reach(app):
        found = app.containers(
            services=list(services) or None,
            states=[knit.ContainerState.parse(state) for state in states] or None,
        )
    print_containers(found, as_json=as_json, wide=wide)


@verb(
    "add",
    short="Add containers to an application.",
    example="knit add application_1700000000000_0001 -n 2 --memory 1GiB",
)
@application_argument
@click.option(
    "-n",
    "--instances",
    "count",
    type=click.IntRange(min=1),
    required=True,
    metavar="N",
    help="How many containers.",
)
@click.option(
    "--service", metavar="NAME", help="Add to this service.  [default: the only one there is]"
)
@click.option(
    "--memory",
    type=values.memory,
    metavar="AMOUNT",
    help="Memory of each: 512MiB, 2GiB.  [default: the service's]",
)
@click.option(
    "--vcores",
    type=click.IntRange(min=1),
    metavar="N",
    help="Virtual cores of each.  [default: the service's]",
)
@env_options
@json_option
@cluster_options()
def add(
    *,
    cluster: Cluster,
    application_id: str,
    count: int,
    service: str | None,
    memory: str | None,
    vcores: int | None,
    environment: Sequence[tuple[str, str]],
    environment_files: Sequence[str],
    as_json: bool,
) -> None:
    """Add containers to a running application, and list them."""
    with cluster.client() as client, client.application(application_id) as app, within_reach(app):
        added = app.add_containers(
            count,
            service=service,
            resources=_resources(app, service, memory, vcores),
            environment=values.variables(environment_files, environment) or None,
        )
    print_containers(added, as_json=as_json)


def _resources(
    app: knit.Application, service: str | None, memory: str | None, vcores: int | None
) -> knit.Resources | None:
    """What was asked for; where only one of both was, the other is the service's own."""
    import knit

    if memory is None and vcores is None:
        return None
    if memory is not None and vcores is not None:
        return knit.Resources(memory=memory, vcores=vcores)
    services = app.describe().services
    own = services.get(service) if service is not None else next(iter(services.values()), None)
    usual = own.resources if own is not None else knit.Resources()
    return knit.Resources(
        memory=memory if memory is not None else usual.memory_mib,
        vcores=vcores if vcores is not None else usual.vcores,
    )


@verb(
    "stop",
    short="Ask an application to end, or containers.",
    example="knit stop application_1700000000000_0001 worker/3",
)
@application_argument
@click.argument("names", metavar="[CONTAINER]...", nargs=-1, required=False, type=values.container)
@click.option(
    "--status",
    type=click.Choice(ENDINGS, case_sensitive=False),
    help="How the application is to have ended.  [default: killed]",
)
@click.option("--diagnostics", metavar="TEXT", help="Why the application ends, in a sentence.")
@json_option
@cluster_options()
def stop(
    *,
    cluster: Cluster,
    application_id: str,
    names: Sequence[str],
    status: str | None,
    diagnostics: str | None,
    as_json: bool,
) -> None:
    """
    Ask an application to end, or only some of its containers.

    It returns as soon as the application has taken note; `knit wait` waits for its end. A
    CONTAINER is an ID, or a service and a rank as in the logs: worker/3. A rank that was
    stopped is not started again; `knit add` adds one at the next rank.
    """
    import knit

    if names and (status is not None or diagnostics is not None):
        raise click.UsageError("--status and --diagnostics are for a whole application.")
    with cluster.client() as client, client.application(application_id) as app, within_reach(app):
        if names:
            stopped = app.stop_containers(find_containers(app, names))
            print_containers(stopped, as_json=as_json)
            return
        final_status = knit.FinalStatus((status or "killed").upper())
        app.stop(final_status=final_status, diagnostics=diagnostics or "")
    if as_json:
        print_json({"application_id": application_id, "state": "ENDING"})
    else:
        click.echo(f"{application_id}\tENDING")


def print_containers(
    containers: Sequence[knit.Container], *, as_json: bool, wide: bool = False
) -> None:
    """Print them as a table or as a JSON list."""
    if as_json:
        print_json([container_as_json(container) for container in containers])
        return
    print_table(
        ["service", "rank", "attempt", "container", "node", "state", "exit", "memory", "vcores",
         "started", "run time"],
        [
            (
                container.service,
                container.rank,
                container.attempt_number,
                container.container_id,
                container.node_id,
                container.state,
                how_it_ended(container),
                f"{container.resources.memory_mib} MiB",
                container.resources.vcores,
                container.start_time,
                container.run_time,
            )
            for container in containers
        ],
        optional=["vcores", "memory", "attempt", "run time", "started", "node", "exit"],
        wide=wide,
    )  # fmt: skip


def how_it_ended(container: knit.Container) -> str | None:
    """The exit code if the program ended by itself, else the reason; None before the end."""
    exit_ = container.exit
    if exit_ is None:
        return None
    if exit_.signal is not None:
        return f"{exit_.reason.name.lower()}, signal {exit_.signal}"
    if exit_.reason.name == "EXITED" and exit_.exit_code is not None:
        return str(exit_.exit_code)
    return exit_.reason.name.lower().replace("_", " ")
