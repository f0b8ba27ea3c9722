"""JSON of YARN, whose versions leave out, rename and wrap as they like."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any


def object_in(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A member that is an object; an empty one where it is missing, null or something else."""
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def objects_in(data: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A member that is a list of objects. A list of one may come without its brackets."""
    found = data.get(name)
    if isinstance(found, dict):
        return [found]
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def int_in(data: Mapping[str, Any], name: str) -> int:
    try:
        return int(data.get(name) or 0)
    except (TypeError, ValueError):
        return 0


def to_time(millis: object) -> datetime | None:
    if not isinstance(millis, int) or not millis:
        return None
    return datetime.fromtimestamp(millis / 1000, timezone.utc)
