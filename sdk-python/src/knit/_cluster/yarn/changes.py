"""Changes of applications that run: to another queue, to another priority."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import attrs

from knit._cluster.yarn.application_filter import is_in_queue
from knit._cluster.yarn.door import ApplicationEndingError, SchedulerRefusalError
from knit._cluster.yarn.queue_names import open_queue_called
from knit._cluster.yarn.resource_manager import ResourceManager, unknown_told
from knit._values.checking import LARGEST
from knit._values.deadlines import Deadline
from knit._values.queues import QueueReport, SchedulerType
from knit._values.reports import ApplicationReport
from knit.exceptions import (
    ApplicationNotRunningError,
    ChangeRefusedError,
    SpecError,
)


def move(
    manager: ResourceManager, application_id: str, queue: str, *, timeout: timedelta | None = None
) -> ApplicationReport:
    """
    Moves an application with all it holds to another queue.

    By REST YARN refuses an unknown queue, one that holds others and one that is closed with the
    same 503, before Hadoop 3.4 a 500, and not a word, so the queue is looked at first.

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
    url = manager.address
    target = open_queue_called(queues, queue, what=what, url=url)
    if is_in_queue(report.queue, target.path):
        return report
    with _refusals(what):
        try:
            name = _name_to_send(target, queues)
            manager.ask(lambda door: door.move(application_id, name, what, deadline))
        except SchedulerRefusalError as refusal:
            raise _refused(what, refusal, _why_not_into(target)) from refusal.error
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
            told = manager.ask(
                lambda door: door.set_priority(application_id, priority, what, deadline)
            )
        except SchedulerRefusalError as refusal:
            queues = manager.queues(timeout=deadline.remaining)
            if queues and queues[0].scheduler is SchedulerType.FAIR:
                why = "This cluster has the Fair scheduler, which knows no priorities."
            else:
                why = (
                    "It may be higher than this user is allowed in that queue "
                    "(acl_application_max_priority)."
                )
            raise _refused(what, refusal, why) from refusal.error
    report = manager.application(application_id, timeout=deadline.remaining)
    return report if told is None else attrs.evolve(report, priority=told)


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


def _refused(what: str, refusal: SchedulerRefusalError, likely: str) -> ChangeRefusedError:
    """The error for what the scheduler does not do: its reason, or what it may be."""
    error = refusal.error
    if refusal.said is not None:
        sentence = f"the scheduler refuses ({refusal.said}). {likely}"
    else:
        sentence = (
            f"the scheduler refuses, and YARN's REST does not say why ({error.status}). {likely} "
            "The ResourceManager's log has its reason."
        )
    return ChangeRefusedError(f"{what}: {sentence}", url=error.url, status=error.status)


@contextmanager
def _refusals(what: str) -> Iterator[None]:
    """What became of the application in the meantime."""
    with unknown_told(what):
        try:
            yield
        except ApplicationEndingError as ending:
            raise _ended(what, "about to end") from ending.error


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
