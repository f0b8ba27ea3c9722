"""The verbs run and start: from a command as typed to its exit code, or to its ID."""

from __future__ import annotations

import contextlib
import functools
import json
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from knit.cli._arguments import values
from knit.cli._arguments.options import Cluster, cluster_options, verb
from knit.cli._arguments.specifying import make_spec, spec_options
from knit.cli._running.rehearsing import rehearse
from knit.cli._terminal.progress import Progress

if TYPE_CHECKING:
    import knit


@verb(
    "run",
    short="Run a command in containers.",
    example="knit run -n 3 --memory 256MiB 'echo \"$KNIT_RANK runs on $(hostname)\"'",
    takes_command=True,
)
@spec_options
@click.option("--detach", is_flag=True, help="Print the application's ID and leave it running.")
@click.option(
    "--timeout",
    "limit",
    type=values.duration,
    metavar="TIME",
    help="Stop it after this long, with exit status 124: 90s, 5m, 1h30m.  [default: never]",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Check everything and say what would happen; submit nothing.",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing of how things go.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per line.")
@cluster_options(timeout=False)
def run(
    *,
    cluster: Cluster,
    words: Sequence[str],
    spec: str | None,
    detach: bool,
    limit: timedelta | None,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """
    Run a command in containers, show what it writes, and leave with its exit code.

    A COMMAND of one word is a line for bash, as typed; of several words each is one argument,
    as in a shell. Options stand before it.

    A script or program that lies here is taken along: `knit run train.py`. Other files: --file.

    Ctrl-C asks the application to stop, a second one has YARN kill it, a third leaves at once.
    SIGTERM and a terminal that is closed ask it to stop, too, and kill it after 30 seconds;
    `knit start` leaves it running.
    """
    if detach and limit is not None:
        raise click.UsageError("--timeout needs a client that stays; leave out --detach.")
    progress = Progress(quiet=quiet)
    application = make_spec(words, spec, options, progress.step)
    if dry_run:
        return rehearse(application, cluster, as_json=as_json)
    return _submit(
        application,
        cluster,
        progress,
        detach=detach,
        limit=limit,
        as_json=as_json,
    )


@verb(
    "start",
    short="Start a command in containers, and leave it running.",
    example="knit start -n 3 --file server.py 'python3 server.py'",
    takes_command=True,
)
@spec_options
@click.option(
    "--dry-run",
    is_flag=True,
    help="Check everything and say what would happen; submit nothing.",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing of how things go.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@cluster_options(timeout=False)
def start(
    *,
    cluster: Cluster,
    words: Sequence[str],
    spec: str | None,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """
    Start a command in containers, print the application's ID, and leave it running.

    A COMMAND of one word is a line for bash, as typed; of several words each is one argument,
    as in a shell. Options stand before it.

    The ID is all that other verbs need: status, logs, add, stop, kill, wait.
    """
    progress = Progress(quiet=quiet)
    application = make_spec(words, spec, options, progress.step)
    if dry_run:
        return rehearse(application, cluster, as_json=as_json)
    return _submit(application, cluster, progress, detach=True, limit=None, as_json=as_json)


def _submit(
    application: knit.ApplicationSpec,
    cluster: Cluster,
    progress: Progress,
    *,
    detach: bool,
    limit: timedelta | None,
    as_json: bool,
) -> int:
    """Submits, and unless detached follows to the end; returns the exit status."""
    from knit.cli._running.following import Follower
    from knit.cli._running.interrupts import Interrupts
    from knit.cli._running.submitting import SubmissionInterruptedError, submit, why_no_node
    from knit.cli._terminal.log_printer import LogPrinter

    with Interrupts() as interrupts:
        try:
            client = cluster.client()
            app = submit(client, application, progress, interrupts)
        except (KeyboardInterrupt, SubmissionInterruptedError) as error:
            progress.warn(str(error) or "interrupted before the application was submitted")
            return interrupts.exit_code
        # Not `with app`, which kills the application where an exception leaves the block.
        with client, contextlib.closing(app):
            if as_json:
                _print_event("submitted", application_id=app.application_id)
            elif detach:
                click.echo(app.application_id)
            if detach and interrupts.signal is None:
                return 0
            follower = Follower(
                app,
                spec=application,
                printer=LogPrinter(progress, as_json=as_json),
                progress=progress,
                interrupts=interrupts,
                limit=limit,
                no_node=functools.partial(why_no_node, client),
            )
            try:
                result = follower.follow()
            except KeyboardInterrupt:
                progress.warn(
                    f"interrupted after the end of {app.application_id}, which YARN had yet to "
                    f"tell: knit status {app.application_id}"
                )
                return interrupts.exit_code
            follower.conclude(result)
            if as_json:
                from knit.cli._terminal.as_json import container_as_json

                _print_event(
                    "result",
                    application_id=app.application_id,
                    final_status=result.ending,
                    exit_code=result.exit_code,
                    diagnostics=result.diagnostics,
                    containers=[container_as_json(c) for c in result.containers],
                )
            return result.exit_code


def _print_event(event: str, **fields: object) -> None:
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()
