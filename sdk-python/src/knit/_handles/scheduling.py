"""What YARN's scheduler can be told of an application that runs or waits."""

from __future__ import annotations

from datetime import timedelta

from knit._handles.session import Session
from knit._handles.yarn import Yarn
from knit._values.reports import ApplicationReport


class Scheduling:
    """The part of `Application` that is about its queue; needs no Application Master."""

    _session: Session
    _yarn: Yarn

    def move(self, queue: str, *, timeout: timedelta | None = None) -> ApplicationReport:
        """
        Moves the application to another queue, with all the containers it has.

        Moving it to where it is changes nothing, so calling it again is safe.

        Args:
            queue: Where to: its path, with or without `root.`, or its last part where no other
                queue has that.
            timeout: For all of it. Default: the client's.

        Returns:
            YARN's report, with the queue it is in now.

        Raises:
            ApplicationNotFoundError: YARN does not know it.
            ApplicationNotRunningError: It has ended, or is about to.
            QueueNotFoundError: There is no such queue, or it only holds other queues.
            QueueStoppedError: The queue takes no applications.
            ChangeRefusedError: YARN refuses for another reason, such as a queue that is full.
            AccessDeniedError: The application or the queue is not ours.
            ClusterError: The cluster does not answer.
        """
        within = self._session.within(timeout)
        return self._yarn.move(self._session.application_id, queue, within.total)

    def set_priority(self, priority: int, *, timeout: timedelta | None = None) -> ApplicationReport:
        """
        Changes the application's priority within its queue.

        Args:
            priority: 0 or more; higher goes first. YARN makes the cluster's highest of what is
                above it, `yarn.cluster.max-application-priority`, by default 0.
            timeout: For all of it. Default: the client's.

        Returns:
            YARN's report, with the priority that it made of it.

        Raises:
            SpecError: This is no priority.
            ApplicationNotFoundError: YARN does not know it.
            ApplicationNotRunningError: It has ended.
            ChangeRefusedError: The scheduler has no priorities, as the Fair one, or not for us.
            AccessDeniedError: The application is not ours.
            ClusterError: The cluster does not answer.
        """
        within = self._session.within(timeout)
        return self._yarn.set_priority(self._session.application_id, priority, within.total)
