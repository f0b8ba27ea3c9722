"""All that the fake Application Master of `knit.testing` serves."""

from __future__ import annotations

import grpc

from knit.testing._application_service import ApplicationService
from knit.testing._container_service import ContainerService
from knit.testing._event_service import EventService
from knit.testing._kv_service import KeyValueService
from knit.testing._log_service import LogService
from knit.testing._state import FakeState
from knit.v1 import (
    application_service_pb2_grpc,
    container_service_pb2_grpc,
    event_service_pb2_grpc,
    key_value_service_pb2_grpc,
    log_service_pb2_grpc,
)


def add_services(server: grpc.Server, state: FakeState, chunk_bytes: int) -> None:
    """Registers what an Application Master serves."""
    application_service_pb2_grpc.add_ApplicationServiceServicer_to_server(
        ApplicationService(state), server
    )
    container_service_pb2_grpc.add_ContainerServiceServicer_to_server(
        ContainerService(state), server
    )
    event_service_pb2_grpc.add_EventServiceServicer_to_server(EventService(state), server)
    key_value_service_pb2_grpc.add_KeyValueServiceServicer_to_server(KeyValueService(state), server)
    log_service_pb2_grpc.add_LogServiceServicer_to_server(LogService(state, chunk_bytes), server)
