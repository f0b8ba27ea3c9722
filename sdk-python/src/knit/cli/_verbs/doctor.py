"""The verb doctor: what can be known before anything is submitted, and what one container tells."""

from __future__ import annotations

import shutil
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from knit.cli import _packages
from knit.cli._arguments.options import (
    Cluster,
    cluster_options,
    json_option,
    master_ports_option,
    verb,
)
from knit.cli._terminal.output import BAD, GOOD, clean, has_colours, is_terminal, print_json
from knit.cli._terminal.words import human_size

if TYPE_CHECKING:
    import knit

PATIENCE_WITH_START = timedelta(minutes=2)
"""How long a small container may wait for a place in its queue, and its program to end."""
PATIENCE_WITH_LOGS = timedelta(minutes=1)
"""How long YARN may take to collect the logs of a container that has written a line."""
_LINE = "knit doctor"


@verb(
    "doctor",
    short="Check this machine and the cluster.",
    example="knit doctor --conf /etc/hadoop/conf",
)
@click.option(
    "--queue", metavar="QUEUE", default="default", show_default=True, help="Look at this queue."
)
@click.option(
    "--deep",
    is_flag=True,
    help="Run one small container, too: looks at its start, the way to its port, its logs.",
)
@master_ports_option
@json_option
@cluster_options()
def doctor(*, cluster: Cluster, queue: str, deep: bool, master_ports: object, as_json: bool) -> int:
    """
    Check what knit needs from this machine and the cluster, and say what to do where it fails.

    Nothing is changed that stays; what --deep runs is ended and cleared up. The exit status is 1
    if a check failed; what builds on a check that failed is left out.
    """
    from knit._submission.doctor import diagnose

    checks = [check_packages(), check_cache()]
    checks += diagnose(
        cluster.configuration,
        user=cluster.user,
        queue=queue,
        timeout=cluster.timeout,
        keytab=cluster.keytab,
        principal=cluster.principal,
    )
    if deep and all(check.ok for check in checks):
        checks += _run_one(cluster, queue, master_ports)
    if as_json:
        print_json(
            [{"name": c.name, "ok": c.ok, "message": c.message, "hint": c.hint} for c in checks]
        )
    else:
        _print(checks)
    return 0 if all(check.ok for check in checks) else 1


def check_packages() -> knit.CheckResult:
    """What this environment has of the packages that knit needs."""
    from knit import CheckResult

    wanted = dict(_packages.requirements())
    names = wanted or dict.fromkeys(("attrs", "click", "grpcio", "protobuf", "PyYAML"), "")
    versions = ", ".join(f"{name} {_packages.installed(name) or 'missing'}" for name in names)
    newer = [
        f"{name} {version}"
        for name, range_ in wanted.items()
        if (version := _packages.installed(name)) and _packages.is_too_new(version, range_)
    ]
    hint = ""
    if newer:
        hint = f"Newer than those knit was tested with: {', '.join(newer)}."
    return CheckResult(name="packages", ok=True, message=f"{versions}.", hint=hint)


