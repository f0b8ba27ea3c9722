"""What `--dry-run` does: all that is wrong, and nothing submitted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs
import click

from knit.cli._arguments.options import Cluster
from knit.cli._terminal.output import print_fields, print_json, say
from knit.cli._terminal.words import human_size

if TYPE_CHECKING:
    import knit


def problems_here(spec: knit.ApplicationSpec) -> Iterator[str]:
    """What of a specification this machine lacks, files and environments, or nobody can do yet."""
    from knit._submission.local_checks import local_problems
    from knit._submission.support import unsupported

    yield from map(str, unsupported(spec))
    yield from map(str, local_problems(spec))


def problems_there(client: knit.Client, spec: knit.ApplicationSpec) -> tuple[list[str], list[str]]:
    """What the cluster would not take, every reason; and what is worth knowing all the same."""
    from knit._submission.checks import survey
    from knit._submission.facts import ClusterFacts
    from knit._submission.submit import requests_of

    facts = ClusterFacts(client._acting_for(spec.user)._cluster)
    errors, advice = survey(facts, queue=spec.queue, requests=requests_of(spec), spec=spec)
    return [str(error) for error in errors], advice


def rehearse(spec: knit.ApplicationSpec, cluster: Cluster, *, as_json: bool) -> int:
    """Say what would be submitted, and all that stands against it here and on the cluster."""
    from knit._submission.support import restrictions
    from knit._values.ports import format_ports
    from knit.exceptions import KnitError

    problems = list(problems_here(spec))
    advice = list(restrictions(spec))
    user = None
    try:
        with cluster.client() as client:
            user = client.user
            there, further = problems_there(client, spec)
            problems += there
            advice += further
    except KnitError as error:
        problems.append(str(error))
    if as_json:
        print_json(
            {
                "ok": not problems,
                "problems": problems,
                "advice": advice,
                "specification": _hidden(spec),
            }
        )
        return 1 if problems else 0
    print_fields(
        {
            "name": spec.name,
            "queue": spec.queue,
            "user": user,
            "tags": spec.tags,
            "application master": spec.application_master,
            "its ports": None if spec.master_ports is None else format_ports(spec.master_ports),
        }
    )
    for name, service in spec.services.items():
        click.echo()
        print_fields(
            {
                "service": name,
                "command": service.command,
                "containers": f"{service.instances} of {service.resources}",
                "variables": [*service.environment],
                "files": "\n".join(map(_file, service.files.values())),
                "python": service.python_environment,
            }
        )
    click.echo()
    for sentence in (*problems, *advice):
        say(sentence)
    if not problems:
        say("all is well; without --dry-run this would be submitted")
    return 1 if problems else 0


def _hidden(spec: knit.ApplicationSpec) -> dict[str, object]:
    """The specification as plain data, without the values of variables, which may be secret."""
    services = {
        name: attrs.evolve(service, environment=dict.fromkeys(service.environment, ""))
        for name, service in spec.services.items()
    }
    driver = spec.driver
    if driver is not None:
        driver = attrs.evolve(driver, environment=dict.fromkeys(driver.environment, ""))
    return attrs.evolve(
        spec,
        services=services,
        driver=driver,
        master_environment=dict.fromkeys(spec.master_environment, ""),
    ).to_dict()


def _file(file: knit.File) -> str:
    path = file.local_path
    how = ", unpacked" if file.archive else ""
    if path is None:
        return f"{file.name} from {file.source}{how}"
    try:
        size = f", {human_size(path.stat().st_size)}" if path.is_file() else ""
    except OSError:
        size = ""
    return f"{file.name} from {path}{how}{size}"


def contents_of(spec: knit.ApplicationSpec) -> str:
    containers = sum(service.instances for service in spec.services.values())
    services = "1 service" if len(spec.services) == 1 else f"{len(spec.services)} services"
    return (
        f"{spec.name!r} is well: {services}, "
        f"{'1 container' if containers == 1 else f'{containers} containers'}"
    )
