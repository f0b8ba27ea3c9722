"""The application and its services, as the fake Application Master of `knit.testing` has them."""

from __future__ import annotations

import attrs
import grpc

from knit._values.access import Role
from knit.testing import _control
from knit.testing._calls import answer, change, check_services
from knit.testing._pages import page_of
from knit.testing._refusals import Refusal, invalid
from knit.testing._roles import Caller, caller_of
from knit.testing._state import FakeState
from knit.v1 import application_pb2, application_service_pb2_grpc
from knit.v1 import application_service_pb2 as pb

PAGE_SERVICES = 100
"""So many services are listed at once, at most."""
_LARGEST_ANNOTATIONS_BYTES = 64 * 1024
_MOST_TOKENS = 128
"""So many are told of, as the contract has it."""
VERSION = "fake"


@attrs.frozen
class ApplicationService(application_service_pb2_grpc.ApplicationServiceServicer):
    _state: FakeState

    def GetApplication(  # noqa: N802
        self, request: pb.GetApplicationRequest, context: grpc.ServicerContext
    ) -> pb.GetApplicationResponse:
        state = self._state

        def do() -> pb.GetApplicationResponse:
            caller = caller_of(state, context)
            spec = state.spec
            if request.with_values:
                spec = _spec_with_values(state, caller)
            return pb.GetApplicationResponse(
                application=state.application(),
                spec=spec,
                history_id=state.history_id,
                sequence=state.feed.sequence,
                version=VERSION,
                caller_role=application_pb2.Role.ValueType(caller.role),
                waiting_reasons=state.reasons(),
                tokens=() if caller.role is Role.VIEWER else state.tokens[:_MOST_TOKENS],
            )

        return answer(state, context, "GetApplication", do)

    def Shutdown(  # noqa: N802
        self, request: pb.ShutdownRequest, context: grpc.ServicerContext
    ) -> pb.ShutdownResponse:
        state = self._state

        def do() -> pb.ShutdownResponse:
            if state.outcome() is not None:
                state.was_released = True
            status = request.final_status or application_pb2.FINAL_STATUS_KILLED
            if status not in application_pb2.FinalStatus.values():
                raise invalid("final_status is not known.")
            succeeded = status == application_pb2.FINAL_STATUS_SUCCEEDED
            name = application_pb2.FinalStatus.Name(status)
            state.end(name, request.diagnostics, 0 if succeeded else 1)
            return pb.ShutdownResponse(state=state.application().state, outcome=state.outcome())

        return answer(state, context, "Shutdown", do)

    def UpdateApplication(  # noqa: N802
        self, request: pb.UpdateApplicationRequest, context: grpc.ServicerContext
    ) -> pb.UpdateApplicationResponse:
        state = self._state

        def do() -> pb.UpdateApplicationResponse:
            if any(not n or n in request.remove_annotations for n in request.set_annotations):
                raise invalid("An annotation has an empty name, or is both set and removed.")
            wanted = {**state.annotations, **request.set_annotations}
            for name in request.remove_annotations:
                wanted.pop(name, None)
            size = sum(len(name.encode()) + len(value) for name, value in wanted.items())
            if size > _LARGEST_ANNOTATIONS_BYTES:
                raise Refusal(
                    "RESOURCE_EXHAUSTED",
                    "ANNOTATIONS_TOO_LARGE",
                    "The annotations would have more than 64 KiB.",
                    {"bytes": size, "max_bytes": _LARGEST_ANNOTATIONS_BYTES},
                )
            state.annotations = wanted
            return pb.UpdateApplicationResponse()

        return change(state, context, "UpdateApplication", request, do)

    def ReportProgress(  # noqa: N802
        self, request: pb.ReportProgressRequest, context: grpc.ServicerContext
    ) -> pb.ReportProgressResponse:
        state = self._state

        def do() -> pb.ReportProgressResponse:
            if not 0 <= request.progress <= 1:  # NaN neither
                raise invalid("progress is not 0 to 1.")
            state.progress = request.progress if request.HasField("progress") else None
            state.note(application=state.application())
            return pb.ReportProgressResponse()

        return answer(state, context, "ReportProgress", do)

    def ListServices(  # noqa: N802
        self, request: pb.ListServicesRequest, context: grpc.ServicerContext
    ) -> pb.ListServicesResponse:
        state = self._state

        def do() -> pb.ListServicesResponse:
            check_services(state, request.service_names)
            wanted = request.service_names
            found = [each for each in state.statuses() if not wanted or each.name in wanted]
            page, following = page_of(
                state, "ListServices", found, request.page_token, request.page_size, PAGE_SERVICES
            )
            return pb.ListServicesResponse(
                services=page,
                next_page_token=following,
                sequence=state.feed.sequence,
                history_id=state.history_id,
            )

        return answer(state, context, "ListServices", do)

    def AddServices(  # noqa: N802
        self, request: pb.AddServicesRequest, context: grpc.ServicerContext
    ) -> pb.AddServicesResponse:
        return change(
            self._state,
            context,
            "AddServices",
            request,
            lambda: _control.add_services(self._state, request, caller_of(self._state, context)),
        )

    def RemoveServices(  # noqa: N802
        self, request: pb.RemoveServicesRequest, context: grpc.ServicerContext
    ) -> pb.RemoveServicesResponse:
        return change(
            self._state,
            context,
            "RemoveServices",
            request,
            lambda: _control.remove_services(self._state, request),
        )

    def UpdateService(  # noqa: N802
        self, request: pb.UpdateServiceRequest, context: grpc.ServicerContext
    ) -> pb.UpdateServiceResponse:
        return change(
            self._state,
            context,
            "UpdateService",
            request,
            lambda: _control.update_service(self._state, request, caller_of(self._state, context)),
        )

    def ScaleService(  # noqa: N802
        self, request: pb.ScaleServiceRequest, context: grpc.ServicerContext
    ) -> pb.ScaleServiceResponse:
        return change(
            self._state,
            context,
            "ScaleService",
            request,
            lambda: _control.scale_service(self._state, request),
        )


def _spec_with_values(state: FakeState, caller: Caller) -> application_pb2.ApplicationSpec:
    """The specification with all that this caller may see of it."""
    spec = application_pb2.ApplicationSpec()
    spec.CopyFrom(state.full_spec)
    spec.annotations.clear()
    for name, value in state.annotations.items():
        spec.annotations[name] = value
    if caller.role is Role.OWNER:
        return spec
    if caller.container is None:
        raise Refusal(
            "PERMISSION_DENIED",
            "PERMISSION_DENIED",
            "Values of variables and annotations are for owners only, and for containers of their "
            "own service. Ask without with_values.",
            {"role": caller.role.name.lower(), "needed": "owner"},
        )
    for name, service in spec.services.items():
        if name != caller.container.service:
            for variable in service.environment:
                service.environment[variable] = ""
    return spec
