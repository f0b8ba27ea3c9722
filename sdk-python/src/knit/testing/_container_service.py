"""Containers, as the fake Application Master of `knit.testing` lists and changes them."""

from __future__ import annotations

import attrs
import grpc

from knit.testing import _control
from knit.testing._calls import answer, change, check_running, check_services
from knit.testing._pages import page_of
from knit.testing._refusals import Refusal, invalid, no_such_container
from knit.testing._roles import caller_of, refuse_others
from knit.testing._service import FINAL
from knit.testing._state import FakeState
from knit.v1 import container_pb2, container_service_pb2_grpc
from knit.v1 import container_service_pb2 as pb

PAGE_CONTAINERS = 1000
"""So many containers are listed at once, at most."""
_LARGEST_COUNT = 10_000


@attrs.frozen
class ContainerService(container_service_pb2_grpc.ContainerServiceServicer):
    _state: FakeState

    def ListContainers(  # noqa: N802
        self, request: pb.ListContainersRequest, context: grpc.ServicerContext
    ) -> pb.ListContainersResponse:
        state = self._state

        def do() -> pb.ListContainersResponse:
            check_services(state, request.service_names)
            found = [
                container
                for container in state.containers()
                if not request.service_names or container.service_name in request.service_names
                if not request.states or container.state in request.states
            ]
            page, following = page_of(
                state,
                "ListContainers",
                found,
                request.page_token,
                request.page_size,
                PAGE_CONTAINERS,
            )
            return pb.ListContainersResponse(
                containers=page,
                next_page_token=following,
                history_id=state.history_id,
                sequence=state.feed.sequence,
            )

        return answer(state, context, "ListContainers", do)

    def AddContainers(  # noqa: N802
        self, request: pb.AddContainersRequest, context: grpc.ServicerContext
    ) -> pb.AddContainersResponse:
        state = self._state

        def do() -> pb.AddContainersResponse:
            check_services(state, [request.service_name])
            if not 1 <= request.count <= _LARGEST_COUNT:
                raise invalid("count is not 1 to 10,000.")
            check_running(state)
            sized = None
            if request.HasField("resource"):
                sized = container_pb2.Container(resource=request.resource)
            added = state.add(request.service_name, request.count, sized)
            return pb.AddContainersResponse(containers=added)

        return change(state, context, "AddContainers", request, do)

    def StopContainers(  # noqa: N802
        self, request: pb.StopContainersRequest, context: grpc.ServicerContext
    ) -> pb.StopContainersResponse:
        state = self._state

        def do() -> pb.StopContainersResponse:
            named = self._named(request)
            refuse_others(caller_of(state, context), named, "stop")
            return pb.StopContainersResponse(containers=state.stop(named))

        return change(state, context, "StopContainers", request, do)

    def RestartContainers(  # noqa: N802
        self, request: pb.RestartContainersRequest, context: grpc.ServicerContext
    ) -> pb.RestartContainersResponse:
        state = self._state

        def do() -> pb.RestartContainersResponse:
            return pb.RestartContainersResponse(
                containers=_control.restart(state, self._named(request))
            )

        return change(state, context, "RestartContainers", request, do)

    def ReportReady(  # noqa: N802
        self, request: pb.ReportReadyRequest, context: grpc.ServicerContext
    ) -> pb.ReportReadyResponse:
        state = self._state

        def do() -> pb.ReportReadyResponse:
            caller, ref = caller_of(state, context), request.container
            if not request.HasField("container"):
                if caller.container is None:
                    raise invalid("container is not set, and the caller is none.")
                ref = caller.container._to_proto()
            container = _control.find_ref(state, ref)
            refuse_others(caller, [container], "report the readiness of")
            if container.state in FINAL:
                raise Refusal("FAILED_PRECONDITION", "CONTAINER_ENDED", "The container has ended.")
            if not state.services[container.service_name].reports_ready:
                raise Refusal(
                    "FAILED_PRECONDITION",
                    "READINESS_NOT_REPORTED",
                    "The service does not let its programs say when they are ready.",
                )
            state.set_ready(container, is_ready=not request.is_not_ready)
            return pb.ReportReadyResponse()

        found = answer(state, context, "ReportReady", do)
        found.sequence = state.feed.sequence
        return found

    def _named(
        self, request: pb.StopContainersRequest | pb.RestartContainersRequest
    ) -> list[container_pb2.Container]:
        state = self._state
        named = len(request.container_ids) + len(request.places) + len(request.containers)
        if not named and not request.service_names:
            raise invalid("No container was named.")
        if named > _LARGEST_COUNT:
            raise invalid("More than 10,000 were named.")
        check_services(state, request.service_names)
        found = [state.find(container_id) for container_id in request.container_ids]
        found += [state.find_place(place.service_name, place.rank) for place in request.places]
        known = [container for container in found if container is not None]
        if len(known) != len(found):
            raise no_such_container("one of these containers")
        known += [_control.find_ref(state, ref) for ref in request.containers]
        for name in request.service_names:
            known += state.of_service(name)
        return known
