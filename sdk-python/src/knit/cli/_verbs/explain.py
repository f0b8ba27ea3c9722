"""The verb explain."""

from __future__ import annotations

import click

from knit.cli._arguments.options import (
    Cluster,
    application_argument,
    cluster_options,
    json_option,
    verb,
)
from knit.cli._running.exit_status import ending
from knit.cli._running.explaining import Explanation
from knit.cli._running.explaining import explain as look
from knit.cli._running.waiting import within_reach
from knit.cli._terminal.as_json import (
    change_as_json,
    container_as_json,
    report_as_json,
    service_as_json,
)
from knit.cli._terminal.output import clean, print_fields, print_json
from knit.cli._terminal.service_words import change_words, service_sentence
from knit.cli._terminal.words import jsonable


@verb(
    "explain",
    short="Say what happened to an application, and why.",
    example="knit explain application_1700000000000_0001",
)
@application_argument
@json_option
@cluster_options()
def explain(*, cluster: Cluster, application_id: str, as_json: bool) -> None:
    """
    Say what happened to an application and the likely cause, from its services, its events, what
    its containers wait for, YARN's diagnostics and the last lines that a failed one wrote.

    It works before an application has begun, while it runs and after its end, then from what YARN
    has collected.
    """
    with cluster.client() as client, client.application(application_id) as app, within_reach(app):
        found = look(client, app)
    if as_json:
        print_json(_as_json(found))
        return
    report = found.report
    print_fields(
        {
            "application": report.application_id,
            "name": report.name,
            "state": ending(report) if report.state.is_final else report.state,
            "queue": report.queue,
            "started": report.start_time,
            "ended": report.finish_time,
            "services": "\n".join(map(service_sentence, found.services)),
        }
    )
    click.echo()
    if not found.causes:
        click.echo("Nothing speaks against it: it does what it was asked to.")
    for cause in found.causes:
        click.echo(clean(f"{'' if cause.is_certain else 'Likely: '}{cause.sentence}"))
    if found.events:
        click.echo("\nWhat happened:")
        for event in found.events:
            when = f"{event.time.astimezone():%H:%M:%S}" if event.time else "-"
            for change in event.changes:
                click.echo(clean(f"  {when}  {change_words(change)}"))
    if found.last_lines and found.container is not None:
        click.echo(f"\nThe last that {found.container.service}/{found.container.rank} wrote:")
        for line in found.last_lines:
            click.echo(clean(f"  {line}"))
    if found.unknown:
        click.echo("\nWhat could not be looked at:")
        for sentence in found.unknown:
            click.echo(clean(f"  {sentence}"))


def _as_json(found: Explanation) -> dict[str, object]:
    return {
        "application": report_as_json(found.report),
        "causes": [
            {"kind": c.kind, "sentence": c.sentence, "is_certain": c.is_certain}
            for c in found.causes
        ],
        "services": [service_as_json(status) for status in found.services],
        "events": [
            {
                "sequence": event.sequence,
                "time": jsonable(event.time),
                "changes": [change_as_json(change) for change in event.changes],
            }
            for event in found.events
        ],
        "container": None if found.container is None else container_as_json(found.container),
        "last_lines": found.last_lines,
        "unknown": found.unknown,
    }
