"""Kills several applications, and tells of each what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

from knit._values.deadlines import Deadline
from knit._values.identifiers import APPLICATION_ID
from knit._values.kills import KillResult
from knit.exceptions import ApplicationNotFoundError, ClusterTimeoutError, KnitError

if TYPE_CHECKING:
    from knit._handles.yarn import Yarn

MOST_AT_A_TIME = 8
"""Each holds a connection to the RM, which kills no faster for more of them."""


def kill_each(yarn: Yarn, application_ids: Iterable[str], timeout: timedelta) -> list[KillResult]:
    """
    Kills all of them, several at a time, whatever becomes of others, in one time for all.

    Returns:
        A result for each, in the order given; one that is named twice is there once.
    """
    deadline = Deadline.after(timeout)
    wanted = list(dict.fromkeys(application_ids))

    def kill(application_id: str) -> KillResult:
        try:
            check_id(application_id)
            if deadline.is_over:
                raise ClusterTimeoutError(
                    f"{application_id} was not killed: the "
                    f"{deadline.total.total_seconds():.3g} s for all of them were over before its "
                    "turn. Call again, or allow more time (timeout=)."
                )
            return KillResult(
                application_id=application_id,
                report=yarn.kill(application_id, deadline.remaining),
            )
        except KnitError as error:
            return KillResult(application_id=application_id, error=error)

    pool = ThreadPoolExecutor(MOST_AT_A_TIME, thread_name_prefix="knit-kill")
    try:
        return list(pool.map(kill, wanted))
    finally:
        # After Ctrl-C nobody waits for those that are under way, and no more are begun.
        pool.shutdown(wait=False, cancel_futures=True)


def check_id(application_id: str) -> None:
    """
    Raises unless this may be an application.

    Raises:
        ApplicationNotFoundError: This is not the ID of an application.
    """
    if not APPLICATION_ID.fullmatch(application_id):
        raise ApplicationNotFoundError(
            f"{application_id!r} is not the ID of an application: one reads like "
            "application_1700000000000_0001. Known ones: knit list"
        )
