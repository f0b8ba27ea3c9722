"""Verbs on one application or several: status, kill, wait, credentials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from knit.cli._arguments import values
from knit.cli._arguments.options import (
    Cluster,
    application_argument,
    cluster_options,
    complete_application,
    json_option,
    verb,
)
from knit.cli._running.exit_status import TIMED_OUT, ending, exit_code_of
from knit.cli._running.waiting import saying_why, waiting_sentence, within_reach
from knit.cli._terminal.as_json import (
    outcome_as_dict,
    report_as_json,
    service_as_json,
    waiting_as_json,
)
from knit.cli._terminal.output import print_fields, print_json, say
from knit.cli._terminal.service_words import service_sentence
from knit.cli._terminal.token_words import token_as_json, tokens_words
from knit.cli._terminal.words import count_by_state, jsonable

if TYPE_CHECKING:
    import knit

# What YARN tells where none was given.
_NO_PRIORITY = -1


@verb(
    "status",
    short="Show how an application is doing.",
    example="knit status application_1700000000000_0001",
)
@application_argument
@json_option
@cluster_options()
def status(*, cluster: Cluster, application_id: str, as_json: bool) -> None:
    """Show how an application is doing, and how many of its containers are in which state."""
    import knit

    with cluster.client() as client, client.application(application_id) as app:
        report = app.report()
        description, services, containers = _ask_master(app, report)
    if as_json:
        value = report_as_json(report)
        value["application_master"] = None
        if description is not None:
            value["application_master"] = {
                "state": description.state.name,
                "outcome": jsonable(outcome_as_dict(description.outcome)),
                "attempt_number": description.attempt_number,
                "start_time": jsonable(description.start_time),
                "waiting_reasons": [
                    waiting_as_json(reason) for reason in description.waiting_reasons
                ],
                "progress": description.progress,
                "services": [service_as_json(each) for each in services],
                "tokens": [token_as_json(token) for token in description.tokens],
            }
            value["containers"] = dict(Counter(c.state.name for c in containers))
        print_json(value)
        return
    outcome = description.outcome if description is not None else None
    held = knit.ResourceAmount(report.memory_mib, report.vcores, report.named_resources)
    print_fields(
        {
            "application": report.application_id,
            "name": report.name,
            "state": report.state,
            "final status": report.final_status if report.state.is_final else None,
            "exit code": outcome.exit_code if outcome is not None else None,
            "diagnostics": report.diagnostics.strip(),
            "user": report.user,
            "queue": report.queue,
            "priority": None if report.priority == _NO_PRIORITY else report.priority,
            "node label": report.node_label,
            "tags": report.tags,
            "started": report.start_time,
            "ended": report.finish_time,
            "run time": report.run_time,
            "ended by YARN": report.expiry_time if not report.state.is_final else None,
            "attempt": report.attempt_number,
            # With nothing of what was added or stopped before: it is the specification's again.
            "began anew": description.start_time
            if description is not None and description.attempt_number > 1
            else None,
            "application master": report.am_address,
            "web page": report.tracking_url,
            "containers": count_by_state(containers),
            "holds": held if report.running_containers else None,
            "services": "\n".join(map(service_sentence, services)),
            "tokens": tokens_words(description.tokens) if description is not None else None,
            "waiting": "\n".join(map(waiting_sentence, description.waiting_reasons))
            if description is not None
            else None,
        }
    )


def _ask_master(
    app: knit.Application, report: knit.ApplicationReport
) -> tuple[
    knit.ApplicationDescription | None, Sequence[knit.ServiceStatus], Sequence[knit.Container]
]:
    """What its Application Master says, if it has one that answers; it may just be leaving."""
    from knit.exceptions import KnitError

    if report.state.name not in ("RUNNING", "FINISHED"):
        return None, [], []
    try:
        with within_reach(app):
            return app.describe(), _services(app), app.containers()
    except KnitError as error:
        if not report.state.is_final:
            say(f"its Application Master does not say more: {error}")
        return None, [], []


def _services(app: knit.Application) -> Sequence[knit.ServiceStatus]:
    """None of an Application Master of knit 1.0, which does not list them."""
    from knit.exceptions import ApplicationError

    try:
        return app.services()
    except ApplicationError:
        return []


@verb("kill", short="End applications at once.", example="knit kill application_1700000000000_0001")
@click.argument(
    "application_ids",
    metavar="APPLICATION...",
    nargs=-1,
    required=True,
    type=values.application_id,
    shell_complete=complete_application,
)
@json_option
@cluster_options()
def kill(*, cluster: Cluster, application_ids: Sequence[str], as_json: bool) -> int:
    """
    Have YARN end applications at once, without asking them, and wait until they have ended.

    Several at a time, and --timeout is for all of them together. `knit stop` asks the application
    instead, and lets its containers end in order. The exit status is 1 if one of them could not be
    killed; the others are all the same.
    """
    with cluster.client() as client:
        results = client.kill_applications(application_ids)
    values: list[dict[str, Any]] = []
    for result in results:
        value: dict[str, Any] = {"application_id": result.application_id}
        if result.report is not None:
            value["state"] = result.report.state.name
        if result.error is not None:
            value["error"] = str(result.error)
            say(f"{result.application_id}: {result.error}")
        elif not as_json:
            click.echo(f"{result.application_id}\t{value['state']}")
        values.append(value)
    if as_json:
        print_json(values)
    return int(any(result.error is not None for result in results))


@verb(
    "wait",
    short="Wait until an application has ended.",
    example="knit wait application_1700000000000_0001 --timeout 2h",
)
@application_argument
@click.option(
    "--timeout",
    "limit",
    type=values.duration,
    metavar="TIME",
    help="Give up after this long, with exit status 124: 90s, 5m, 1h30m.  [default: never]",
)
@json_option
@cluster_options(timeout=False)
def wait(*, cluster: Cluster, application_id: str, limit: timedelta | None, as_json: bool) -> int:
    """
    Wait until an application has ended.

    The exit status is 0 if it succeeded, else its program's exit code where that is still
    known, else 1.
    """
    from knit.exceptions import WaitTimeoutError

    with cluster.client() as client, client.application(application_id) as app:
        try:
            with saying_why(app):
                report = app.wait(timeout=limit)
        except WaitTimeoutError as error:
            say(str(error))
            return TIMED_OUT
        description, *_ = _ask_master(app, report)
    outcome = description.outcome if description is not None else None
    code = exit_code_of(report, outcome)
    if as_json:
        print_json({**report_as_json(report), "exit_code": code})
    else:
        click.echo(f"{application_id}\t{ending(report)}")
        if code and report.diagnostics.strip():
            say(report.diagnostics.strip())
    return code


@verb(
    "credentials",
    short="Save what another client, or somebody else, needs.",
    example="knit credentials application_1700000000000_0001 --role viewer --out keys",
)
@application_argument
@click.option(
    "--role",
    type=click.Choice(["owner", "operator", "viewer"], case_sensitive=False),
    default="owner",
    show_default=True,
    help="What whoever has them may do: everything; everything but to see values of variables "
    "and to end the application; look.",
)
@click.option(
    "--out",
    "directory",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="Where to save them; not over others.  [default: APPLICATION-ROLE]",
)
@json_option
@cluster_options()
def credentials(
    *, cluster: Cluster, application_id: str, role: str, directory: str | None, as_json: bool
) -> None:
    """
    Save the address of a running application and the certificates of a role, for a client in
    another language or for somebody else.

    The directory will hold application_id, address, server_name, ca.pem, cert.pem and key.pem,
    for you alone to read. Whoever has key.pem may what the role may, until the application ends:
    with `--credentials DIR`, or knit.connect(DIR) in Python.
    """
    import knit

    directory = directory or f"{application_id}-{role}"
    with cluster.client() as client, client.application(application_id) as app:
        endpoint = app.endpoint(role=knit.Role[role.upper()])
    try:
        saved = endpoint.save(directory, replace=False)
    except FileExistsError as error:
        raise click.ClickException(
            f"{error} Save these elsewhere with --out, or remove that directory first."
        ) from error
    if as_json:
        print_json(
            {
                "application_id": application_id,
                "role": role,
                "address": endpoint.address,
                "server_name": endpoint.server_name,
                "directory": str(saved),
            }
        )
    else:
        say(f"{endpoint.address} (certificates of the role {role} in {saved})")
