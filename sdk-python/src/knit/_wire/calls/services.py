"""Calls about the services of an application."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Literal, TypeVar

from knit._values.references import ContainerRef
from knit._values.service_status import ServiceStatus
from knit._values.services import ScaleDownOrder
from knit._wire.calls.call import Call, Pages, new_request_id

if TYPE_CHECKING:
    from knit.v1 import application_service_pb2, container_pb2, service_pb2

_T = TypeVar("_T")


def list_services(application_id: str, names: Iterable[str]) -> Pages[ServiceStatus]:
    """The services of an application, by name; of no names, all."""
    from knit.v1 import application_service_pb2 as pb

    return Pages(
        "application",
        "ListServices",
        pb.ListServicesRequest(service_names=names),
        what=f"Listing the services of {application_id}",
        read=_statuses,
    )


def add_services(
    application_id: str, services: Mapping[str, service_pb2.ServiceSpec], *, history_id: str
) -> Call[list[ServiceStatus]]:
    """Adds services; all or none."""
    from knit.v1 import application_service_pb2 as pb

    return Call(
        service="application",
        method="AddServices",
        request=pb.AddServicesRequest(
            services=services, request_id=new_request_id(), history_id=history_id
        ),
        what=f"Adding services to {application_id}",
        read=_statuses,
    )


def remove_services(
    application_id: str, names: Iterable[str], *, history_id: str
) -> Call[list[ServiceStatus]]:
    """Removes services."""
    from knit.v1 import application_service_pb2 as pb

    return Call(
        service="application",
        method="RemoveServices",
        request=pb.RemoveServicesRequest(
            service_names=names, request_id=new_request_id(), history_id=history_id
        ),
        what=f"Removing services of {application_id}",
        read=_statuses,
    )


def update_service(
    application_id: str,
    name: str,
    spec: service_pb2.ServiceSpec,
    *,
    from_revision: int,
    keeps_environment: bool,
    replaces_update: bool,
    history_id: str,
) -> Call[ServiceStatus]:
    """Passes a service to another specification."""
    from knit.v1 import application_service_pb2 as pb

    return Call(
        service="application",
        method="UpdateService",
        request=pb.UpdateServiceRequest(
            service_name=name,
            spec=spec,
            from_revision=from_revision,
            keeps_environment=keeps_environment,
            replaces_update=replaces_update,
            request_id=new_request_id(),
            history_id=history_id,
        ),
        what=f"Updating the service {name!r} of {application_id}",
        read=_status,
    )


UpdateAction = Literal["pause", "go_on", "roll_back"]
_DOING: dict[UpdateAction, str] = {
    "pause": "Pausing",
    "go_on": "Going on with",
    "roll_back": "Rolling back",
}


def steer_update(
    application_id: str, name: str, action: UpdateAction, *, history_id: str
) -> Call[ServiceStatus]:
    """Pauses the update of a service, goes on with it, or rolls it back."""
    from knit.v1 import application_service_pb2 as pb

    request = pb.UpdateServiceRequest(
        service_name=name, request_id=new_request_id(), history_id=history_id
    )
    setattr(request, action, True)
    return Call(
        service="application",
        method="UpdateService",
        request=request,
        what=f"{_DOING[action]} the update of the service {name!r} of {application_id}",
        read=_status,
    )


def scale_service(
    application_id: str,
    name: str,
    *,
    count: int | None,
    delta: int | None,
    order: ScaleDownOrder | None,
    victims: Iterable[ContainerRef],
    history_id: str,
    read: Callable[[container_pb2.Container], _T],
) -> Call[tuple[ServiceStatus, list[_T], list[_T]]]:
    """Changes how many containers a service has: it as it is now, those added, those stopped."""
    from knit.v1 import application_service_pb2 as pb
    from knit.v1 import service_pb2

    def read_all(
        response: application_service_pb2.ScaleServiceResponse,
    ) -> tuple[ServiceStatus, list[_T], list[_T]]:
        status = ServiceStatus._from_proto(response.service)
        return status, list(map(read, response.added)), list(map(read, response.stopped))

    request = pb.ScaleServiceRequest(
        service_name=name,
        order=service_pb2.ScaleDownOrder.ValueType(order or 0),
        victims=[victim._to_proto() for victim in victims],
        request_id=new_request_id(),
        history_id=history_id,
    )
    if count is not None:
        request.count = count
    if delta is not None:
        request.delta = delta
    return Call(
        service="application",
        method="ScaleService",
        request=request,
        what=f"Scaling the service {name!r} of {application_id}",
        read=read_all,
    )


def _statuses(
    response: application_service_pb2.ListServicesResponse
    | application_service_pb2.AddServicesResponse
    | application_service_pb2.RemoveServicesResponse,
) -> list[ServiceStatus]:
    return list(map(ServiceStatus._from_proto, response.services))


def _status(response: application_service_pb2.UpdateServiceResponse) -> ServiceStatus:
    return ServiceStatus._from_proto(response.service)
