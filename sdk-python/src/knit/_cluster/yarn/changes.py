"""Changes of applications that run: to another queue, to another priority."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import attrs

from knit._cluster.rest.answer_errors import json_of
from knit._cluster.rest.daemons import RESOURCE_MANAGER
from knit._cluster.yarn.application_filter import is_in_queue
from knit._cluster.yarn.json import number_in
from knit._cluster.yarn.queue_names import open_queue_called
from knit._cluster.yarn.resource_manager import ResourceManager, unknown_told
from knit._values.checking import LARGEST
from knit._values.deadlines import Deadline
from knit._values.queues import QueueReport, SchedulerType
from knit._values.reports import ApplicationReport
from knit.exceptions import (
    ApplicationNotRunningError,
    ChangeRefusedError,
    ClusterError,
    SpecError,
    WrongPortError,
)

_WITHOUT_A_WORD = "UndeclaredThrowableException"
"""What YARN's REST answers, with a 500 or 503, where the scheduler refuses: without a reason."""


def move(
    manager: ResourceManager, application_id: str, queue: str, *, timeout: timedelta | None = None
) -> ApplicationReport:
    """
    Moves an application with all it holds to another queue.

    YARN refuses an unknown queue, one that holds others and one that is closed with the same 503,
    before Hadoop 3.4 a 500, and not a word, so the queue is looked at first.

    Raises:
        ApplicationNotFoundError: The RM does not know the application.
        ApplicationNotRunningError: It has ended.
        QueueNotFoundError: There is no such queue for applications.
        QueueStoppedError: It takes none.
        ChangeRefusedError: The scheduler refuses all the same.
        AccessDeniedError: The application or the queue is not ours.
    """
    what = f"Moving {application_id} to {queue}"
    deadline = manager.deadline(timeout)
    report = _living(manager, application_id, what, deadline)
    queues = manager.queues(timeout=deadline.remaining)
    url = manager.daemon.active_url
    target = open_queue_called(queues, queue, what=what, url=url)
    if is_in_queue(report.queue, target.path):
        return report
    with _refusals(what):
        try:
            _put(manager, application_id, "queue", _name_to_send(target, queues), what, deadline)
        except ClusterError as error:
            if error.exception != _WITHOUT_A_WORD:
                raise
            raise ChangeRefusedError(
                f"{what}: the scheduler refuses, and YARN's REST does not say why "
                f"({error.status}). {_why_not_into(target)} The ResourceManager's log has its "
                "reason.",
                url=error.url,
                status=error.status,
            ) from error
    return manager.application(application_id, timeout=deadline.remaining)


def set_priority(
    manager: ResourceManager,
    application_id: str,
    priority: int,
    *,
    timeout: timedelta | None = None,
) -> ApplicationReport:
    """
    Changes an application's priority within its queue.

    Returns:
        Its report, with the priority that YARN made of it: at most that of
        `yarn.cluster.max-application-priority`, which is 0 unless the cluster says otherwise.

    Raises:
        SpecError: This is no priority.
        ApplicationNotFoundError: The RM does not know the application.
        ApplicationNotRunningError: It has ended.
        ChangeRefusedError: The cluster's scheduler has no priorities, or not for this user.
        AccessDeniedError: The application is not ours.
    """
    if not isinstance(priority, int) or isinstance(priority, bool) or not 0 <= priority <= LARGEST:
        raise SpecError(
            f"The priority is {priority!r}: give a whole number, 0 or more; higher goes first."
        )
    what = f"Setting the priority of {application_id}"
    deadline = manager.deadline(timeout)
    _living(manager, application_id, what, deadline)
    with _refusals(what):
        try:
            answer = _put(manager, application_id, "priority", priority, what, deadline)
        except ClusterError as error:
            if error.exception != _WITHOUT_A_WORD:
                raise
            queues = manager.queues(timeout=deadline.remaining)
            if queues and queues[0].scheduler is SchedulerType.FAIR:
                why = "This cluster has the Fair scheduler, which knows no priorities."
            else:
                why = (
                    "It may be higher than this user is allowed in that queue "
                    "(acl_application_max_priority). The ResourceManager's log has its reason."
                )
            raise ChangeRefusedError(
                f"{what}: the scheduler refuses, and YARN's REST does not say why "
                f"({error.status}). {why}",
                url=error.url,
                status=error.status,
            ) from error
    report = manager.application(application_id, timeout=deadline.remaining)
    told = number_in(answer, "priority")
    return report if told is None else attrs.evolve(report, priority=int(told))


def _living(
    manager: ResourceManager, application_id: str, what: str, deadline: Deadline
) -> ApplicationReport:
    """The report of an application that can be changed. YARN takes a priority for ended ones."""
    report = manager.application(application_id, timeout=deadline.remaining)
    if report.state.is_final:
        raise _ended(what, report.state.value)
    return report


def _ended(what: str, state: str) -> ApplicationNotRunningError:
    return ApplicationNotRunningError(
        f"{what}: the application is {state}, and only one that has not ended can be changed. "
        "Those that run: knit list"
    )


def _put(
    manager: ResourceManager,
    application_id: str,
    name: str,
    value: object,
    what: str,
    deadline: Deadline,
) -> dict[str, Any]:
    response = manager.daemon.request(
        "PUT",
        f"/ws/v1/cluster/apps/{application_id}/{name}",
        what=what,
        deadline=deadline,
        body=json.dumps({name: value}).encode(),
        headers={"Content-Type": "application/json"},
        repeatable=True,
    )
    return json_of(response, what, RESOURCE_MANAGER)


@contextmanager
def _refusals(what: str) -> Iterator[None]:
    """What became of the application in the meantime."""
    with unknown_told(what):
        try:
            yield
        except ClusterError as error:
            # "App in FINISHING state cannot be moved", as text: no RemoteException.
            if error.status == 400 and not isinstance(error, WrongPortError):
                raise _ended(what, "about to end") from error
            raise


def _name_to_send(target: QueueReport, queues: list[QueueReport]) -> str:
    """
    What every version understands.

    The Capacity scheduler knows paths from Hadoop 3.3 on, which is also when a last part need not
    be unique. The Fair scheduler takes a name for what lies directly below the root.
    """
    same = sum(queue.is_leaf and queue.name == target.name for queue in queues)
    is_short = target.scheduler is SchedulerType.CAPACITY and same == 1
    return target.name if is_short else target.path


def _why_not_into(target: QueueReport) -> str:
    if target.scheduler is SchedulerType.FAIR:
        limit = f", at most {target.max_resources}" if target.max_resources else ""
        running = target.max_applications
        count = f" and {running} applications at a time" if running is not None else ""
        return (
            "The Fair scheduler does so where the queue would hold more than it may"
            f"{limit}{count}; see knit queues."
        )
    return (
        "It may be full of applications, not be open to the application's user, or not have its "
        "node label."
    )
