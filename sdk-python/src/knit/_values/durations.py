"""Lengths of time, as people write them, and as the contract does."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from knit.exceptions import SpecError

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration

_SECONDS = {
    "ms": 0.001,
    "s": 1.0,
    "sec": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_UNIT = "ms|sec|s|min|m|h|d"
_PART = re.compile(rf"(\d+(?:\.\d+)?)\s*({_UNIT})", re.ASCII)
_ONE = rf"\d+(?:\.\d+)?\s*(?:{_UNIT})"
PATTERN = rf"^\s*{_ONE}(?:\s*{_ONE})*\s*$"
"""What text is a length of time, in what Python and JSON Schema share."""


def to_duration(value: Any) -> timedelta:
    """
    Returns a length of time from seconds, or text such as `500 ms`, `30 s`, `1h30m`, `7 d`.

    Raises:
        SpecError: It is none.
    """
    if isinstance(value, timedelta):
        return value
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return timedelta(seconds=value)
        if isinstance(value, str) and re.fullmatch(PATTERN, value, re.ASCII):
            parts = _PART.findall(value)
            return timedelta(seconds=sum(float(amount) * _SECONDS[u] for amount, u in parts))
    except (OverflowError, ValueError):
        pass
    raise SpecError(
        f"{value!r} is no duration: give seconds, or text such as '10 s', '5 min' or '1h30m'."
    )


def format_duration(value: timedelta) -> int | float:
    """The same in seconds."""
    seconds = value.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds


def duration_to_proto(value: timedelta | None) -> Duration | None:
    """The message; None for None."""
    from google.protobuf.duration_pb2 import Duration

    if value is None:
        return None
    message = Duration()
    message.FromTimedelta(value)
    return message


def duration_of(message: Any, field: str) -> timedelta | None:
    """A length of time in a message; None where it is absent."""
    if not message.HasField(field):
        return None
    try:
        found: timedelta = getattr(message, field).ToTimedelta()
    except (ValueError, OverflowError):
        return timedelta.max if getattr(message, field).seconds > 0 else timedelta.min
    return found
