"""Which container was which, as the Application Master wrote it down beside its own logs."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from knit._cluster.logs import records
from knit._cluster.logs.records import ApplicationRecord
from knit._values.identifiers import CONTAINER_ID

FILE_NAME = records.FILE_NAME
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
    return places_of(records.parse(chunks))


def places_of(record: ApplicationRecord) -> dict[str, Place]:
    """The places of a record's containers, by container ID."""
    return {
        each.container_id: Place(each.service, each.rank, each.attempt_number, each.node_id)
        for each in record.containers
        if each.container_id is not None
    }


def guess(container_id: str) -> Place:
    """What can be known of a container nobody wrote about: its number."""
    match = CONTAINER_ID.fullmatch(container_id)
    return Place("", int(match["number"]) if match else 0, 1)


def may_be_application_master(container_id: str) -> bool:
    """Whether it has the number that Application Masters have as a rule."""
    match = CONTAINER_ID.fullmatch(container_id)
    return match is not None and int(match["number"]) == _FIRST_NUMBER
