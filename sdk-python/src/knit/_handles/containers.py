"""What can be asked of the containers of an application, and changed in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from knit._handles.collected import Collected
from knit._handles.container import Container, ContainerChoice, Owner, choose, to_containers
from knit._handles.services import several
from knit._handles.session import Session
from knit._values.applications import ApplicationDescription
from knit._values.containers import ContainerState
from knit._values.deadlines import Deadline
from knit._values.references import ContainerRef
from knit._wire.calls import containers as calls
from knit._wire.calls.application import get_application
from knit.exceptions import (
    ApplicationNotFoundError,
    ApplicationNotRunningError,
    ConnectionLostError,
    SpecError,
)

if TYPE_CHECKING:
    from knit._values.resources import Resources
    from knit.v1 import container_pb2


class ContainerControl(Owner):
    """The part of `Application` that is about containers."""

    _session: Session
    _collected: Collected

    def containers(
        self,
        *,
        services: Iterable[str] | None = None,
        states: Iterable[ContainerState] | None = None,
        timeout: timedelta | None = None,
    ) -> list[Container]:
        """
        Returns the containers, ended ones included, by service, rank and attempt number.

        They come in pages, each of which is consistent in itself: of thousands, the last are as
        they were a moment later than the first.

        Works after the end, too, from what the Application Master wrote down and YARN has
        collected; that is waited for, as long as the timeout allows. Then all attempts of the
        Application Master are listed, by service, rank, `application_attempt` and attempt number.

        Args:
            services: Only of these. Default: of all.
            states: Only in these. Default: in any.
            timeout: Default: the client's.

        Raises:
            ServiceNotFoundError: No service has one of the names.
            ApplicationNotRunningError: It has ended, and nothing is known of its containers.
        """
        deadline = self._session.within(timeout)
        names, kinds = several("services", services), list(states or ())
        try:
            return self._list(names, kinds, deadline)
        except (ApplicationNotRunningError, ApplicationNotFoundError, ConnectionLostError) as error:
            if not self._collected.is_due(error):
                raise
            return self._collected.containers(
                names, kinds, owner=self, deadline=deadline, gone=error
            )

    def _list(
        self, services: list[str], states: list[ContainerState], deadline: Deadline
    ) -> list[Container]:
        """The containers as the Application Master lists them."""
        pages = calls.list_containers(
            self._session.application_id, services, states, self._container
        )
        return self._session.collect(pages, deadline)

    def _container(self, message: container_pb2.Container) -> Container:
        return Container._from_proto(message, self)

    def add_containers(
        self,
        count: int,
        *,
        service: str | None = None,
        resources: Resources | None = None,
        environment: Mapping[str, str] | None = None,
        timeout: timedelta | None = None,
    ) -> list[Container]:
        """
        Adds containers to a service, at the ranks after its highest.

        It returns once the Application Master has taken note, before YARN has granted any. A
        broken connection is tried again, and none is added twice: where the Application Master
        is replaced meanwhile, the other one, which knows nothing of it, is not asked again.

        Args:
            count: How many, 1 to 10,000.
            service: To which. May be left out if there is only one.
            resources: Their size. Default: the service's own.
            environment: Variables for these containers, over the service's own.
            timeout: Default: the client's.

        Raises:
            ServiceNotFoundError: No service has that name.
            InvalidRequestError: The count is out of range, or an environment name malformed.
            HistoryLostError: The Application Master was replaced, after it may have added them.
            WrongStateError: The application is ending.
            ResourceExhaustedError: More than YARN grants to one container, or too many.
            SpecError: No service was named, and there are several.
        """
        deadline = self._session.within(timeout)
        application_id = self._session.application_id
        if service is None:
            call = get_application(application_id)
            service = _only_service(self._session.connection.call(call, deadline))
        name = service
        return self._session.connection.change(
            lambda history_id: calls.add_containers(
                application_id,
                service=name,
                count=count,
                resources=resources,
                environment=environment,
                history_id=history_id,
                read=self._container,
            ),
            deadline,
        )

    def stop_containers(
        self,
        containers: ContainerChoice | Iterable[ContainerChoice] = (),
        *,
        services: Iterable[str] | None = None,
        timeout: timedelta | None = None,
    ) -> list[Container]:
        """
        Stops containers: SIGTERM and soon after SIGKILL for a process, no more asking for one
        that YARN has not granted.

        It returns once the Application Master has taken note. They end STOPPED, are not
        restarted, and do not make the application fail. Calling it again is safe.

        Args:
            containers: One or several, each by its ID, by its service and ordinal, or as it was
                listed.
            services: And all of these services.
            timeout: Default: the client's.

        Returns:
            Each of them as it is now, STOPPING or in a final state.

        Raises:
            ContainerNotFoundError: The application never held one of them; none is stopped.
            ServiceNotFoundError: There is no such service; none is stopped.
        """
        chosen = choose(to_containers(containers), several("services", services))
        if chosen.is_empty:
            return []
        if not (chosen.places or chosen.refs or chosen.services):
            # IDs are never given again, so nobody else's can be stopped.
            call = calls.stop_containers(self._session.application_id, chosen, read=self._container)
            return self._session.call(call, timeout)
        return self._session.change(
            lambda history_id: calls.stop_containers(
                self._session.application_id, chosen, history_id=history_id, read=self._container
            ),
            timeout,
        )

    def restart_containers(
        self,
        containers: ContainerChoice | Iterable[ContainerChoice] = (),
        *,
        services: Iterable[str] | None = None,
        timeout: timedelta | None = None,
    ) -> list[Container]:
        """
        Stops containers and fills their ranks again with the next attempt, of the service's
        present revision.

        No restart budget is charged. A rank whose container has ended is filled again, too. It
        returns once the Application Master has taken note.

        Args:
            containers: One or several, as for `stop_containers`.
            services: And all of these services.
            timeout: Default: the client's.

        Returns:
            The next attempts.

        Raises:
            ContainerNotFoundError: The application never held one of them; none is restarted.
            ServiceNotFoundError: There is no such service; none is restarted.
            WrongStateError: The application is ending, or the service was removed.
            HistoryLostError: The Application Master was replaced, after it may have done it.
        """
        chosen = choose(to_containers(containers), several("services", services))
        if chosen.is_empty:
            return []
        return self._session.change(
            lambda history_id: calls.restart_containers(
                self._session.application_id, chosen, history_id=history_id, read=self._container
            ),
            timeout,
        )

    def report_ready(
        self,
        container: Container | ContainerRef,
        *,
        is_ready: bool = True,
        timeout: timedelta | None = None,
    ) -> None:
        """
        Says that a container's program is ready, or is not any more, in its place.

        Raises:
            ContainerNotFoundError: There never was such a container.
            WrongStateError: It has ended, or its service says otherwise when it is ready.
        """
        ref = container if isinstance(container, ContainerRef) else container.ref
        call = calls.report_ready(self._session.application_id, ref, is_ready=is_ready)
        self._session.call(call, timeout)


def _only_service(description: ApplicationDescription) -> str:
    names = list(description.services)
    if len(names) != 1:
        raise SpecError(
            f"{description.application_id} has several services: say to which of "
            f"{', '.join(names)} containers are to be added."
        )
    return names[0]
