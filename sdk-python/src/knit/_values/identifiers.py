"""YARN's identifiers, in its own form."""

from __future__ import annotations

import re

APPLICATION_ID = re.compile(r"application_(\d+)_(\d+)", re.ASCII)
CONTAINER_ID = re.compile(
    r"container_(?:e\d+_)?(?P<application>\d+_\d+)_(?P<attempt>\d+)_(?P<number>\d+)", re.ASCII
)

# YARN fills its numbers up with zeros, so one that is shorter lost a digit on its way here.
TYPED_APPLICATION_ID = re.compile(r"application_\d+_\d{4,}", re.ASCII)
TYPED_CONTAINER_ID = re.compile(
    r"container_(?:e\d+_)?(?P<application>\d+_\d{4,})_\d{2,}_\d{6,}", re.ASCII
)


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


def numbers_of(identifier: str) -> tuple[int, ...]:
    """All numbers of an identifier, whichever it is: orders those of one kind by age."""
    return tuple(map(int, re.findall(r"\d+", identifier)))


def attempt_of(text: str | None) -> int | None:
    """Which start of the Application Master the container belongs to whose ID stands in a text."""
    match = CONTAINER_ID.search(text or "")
    return int(match["attempt"]) if match is not None else None
