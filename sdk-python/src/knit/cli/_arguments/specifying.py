"""What `run` and `start` are to submit: the options they share, and what these mean."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from knit.cli._arguments import values
from knit.cli._arguments.commands import misplaced, name_of, ship
from knit.cli._arguments.options import env_options, master_ports_option

if TYPE_CHECKING:
    import knit

F = Callable[..., Any]

DEFAULT_SERVICE = "worker"
_OF_A_SERVICE = {
    "service": "--service",
    "instances": "--instances",
    "memory": "--memory",
    "vcores": "--vcores",
    "files": "--file",
    "archives": "--archive",
    "environment": "--env",
    "environment_files": "--env-file",
    "python_environment": "--python-env",
    "max_restarts": "--max-restarts",
    "max_replacements": "--max-replacements",
    "finish_others": "--finish-others",
    "resource_manager_token": "--rm-token",
}
"""What a file given by --spec says itself."""
OWN_OPTIONS = ("--instances", "--memory", "--vcores", "--file", "--archive", "--python-env",
               "--env", "--env-file", "--queue", "--detach", "--am-memory", "--max-restarts",
               "--max-attempts", "--master-ports", "--dry-run", "--lifetime",
               "--node-label")  # fmt: skip
"""
Those that a command hardly means itself when they stand behind it. (--name, --timeout and
--verbose are anybody's.)
"""


def spec_options(function: F) -> F:
    """Adds COMMAND and the options that say what is submitted; `make_spec` takes them."""
    options: list[Callable[[F], F]] = [
        click.argument("words", metavar="[COMMAND]...", nargs=-1, type=click.UNPROCESSED),
        click.option(
            "-n",
            "--instances",
            type=click.IntRange(min=1),
            metavar="N",
            help="How many containers.  [default: 1]",
        ),
        click.option(
            "--memory",
            type=values.memory,
            metavar="AMOUNT",
            help="Memory of each: 512MiB, 1.5GiB, or a number of MiB.  [default: 512MiB]",
        ),
        click.option(
            "--vcores",
            type=click.IntRange(min=1),
            metavar="N",
            help="Virtual cores of each.  [default: 1]",
        ),
        click.option(
            "--file",
            "files",
            multiple=True,
            type=values.file,
            metavar="PATH[#NAME]",
            help="A file or directory, or its URL on the cluster, for the working directory; "
            "repeatable.",
        ),
        click.option(
            "--archive",
            "archives",
            multiple=True,
            type=values.archive,
            metavar="PATH[#NAME]",
            help="The same, unpacked into a directory NAME: .tar.gz, .tgz, .tar, .zip, .jar.",
        ),
        env_options,
        click.option(
            "--python-env",
            "python_environment",
            metavar="PATH",
            help="The Python it runs with, as $PYTHON_BIN: a virtual or conda environment, an "
            "archive of one, its URL on the cluster, or `running`.  [default: the node's]",
        ),
        click.option("--name", metavar="NAME", help="Name for people.  [default: the command's]"),
        click.option("--queue", metavar="QUEUE", help="Queue to submit to.  [default: default]"),
        click.option("--tag", "tags", multiple=True, metavar="WORD", help="A tag; repeatable."),
        click.option(
            "--priority",
            type=click.IntRange(min=0),
            metavar="N",
            help="Within the queue: higher first.  [default: the queue's]",
        ),
        click.option(
            "--lifetime",
            type=values.duration,
            metavar="TIME",
            help="YARN ends it after this long, whether you are there or not: 90s, 5m, 2d.  "
            "[default: the queue's, else never]",
        ),
        click.option(
            "--node-label",
            metavar="LABEL",
            help="Only nodes with this label.  [default: the queue's]",
        ),
        click.option(
            "--type",
            metavar="WORD",
            help="YARN's application type, by which lists are filtered.  [default: knit]",
        ),
        click.option(
            "--service",
            metavar="NAME",
            help=f"What the containers are called in the logs.  [default: {DEFAULT_SERVICE}]",
        ),
        click.option(
            "--max-restarts",
            type=click.IntRange(min=0),
            metavar="N",
            help="How often a container that failed is started again.  [default: 0]",
        ),
        click.option(
            "--max-replacements",
            type=click.IntRange(min=0),
            metavar="N",
            help="How often a container that YARN took away is replaced.  [default: 3]",
        ),
        click.option(
            "--finish-others", is_flag=True, help="When one fails for good, let the others finish."
        ),
        click.option(
            "--max-attempts",
            type=click.IntRange(min=1),
            metavar="N",
            help="How often YARN may start the Application Master.  [default: 1]",
        ),
        click.option(
            "--am-memory",
            type=values.memory,
            metavar="AMOUNT",
            help="Memory of the Application Master.  [default: 512MiB]",
        ),
        master_ports_option,
        click.option(
            "--file-system",
            "file_systems",
            multiple=True,
            type=values.file_system,
            metavar="URL[#without-renewer]",
            help="With Kerberos: another HDFS that it uses, hdfs://HOST:PORT or "
            "hdfs://NAMESERVICE, and whether YARN cannot renew its token; repeatable.",
        ),
        click.option(
            "--ship-keytab",
            metavar="PATH",
            help="With Kerberos: a keytab of one principal that goes with it, so that it outlives "
            "its tokens.",
        ),
        click.option(
            "--rm-token",
            "resource_manager_token",
            is_flag=True,
            help="With Kerberos: let its containers submit applications as you.",
        ),
        click.option(
            "--spec",
            metavar="FILE",
            help="Run the application that this file of YAML or JSON describes, not a command.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def make_spec(
    words: Sequence[str],
    path: str | None,
    options: dict[str, Any],
    note: Callable[[str], object] = lambda _: None,
) -> knit.ApplicationSpec:
    """
    The specification that a command or a file, and the options beside it, stand for.

    Args:
        words: The command as typed.
        path: A file that says it all instead.
        options: By their names in Python.
        note: Told, in sentences, what was made of the command and what its writer may have
            overlooked.
    """
    import attrs

    import knit

    # 0 is a value; `in` would take it for False.
    given = {n: v for n, v in options.items() if v is not None and v is not False and v != ()}
    if path is not None:
        if words:
            raise click.UsageError("Give a command or --spec, not both.")
        excess = [option for name, option in _OF_A_SERVICE.items() if name in given]
        if excess:
            raise click.UsageError(f"{', '.join(excess)}: write that into {path}, beside --spec.")
        spec = knit.ApplicationSpec.from_file(path)
    else:
        spec = _of_command(words, given, note)
    changes: dict[str, Any] = {
        name: given[name]
        for name in ("name", "queue", "max_attempts", "priority", "lifetime", "node_label", "type")
        if name in given
    }
    if "tags" in given:
        changes["tags"] = (*spec.tags, *given["tags"])
    if "am_memory" in given:
        changes["application_master"] = knit.Resources(
            memory=given["am_memory"], vcores=spec.application_master.vcores
        )
    if "file_systems" in given:
        changes["file_systems"] = (*spec.file_systems, *given["file_systems"])
    if "ship_keytab" in given:
        changes["keytab"] = given["ship_keytab"]
    if "master_ports" in given:
        changes["master_ports"] = given["master_ports"]
    return attrs.evolve(spec, **changes)


def _of_command(
    words: Sequence[str], given: dict[str, Any], note: Callable[[str], object]
) -> knit.ApplicationSpec:
    import knit

    if not words:
        raise click.UsageError("Give a command to run, or --spec FILE.")
    if not (words[0] if len(words) == 1 else shlex.join(words)).strip():
        raise click.UsageError("The command is empty.")
    files = [*given.get("files", ()), *given.get("archives", ())]
    shipped = ship(words, [file.name for file in files], has_python="python_environment" in given)
    for sentence in shipped.notes:
        note(sentence)
    excess = None if given.get("is_separated") else misplaced(words, OWN_OPTIONS)
    if excess is not None:
        note(excess)
    policy = knit.FailurePolicy
    service = knit.Service(
        command=shipped.command,
        instances=given.get("instances", 1),
        resources=knit.Resources(
            memory=given.get("memory", "512 MiB"), vcores=given.get("vcores", 1)
        ),
        files=[*files, *map(knit.File, shipped.files)],
        environment=values.variables(
            given.get("environment_files", ()), given.get("environment", ())
        ),
        python_environment=given.get("python_environment"),
        resource_manager_token="resource_manager_token" in given,
        max_restarts=given.get("max_restarts", 0),
        max_replacements=given.get("max_replacements", 3),
        failure_policy=(
            policy.FINISH_OTHERS if "finish_others" in given else policy.FAIL_APPLICATION
        ),
    )
    name = name_of(words[0] if len(words) == 1 else shlex.join(words))
    return knit.ApplicationSpec(
        name=name, services={given.get("service", DEFAULT_SERVICE): service}
    )
