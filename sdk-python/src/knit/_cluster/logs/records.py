"""What an Application Master wrote down of its containers, beside its own logs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import attrs

from knit._cluster.logs.reading import PIECE_BYTES

FILE_NAME = "containers.jsonl"
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?Z")


@attrs.frozen(kw_only=True)
class ContainerRecord:
    """A container, from its launch or from its end. What was not written down is None."""

    service: str
    rank: int
    attempt_number: int
    container_id: str | None = None
    node_id: str | None = None
    state: str | None = None
    """As the contract calls it, such as `FAILED`. None if its end was not written down."""
    reason: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    diagnostics: str = ""
    request_time: datetime | None = None
    start_time: datetime | None = None
    finish_time: datetime | None = None
    memory_mib: int = 0
    vcores: int = 0
    ordinal: int | None = None
    revision: int | None = None
    ready_time: datetime | None = None


@attrs.frozen(kw_only=True)
class ApplicationRecord:
    """What one attempt wrote down, as far as it came."""

    attempt_number: int | None = None
    """Which start of the Application Master it was. None in what older ones wrote."""
    containers: tuple[ContainerRecord, ...] = ()
    """By service, rank and attempt number."""
    has_outcome: bool = False
    """Whether it was written to the end of the application."""
    is_truncated: bool = False
    """Whether there was more than the file takes."""


def parse(chunks: Iterable[bytes]) -> ApplicationRecord:
    """What such a file says. What is no such line, or is not known here, is left out."""
    containers: dict[tuple[str, int, int], ContainerRecord] = {}
    attempt_number: int | None = None
    has_outcome = is_truncated = False
    for line in _lines(chunks):
        try:
            data = json.loads(line)
            if "service" in data:
                record = _container(data)
                containers[record.service, record.rank, record.attempt_number] = record
            elif "attempt" in data:
                attempt_number = int(data["attempt"])
            has_outcome = has_outcome or "outcome" in data
            is_truncated = is_truncated or bool(data.get("truncated"))
        except (ValueError, LookupError, TypeError, AttributeError):  # noqa: PERF203 - one line
            continue
    return ApplicationRecord(
        attempt_number=attempt_number,
        containers=tuple(containers[place] for place in sorted(containers)),
        has_outcome=has_outcome,
        is_truncated=is_truncated,
    )


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
        if len(rest) > PIECE_BYTES:
            rest = b""  # no line of ours is as long
    yield rest


def _container(data: Mapping[str, Any]) -> ContainerRecord:
    if "container_id" not in data:
        raise LookupError("container_id")
    return ContainerRecord(
        service=str(data["service"]),
        rank=int(data["rank"]),
        attempt_number=int(data.get("attempt_number", 1)),
        container_id=_text(data, "container_id"),
        node_id=_text(data, "node_id"),
        state=_text(data, "state"),
        reason=_text(data, "reason"),
        exit_code=_number(data, "exit_code"),
        signal=_number(data, "signal"),
        diagnostics=_text(data, "diagnostics") or "",
        request_time=_time(data, "request_time"),
        start_time=_time(data, "start_time"),
        finish_time=_time(data, "finish_time"),
        memory_mib=_number(data, "memory_mib") or 0,
        vcores=_number(data, "vcores") or 0,
        ordinal=_number(data, "ordinal"),
        revision=_number(data, "revision"),
        ready_time=_time(data, "ready_time"),
    )


def _text(data: Mapping[str, Any], name: str) -> str | None:
    value = data.get(name)
    return str(value) if value not in (None, "") else None


def _number(data: Mapping[str, Any], name: str) -> int | None:
    value = data.get(name)
    return int(value) if value is not None else None


def _time(data: Mapping[str, Any], name: str) -> datetime | None:
    """RFC 3339 in UTC, with as many digits as Java writes."""
    match = _TIME.fullmatch(str(data.get(name) or ""))
    if match is None:
        return None
    seconds = datetime.fromisoformat(match[1]).replace(tzinfo=timezone.utc)
    return seconds + timedelta(microseconds=int(f"{match[2] or 0:0<6}"[:6]))
