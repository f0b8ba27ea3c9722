"""The verb completion: what a shell needs to finish words after `knit`."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from knit.cli._arguments.options import verb

_CLASSES: dict[str, type[ShellComplete]] = {
    "bash": BashComplete,
    "zsh": ZshComplete,
    "fish": FishComplete,
}


@verb(
    "completion",
    short="Print what a shell needs to complete words.",
    example="knit completion bash > ~/.local/share/bash-completion/completions/knit",
)
@click.argument("shell", type=click.Choice(list(_CLASSES)))
@click.pass_context
def completion(ctx: click.Context, *, shell: str) -> None:
    """
    Print a script that completes verbs, options and the IDs of applications in a shell.

    bash 4.4 or later reads it from ~/.local/share/bash-completion/completions/knit, fish from
    ~/.config/fish/completions/knit.fish, and zsh from a file _knit in a directory of its fpath.
    For one session: eval "$(knit completion bash)".
    """
    # Not its source(): for bash that would start one, to look at its version.
    complete = _CLASSES[shell](ctx.find_root().command, {}, "knit", "_KNIT_COMPLETE")
    click.echo(complete.source_template % complete.source_vars())
