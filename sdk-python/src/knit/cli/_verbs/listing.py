"""The verb list: applications of the cluster, and which of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from knit.cli._arguments import values
from knit.cli._arguments.options import (
    Cluster,
    cluster_options,
    complete_queue,
    json_option,
    verb,
    wide_option,
)
from knit.cli._terminal.as_json import report_as_json
from knit.cli._terminal.output import print_json, print_table

STATES = ("new", "new_saving", "submitted", "accepted", "running", "finished", "failed", "killed")
NOT_FINAL, FINAL = STATES[:5], STATES[5:]


@verb("list", short="List applications.", example="knit list --all --started-after 2h")
@click.option("--all", "every", is_flag=True, help="Those that have ended, too.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(STATES, case_sensitive=False),
    help="Only those in this state; repeatable.",
)
@click.option("--name", metavar="NAME", help="Only those of this name.")
@click.option(
    "--queue", metavar="QUEUE", shell_complete=complete_queue, help="Only those in this queue."
)
@click.option(
    "--tag",
    "tags",
    metavar="TAG",
    multiple=True,
    help="Only those with this tag; repeatable, and then with all of them.",
)
@click.option(
    "--type",
    "types",
    metavar="TYPE",
    multiple=True,
    help="Only those of this type, such as SPARK; repeatable.  [default: knit]",
)
@click.option("--all-types", is_flag=True, help="Those of every type.")
@click.option("--all-users", is_flag=True, help="Everybody's, not just yours or --user's.")
@click.option(
    "--started-after",
    type=values.point_in_time,
    metavar="TIME",
    help="Only those submitted then or later: 2h (ago), 2026-11-27 or 2026-11-27T08:30.",
)
@click.option(
    "--started-before",
    type=values.point_in_time,
    metavar="TIME",
    help="Only those submitted then or earlier.",
)
@click.option(
    "--finished-after",
    type=values.point_in_time,
    metavar="TIME",
    help="Only those that ended then or later.",
)
@click.option(
    "--finished-before",
    type=values.point_in_time,
    metavar="TIME",
    help="Only those that ended then or earlier.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="The latest N of them at most."
)
@wide_option
@json_option
@cluster_options()
def list_(
    *,
    cluster: Cluster,
    every: bool,
    states: Sequence[str],
    types: Sequence[str],
    all_types: bool,
    all_users: bool,
    wide: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """
    List your applications on the cluster, by default those of knit that have not ended.

    With --finished-after or --finished-before they are those that have ended. A time without a
    time zone is local.
    """
    import knit

    if every and states:
        raise click.UsageError("--all and --state exclude each other.")
    if types and all_types:
        raise click.UsageError("--type and --all-types exclude each other.")
    times: dict[str, Any] = _times(filters)
    ended = times["finished_begin"] or times["finished_end"]
    wanted = states or (FINAL if ended else NOT_FINAL)
    asked: dict[str, Any] = {"user": None} if all_users else {}
    if types or all_types:
        asked["types"] = list(types) or None
    with cluster.client() as client:
        reports = client.applications(
            states=None if every else [knit.YarnState(state.upper()) for state in wanted],
            **filters,
            **times,
            **asked,
        )
    if as_json:
        print_json([report_as_json(report) for report in reports])
        return
    several = all_types or len(types) > 1
    columns = ["application", "name", "user", "queue", "state", "final status", "started"]
    optional = ["queue", "run time", "started", "user"]
    print_table(
        [*columns, "run time", *(["type"] if several else [])],
        [
            (
                report.application_id,
                report.name,
                report.user,
                report.queue,
                report.state,
                report.final_status if report.state.is_final else None,
                report.start_time,
                report.run_time,
                *([report.application_type] if several else []),
            )
            for report in reports
        ],
        optional=optional if all_users else ["user", "queue", "run time", "started"],
        wide=wide,
    )


def _times(filters: dict[str, Any]) -> dict[str, datetime | None]:
    """Takes the times from among the filters, under the SDK's names."""
    times: dict[str, datetime | None] = {}
    for what in ("started", "finished"):
        begin, end = filters.pop(f"{what}_after"), filters.pop(f"{what}_before")
        if begin is not None and end is not None and begin > end:
            raise click.UsageError(f"--{what}-after lies behind --{what}-before.")
        times[f"{what}_begin"], times[f"{what}_end"] = begin, end
    return times