def check_cache() -> knit.CheckResult:
    """Where packed environments are kept here, how much they take, and whether one more can be."""
    import os

    from knit import CheckResult
    from knit._environments.packing import cache
    from knit.exceptions import KnitError

    try:
        directory = cache.directory()
        size = sum(entry.stat().st_size for entry in directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        size = 0
    except KnitError as error:  # there is no home directory
        return _bad_cache(str(error))
    except OSError as error:
        return _bad_cache(f"{error.filename}: {error.strerror}")
    above = directory
    while not above.exists() and above != above.parent:
        above = above.parent
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        return _bad_cache(f"{above} is no directory that can be written to")
    free = shutil.disk_usage(above).free
    return CheckResult(
        name="cache",
        ok=True,
        message=f"Packed environments are kept in {directory}: {human_size(size)}, and "
        f"{human_size(free)} are free.",
    )


def _bad_cache(why: str) -> knit.CheckResult:
    from knit import CheckResult

    return CheckResult(
        name="cache",
        ok=False,
        message=f"Python environments cannot be packed: {why.rstrip('.')}.",
        hint="Set XDG_CACHE_HOME to a directory of yours; without --python-env none is needed.",
    )


def _run_one(cluster: Cluster, queue: str, master_ports: object) -> Iterator[knit.CheckResult]:
    """Runs a container that writes a line, and looks at all on its way. Leaves nothing behind."""
    import knit
    from knit.exceptions import KnitError

    spec = knit.ApplicationSpec(
        "knit-doctor",
        {"probe": knit.Service(f"echo {_LINE}", resources=knit.Resources("128 MiB"))},
        queue=queue,
        **({} if master_ports is None else {"master_ports": master_ports}),  # type: ignore[arg-type]
    )
    steps: list[knit.CheckResult] = []

    def step(name: str, check: Callable[[], str]) -> bool:
        try:
            message = check()
        except KnitError as error:
            said, _, hint = str(error).partition(". ")
            found = knit.CheckResult(
                name=name, ok=False, message=f"{said.rstrip('.')}.", hint=hint, error=error
            )
        else:
            found = knit.CheckResult(name=name, ok=True, message=message)
        steps.append(found)
        return found.ok

    with cluster.client() as client:
        app: knit.Application | None = None

        def submit() -> str:
            nonlocal app
            app = client.submit(spec)
            return f"{app.application_id} was submitted to the queue {queue}."

        if not step("submission", submit) or app is None:
            return iter(steps)
        probe = _Probe(app)
        try:
            if step("start", probe.start):
                reached = step("port", probe.reach)
                if reached:
                    step("container", probe.run)
                step("log collection", probe.collect)
        finally:
            step("clearing up", probe.clear_up)
    return iter(steps)


class _Probe:
    """The application of `knit doctor --deep`; each method is a check of it."""

    def __init__(self, app: knit.Application) -> None:
        self._app = app

    def start(self) -> str:
        """YARN starts the Application Master."""
        from knit.exceptions import WaitTimeoutError

        began = time.monotonic()
        while True:
            report = self._app.report()
            if report.state.is_final and report.state.name != "FINISHED":
                report.raise_for_status()
            if report.am_address is not None or report.state.is_final:
                return (
                    f"The Application Master started after {time.monotonic() - began:.0f} s"
                    f" on {report.am_address or 'a node'}."
                )
            if time.monotonic() - began > PATIENCE_WITH_START.total_seconds():
                raise WaitTimeoutError(
                    f"The Application Master did not start within "
                    f"{PATIENCE_WITH_START.total_seconds():.0f} s. YARN says: "
                    f"{report.diagnostics.strip() or 'nothing'}"
                )
            time.sleep(0.5)

    def reach(self) -> str:
        """Its port can be reached from here."""
        from knit.cli._running.waiting import unreachable
        from knit.exceptions import ConnectionLostError

        address = self._app.report().am_address
        problem = unreachable(address) if address else None
        if problem is not None:
            raise ConnectionLostError(problem.sentence[:1].upper() + problem.sentence[1:])
        description = self._app.describe()
        return (
            f"The Application Master answers on {address or 'its port'} "
            f"(attempt {description.attempt_number})."
        )

    def run(self) -> str:
        """The container runs, and what it writes comes while it does, or just after."""
        from knit.exceptions import ApplicationError

        with self._app.logs(follow=True, timeout=PATIENCE_WITH_START) as stream:
            lines = [line.text for line in stream if line.file == "stdout"]
        self._app.release()
        self._app.wait(timeout=PATIENCE_WITH_START).raise_for_status()
        if lines != [_LINE]:
            raise ApplicationError(
                "The container ended well, and what it wrote did not come. "
                "Look at the NodeManager's web port, through which logs are read."
            )
        return "A container ran, and the line that it wrote came back."

    def collect(self) -> str:
        """YARN collects the logs."""
        from knit.exceptions import LogsNotFoundError

        self._app.wait(timeout=PATIENCE_WITH_START)
        logs = self._app.aggregated_logs(wait=PATIENCE_WITH_LOGS)
        if not logs.is_complete:
            raise LogsNotFoundError(
                f"YARN has not collected the logs within "
                f"{PATIENCE_WITH_LOGS.total_seconds():.0f} s. {logs.incomplete_reason or ''}"
            )
        return f"YARN has collected the logs of {len(logs.containers)} containers."

    def clear_up(self) -> str:
        """Nothing of it is left to run; YARN removes collected logs when they are old."""
        self._app.kill()
        return f"{self._app.application_id} has ended, and its files are removed."


def _print(checks: Sequence[knit.CheckResult]) -> None:
    """On a terminal in lines that fit it, broken between words; else in fields between tabs."""
    import sys

    from knit.cli._terminal.output import print_table

    if not is_terminal(sys.stdout):
        print_table(
            ["check", "result", "found", "what to do"],
            [(c.name, "ok" if c.ok else "failed", c.message, c.hint) for c in checks],
        )
        return
    width = max(len(check.name) for check in checks) + 2
    room = max(20, shutil.get_terminal_size().columns - width - 8)
    for check in checks:
        result = "ok" if check.ok else "failed"
        padded = result.ljust(8)
        if has_colours(sys.stdout):
            padded = click.style(padded, fg=GOOD if check.ok else BAD)
        said = f"{check.message}\n→ {check.hint}" if check.hint else check.message
        lines = [
            line
            for paragraph in clean(said).split("\n")
            for line in textwrap.wrap(
                paragraph, room, break_long_words=False, break_on_hyphens=False
            )
        ]
        click.echo(f"{check.name.ljust(width)}{padded}{lines[0] if lines else ''}".rstrip())
        for line in lines[1:]:
            click.echo(" " * (width + 8) + line)
