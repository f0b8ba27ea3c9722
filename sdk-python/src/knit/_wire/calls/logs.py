"""Calls about log files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from knit._values.logs import LogFile
from knit._wire.calls.call import Call

if TYPE_CHECKING:
    from knit.v1 import log_service_pb2


def list_log_files(container_id: str) -> Call[list[LogFile]]:
    """Asks which log files a container has, and how long they are."""
    from knit.v1 import log_service_pb2 as pb

    def read(response: pb.ListLogFilesResponse) -> list[LogFile]:
        return [LogFile(file.name, file.size_bytes) for file in response.files]

    return Call(
        service="logs",
        method="ListLogFiles",
        request=pb.ListLogFilesRequest(container_id=container_id),
        what=f"Listing the log files of {container_id}",
        read=read,
        is_repeatable=False,  # UNAVAILABLE is here the node's answer too
    )


def stream_logs(
    *,
    container_ids: Sequence[str],
    services: Sequence[str],
    files: Sequence[str],
    follow: bool,
    tail_lines: int | None,
) -> log_service_pb2.StreamLogsRequest:
    """What is wanted of log files, from which a `LogCursor` makes request after request."""
    from knit.v1 import log_service_pb2 as pb

    return pb.StreamLogsRequest(
        container_ids=container_ids,
        service_names=services,
        file_names=files,
        follow=follow,
        tail_lines=tail_lines,
    )
