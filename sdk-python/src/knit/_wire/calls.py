"""
The calls of the contract, each as a value.

Nothing here sends or waits. `Connection.call` does that for a program that blocks; whoever does it
in another way needs the same values and no more.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import attrs

from knit._values.applications import ApplicationDescription, ApplicationOutcome
from knit._values.containers import ContainerState
from knit._values.logs import LogFile
from knit._values.resources import Resources
from knit._values.states import FinalStatus

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from knit.v1 import container_pb2, container_service_pb2, log_service_pb2

_T = TypeVar("_T")

ServiceName = Literal["application", "containers", "logs"]
"""The gRPC services of the contract, by their fields in `Stubs`."""


@attrs.frozen(kw_only=True)
class Call(Generic[_T]):
    """One call that is answered once."""

    service: ServiceName
    method: str
    request: Message
    what: str
    """What is tried, as the beginning of a sentence."""
    read: Callable[[Any], _T]
    """Makes of the answer what it means."""
    is_repeatable: bool = True
    """Whether it may be made again after it was cut off."""


def get_application(application_id: str) -> Call[ApplicationDescription]:
    """Asks what the application consists of and how it is doing."""
    from knit.v1 import application_service_pb2 as pb

    return Call(
        service="application",
        method="GetApplication",
        request=pb.GetApplicationRequest(),
        what=f"Asking for {application_id}",
        read=ApplicationDescription._from_proto,
    )


def shutdown(
    application_id: str, final_status: FinalStatus, diagnostics: str
) -> Call[ApplicationOutcome]:
    """Ends the application, or lets the Application Master of one that has ended leave."""
    from knit.v1 import application_pb2
    from knit.v1 import application_service_pb2 as pb

    def read(response: pb.ShutdownResponse) -> ApplicationOutcome:
        return ApplicationOutcome._from_proto(response.outcome)

    value = application_pb2.FinalStatus.Value(f"FINAL_STATUS_{final_status.value}")
    return Call(
        service="application",
        method="Shutdown",
        request=pb.ShutdownRequest(final_status=value, diagnostics=diagnostics),
        what=f"Stopping {application_id}",
        read=read,
    )


class ContainerPages(Generic[_T]):
    """
    The containers of an application, which come in pages.

    Where another Application Master answers than sent the page before, they come from the
    beginning.

    Args:
        application_id: Whose they are.
        services: Only of these. Empty: of all.
        states: Only in these. Empty: in any.
        read: Makes a value of each.
    """

    def __init__(
        self,
        application_id: str,
        services: Iterable[str],
        states: Iterable[ContainerState],
        read: Callable[[container_pb2.Container], _T],
    ) -> None:
        from knit.v1 import container_pb2
        from knit.v1 import container_service_pb2 as pb

        self._what = f"Listing the containers of {application_id}"
        self._request = pb.ListContainersRequest(
            service_names=services,
            states=[container_pb2.ContainerState.ValueType(state) for state in states],
        )
        self._read = read
        self._history_id = ""
        self.items: list[_T] = []
        """Those that have come."""
        self.is_complete = False
        """Whether these are all."""

    def next_call(self) -> Call[container_service_pb2.ListContainersResponse]:
        """Asks for the next page, whose answer is for `accept`."""
        return Call(
            service="containers",
            method="ListContainers",
            request=self._request,
            what=self._what,
            read=lambda page: page,
        )

    def accept(self, page: container_service_pb2.ListContainersResponse) -> None:
        """Takes note of a page."""
        if page.history_id != self._history_id and self.begin_anew():
            return
        self._history_id = page.history_id
        self.items += map(self._read, page.containers)
        self._request.page_token = page.next_page_token
        self.is_complete = not page.next_page_token

    def begin_anew(self) -> bool:
        """Forgets what has come, as when a page is refused. False if nothing had come yet."""
        if not self._request.page_token:
            return False
        self._request.page_token = ""
        self.items.clear()
        return True


def add_containers(
    application_id: str,
    *,
    service: str,
    count: int,
    resources: Resources | None,
    environment: Mapping[str, str] | None,
    history_id: str,
    read: Callable[[container_pb2.Container], _T],
) -> Call[list[_T]]:
    """Adds containers to a service: once, however often it is sent."""
    from knit.v1 import container_service_pb2 as pb

    return Call(
        service="containers",
        method="AddContainers",
        request=pb.AddContainersRequest(
            service_name=service,
            count=count,
            resource=resources._to_proto() if resources is not None else None,
            environment=environment or {},
            request_id=uuid.uuid4().hex,
            history_id=history_id,
        ),
        what=f"Adding containers to {application_id}",
        read=lambda response: [read(container) for container in response.containers],
    )


def stop_containers(
    application_id: str,
    *,
    container_ids: Iterable[str],
    places: Iterable[tuple[str, int]],
    read: Callable[[container_pb2.Container], _T],
) -> Call[list[_T]]:
    """
    Stops containers.

    Args:
        application_id: Whose they are.
        container_ids: Some by their IDs.
        places: Others, which YARN has not granted yet, by service and rank.
        read: Makes a value of each.
    """
    from knit.v1 import container_service_pb2 as pb

    request = pb.StopContainersRequest(container_ids=container_ids)
    for service_name, rank in places:
        request.places.add(service_name=service_name, rank=rank)
    return Call(
        service="containers",
        method="StopContainers",
        request=request,
        what=f"Stopping containers of {application_id}",
        read=lambda response: [read(container) for container in response.containers],
    )


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
