"""Verbs on services: services, scale, restart, update."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs
import click

from knit.cli._arguments import values
from knit.cli._arguments.choosing import find_containers
from knit.cli._arguments.options import (
    Cluster,
    application_argument,
    cluster_options,
    json_option,
    verb,
    wide_option,
)
from knit.cli._running.waiting import within_reach
from knit.cli._terminal.as_json import container_as_json, service_as_json
from knit.cli._terminal.output import print_json, print_table, say
from knit.cli._terminal.service_words import state_of, update_words
from knit.cli._terminal.words import count_states
from knit.cli._verbs.containers import print_containers

if TYPE_CHECKING:
    import knit

ORDERS = ("highest-rank-first", "newest-first", "oldest-first")


@verb(
    "services",
    short="List the services of an application.",
    example="knit services application_1700000000000_0001",
)
@application_argument
@click.argument("names", metavar="[SERVICE]...", nargs=-1, required=False)
@wide_option
@json_option
@cluster_options()
def services(
    *, cluster: Cluster, application_id: str, names: Sequence[str], wide: bool, as_json: bool
) -> None:
    """List the services of a running application: how each does, and what it waits for."""
    with cluster.client() as client, client.application(application_id) as app, within_reach(app):
        found = app.services(names or None)
    print_services(found, as_json=as_json, wide=wide)


@verb(
    "scale",
    short="Change how many containers a service has.",
    example="knit scale application_1700000000000_0001 worker 5",
)
@application_argument
@click.argument("service", metavar="SERVICE")
@click.argument("amount", metavar="N|+N|-N")
@click.option(
    "--order",
    type=click.Choice(ORDERS, case_sensitive=False),
    help="Which go first where there are to be fewer.  [default: as the service says]",
)
@click.option(
    "--victim",
    "victims",
    metavar="CONTAINER",
    multiple=True,
    type=values.container,
    help="One that goes before any other: an ID, or a service and rank such as worker/3.",
)
@json_option
@cluster_options()
def scale(
    *,
    cluster: Cluster,
    application_id: str,
    service: str,
    amount: str,
    order: str | None,
    victims: Sequence[str],
    as_json: bool,
) -> None:
    """
    Change how many containers a service has: to N, or by +N more or -N fewer.

    More fill the lowest free ranks; fewer end as they would with `knit stop`, and their ranks
    are free. Before -N say `--`, or it reads as an option: `knit scale APP worker -- -2`.
    """
    import knit

    count, delta = _amount(amount)
    with cluster.client() as client, client.application(application_id) as app, within_reach(app):
        scaled = app.scale(
            service,
            count,
            delta=delta,
            order=None if order is None else knit.ScaleDownOrder.parse(order),
            victims=_listed(app, victims),
        )
    if as_json:
        print_json(
            {
                "service": service_as_json(scaled.service),
                "added": [container_as_json(container) for container in scaled.added],
                "stopped": [container_as_json(container) for container in scaled.stopped],
            }
        )
        return
    print_services([scaled.service], as_json=False)


def _amount(text: str) -> tuple[int | None, int | None]:
    """A count, or a delta where a sign stands before it."""
    digits = text.removeprefix("+").removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(text) - len(digits) > 1:
        raise click.UsageError(f"{text!r} is no number of containers: 5, +2 or -2.")
    return (None, int(text)) if text[0] in "+-" else (int(text), None)


def _listed(app: knit.Application, names: Sequence[str]) -> list[knit.Container]:
    """The containers of these names, as they are listed: their ordinals are needed."""
    from knit.exceptions import ContainerNotFoundError

    if not names:
        return []
    latest = {f"{c.service}/{c.rank}": c for c in app.containers()}
    by_id = {c.container_id: c for c in latest.values()}
    found = [by_id.get(name) or latest.get(name) for name in names]
    missing = [name for name, each in zip(names, found, strict=True) if each is None]
    if missing:
        raise ContainerNotFoundError(
            f"{app.application_id} has no container {', '.join(missing)} now: "
            f"`knit containers {app.application_id}` lists those it has."
        )
    return [container for container in found if container is not None]


@verb(
    "restart",
    short="Start containers anew, at their ranks.",
    example="knit restart application_1700000000000_0001 worker/3",
)
@application_argument
@click.argument("names", metavar="[CONTAINER]...", nargs=-1, type=values.container)
@click.option(
    "--service",
    "services",
    metavar="NAME",
    multiple=True,
    help="All of this service; repeatable.",
)
@json_option
@cluster_options()
def restart(
    *,
    cluster: Cluster,
    application_id: str,
    names: Sequence[str],
    services: Sequence[str],
    as_json: bool,
) -> None:
    """
    Stop containers and fill their ranks again with the next attempt, and list these.

    A CONTAINER is an ID, or a service and a rank as in the logs: worker/3. A rank that has ended
    is filled again, too. It charges no restart budget.
    """
    if not names and not services:
        raise click.UsageError("Say which: containers such as worker/3, or --service NAME.")
    with cluster.client() as client, client.application(application_id) as app, within_reach(app):
        restarted = app.restart_containers(
            find_containers(app, names) if names else (), services=list(services)
        )
    print_containers(restarted, as_json=as_json)


@verb(
    "update",
    short="Pass services to another specification.",
    example="knit update application_1700000000000_0001 app.yaml --wait",
)
@application_argument
@click.argument("file", metavar="[FILE]", required=False)
@click.option(
    "--service",
    "names",
    metavar="NAME",
    multiple=True,
    help="Only this service; repeatable.  [default: all that FILE has]",
)
@click.option("--wait", is_flag=True, help="Wait until the updates are over.")
@click.option("--replace", is_flag=True, help="Give up an update that is under way for this one.")
@click.option("--pause", "action", flag_value="pause", help="Stop an update where it is.")
@click.option("--continue", "action", flag_value="continue", help="Go on with it.")
@click.option("--roll-back", "action", flag_value="roll back", help="Bring back what was before.")
@json_option
@cluster_options()
def update(
    *,
    cluster: Cluster,
    application_id: str,
    file: str | None,
    names: Sequence[str],
    wait: bool,
    replace: bool,
    action: str | None,
    as_json: bool,
) -> int:
    """
    Pass the services of a running application to what FILE says of them, rank by rank.

    Services that FILE has and the application has not are added; others stay. How many
    containers a service has stays, too: `knit scale` changes that. With --pause, --continue or
    --roll-back an update that is under way is steered instead. With --wait the exit status is 1
    if one was rolled back, or waits for somebody to decide.
    """
    if (file is None) == (action is None):
        raise click.UsageError("Give a FILE, or one of --pause, --continue and --roll-back.")
    with cluster.client() as client, client.application(application_id) as app:
        if action is not None:
            if not names:
                raise click.UsageError(f"Say of which service: --service NAME --{action}.")
            with within_reach(app):
                changed = [_steer(app, name, action) for name in names]
        else:
            changed = _pass_to(app, _read(file or "", names), replace=replace)
        ended_badly = False
        if wait:
            wanted = {status.name: status.revision for status in changed}
            changed = [app.wait_for_update(name) for name in wanted]
            ended_badly = action != "roll back" and any(
                status.update is not None or status.revision != wanted[status.name]
                for status in changed
            )
    print_services(changed, as_json=as_json)
    return 1 if ended_badly else 0


def _steer(app: knit.Application, name: str, action: str) -> knit.ServiceStatus:
    if action == "pause":
        return app.pause_update(name)
    return app.continue_update(name) if action == "continue" else app.roll_back_update(name)


def _read(file: str, names: Sequence[str]) -> dict[str, knit.Service]:
    """The services of a file that are meant."""
    import knit

    found = knit.ApplicationSpec.from_yaml(file).services
    missing = [name for name in names if name not in found]
    if missing:
        raise click.UsageError(
            f"{file} has no service {', '.join(missing)}: it has {', '.join(found)}."
        )
    return {name: found[name] for name in names or found}


def _pass_to(
    app: knit.Application, wanted: dict[str, knit.Service], *, replace: bool
) -> list[knit.ServiceStatus]:
    with within_reach(app):
        there = {status.name: status for status in app.services()}
    changed = []
    for name in sorted(wanted.keys() & there.keys()):
        service, now = wanted[name], there[name]
        if service.instances != now.spec.instances:
            say(
                f"{name} keeps as many containers as it has ({now.target}): "
                f"knit scale {app.application_id} {name} {service.instances} changes that"
            )
            service = attrs.evolve(service, instances=now.spec.instances)
        changed.append(app.update_service(name, service, replaces_update=replace))
    if new := {name: wanted[name] for name in sorted(wanted.keys() - there.keys())}:
        changed += app.add_services(new)
    return changed


def print_services(
    found: Sequence[knit.ServiceStatus], *, as_json: bool, wide: bool = False
) -> None:
    """Print them as a table or as a JSON list."""
    if as_json:
        print_json([service_as_json(status) for status in found])
        return
    print_table(
        ["service", "condition", "ready", "containers", "revision", "update", "waiting"],
        [
            (
                status.name,
                status.condition,
                state_of(status),
                count_states(status.counts),
                status.revision,
                update_words(status),
                "; ".join(reason.explanation for reason in status.waiting_reasons),
            )
            for status in found
        ],
        optional=["waiting", "revision", "update", "containers"],
        wide=wide,
    )
