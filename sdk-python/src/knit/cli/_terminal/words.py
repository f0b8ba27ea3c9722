"""Times, sizes and values as people read them."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import knit


def human_time(time: datetime, now: datetime | None = None) -> str:
    """A point in time as people say it: `12 s ago`, today's hour, or the date; local time."""
    now = now or datetime.now(timezone.utc)
    age = now - time
    if timedelta(0) <= age < timedelta(hours=1):
        return f"{human_duration(age)} ago"
    local = time.astimezone()
    if local.date() == now.astimezone().date():
        return f"{local:%H:%M:%S}"
    return f"{local:%Y-%m-%d %H:%M}"


def human_duration(duration: timedelta) -> str:
    """A length of time as people say it: `0.8 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`."""
    seconds = duration.total_seconds()
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    for size, name, below, below_size in (
        (86400, "d", "h", 3600),
        (3600, "h", "min", 60),
        (60, "min", "s", 1),
    ):
        if whole >= size:
            rest = whole % size // below_size
            return f"{whole // size} {name}" + (f" {rest} {below}" if rest else "")
    return f"{whole} s"


def human_size(size: int) -> str:
    """A number of bytes as people say it, in powers of 1024."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{size} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def human_mib(mib: int) -> str:
    """An amount of memory as people say it."""
    return "0" if not mib else human_size(mib * 1024 * 1024)


def human_share(share: float | None) -> str | None:
    """A part of 1 as people say it: `90%`, `9.4%`, `0.05%`. None stays None."""
    if share is None:
        return None
    percent = share * 100
    digits = 0 if percent >= 99.95 else 1 if percent >= 1 else 2
    return f"{percent:.{digits}f}".rstrip("0").rstrip(".") + "%" if digits else f"{percent:.0f}%"


def jsonable(value: Any) -> Any:
    """Turns times into ISO 8601, durations into seconds, and enumerations into their names."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    return value.name if isinstance(value, enum.Enum) else value


def count_by_state(containers: Sequence[knit.Container]) -> str:
    """How many are in which state, in the order of a container's life."""
    return count_states(Counter(container.state for container in containers))


def count_states(counts: Mapping[knit.ContainerState, int]) -> str:
    """The same of what was counted already."""
    # PENDING and HELD have later numbers than they have places.
    order = ["PENDING", "REQUESTED", "HELD"]
    states = sorted(
        counts, key=lambda s: (order.index(s.name) if s.name in order else len(order), s)
    )
    return ", ".join(f"{counts[state]} {state.name.lower()}" for state in states)
