"""What may help after an application has failed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import knit

_PYTHON = re.compile(r"(?<![\w./$-])python(?![\w.])")


def hints(
    spec: knit.ApplicationSpec, exit_code: int, containers: Sequence[knit.Container]
) -> Iterator[str]:
    """Sentences that say what to try, of the failures whose reason can be told by their look."""
    services = spec.services.values()
    if exit_code == 127:
        if any(_PYTHON.search(s.command) and s.python_environment is None for s in services):
            yield (
                "exit code 127 says that a command was not found: many nodes have python3, but "
                "no python. Say python3, or bring one along: --python-env running"
            )
        else:
            yield (
                "exit code 127 says that a command was not found on its node: bring programs of "
                "yours along with --file, and start them as ./NAME"
            )
    elif exit_code == 126:
        yield (
            "exit code 126 says that a file could not be executed: name what runs it, as in "
            "`python3 FILE` or `bash FILE`"
        )
    for container in containers:
        if container.exit is not None and "MEMORY" in container.exit.reason.name:
            yield (
                f"{container.service}/{container.rank} had {container.resources.memory_mib} MiB: "
                "ask for more with --memory"
            )
            return
