"""The logs of a fake's application once its Application Master has left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from knit._cluster.logs import AggregatedLogs, ContainerLogs
from knit._cluster.logs.node_file import Piece
from knit._cluster.logs.places import Place, guess
from knit._cluster.logs.reading import ByteReader
from knit._cluster.logs.records import ApplicationRecord, ContainerRecord
from knit._handles.container import Container
from knit._values.identifiers import attempt_of

if TYPE_CHECKING:
    from knit.testing._state import FakeState
    from knit.v1 import container_pb2


class FakeArchive:
    """All that was written, as if YARN had collected it at once; before the end, what it has."""

    is_rolling = False

    def __init__(self, state: FakeState) -> None:
        self.application_id = state.application_id
        self._state = state

    def look(self) -> AggregatedLogs:
        """What there is."""
        ended = self._state.outcome() is not None
        containers = {
            container.container_id: ContainerLogs(
                container_id=container.container_id,
                node_id=container.node_id,
                service=place.service,
                rank=place.rank,
                attempt_number=place.attempt_number,
                is_application_master=False,
                parts=(self,),
            )
            for container in self._state.all_containers()
            if container.container_id
            if ended or self._state.logs.is_collected(container.container_id)
            # Which is which stands in the Application Master's own log directory.
            for place in [_place(container) if ended else guess(container.container_id)]
        }
        master = self._state.master_container_id
        if ended:
            containers[master] = ContainerLogs(
                container_id=master,
                node_id="node-1:45454",
                service="",
                rank=1,
                attempt_number=self._state.attempt_number,
                is_application_master=True,
                parts=(self,),
            )
        return AggregatedLogs(
            application_id=self.application_id,
            containers=dict(sorted(containers.items())),
            incomplete_reason=None if ended else "The application is still running.",
            is_settled=ended,
            has_ended=ended,
            records=self._records() if ended else (),
            masters=(master,),
        )

    def _records(self) -> tuple[ApplicationRecord, ...]:
        by_attempt: dict[int, list[ContainerRecord]] = {}
        for container in self._state.all_containers():
            # What was never granted belongs to the attempt that asked for it last.
            attempt = attempt_of(container.container_id) or self._state.attempt_number
            by_attempt.setdefault(attempt, []).append(_record(container))
        return tuple(
            ApplicationRecord(
                attempt_number=attempt,
                containers=tuple(by_attempt[attempt]),
                has_outcome=attempt == self._state.attempt_number,
            )
            for attempt in sorted(by_attempt)
        )

    def pieces(self, container_id: str) -> Iterator[Piece]:
        """The log files of a container."""
        if container_id == self._state.master_container_id:
            with self._state.changed:
                history = json.dumps({"history_id": self._state.history_id})
                data = f"{history}\n".encode() + self._state.feed.written()
            yield Piece(container_id, "events.jsonl", len(data), ByteReader.over(data))
            return
        logs = self._state.logs
        for name, data in logs.rolled.get(container_id, ()):
            yield Piece(container_id, name, len(data), ByteReader.over(data))
        if self._state.outcome() is None and container_id not in logs.collected:
            return
        for name in logs.sizes(container_id):
            data = logs.whole(container_id, name)
            yield Piece(container_id, name, len(data), ByteReader.over(data))


def _place(container: container_pb2.Container) -> Place:
    return Place(container.service_name, container.rank, container.attempt_number)


def _record(message: container_pb2.Container) -> ContainerRecord:
    container = Container._from_proto(message)
    end = container.exit
    return ContainerRecord(
        service=container.service,
        rank=container.rank,
        attempt_number=container.attempt_number,
        container_id=container.container_id,
        node_id=container.node_id,
        state=container.state.name if end is not None else None,
        reason=end.reason.name if end is not None else None,
        exit_code=end.exit_code if end is not None else None,
        signal=end.signal if end is not None else None,
        diagnostics=end.diagnostics if end is not None else "",
        request_time=container.request_time,
        start_time=container.start_time,
        finish_time=end.finish_time if end is not None else None,
        memory_mib=container.resources.memory_mib,
        vcores=container.resources.vcores,
        ordinal=container.ordinal,
        revision=container.revision,
        ready_time=container.ready_time,
    )
