"""The command `knit`: a file per group of verbs, and `main`, where it starts."""

from knit.cli._main import main

__all__ = ["main"]
