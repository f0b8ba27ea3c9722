"""Variables of a command, and what together with it Linux passes to a program."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from knit._values.characters import check_characters
from knit.exceptions import SpecError

LARGEST_ARGUMENT_BYTES = 128 * 1024 - 1
"""Of a command, and of one variable as `NAME=value`: the most Linux passes to a program."""
LARGEST_SERVICE_BYTES = 1024 * 1024
"""Of one service's command and environment together: Linux passes 2 MiB at most in all."""

VARIABLE_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
OWN_VARIABLES = frozenset(
    {
        "KNIT_AM_ADDRESS",
        "KNIT_APPLICATION_ID",
        "KNIT_ATTEMPT_NUMBER",
        "KNIT_CONTAINER_ID",
        "KNIT_CREDENTIALS",
        "KNIT_HISTORY_ID",
        "KNIT_LAUNCH",
        "KNIT_MEMORY_MIB",
        "KNIT_ORDINAL",
        "KNIT_RANK",
        "KNIT_SERVICE_NAME",
        "KNIT_VCORES",
    }
)
ENVIRONMENT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "propertyNames": {
        "pattern": f"^{VARIABLE_NAME}$",
        "not": {"enum": sorted(OWN_VARIABLES)},
    },
    "additionalProperties": {"type": "string"},
}


def to_environment(value: Mapping[str, str]) -> Mapping[str, str]:
    """
    Returns variables by name.

    Raises:
        SpecError: A name is none, or a value is no text. No value is shown, for it may be secret.
    """
    if not isinstance(value, Mapping):
        raise SpecError("environment is not a mapping of names to values.")
    for name, text in value.items():
        if not isinstance(name, str) or not re.fullmatch(VARIABLE_NAME, name, re.ASCII):
            raise SpecError(
                f"The environment variable {name!r} has no valid name: use letters, digits and _."
            )
        if name in OWN_VARIABLES:
            raise SpecError(f"The environment variable {name} is set by knit: leave it out.")
        if not isinstance(text, str):
            raise SpecError(
                f"The environment variable {name} is given as {type(text).__name__}: give text, "
                "in a file within quotes."
            )
        check_characters(f"The environment variable {name}", text)
    return dict(value)


def check_sizes(command: str, environment: Mapping[str, str]) -> None:
    """
    Refuses what Linux passes to no program.

    Raises:
        SpecError: The command, a variable, or all together are too long.
    """
    sizes = {"The command": len(command.encode())}
    for name, value in environment.items():
        sizes[f"The environment variable {name}"] = len(f"{name}={value}".encode())
    for what, size in sizes.items():
        if size > LARGEST_ARGUMENT_BYTES:
            raise SpecError(
                f"{what} is {size:,} bytes long, more than the {LARGEST_ARGUMENT_BYTES:,} that "
                "Linux passes to a program: put what is long into a file."
            )
    if (size := sum(sizes.values())) > LARGEST_SERVICE_BYTES:
        raise SpecError(
            f"Command and environment are {size:,} bytes long, more than the "
            f"{LARGEST_SERVICE_BYTES:,} that a container is given: put what is long into a file."
        )
