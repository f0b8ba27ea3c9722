"""The logs of a fake's application once its Application Master has left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from knit._cluster.aggregated_logs import AggregatedLogs, ContainerLogs
from knit._cluster.aggregated_logs._node_file import Piece
from knit._cluster.aggregated_logs._reading import ByteReader

if TYPE_CHECKING:
    from knit._testing_state import FakeState


class FakeArchive:
    """All that was written, as if YARN had collected it at once."""

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
                service=container.service_name,
                rank=container.rank,
                attempt_number=container.attempt_number,
                is_application_master=False,
                parts=(self,),
            )
            for container in self._state.all_containers()
            if container.container_id
        }
        return AggregatedLogs(
            application_id=self.application_id,
            containers=dict(sorted(containers.items())),
            incomplete_reason=None if ended else "The application is still running.",
            is_settled=ended,
            has_ended=ended,
        )

    def pieces(self, container_id: str) -> Iterator[Piece]:
        """The log files of a container."""
        for name in self._state.log_sizes(container_id):
            data = self._state.log(container_id, name)
            yield Piece(container_id, name, len(data), ByteReader.over(data))
