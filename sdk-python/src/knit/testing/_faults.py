"""What can go wrong with an Application Master, on demand."""

from __future__ import annotations

from datetime import timedelta

import attrs


@attrs.define
class Fault:
    """
    Something that goes wrong with the calls to come.

    It is used up by `count` calls; after that all is well again, or the next fault's turn.
    """

    status: str | None = None
    """The gRPC status the call fails with, such as `UNAVAILABLE`. None: it does not fail."""
    reason: str | None = None
    """The reason that comes with the status, such as `LOGS_NEED_KERBEROS`. None: none does."""
    after_bytes: int = 0
    """Of a log stream, so many bytes are sent before it fails."""
    after_events: int = 0
    """Of a watch, so many events are sent before it fails."""
    delay: timedelta = timedelta()
    """The call begins so much later."""
    count: int = 1
    """How many calls it befalls."""
    done_first: bool = False
    """Whether the call takes effect before it fails, as if only its answer was lost."""
    call: str | None = None
    """
    The name of the calls it befalls, such as `AddContainers`; others, and the faults after it,
    wait for them. None: any.
    """
    restarts: bool = False
    """Before the call fails, the application begins anew, as with `begin_anew`."""
