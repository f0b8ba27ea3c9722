"""The verb doctor: what can be known before anything is submitted."""

from __future__ import annotations

import click

from knit.cli._options import Cluster, cluster_options, json_option, verb
from knit.cli._output import print_json, print_table


@verb(
    "doctor",
    short="Check this machine and the cluster.",
    example="knit doctor --conf /etc/hadoop/conf",
)
@click.option(
    "--queue", metavar="QUEUE", default="default", show_default=True, help="Look at this queue."
)
@json_option
@cluster_options()
def doctor(*, cluster: Cluster, queue: str, as_json: bool) -> int:
    """
    Check what knit needs from this machine and the cluster, and say what to do where it fails.

    Nothing is changed that stays. The exit status is 1 if a check failed; what builds on a check
    that failed is left out.
    """
    from knit._checks import diagnose

    checks = diagnose(
        cluster.configuration, user=cluster.user, queue=queue, timeout=cluster.timeout
    )
    if as_json:
        print_json(
            [{"name": c.name, "ok": c.ok, "message": c.message, "hint": c.hint} for c in checks]
        )
    else:
        print_table(
            ["check", "result", "found", "what to do"],
            [(c.name, "ok" if c.ok else "failed", c.message, c.hint) for c in checks],
        )
    return 0 if all(check.ok for check in checks) else 1
