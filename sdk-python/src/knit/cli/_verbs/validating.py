"""The verb validate: all that is wrong with specifications, without a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from knit.cli._arguments.options import json_option, verb, verbose_option
from knit.cli._running.rehearsing import contents_of, problems_here
from knit.cli._terminal.output import print_json, say


@verb(
    "validate",
    short="Check specifications, without a cluster.",
    example="knit validate app.yaml",
)
@click.argument("paths", metavar="FILE...", nargs=-1, required=True)
@json_option
@verbose_option
def validate(*, paths: Sequence[str], as_json: bool) -> int:
    """
    Check specifications in YAML and say all that is wrong, with line and column.

    Files and environments that they name have to be here; the cluster is not asked, which
    `knit run --dry-run --spec FILE` does. The exit status is 1 if something is wrong.
    """
    from knit import ApplicationSpec
    from knit._values import documents
    from knit._values.problems import MOST_PROBLEMS, Problem
    from knit.exceptions import SpecError

    status = 0
    results = []
    for path in paths:
        try:
            spec, problems = documents.read_file(ApplicationSpec, Path(path))
        except SpecError as error:
            spec, problems = None, [Problem(str(error))]
        if spec is not None:
            problems = [Problem(sentence) for sentence in problems_here(spec)]
        results.append(
            {
                "file": path,
                "ok": not problems,
                "problems": [
                    {"line": p.line, "column": p.column, "where": p.where, "message": p.message}
                    for p in problems
                ],
            }
        )
        status |= bool(problems)
        if as_json:
            continue
        for problem in problems[:MOST_PROBLEMS]:
            place = "" if problem.line is None else f":{problem.line}:{problem.column}"
            say(f"{path}{place}: {problem}")
        if len(problems) > MOST_PROBLEMS:
            say(f"{path}: and {len(problems) - MOST_PROBLEMS} more")
        if spec is not None and not problems:
            click.echo(f"{path}: {contents_of(spec)}")
    if as_json:
        print_json(results)
    return status
