"""Where a container is in its life, and how it ended."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

import attrs

from knit._values.enums import OpenEnum

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from knit.v1 import container_pb2


class ContainerState(OpenEnum):
    """Where a container is in its life. States in `-ING` pass by themselves."""

    UNKNOWN = 0
    """A state newer than this SDK; after the end also that of a container nobody saw end."""
    REQUESTED = 1
    """Asked for; YARN has not granted it yet."""
    LAUNCHING = 2
    """Granted; its NodeManager has been told to start it, and has not confirmed."""
    RUNNING = 3
    """Its NodeManager accepted the launch. Its files may still be on their way."""
    STOPPING = 4
    """Being stopped on request; YARN has not reported its end."""
    SUCCEEDED = 5
    """Final: the process ended with exit code 0."""
    FAILED = 6
    """Final: it ended in any other way that nobody asked for."""
    STOPPED = 7
    """Final: it ended because a client or the end of the application asked for it."""
    PENDING = 8
    """Wanted, and not asked for yet: its service waits for others, or its rank after a failure."""
    HELD = 9
    """Granted; it waits for the others of its service to start together."""

    @property
    def is_final(self) -> bool:
        """Whether nothing comes after it."""
        return self in (ContainerState.SUCCEEDED, ContainerState.FAILED, ContainerState.STOPPED)


class ExitReason(OpenEnum):
    """Why a container ended."""

    UNKNOWN = 0
    """A reason newer than this SDK."""
    EXITED = 1
    """The process ended by itself, with any exit code, or by a signal not sent by YARN."""
    STOPPED = 2
    """A client asked for this container to stop."""
    APPLICATION_ENDED = 3
    """The application ended, and with it what still ran."""
    PREEMPTED = 4
    """The scheduler took it back for another application."""
    OUT_OF_MEMORY = 5
    """It used more memory than granted, physical or virtual, and YARN ended it."""
    NODE_LOST = 6
    """Its node was lost, removed, or declared unhealthy."""
    DISK_FAILED = 7
    """The node's disks failed or filled up."""
    LOCALIZATION_FAILED = 8
    """One of its files could not be brought to the node."""
    LAUNCH_FAILED = 9
    """Its NodeManager refused the launch or could not be reached for it."""
    KILLED_BY_YARN = 10
    """YARN ended it for a reason that has no name here; see the diagnostics."""
    UNHEALTHY = 11
    """It was not ready in time, or its liveness check failed."""
    SCALED_DOWN = 12
    """Its service has fewer containers now."""
    REPLACED = 13
    """One of another revision takes its place."""
    RESTARTED = 14
    """A client asked for this rank to be started anew."""
    MASTER_LOST = 15
    """The Application Master was started anew and YARN did not name it."""


@attrs.frozen(kw_only=True)
class ContainerExit:
    """How a container ended."""

    reason: ExitReason
    """Why it ended. The process itself is only one of the possible causes."""
    exit_code: int | None = None
    """
    The process's exit code, 0 to 255; 128 + N after signal N. None if it never ran, if it was
    ended by YARN, or if YARN did not see it end.
    """
    signal: int | None = None
    """The signal that ended the process, by number. None if none did."""
    finish_time: datetime | None = None
    """When the Application Master heard of the end."""
    diagnostics: str = ""
    """YARN's own words, for people. Their format changes; do not parse them."""

    @classmethod
    def _from_proto(cls, message: container_pb2.ContainerExit) -> ContainerExit:
        return cls(
            reason=ExitReason(message.reason),
            exit_code=message.exit_code if message.HasField("exit_code") else None,
            signal=message.signal if message.HasField("signal") else None,
            finish_time=to_datetime(message, "finish_time"),
            diagnostics=message.diagnostics,
        )


def to_datetime(message: object, field: str) -> datetime | None:
    """Returns a time of a message, aware and in UTC. None where it is absent, or is none."""
    if not message.HasField(field):  # type: ignore[attr-defined]
        return None
    timestamp: Timestamp = getattr(message, field)
    try:
        return timestamp.ToDatetime(timezone.utc)
    except (ValueError, OverflowError):
        return None  # outside the years 1 to 9999
