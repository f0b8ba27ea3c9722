"""The verb spec: what an application was submitted as."""

from __future__ import annotations

import click

from knit.cli._arguments.options import (
    Cluster,
    application_argument,
    cluster_options,
    json_option,
    verb,
)
from knit.cli._running.waiting import within_reach
from knit.cli._terminal.output import print_json


@verb(
    "spec",
    short="Print what an application was submitted as.",
    example="knit spec application_1700000000000_0001 > app.yaml",
)
@application_argument
@click.option(
    "--values",
    is_flag=True,
    help="With the values of variables and the annotations, which may be secret; for owners.",
)
@json_option
@cluster_options()
def spec(*, cluster: Cluster, application_id: str, values: bool, as_json: bool) -> None:
    """
    Print the specification that a running application was submitted as, in YAML.

    Files and environments have the URLs they were staged under, which are there until the
    application ends. Services that were added or changed later are told by `knit services`.
    """
    with cluster.client() as client, client.application(application_id) as app, within_reach(app):
        found = app.spec(with_values=values)
    if as_json:
        print_json(found.to_dict())
    else:
        click.echo(found.to_yaml(), nl=False)
