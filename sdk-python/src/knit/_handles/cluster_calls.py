"""What a client can ask of the cluster besides applications of its own making."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from knit._handles.killing import check_id, kill_each
from knit._values.deadlines import Deadline
from knit._values.kills import KillResult
from knit._values.nodes import NodeReport, NodeState
from knit._values.queues import QueueReport
from knit._values.reports import ApplicationReport
from knit._values.states import YarnState

if TYPE_CHECKING:
    from knit._cluster.cluster import Cluster
    from knit._handles.application import Application
    from knit._handles.cluster_yarn import ClusterYarn


class _Myself:
    """Stands for the user of a client, where None means everybody."""

    def __repr__(self) -> str:
        return "MYSELF"


MYSELF: Final = _Myself()


class ClusterCalls:
    """The calls of a Client on applications, nodes and queues of the cluster, whoever's."""

    if TYPE_CHECKING:
        _cluster: Cluster
        _yarn: ClusterYarn
        _timeout: timedelta

    @property
    def user(self) -> str:
        """The name the cluster knows us by."""
        return self._cluster.user

    def applications(
        self,
        *,
        states: Iterable[YarnState] | None = None,
        name: str | None = None,
        user: str | _Myself | None = MYSELF,
        queue: str | None = None,
        types: Iterable[str] | None = ("knit",),
        tags: Iterable[str] = (),
        started_begin: datetime | None = None,
        started_end: datetime | None = None,
        finished_begin: datetime | None = None,
        finished_end: datetime | None = None,
        limit: int | None = None,
        timeout: timedelta | None = None,
    ) -> list[ApplicationReport]:
        """
        Lists applications that fit all that is said, the latest first.

        Times are inclusive and by the cluster's clock; one without a time zone is local time.
        Where one is given, an application that has none, such as the end of one that runs, does
        not fit.

        Args:
            states: Only in one of these. Default: in any that YARN remembers.
            name: Only of this name.
            user: Only of this user. Default: of the client's. None: of everybody.
            queue: Only in this queue: its path, with or without `root.`, or its last part.
            types: Only of one of these types, in any case of letters. Default: knit's own.
                None: of any.
            tags: Only with all of these, in any case of letters.
            started_begin: Only submitted then or later.
            started_end: Only submitted then or earlier.
            finished_begin: Only ended then or later.
            finished_end: Only ended then or earlier.
            limit: The latest so many of those at most. YARN sends all of them nevertheless.
            timeout: Default: the client's.

        Raises:
            QueueNotFoundError: Nothing was found, and there is no such queue.
            ClusterResponseError: YARN's answer has more than 128 MiB, some 30,000 applications.
            ClusterError: The cluster does not answer, or refuses.
        """
        from knit._cluster.yarn.application_filter import ApplicationFilter
        from knit._cluster.yarn.queue_names import queue_called

        manager = self._cluster.resource_manager
        deadline = Deadline.of(timeout, default=self._timeout)
        wanted = ApplicationFilter(
            states=states,
            types=types,
            user=self.user if isinstance(user, _Myself) else user,
            queue=queue,
            name=name,
            tags=tags,
            started_begin=started_begin,
            started_end=started_end,
            finished_begin=finished_begin,
            finished_end=finished_end,
        )
        reports = manager.applications(wanted, limit=limit, timeout=deadline.remaining)
        if not reports and queue is not None:
            # A name with a typing error looks like a queue without applications.
            queues = manager.queues(timeout=deadline.remaining)
            if queues and not any(known.makes_queues for known in queues):
                queue_called(
                    queues,
                    queue,
                    what=f"Listing the applications in {queue}",
                    url=manager.address,
                )
        return reports

    def nodes(
        self,
        *,
        states: Iterable[NodeState] | None = None,
        label: str | None = None,
        timeout: timedelta | None = None,
    ) -> list[NodeReport]:
        """
        Lists the nodes of the cluster by their IDs, those that are gone included.

        Args:
            states: Only in one of these. Default: in any that YARN remembers.
            label: Only with this node label; the empty text for those without one.
            timeout: Default: the client's.

        Raises:
            ClusterError: The cluster does not answer, or refuses.
        """
        nodes = self._cluster.resource_manager.nodes(timeout=timeout)
        among = None if states is None else set(states)
        return [
            node
            for node in nodes
            if (among is None or node.state in among)
            and (label is None or (label in node.labels if label else not node.labels))
        ]

    def queues(self, *, timeout: timedelta | None = None) -> list[QueueReport]:
        """
        Lists the scheduler's queues, parents before their children.

        Empty where the scheduler is none of Hadoop's and shows none.

        Args:
            timeout: Default: the client's.

        Raises:
            ClusterError: The cluster does not answer, or refuses.
        """
        return self._cluster.resource_manager.queues(timeout=timeout)

    def queue(self, name: str, *, timeout: timedelta | None = None) -> QueueReport:
        """
        Reports on one queue.

        Args:
            name: Its path, with or without `root.`, or its last part where no other has that.
            timeout: Default: the client's.

        Raises:
            QueueNotFoundError: There is none, or several; the message names the nearest.
            ClusterError: The cluster does not answer, or refuses.
        """
        from knit._cluster.yarn.queue_names import queue_called

        manager = self._cluster.resource_manager
        return queue_called(
            manager.queues(timeout=timeout),
            name,
            what=f"Asking for the queue {name}",
            url=manager.address,
        )

    def move(
        self,
        application: Application | str,
        queue: str,
        *,
        timeout: timedelta | None = None,
    ) -> ApplicationReport:
        """
        Moves an application, of whatever type, to another queue, with all the containers it has.

        Moving it to where it is changes nothing, so calling it again is safe.

        Args:
            application: Which one, or its ID.
            queue: Where to: its path, with or without `root.`, or its last part where no other
                queue has that.
            timeout: For all of it. Default: the client's.

        Returns:
            Its report, with the queue it is in now.

        Raises:
            ApplicationNotFoundError: YARN does not know it.
            ApplicationNotRunningError: It has ended, or is about to.
            QueueNotFoundError: There is no such queue, or it only holds other queues.
            QueueStoppedError: The queue takes no applications.
            ChangeRefusedError: YARN refuses for another reason, such as a queue that is full.
            AccessDeniedError: The application or the queue is not ours.
            ClusterError: The cluster does not answer.
        """
        from knit._cluster.yarn.changes import move

        application_id = _checked_id_of(application)
        return move(self._cluster.resource_manager, application_id, queue, timeout=timeout)

    def set_priority(
        self,
        application: Application | str,
        priority: int,
        *,
        timeout: timedelta | None = None,
    ) -> ApplicationReport:
        """
        Changes the priority of an application, of whatever type, within its queue.

        Args:
            application: Which one, or its ID.
            priority: 0 or more; higher goes first. YARN makes the cluster's highest of what is
                above it, `yarn.cluster.max-application-priority`, by default 0.
            timeout: For all of it. Default: the client's.

        Returns:
            Its report, with the priority that YARN made of it.

        Raises:
            SpecError: This is no priority.
            ApplicationNotFoundError: YARN does not know it.
            ApplicationNotRunningError: It has ended.
            ChangeRefusedError: The scheduler has no priorities, as the Fair one, or not for us.
            AccessDeniedError: The application is not ours.
            ClusterError: The cluster does not answer.
        """
        from knit._cluster.yarn.changes import set_priority

        application_id = _checked_id_of(application)
        manager = self._cluster.resource_manager
        return set_priority(manager, application_id, priority, timeout=timeout)

    def kill_applications(
        self, applications: Iterable[Application | str], *, timeout: timedelta | None = None
    ) -> list[KillResult]:
        """
        Has YARN end applications, of whatever type, at once, and waits until they have ended.

        Eight at a time; what becomes of one changes nothing for the others, and none of it is
        raised. Killing one that has ended is safe.

        Args:
            applications: Which ones, or their IDs.
            timeout: For all of them together. Default: the client's.

        Returns:
            What came of each, in the order given; one that is named twice is there once.
        """
        return kill_each(
            self._yarn,
            map(_id_of, applications),
            self._timeout if timeout is None else timeout,
        )


def _id_of(application: Application | str) -> str:
    return application if isinstance(application, str) else application.application_id


def _checked_id_of(application: Application | str) -> str:
    check_id(_id_of(application))
    return _id_of(application)
