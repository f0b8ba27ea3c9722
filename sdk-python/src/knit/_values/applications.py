"""An application as its Application Master sees it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import attrs

from knit._values.containers import to_datetime
from knit._values.delegation_tokens import DelegationTokenInfo
from knit._values.enums import OpenEnum
from knit._values.references import Position
from knit._values.services import Service
from knit._values.states import FinalStatus
from knit._values.waiting import WaitingReason

if TYPE_CHECKING:
    from knit.v1 import application_pb2, application_service_pb2


class ApplicationState(OpenEnum):
    """Where an application is in its life, as its Application Master sees it."""

    UNKNOWN = 0
    """A state newer than this SDK."""
    RUNNING = 1
    """Containers are wanted or running."""
    ENDING = 2
    """The outcome is decided; what still runs is being stopped."""
    ENDED = 3
    """
    Final: every container is in a final state, and YARN has taken note of the outcome. Until it
    has, the application is ENDING, however long its ResourceManager does not answer.
    """


@attrs.frozen(kw_only=True)
class ApplicationOutcome:
    """How an application ended, or will end."""

    final_status: FinalStatus
    """What YARN is told."""
    diagnostics: str
    """A sentence: what ended it, and which container was the first to fail."""
    exit_code: int
    """
    0 after success; else the exit code of the first container that failed for good, or 1 where
    that one has none.
    """

    @classmethod
    def _from_proto(cls, message: application_pb2.ApplicationOutcome) -> ApplicationOutcome:
        from knit.v1 import application_pb2

        names = {v: n.removeprefix("FINAL_STATUS_") for n, v in application_pb2.FinalStatus.items()}
        return cls(
            final_status=FinalStatus(names.get(message.final_status, "UNKNOWN")),
            diagnostics=message.diagnostics,
            exit_code=message.exit_code,
        )


@attrs.frozen(kw_only=True)
class ApplicationDescription:
    """An application as its Application Master sees it."""

    application_id: str
    """YARN's identifier, `application_…`."""
    attempt_number: int
    """
    Which start of the Application Master this is, counted from 1. With one above 1 the
    application began anew at `start_time`, as it was submitted: containers that had been added
    are gone, and those that had been stopped run again.
    """
    state: ApplicationState
    """Where it is in its life."""
    outcome: ApplicationOutcome | None
    """How it ends. None while it is RUNNING."""
    start_time: datetime | None
    """When this Application Master registered with YARN."""
    name: str
    """The name it was submitted under."""
    services: Mapping[str, Service]
    """
    The services it was submitted with. Files have the URLs they were staged under, and the
    values of environments are empty, for they may be secret.
    """
    history_id: str = ""
    """
    Names what this Application Master remembers: another one for each attempt. Empty if it is
    older than that.
    """
    waiting_reasons: tuple[WaitingReason, ...] = ()
    """Why containers that are wanted have not been granted. Empty where none waits for long."""
    sequence: int = 0
    """The number of the last change before this answer; see `position`."""
    progress: float = 0.0
    """How far it is, 0 to 1: as its program reported it, else the part of its ranks that ended."""
    is_progress_reported: bool = False
    """Whether its program reported that."""
    version: str = ""
    """The version of the Application Master, for people. Empty if it is older than that."""
    features: frozenset[str] = frozenset()
    """What the Application Master can do beyond the first version of the contract, by name."""
    master_container_id: str = ""
    """
    YARN's identifier of the Application Master's own container, `container_…`: names its logs,
    and a driver's. `Application.master_container_id` knows it after the end, too.
    """
    tokens: tuple[DelegationTokenInfo, ...] = ()
    """
    The delegation tokens that it holds. Empty without Kerberos, for viewers, and where the
    Application Master is older than that.
    """

    @property
    def position(self) -> Position:
        """The moment of this answer, from which `Application.events` goes on."""
        return Position(self.sequence, self.history_id)

    @classmethod
    def _from_proto(
        cls, message: application_service_pb2.GetApplicationResponse
    ) -> ApplicationDescription:
        application = message.application
        outcome = application.outcome if application.HasField("outcome") else None
        return cls(
            application_id=application.application_id,
            attempt_number=application.attempt_number,
            state=ApplicationState(application.state),
            outcome=ApplicationOutcome._from_proto(outcome) if outcome is not None else None,
            start_time=to_datetime(application, "start_time"),
            name=message.spec.name,
            services={n: Service._from_proto(s) for n, s in sorted(message.spec.services.items())},
            history_id=message.history_id,
            waiting_reasons=tuple(map(WaitingReason._from_proto, message.waiting_reasons)),
            sequence=message.sequence,
            progress=application.progress,
            is_progress_reported=application.is_progress_reported,
            version=message.version,
            features=frozenset(message.features),
            master_container_id=application.master_container_id,
            tokens=tuple(map(DelegationTokenInfo._from_proto, message.tokens)),
        )


@attrs.frozen(kw_only=True)
class ApplicationStatus:
    """What changes of an application as a whole, as its Application Master sees it."""

    application_id: str
    """YARN's identifier, `application_…`."""
    attempt_number: int
    """Which start of the Application Master this is, counted from 1."""
    state: ApplicationState
    """Where it is in its life."""
    outcome: ApplicationOutcome | None = None
    """How it ends. None while it is RUNNING."""
    start_time: datetime | None = None
    """When this Application Master registered with YARN."""
    progress: float = 0.0
    """How far it is, 0 to 1."""
    is_progress_reported: bool = False
    """Whether its program reported that."""

    @classmethod
    def _from_proto(cls, message: application_pb2.Application) -> ApplicationStatus:
        outcome = message.outcome if message.HasField("outcome") else None
        return cls(
            application_id=message.application_id,
            attempt_number=message.attempt_number,
            state=ApplicationState(message.state),
            outcome=ApplicationOutcome._from_proto(outcome) if outcome is not None else None,
            start_time=to_datetime(message, "start_time"),
            progress=message.progress,
            is_progress_reported=message.is_progress_reported,
        )
