"""Which container was which, as the Application Master wrote it down beside its own logs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

import attrs

from knit._cluster.aggregated_logs._reading import PIECE_BYTES

FILE_NAME = "containers.jsonl"
_CONTAINER_ID = re.compile(
    r"container_(?:e\d+_)?(?P<application>\d+_\d+)_(?P<attempt>\d+)_(?P<number>\d+)"
)
_FIRST_NUMBER = 1
"""YARN starts an Application Master in the first container of its attempt."""


@attrs.frozen
class Place:
    """What a container was for."""

    service: str
    rank: int
    attempt_number: int
    node_id: str | None = None


def parse(chunks: Iterable[bytes]) -> dict[str, Place]:
    """What such a file says, by container ID. What is no such line is left out."""
    found: dict[str, Place] = {}
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            found.update(_parse_line(line))
        if len(rest) > PIECE_BYTES:
            rest = b""  # no line of ours is as long
    found.update(_parse_line(rest))
    return found


def _parse_line(line: bytes) -> dict[str, Place]:
    try:
        data = json.loads(line)
        place = Place(
            str(data["service"]),
            int(data["rank"]),
            int(data.get("attempt_number", 1)),
            str(data["node_id"]) if data.get("node_id") else None,
        )
        return {str(data["container_id"]): place}
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}


def guess(container_id: str) -> Place:
    """What can be known of a container nobody wrote about: its number."""
    match = _CONTAINER_ID.fullmatch(container_id)
    return Place("", int(match["number"]) if match else 0, 1)


def may_be_application_master(container_id: str) -> bool:
    """Whether it has the number that Application Masters have as a rule."""
    match = _CONTAINER_ID.fullmatch(container_id)
    return match is not None and int(match["number"]) == _FIRST_NUMBER


def order(container_id: str) -> tuple[int, ...]:
    """Orders containers by attempt and number."""
    return tuple(int(part) for part in re.findall(r"\d+", container_id))
