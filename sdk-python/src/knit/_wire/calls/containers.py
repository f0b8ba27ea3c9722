"""Calls about the containers of an application."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

import attrs

from knit._values.containers import ContainerState
from knit._values.references import ContainerRef
from knit._values.resources import Resources
from knit._wire.calls.call import Call, Pages, new_request_id

if TYPE_CHECKING:
    from knit.v1 import container_pb2, container_service_pb2

_T = TypeVar("_T")


def list_containers(
    application_id: str,
    services: Iterable[str],
    states: Iterable[ContainerState],
    read: Callable[[container_pb2.Container], _T],
) -> Pages[_T]:
    """
    The containers of an application, by service, rank and attempt number.

    Args:
        application_id: Whose they are.
        services: Only of these. Empty: of all.
        states: Only in these. Empty: in any.
        read: Makes a value of each.
    """
    from knit.v1 import container_pb2
    from knit.v1 import container_service_pb2 as pb

    return Pages(
        "containers",
        "ListContainers",
        pb.ListContainersRequest(
            service_names=services,
            states=[container_pb2.ContainerState.ValueType(state) for state in states],
        ),
        what=f"Listing the containers of {application_id}",
        read=lambda page: map(read, page.containers),
    )


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
            request_id=new_request_id(),
            history_id=history_id,
        ),
        what=f"Adding containers to {application_id}",
        read=lambda response: list(map(read, response.containers)),
    )


@attrs.frozen(kw_only=True)
class Chosen:
    """Which containers are meant: those named by any field."""

    ids: tuple[str, ...] = ()
    """By YARN's identifier."""
    places: tuple[tuple[str, int], ...] = ()
    """By service and rank: whatever fills it."""
    refs: tuple[ContainerRef, ...] = ()
    """By service and ordinal: this container and no other."""
    services: tuple[str, ...] = ()
    """All of these services."""

    @property
    def is_empty(self) -> bool:
        """Whether none is."""
        return not (self.ids or self.places or self.refs or self.services)

    def write(
        self,
        request: container_service_pb2.StopContainersRequest
        | container_service_pb2.RestartContainersRequest,
    ) -> None:
        """Says so in a request."""
        request.container_ids.extend(self.ids)
        for service_name, rank in self.places:
            request.places.add(service_name=service_name, rank=rank)
        request.containers.extend(ref._to_proto() for ref in self.refs)
        request.service_names.extend(self.services)


def stop_containers(
    application_id: str,
    chosen: Chosen,
    *,
    history_id: str = "",
    read: Callable[[container_pb2.Container], _T],
) -> Call[list[_T]]:
    """Stops containers; which is safe to repeat also with another Application Master."""
    from knit.v1 import container_service_pb2 as pb

    request = pb.StopContainersRequest(request_id=new_request_id(), history_id=history_id)
    chosen.write(request)
    return Call(
        service="containers",
        method="StopContainers",
        request=request,
        what=f"Stopping containers of {application_id}",
        read=lambda response: list(map(read, response.containers)),
    )


def restart_containers(
    application_id: str,
    chosen: Chosen,
    *,
    history_id: str,
    read: Callable[[container_pb2.Container], _T],
) -> Call[list[_T]]:
    """Stops containers and fills their ranks again: once, however often it is sent."""
    from knit.v1 import container_service_pb2 as pb

    request = pb.RestartContainersRequest(request_id=new_request_id(), history_id=history_id)
    chosen.write(request)
    return Call(
        service="containers",
        method="RestartContainers",
        request=request,
        what=f"Restarting containers of {application_id}",
        read=lambda response: list(map(read, response.containers)),
    )


def report_ready(
    application_id: str, container: ContainerRef | None, *, is_ready: bool
) -> Call[int]:
    """
    Says that a container is ready, or is not any more, and returns the sequence number.

    Args:
        application_id: Whose it is.
        container: Which. None: the caller.
        is_ready: Whether it is.
    """
    from knit.v1 import container_service_pb2 as pb

    return Call(
        service="containers",
        method="ReportReady",
        request=pb.ReportReadyRequest(
            container=None if container is None else container._to_proto(),
            is_not_ready=not is_ready,
        ),
        what=f"Reporting to {application_id} whether a container is ready",
        read=lambda response: int(response.sequence),
    )
