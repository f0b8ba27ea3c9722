"""Calls about an application as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from knit._values.applications import ApplicationDescription, ApplicationOutcome
from knit._values.spec import ApplicationSpec
from knit._values.states import FinalStatus
from knit._wire.calls.call import Call, new_request_id


def get_application(
    application_id: str, *, with_values: bool = False
) -> Call[ApplicationDescription]:
    """Asks what the application consists of and how it is doing."""
    from knit.v1 import application_service_pb2 as pb

    return Call(
        service="application",
        method="GetApplication",
        request=pb.GetApplicationRequest(with_values=with_values),
        what=f"Asking for {application_id}",
        read=ApplicationDescription._from_proto,
    )


def get_spec(application_id: str, *, with_values: bool) -> Call[ApplicationSpec]:
    """Asks what the application was submitted as."""
    from knit.v1 import application_service_pb2 as pb

    return Call(
        service="application",
        method="GetApplication",
        request=pb.GetApplicationRequest(with_values=with_values),
        what=f"Asking for the specification of {application_id}",
        read=lambda response: ApplicationSpec._from_proto(response.spec),
    )


def get_annotations(application_id: str) -> Call[dict[str, bytes]]:
    """Asks for the annotations, which owners and containers are given."""
    from knit.v1 import application_service_pb2 as pb

    return Call(
        service="application",
        method="GetApplication",
        request=pb.GetApplicationRequest(with_values=True),
        what=f"Reading the annotations of {application_id}",
        read=lambda response: dict(sorted(response.spec.annotations.items())),
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


def update_application(
    application_id: str,
    *,
    set_annotations: Mapping[str, bytes],
    remove_annotations: Iterable[str],
    history_id: str,
) -> Call[int]:
    """Changes annotations. Returns the sequence number."""
    from knit.v1 import application_service_pb2 as pb

    return Call(
        service="application",
        method="UpdateApplication",
        request=pb.UpdateApplicationRequest(
            set_annotations=set_annotations,
            remove_annotations=remove_annotations,
            request_id=new_request_id(),
            history_id=history_id,
        ),
        what=f"Annotating {application_id}",
        read=_sequence,
    )


def report_progress(application_id: str, progress: float | None) -> Call[None]:
    """Says how far the application is. None: it is computed again."""
    from knit.v1 import application_service_pb2 as pb

    return Call(
        service="application",
        method="ReportProgress",
        request=pb.ReportProgressRequest(progress=progress),
        what=f"Reporting the progress of {application_id}",
        read=lambda _: None,
    )


def _sequence(response: Any) -> int:
    return int(response.sequence)
