"""Which applications are wanted, and how much of that YARN can be asked."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timezone

import attrs

from knit._values.reports import ApplicationReport
from knit._values.states import YarnState


def _states(values: Iterable[YarnState] | None) -> tuple[YarnState, ...] | None:
    return None if values is None else tuple(values)


def _words(values: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


def _tags(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


def _aware(time: datetime | None) -> datetime | None:
    return None if time is None else time.astimezone(timezone.utc)


@attrs.frozen(kw_only=True)
class ApplicationFilter:
    """
    Which applications are wanted: those that fit all of it. None: any.

    YARN is asked for as much of it as every version answers alike, so that it sends less; what
    comes is looked at again here.
    """

    states: tuple[YarnState, ...] | None = attrs.field(default=None, converter=_states)
    types: tuple[str, ...] | None = attrs.field(default=None, converter=_words)
    user: str | None = None
    queue: str | None = None
    """By its path, with or without `root.`, or by its last part."""
    name: str | None = None
    tags: tuple[str, ...] = attrs.field(default=(), converter=_tags)
    """All of them; YARN keeps them in lower case."""
    started_begin: datetime | None = attrs.field(default=None, converter=_aware)
    started_end: datetime | None = attrs.field(default=None, converter=_aware)
    finished_begin: datetime | None = attrs.field(default=None, converter=_aware)
    finished_end: datetime | None = attrs.field(default=None, converter=_aware)

    @property
    def is_empty(self) -> bool:
        """Whether nothing can fit it, which YARN would take for a mistake or for no filter."""
        ranges = (
            (self.started_begin, self.started_end),
            (self.finished_begin, self.finished_end),
        )
        return (
            self.states == ()
            or self.types == ()
            or any(begin and end and begin > end for begin, end in ranges)
        )

    def query(self) -> dict[str, str]:
        """
        What YARN is asked.

        Not for the queue: by which of its names it is found differs between schedulers, versions
        and whether the application has ended. Not for a limit: YARN leaves out any, not the oldest.
        The name it ignores before Hadoop 3.3.
        """
        # By far the most of an answer, and nobody's here; ignored by Hadoop 2.
        query = {"deSelects": "resourceRequests"}
        if self.types is not None:
            query["applicationTypes"] = ",".join(self.types)
        if self.states is not None and YarnState.UNKNOWN not in self.states:
            query["states"] = ",".join(state.value for state in self.states)
        if self.tags:
            query["applicationTags"] = ",".join(self.tags)  # it gives those with any of them
        said = {"user": self.user, "name": self.name}
        query.update({name: value for name, value in said.items() if value is not None})
        query.update(_range("startedTime", self.started_begin, self.started_end))
        query.update(_range("finishedTime", self.finished_begin, self.finished_end))
        return query

    def fits(self, report: ApplicationReport) -> bool:
        """Whether this one is wanted."""
        return (
            (self.states is None or report.state in self.states)
            and (self.types is None or _among(report.application_type, self.types))
            and (self.queue is None or is_in_queue(report.queue, self.queue))
            and self.name in (None, report.name)
            and all(_among(tag, report.tags) for tag in self.tags)
            and _within(report.start_time, self.started_begin, self.started_end)
            and _within(report.finish_time, self.finished_begin, self.finished_end)
        )


def is_in_queue(told: str, wanted: str) -> bool:
    """
    Whether the queue that YARN tells of an application is the one that is meant.

    Hadoop 3.4 and the Fair scheduler tell its path, others its last part alone.
    """
    if "." not in told:
        return wanted.rpartition(".")[2] == told
    return wanted in (told, told.removeprefix("root."), told.rpartition(".")[2])


def _among(text: str, others: Iterable[str]) -> bool:
    return text.lower() in (other.lower() for other in others)


def _within(time: datetime | None, begin: datetime | None, end: datetime | None) -> bool:
    if begin is None and end is None:
        return True
    return time is not None and (begin is None or begin <= time) and (end is None or time <= end)


def _range(name: str, begin: datetime | None, end: datetime | None) -> dict[str, str]:
    if begin is None and end is None:
        return {}
    # An application that has not ended has 0 for its end, which is not before anything here;
    # and YARN refuses what is below 0.
    first = 1 if begin is None else max(1, math.ceil(_millis(begin)))
    query = {f"{name}Begin": str(first)}
    if end is not None:
        query[f"{name}End"] = str(max(first, math.floor(_millis(end))))
    return query


def _millis(time: datetime) -> float:
    return time.timestamp() * 1000
