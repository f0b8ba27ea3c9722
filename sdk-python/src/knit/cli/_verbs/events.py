"""The verb events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from knit.cli._arguments.options import Cluster, application_argument, cluster_options, verb
from knit.cli._running.waiting import saying_why, within_reach
from knit.cli._terminal.as_json import change_as_json
from knit.cli._terminal.output import clean, print_json
from knit.cli._terminal.reader import until_reader_leaves
from knit.cli._terminal.service_words import change_words
from knit.cli._terminal.words import jsonable

if TYPE_CHECKING:
    import knit

KINDS = ("application", "service", "container", "node", "key", "notice")


@verb(
    "events",
    short="Print what has changed in an application, and what changes.",
    example="knit events -f application_1700000000000_0001",
)
@application_argument
@click.option("-f", "--follow", is_flag=True, help="Go on until the application has ended.")
@click.option("--service", "services", metavar="NAME", multiple=True, help="Only of this service.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(KINDS, case_sensitive=False),
    help="Only changes of this kind; repeatable.  [default: all but key]",
)
@click.option(
    "--after",
    type=click.IntRange(min=0),
    metavar="N",
    help="Only what came after the event of this number.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per event.")
@cluster_options()
def events(
    *,
    cluster: Cluster,
    application_id: str,
    follow: bool,
    services: Sequence[str],
    kinds: Sequence[str],
    after: int | None,
    as_json: bool,
) -> None:
    """
    Print what has changed in an application, in order: all that is kept, then, with --follow,
    what changes until it has ended.

    After the end they are read from what YARN collects, which takes some seconds.
    """

    with cluster.client() as client, client.application(application_id) as app:
        reaching = saying_why(app, master=True) if follow else within_reach(app)
        with (
            reaching,
            _begin(app, follow, services, kinds, after) as watch,
            until_reader_leaves(watch.close),
        ):
            for event in watch:
                if as_json:
                    print_json(
                        {
                            "sequence": event.sequence,
                            "time": jsonable(event.time),
                            "changes": [change_as_json(change) for change in event.changes],
                        }
                    )
                    continue
                when = f"{event.time.astimezone():%Y-%m-%d %H:%M:%S}" if event.time else "-"
                for change in event.changes:
                    click.echo(clean(f"{when}  {event.sequence}  {change_words(change)}"))


def _begin(
    app: knit.Application,
    follow: bool,
    services: Sequence[str],
    kinds: Sequence[str],
    after: int | None,
) -> knit.Watch[knit.Event]:
    import knit

    return app.events(
        after=after or 0,
        kinds=[knit.EventKind.parse(kind) for kind in kinds] or None,
        services=list(services) or None,
        follow=follow,
    )
