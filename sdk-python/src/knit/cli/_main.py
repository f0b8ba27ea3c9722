"""Where `knit` starts, and the one place that turns errors into a sentence and an exit status."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
import traceback
from collections.abc import Sequence

import click

from knit.cli._arguments.options import Settings
from knit.cli._terminal.output import make_robust, open_closed, say
from knit.cli._terminal.progress import Progress, SdkNotices
from knit.cli._verbs import (
    applications,
    cluster,
    completion,
    containers,
    doctor,
    env,
    events,
    explain,
    kv,
    listing,
    logs,
    run,
    services,
    spec,
    validating,
)
from knit.exceptions import ConfigurationNotFoundError, KnitError

FAILURE, USAGE, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141
_OUTPUT_FAILS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""How the system says that our output cannot be written, naming no file."""


class PipeClosedError(Exception):
    """Whoever read our output has left. (click would make exit status 1 of a BrokenPipeError.)"""


class _Group(click.Group):
    def list_commands(self, _: click.Context) -> list[str]:
        return list(self.commands)  # in the order of use, not of the alphabet

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise PipeClosedError from error


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"knit {version('knit-yarn')}")
        ctx.exit()


@click.group(
    cls=_Group,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="The cluster is the one of HADOOP_CONF_DIR, or of --conf DIR. "
    "`knit VERB --help` says more.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and leave.",
)
@click.pass_context
def knit(ctx: click.Context) -> None:
    """Run commands in containers on a Hadoop YARN cluster, and control them."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(USAGE)


for verb in (
    run.run,
    run.start,
    validating.validate,
    validating.schema,
    listing.list_,
    applications.status,
    explain.explain,
    spec.spec,
    events.events,
    logs.logs,
    containers.containers,
    containers.add,
    containers.stop,
    services.services,
    services.scale,
    services.restart,
    services.update,
    kv.kv,
    applications.kill,
    applications.wait,
    cluster.move,
    cluster.priority,
    cluster.nodes,
    cluster.queues,
    applications.credentials,
    env.env,
    doctor.doctor,
    completion.completion,
):
    knit.add_command(verb)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `knit` with these arguments, by default the process's, and return its exit status."""
    open_closed()
    make_robust()
    settings = Settings(debug=os.environ.get("KNIT_DEBUG", "0") not in ("", "0"))
    if not settings.debug:
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its warnings are not for users of knit
    logger, notices, Progress.latest = logging.getLogger("knit"), SdkNotices(logging.WARNING), None
    logger.addHandler(notices)
    try:
        status = knit.main(
            None if arguments is None else list(arguments),
            prog_name="knit",
            standalone_mode=False,
            obj=settings,
        )
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except (PipeClosedError, BrokenPipeError):
        _drop_output()
        return PIPE_CLOSED
    except click.exceptions.Abort:  # click's word for Ctrl-C
        return INTERRUPTED
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        try:
            return _report(error, debug=settings.debug)
        except BrokenPipeError:
            _drop_output()
            return FAILURE
    finally:
        logger.removeHandler(notices)


def _report(error: Exception, *, debug: bool) -> int:
    """Say what went wrong in a sentence, and return the exit status that belongs to it."""
    if isinstance(error, click.UsageError):
        if error.ctx is not None:
            click.echo(error.ctx.get_usage(), err=True)
            click.echo(f"`{error.ctx.command_path} --help` says more.", err=True)
        say(error.format_message())
        return USAGE
    if debug:
        traceback.print_exception(error)
    if isinstance(error, click.ClickException):
        say(error.format_message())
        return error.exit_code
    if isinstance(error, KnitError):
        hint = " Or say --conf DIR." if isinstance(error, ConfigurationNotFoundError) else ""
        # What a caller of the SDK writes as an argument is an option here.
        say(f"{error}{hint}".replace("(timeout=)", "(--timeout, or --call-timeout of run)"))
        return FAILURE
    if type(error).__name__ == "OutputError":
        if error.is_closed:  # type: ignore[attr-defined]
            _drop_output()
            return PIPE_CLOSED
        say(f"{error}")
        _drop_output()
        return FAILURE
    if isinstance(error, OSError) and error.filename is not None:
        # A path of the user's, on an option or in a variable. The system's words hold no secret.
        say(f"{os.fsdecode(error.filename)}: {error.strerror or type(error).__name__}.")
        return FAILURE
    if isinstance(error, OSError) and error.errno in _OUTPUT_FAILS:
        say(f"The output cannot be written: {error.strerror}.")
        _drop_output()
        return FAILURE
    if isinstance(error, ImportError) or _is_of_stubs(error):
        say(
            f"this environment has packages that do not go together: {error}. Make it whole: "
            f"{sys.executable} -m pip install --force-reinstall with the wheel of knit, or use "
            "a new one; `knit doctor` shows the versions."
        )
        return FAILURE
    # Only the type: what an unexpected error says is not known to be free of secrets.
    say(
        f"an unexpected {type(error).__name__} happened, which is a fault of knit; "
        "-v, or KNIT_DEBUG=1 in the environment, shows where."
    )
    return FAILURE


def _is_of_stubs(error: Exception) -> bool:
    """Whether generated code refuses the protobuf or grpcio that is installed."""
    return type(error).__name__ == "VersionError" or (
        isinstance(error, RuntimeError) and str(error).startswith("The grpc package installed")
    )


def _drop_output() -> None:
    """Send what is still in stdout's buffer nowhere, so that Python's last flush is quiet."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # no file beneath it, or closed
        sys.stdout = io.StringIO()
