"""
When what happened to an application, from the daemons' own logs: one source for all sides.

The ResourceManager and the NodeManager log every change of state with its time to the millisecond.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from integration.bench.errors import BenchError

_STAMP = r"^(?P<day>\d{4}-\d\d-\d\d)[ T](?P<second>\d\d:\d\d:\d\d)[,.](?P<millis>\d{3}) .*?"
_ATTEMPT = re.compile(
    _STAMP
    + r"appattempt_(?P<id>\d+_\d+)_\d+ State change from \w+ to \w+ on event = (?P<event>\w+)"
)
_CONTAINER = re.compile(
    _STAMP + r"Container (?P<id>container_(?:e\d+_)?(?P<app>\d+_\d+)_\d+_\d+) transitioned from"
    r" \w+ to (?P<state>\w+)"
)
_GRANT = re.compile(
    _STAMP + r"(?P<id>container_(?:e\d+_)?(?P<app>\d+_\d+)_\d+_\d+) Container Transitioned from"
    r" \w+ to (?P<state>\w+)"
)

Timeline = dict[str, int]
"""Nanoseconds since the epoch by the name of what happened."""


def of_application(application_id: str, logs: Iterable[Path]) -> Timeline:
    """
    The moments of an application's life that the daemons noted.

    ``am_launched`` and ``am_registered`` are the ResourceManager's; ``am_process`` and
    ``container_process`` are when the NodeManager let the process begin, the latter for the first
    container after the Application Master's.

    Raises:
        BenchError: the logs say nothing of the application.
    """
    ours = application_id.removeprefix("application_")
    found: Timeline = {}
    first_container: str | None = None
    for path in logs:
        for line in _lines(path, ours):
            if match := _ATTEMPT.match(line):
                name = {
                    "START": "attempt_started",
                    "CONTAINER_ALLOCATED": "am_granted",
                    "LAUNCHED": "am_launched",
                    "REGISTERED": "am_registered",
                }.get(match["event"])
            elif match := _GRANT.match(line):
                name = None
                if not match["id"].endswith("_000001") and match["state"] in (
                    "ALLOCATED",
                    "ACQUIRED",
                ):
                    name = f"container_{match['state'].lower()}"
            elif match := _CONTAINER.match(line):
                who = "am" if match["id"].endswith("_000001") else "container"
                first_container = first_container or (match["id"] if who == "container" else None)
                name = {
                    "LOCALIZING": f"{who}_localizing",
                    "SCHEDULED": f"{who}_localized",
                    "RUNNING": f"{who}_process",
                }.get(match["state"])
            else:
                continue
            if name is not None:
                found.setdefault(name, _nanos(match))
    if not found:
        raise BenchError(
            f"The daemons' logs say nothing of {application_id}: {list(map(str, logs))}"
        )
    return found


def _lines(path: Path, needle: str) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace") as log:
        yield from (line for line in log if needle in line)


def _nanos(match: re.Match[str]) -> int:
    local = time.strptime(f"{match['day']} {match['second']}", "%Y-%m-%d %H:%M:%S")
    return int(time.mktime(local)) * 1_000_000_000 + int(match["millis"]) * 1_000_000
