"""The options that verbs share, and the client they open."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import click

from knit.cli._arguments import values

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    import knit

F = Callable[..., Any]


@attrs.define
class Settings:
    """What holds for the whole call of `knit`."""

    debug: bool = False
    """Whether errors are shown with where they came from."""


@attrs.frozen
class Cluster:
    """Which cluster, as whom, and how patiently."""

    conf: str | None
    user: str | None
    timeout: timedelta
    """Of one call."""
    credentials: str | None = None
    """A directory of credentials of one application, for that one."""
    keytab: str | None = None
    """A keytab's file; None for the cache that kinit fills."""
    principal: str | None = None
    """Whose tickets."""

    def configuration(self) -> knit.ClusterConfig:
        """Read where the cluster is."""
        import knit

        if self.conf is None:
            if self.credentials is not None:
                from knit._cluster.configuration.nowhere import config_or_nowhere

                return config_or_nowhere()
            return knit.ClusterConfig.from_environment()
        return knit.ClusterConfig.from_directory(self.conf)

    def client(self) -> knit.Client:
        """Open a client; leaving its `with` closes it."""
        import knit

        return knit.Client(
            self.configuration(),
            user=self.user,
            timeout=self.timeout,
            credentials=self.credentials,
            keytab=self.keytab,
            principal=self.principal,
        )


def _be_verbose(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        ctx.find_root().obj.debug = True
        logging.basicConfig(format="%(relativeCreated)7d ms %(name)s: %(message)s")
        logger = logging.getLogger("knit")
        logger.setLevel(logging.DEBUG)
        logger.handlers.clear()  # the root's prints all of it


verbose_option = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=_be_verbose,
    help="Show what is done, and where an error came from.",
)


def cluster_options(*, timeout: bool = True) -> Callable[[F], F]:
    """
    Adds the options that say which cluster, as whom and how patiently, as `cluster: Cluster`.

    Args:
        timeout: False where --timeout limits not a call but the whole, which the verb then
            declares itself; the limit of a call is --call-timeout there.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def wrapper(*args: Any, conf: str | None, user: str | None, **kwargs: Any) -> Any:
            patience = kwargs.pop("timeout" if timeout else "call_timeout")
            others = {name: kwargs.pop(name) for name in ("credentials", "keytab", "principal")}
            cluster = Cluster(conf, user, patience, **others)
            return function(*args, cluster=cluster, **kwargs)

        options = [
            click.option(
                "--conf",
                metavar="DIR",
                help="Directory of the Hadoop configuration.  [default: HADOOP_CONF_DIR]",
            ),
            click.option(
                "--user",
                metavar="NAME",
                help="Act as this user; with Kerberos, for this user, if the cluster lets you.  "
                "[default: who you are here, or whose the ticket is]",
            ),
            click.option(
                "--keytab",
                metavar="FILE",
                type=click.Path(dir_okay=False),
                help="With Kerberos: a keytab to get tickets with.  [default: kinit's cache]",
            ),
            click.option(
                "--principal",
                metavar="NAME",
                help="With Kerberos: whose tickets.  [default: whose the cache or keytab is]",
            ),
            click.option(
                "--credentials",
                metavar="DIR",
                type=click.Path(file_okay=False),
                envvar="KNIT_CREDENTIALS",
                help="Directory of credentials of an application, from `knit credentials`.  "
                "[default: KNIT_CREDENTIALS, which containers have]",
            ),
            verbose_option,
        ]
        options.insert(
            2,
            click.option(
                "--timeout" if timeout else "--call-timeout",
                type=values.duration,
                metavar="TIME",
                default="30s",
                show_default=True,
                help="How long one call to the cluster may take: 90s, 5m, 1h30m.",
            ),
        )
        for option in reversed(options):
            wrapper = option(wrapper)
        return wrapper

    return decorate


def env_options(function: F) -> F:
    """Adds --env and --env-file; the verb gets `environment` and `environment_files`."""
    function = click.option(
        "--env-file",
        "environment_files",
        multiple=True,
        metavar="FILE",
        help="Variables from a file, a line NAME=VALUE or NAME each, as for --env, which "
        "overrides it. Repeatable.",
    )(function)
    return click.option(
        "--env",
        "environment",
        multiple=True,
        type=values.variable,
        metavar="NAME[=VALUE]",
        help="A variable for the command; without a value, yours: so a secret is in no list of "
        "processes. Repeatable.",
    )(function)


master_ports_option = click.option(
    "--master-ports",
    metavar="FIRST-LAST",
    type=values.ports,
    help="Ports the Application Master may listen on, for firewalls.  "
    "[default: KNIT_MASTER_PORTS, else any]",
)
wide_option = click.option(
    "--wide", is_flag=True, help="Leave out no column, however narrow the terminal is."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

COMPLETION_TIMEOUT = timedelta(seconds=2)
"""Whoever presses Tab does not wait longer for a cluster."""


def _completing(ctx: click.Context) -> Cluster:
    names = ("keytab", "principal")
    return Cluster(
        ctx.params.get("conf"),
        ctx.params.get("user"),
        COMPLETION_TIMEOUT,
        **{name: ctx.params.get(name) for name in names},
    )


def complete_application(
    ctx: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The user's applications that have not ended, the latest first, with their names."""
    from click.shell_completion import CompletionItem

    import knit

    cluster = _completing(ctx)
    try:
        with cluster.client() as client:
            running = [s for s in knit.YarnState if not s.is_final and s.name != "UNKNOWN"]
            reports = client.applications(states=running)
    except knit.KnitError:
        return []  # a shell has no place for a sentence
    return [
        CompletionItem(report.application_id, help=report.name)
        for report in reports
        if report.application_id.startswith(incomplete)
    ]


def complete_queue(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The paths of the queues that applications can be in."""
    from click.shell_completion import CompletionItem

    import knit

    cluster = _completing(ctx)
    try:
        with cluster.client() as client:
            queues = client.queues()
    except knit.KnitError:
        return []
    return [
        CompletionItem(queue.path)
        for queue in queues
        if queue.is_leaf and queue.path.startswith(incomplete)
    ]


application_argument = click.argument(
    "application_id",
    metavar="APPLICATION",
    type=values.application_id,
    shell_complete=complete_application,
)


def verb(
    name: str, *, short: str, example: str, takes_command: bool = False
) -> Callable[[F], click.Command]:
    """
    A verb of `knit`.

    Args:
        name: How it is called.
        short: A few words for the list of verbs.
        example: A line for its own help.
        takes_command: Whether a command follows, whose options are its own. The verb is then told
            whether a `--` stands before it (`is_separated`).
    """

    class Verb(click.Command):
        def format_epilog(self, _: click.Context, formatter: click.HelpFormatter) -> None:
            with formatter.section("Example"):
                formatter.write(f"{' ' * formatter.current_indent}{example}\n")

        def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
            if takes_command:
                ctx.params["is_separated"] = "--" in args
            return super().parse_args(ctx, args)

    settings: dict[str, Any] = {"allow_interspersed_args": not takes_command}
    return click.command(name, cls=Verb, short_help=short, context_settings=settings)
