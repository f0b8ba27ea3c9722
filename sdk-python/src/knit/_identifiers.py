"""YARN's identifiers, in its own form."""

from __future__ import annotations

import re

APPLICATION_ID = re.compile(r"application_(\d+)_(\d+)", re.ASCII)


def application_key(application_id: str) -> tuple[int, int]:
    """
    The start of the ResourceManager that gave it, and its number: orders by age.

    Raises:
        ValueError: It is not the ID of an application.
    """
    match = APPLICATION_ID.fullmatch(application_id)
    if match is None:
        raise ValueError(f"{application_id!r} is not the ID of an application")
    return int(match[1]), int(match[2])
