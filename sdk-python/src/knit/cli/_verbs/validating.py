"""The verbs about specifications: what is wrong with them, and what they may say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from knit.cli._arguments.options import Cluster, cluster_options, json_option, verb
from knit.cli._running.rehearsing import contents_of, problems_here, problems_there
from knit.cli._terminal.output import print_json, say

if TYPE_CHECKING:
    import knit
    from knit._values.problems import Problem


@attrs.define
class _Verdict:
    """What is to be said of one file."""

    path: str
    spec: knit.ApplicationSpec | None = None
    problems: list[Problem] = attrs.field(factory=list)
    advice: list[str] = attrs.field(factory=list)


@verb(
    "validate",
    short="Check specifications.",
    example="knit validate app.yaml",
)
@click.argument("paths", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--cluster",
    "asks",
    is_flag=True,
    help="Ask the cluster too: queue, labels, resources, limits. Nothing is submitted.",
)
@json_option
@cluster_options()
def validate(*, cluster: Cluster, paths: Sequence[str], asks: bool, as_json: bool) -> int:
    """
    Check specifications in YAML or JSON and say all that is wrong, with line and column.

    Files and environments that they name have to be here. The cluster is asked with --cluster
    only. The exit status is 1 if something is wrong; what is only worth knowing leaves it 0.
    """
    from knit._values.problems import MOST_PROBLEMS

    verdicts = [_read(path) for path in paths]
    if asks:
        _ask(cluster, [verdict for verdict in verdicts if verdict.spec is not None])
    if as_json:
        print_json([_as_json(verdict) for verdict in verdicts])
        return int(any(verdict.problems for verdict in verdicts))
    for verdict in verdicts:
        path, problems = verdict.path, verdict.problems
        for problem in problems[:MOST_PROBLEMS]:
            place = "" if problem.line is None else f":{problem.line}:{problem.column}"
            say(f"{path}{place}: {problem}")
        if len(problems) > MOST_PROBLEMS:
            say(f"{path}: and {len(problems) - MOST_PROBLEMS} more")
        for sentence in verdict.advice:
            say(f"{path}: note: {sentence}")
        if verdict.spec is not None and not problems:
            click.echo(f"{path}: {contents_of(verdict.spec)}")
    return int(any(verdict.problems for verdict in verdicts))


def _read(path: str) -> _Verdict:
    from knit import ApplicationSpec
    from knit._submission.support import restrictions
    from knit._values import documents
    from knit._values.problems import Problem
    from knit.exceptions import SpecError

    try:
        spec, problems = documents.read_file(ApplicationSpec, Path(path))
    except SpecError as error:
        return _Verdict(path, problems=[Problem(str(error))])
    if spec is None:
        return _Verdict(path, problems=problems)
    here = [Problem(sentence) for sentence in problems_here(spec)]
    return _Verdict(path, spec, here, list(restrictions(spec)))


def _ask(cluster: Cluster, verdicts: Sequence[_Verdict]) -> None:
    """Adds what the cluster has to say of each."""
    from knit._values.problems import Problem
    from knit.exceptions import KnitError

    try:
        with cluster.client() as client:
            for verdict in verdicts:
                spec = verdict.spec
                if spec is None:
                    continue
                known = {problem.message for problem in verdict.problems}
                problems, advice = problems_there(client, spec)
                verdict.problems += [Problem(p) for p in problems if p not in known]
                verdict.advice += advice
    except KnitError as error:
        for verdict in verdicts:
            verdict.problems.append(Problem(str(error)))


def _as_json(verdict: _Verdict) -> dict[str, object]:
    return {
        "file": verdict.path,
        "ok": not verdict.problems,
        "problems": [
            {"line": p.line, "column": p.column, "where": p.where, "message": p.message}
            for p in verdict.problems
        ],
        "advice": verdict.advice,
    }


@verb(
    "schema",
    short="Print what specifications may say, as JSON Schema.",
    example="knit schema > knit.schema.json",
)
def schema() -> int:
    """
    Print the JSON Schema of specifications, with which an editor completes and checks them.

    Its first line in a YAML file may then be: # yaml-language-server: $schema=knit.schema.json
    """
    from knit import ApplicationSpec
    from knit._values.schema import schema_of

    print_json(schema_of(ApplicationSpec))
    return 0
