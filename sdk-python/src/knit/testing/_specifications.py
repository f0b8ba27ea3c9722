"""Specifications as the fake Application Master of `knit.testing` is given them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knit._values.files import ENVIRONMENT_NAME
from knit.v1 import application_pb2, service_pb2

if TYPE_CHECKING:
    from knit._values.driver import Driver
    from knit._values.services import Service
    from knit._values.spec import ApplicationSpec


def application_as_if_staged(spec: ApplicationSpec) -> application_pb2.ApplicationSpec:
    """An application, its files on HDFS."""
    driver = spec.driver
    return spec._to_proto(
        {name: _staged(service) for name, service in spec.services.items()},
        driver_resources=None if driver is None else _staged(driver),
    )


def as_if_staged(service: Service) -> service_pb2.ServiceSpec:
    """A service, its files on HDFS."""
    return service._to_proto(_staged(service))


def _staged(of: Service | Driver) -> dict[str, service_pb2.LocalResource]:
    kinds = service_pb2.LocalResourceType
    found = {
        file.name: service_pb2.LocalResource(
            url=(
                f"hdfs://fake/{file.name}{'.tar.gz' if file.archive else ''}"
                if file.local_path is not None
                else file.source
            ),
            type=kinds.Value(f"LOCAL_RESOURCE_TYPE_{'ARCHIVE' if file.archive else 'FILE'}"),
            visibility=service_pb2.LocalResourceVisibility.ValueType(file.visibility),
        )
        for file in of.files.values()
    }
    if of.python_environment is not None:
        found[ENVIRONMENT_NAME] = service_pb2.LocalResource(
            url=f"hdfs://fake/{ENVIRONMENT_NAME}.tar.gz", type=kinds.LOCAL_RESOURCE_TYPE_ARCHIVE
        )
    return found
