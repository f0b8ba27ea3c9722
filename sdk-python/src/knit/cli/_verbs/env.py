"""The verbs env create and env pack: Python environments for containers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from knit.cli._arguments.options import verb, verbose_option

if TYPE_CHECKING:
    import knit
    from knit.cli._terminal.progress import Progress

quiet_option = click.option("-q", "--quiet", is_flag=True, help="Say nothing of how things go.")


@click.group("env", short_help="Make and pack Python environments for containers.")
def env() -> None:
    """
    Make and pack Python environments, for `knit run --python-env`.

    Each prints the path of an archive that runs on nodes with the same kind of processor.
    """


@verb(
    "create",
    short="Make a conda environment and pack it.",
    example="knit env create analysis python=3.11 'numpy>=1.20' --channel conda-forge",
)
@click.argument("name")
@click.argument("packages", nargs=-1)
@click.option(
    "-c",
    "--channel",
    "channels",
    multiple=True,
    metavar="CHANNEL",
    help="Where packages come from, by name or URL; repeatable.  [default: "
    "KNIT_CONDA_CHANNELS, else as conda is configured, else conda-forge]",
)
@click.option(
    "--conda-root",
    metavar="DIR",
    help="Use the conda in DIR/bin, and environments in DIR/envs.  [default: the conda, mamba or "
    "micromamba on the PATH, else py-rattler]",
)
@click.option("--remove", is_flag=True, help="Make it anew if it exists.")
@quiet_option
@verbose_option
def create(
    *,
    name: str,
    packages: tuple[str, ...],
    channels: tuple[str, ...],
    conda_root: str | None,
    remove: bool,
    quiet: bool,
) -> None:
    """
    Make a conda environment of these PACKAGES, pack it, and print the archive's path.

    One that exists is taken if it has them. Without PACKAGES it has to exist.
    """
    import knit
    from knit.cli._terminal.progress import Progress

    progress = Progress(quiet=quiet)
    archive = knit.create_env(
        name,
        list(packages) or None,
        channels=channels,
        conda_root=conda_root,
        remove=remove,
        progress=progress.status,
    )
    _conclude(progress, archive)


@verb(
    "pack",
    short="Pack a virtual, conda or other environment.",
    example="knit env pack .venv -o env.tar.gz",
)
@click.argument("directory", metavar="[DIR]", required=False)
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    help="The file to write, .tar.gz.  [default: one in ~/.cache/knit/environments]",
)
@quiet_option
@verbose_option
def pack(*, directory: str | None, output: str | None, quiet: bool) -> None:
    """
    Pack the Python environment in DIR, by default the one knit runs in, and print the path.

    A virtual environment is packed with its interpreter: nodes need no Python.
    """
    import knit
    from knit.cli._running.submitting import packing_sentence
    from knit.cli._terminal.progress import Progress

    progress = Progress(quiet=quiet)

    def report(state: knit.PackingProgress) -> None:
        progress.status(packing_sentence(state))

    _conclude(progress, knit.pack_environment(directory, output, progress=report))


def _conclude(progress: Progress, archive: Path) -> None:
    from knit.cli._terminal.words import human_size

    progress.step(f"packed {human_size(archive.stat().st_size)}", timed=True)
    click.echo(archive)


env.add_command(create)
env.add_command(pack)
