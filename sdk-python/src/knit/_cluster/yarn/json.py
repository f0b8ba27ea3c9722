"""JSON of YARN, whose versions leave out, rename and wrap as they like."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from knit._values.amounts import ResourceAmount

_UNLIMITED = 2**63 - 1
"""What YARN writes where an amount has no limit."""
_COUNTED_APART = ("memory-mb", "vcores")
"""Named like others in a list of all kinds, and told beside it as well."""


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


def texts_in(data: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A member that is a list of texts, without empty ones. One may come without its brackets."""
    found = data.get(name)
    if isinstance(found, str):
        found = [found]
    return tuple(str(text) for text in found if text) if isinstance(found, list) else ()


def int_in(data: Mapping[str, Any], name: str) -> int:
    try:
        return int(data.get(name) or 0)
    except (TypeError, ValueError, OverflowError):
        return 0


def told_int(data: Mapping[str, Any], name: str) -> int | None:
    """A whole number that is not negative; None where it is not told. YARN writes -1 for that."""
    value = number_in(data, name)
    return int(value) if value is not None and value >= 0 else None


def number_in(data: Mapping[str, Any], name: str) -> float | None:
    """A number, however it is written; None where it is not told, or is none."""
    value = data.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def share_in(data: Mapping[str, Any], name: str) -> float | None:
    """What YARN writes in percent, as a part of 1."""
    percent = number_in(data, name)
    return None if percent is None else percent / 100


def amount_in(data: Mapping[str, Any], name: str) -> ResourceAmount | None:
    """An amount of resources; None where it is not told. Kinds without a limit are left out."""
    found = object_in(data, name)
    kinds = objects_in(object_in(found, "resourceInformations"), "resourceInformation")
    if told_int(found, "memory") is None:
        return None
    return ResourceAmount(
        int_in(found, "memory"),
        int_in(found, "vCores"),
        {
            str(kind.get("name")): int_in(kind, "value")
            for kind in kinds
            if kind.get("name") not in _COUNTED_APART and int_in(kind, "value") < _UNLIMITED
        },
    )


def to_time(millis: object) -> datetime | None:
    """A point in time in milliseconds since 1970, as a number or as text; None for 0 or none."""
    try:
        value = int(millis) if isinstance(millis, int | float | str) else 0
        return datetime.fromtimestamp(value / 1000, timezone.utc) if value > 0 else None
    except (ValueError, OverflowError, OSError):
        return None
