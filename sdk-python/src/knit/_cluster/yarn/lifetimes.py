"""How long an application may live, as YARN's ResourceManager sees to it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from knit._values import giving_up
from knit._values.deadlines import pauses
from knit.exceptions import ChangeRefusedError, ClusterError

if TYPE_CHECKING:
    from knit._cluster.yarn.resource_manager import ResourceManager

ACCEPT_PATIENCE = timedelta(seconds=10)
"""How long the scheduler may take to accept it, before which YARN sets no limit."""


def limit_lifetime(
    manager: ResourceManager,
    application_id: str,
    lifetime: timedelta,
    *,
    timeout: timedelta | None = None,
) -> None:
    """
    Has YARN end an application so long after its submission, by the ResourceManager's own clock.

    A submission by REST has no field for it, so it is a second request. One that has ended
    needs none.

    Raises:
        ChangeRefusedError: YARN refuses, with its reason.
    """
    what = f"Limiting the lifetime of {application_id} to {lifetime.total_seconds():g} s"
    deadline = manager.deadline(timeout).at_most(ACCEPT_PATIENCE)
    for pause in pauses(0.05, 0.5):
        report = manager.application(application_id, timeout=timeout)
        if report.state.is_final:
            return
        began = report.start_time or datetime.now(timezone.utc)
        try:
            _set_expiry(manager, application_id, began + lifetime, what, timeout)
        except ClusterError as error:
            if error.status is None and error.exception is None:
                raise
            now = manager.application(application_id, timeout=timeout).state
            if now.is_final:
                return
            # Until the scheduler has accepted it, YARN does not take a limit.
            if deadline.remaining_seconds > pause:
                giving_up.pause(pause)
                continue
            raise ChangeRefusedError(
                f"{what}: YARN refuses ({error.message.rstrip('.')}). Clusters take a lifetime "
                "from Hadoop 2.9 on; leave it out, and end the application yourself.",
                url=error.url,
                status=error.status,
            ) from error
        return


def _set_expiry(
    manager: ResourceManager,
    application_id: str,
    expiry: datetime,
    what: str,
    timeout: timedelta | None,
) -> None:
    deadline = manager.deadline(timeout)
    manager.ask(lambda door: door.set_expiry(application_id, expiry, what, deadline))
