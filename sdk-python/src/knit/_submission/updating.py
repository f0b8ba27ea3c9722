"""Brings the files of services to the cluster, for an application that runs already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from knit._staging.staging import Staging
from knit._submission.local_checks import check_service
from knit._submission.shipments import Packer
from knit._submission.support import needing_an_agent
from knit._values.services import Service

if TYPE_CHECKING:
    from knit.v1 import service_pb2


def stage_services(
    staging: Staging, application_id: str, services: Mapping[str, Service]
) -> dict[str, service_pb2.ServiceSpec]:
    """
    Brings the files of services to the cluster, and writes down that the application uses them.

    Until that is written nothing else keeps them: the sweep after another submission, or the end
    of an application that uses them too, would take them.

    Returns:
        What the Application Master is to be told of each service.

    Raises:
        SpecError: A file is missing or cannot be read.
        NeedsAgentError: A service asks for a probe.
        ApplicationNotFoundError: The application has ended, or is somebody else's.
        ClusterError: The cluster did not take them.
    """
    for error in needing_an_agent(services):
        raise error
    for name, service in services.items():
        check_service(name, service)
    with Packer() as packer:
        shipments = packer.shipments(services, None)
        resources = staging.stage([shipment.file for shipment in shipments])
    if resources:
        staging.records.add_files(application_id, resources)
    by_service: dict[str, dict[str, service_pb2.LocalResource]] = {name: {} for name in services}
    for shipment, resource in zip(shipments, resources, strict=True):
        if shipment.service is not None:
            by_service[shipment.service][shipment.name] = shipment.to_proto(resource)
    return {name: service._to_proto(by_service[name]) for name, service in services.items()}
