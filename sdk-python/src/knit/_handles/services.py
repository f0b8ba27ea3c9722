"""What can be asked of the services of a running application, and changed in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

import attrs

from knit._handles.container import Container
from knit._handles.session import Session
from knit._handles.watching import Watch
from knit._handles.yarn import Yarn
from knit._values.deadlines import Deadline
from knit._values.events import EventKind
from knit._values.references import ContainerRef, Position
from knit._values.service_status import ServiceCondition, ServiceStatus, UpdateState
from knit._values.services import ScaleDownOrder, Service
from knit._wire.calls import services as calls
from knit._wire.calls.events import watch_events
from knit.exceptions import (
    ApplicationNotRunningError,
    EventsForgottenError,
    ServiceNotFoundError,
    SpecError,
    WaitTimeoutError,
    WrongStateError,
)

if TYPE_CHECKING:
    from knit.v1 import container_pb2, event_service_pb2


@attrs.frozen(kw_only=True)
class Scaled:
    """What came of scaling a service."""

    service: ServiceStatus
    """The service as it is now."""
    added: tuple[Container, ...]
    """Those that were added."""
    stopped: tuple[Container, ...]
    """Those that are to end."""


class ServiceControl:
    """The part of `Application` that is about services."""

    _session: Session
    _yarn: Yarn

    if TYPE_CHECKING:

        def _container(self, message: container_pb2.Container) -> Container:
            """A container of this application's; the other part has it."""

    def services(
        self, names: Iterable[str] | None = None, *, timeout: timedelta | None = None
    ) -> list[ServiceStatus]:
        """
        Returns the services as they are, by name, those that were removed included.

        Args:
            names: Only these. Default: all.
            timeout: Default: the client's.

        Raises:
            ServiceNotFoundError: None has one of the names.
        """
        pages = calls.list_services(self._session.application_id, several("names", names))
        return self._session.collect(pages, self._session.within(timeout))

    def service(self, name: str, *, timeout: timedelta | None = None) -> ServiceStatus:
        """
        Returns one service as it is.

        Raises:
            ServiceNotFoundError: There is none of that name.
        """
        found = self.services([name], timeout=timeout)
        if not found:
            raise ServiceNotFoundError(
                f"{self._session.application_id} has no service {name!r}: see services()."
            )
        return found[0]

    def scale(
        self,
        service: str,
        count: int | None = None,
        *,
        delta: int | None = None,
        order: ScaleDownOrder | None = None,
        victims: Iterable[Container | ContainerRef] = (),
        timeout: timedelta | None = None,
    ) -> Scaled:
        """
        Changes how many containers a service has.

        It returns once the Application Master has taken note. More: the lowest free ranks are
        filled. Fewer: the victims end SCALED_DOWN, and their ranks are free.

        Args:
            service: Which one.
            count: So many in all.
            delta: Instead: so many more, or, below 0, fewer; not fewer than none.
            order: Which go first. Default: as the service says, the highest rank first.
            victims: Those that go before any other.
            timeout: Default: the client's.

        Raises:
            ServiceNotFoundError: There is none of that name.
            ContainerNotFoundError: One of the victims never was.
            InvalidRequestError: The count is negative, or there are more victims than are to go.
            WrongStateError: The application is ending, or the service was removed.
            ResourceExhaustedError: There would be more than 100,000 ranks.
            HistoryLostError: The Application Master was replaced, after it may have done it.
        """
        if (count is None) == (delta is None):
            raise TypeError("scale takes a count or a delta: one of them, and not both.")
        named = [v if isinstance(v, ContainerRef) else v.ref for v in victims]
        status, added, stopped = self._session.change(
            lambda history_id: calls.scale_service(
                self._session.application_id,
                service,
                count=count,
                delta=delta,
                order=order,
                victims=named,
                history_id=history_id,
                read=self._container,
            ),
            timeout,
        )
        return Scaled(service=status, added=tuple(added), stopped=tuple(stopped))

    def add_services(
        self, services: Mapping[str, Service], *, timeout: timedelta | None = None
    ) -> list[ServiceStatus]:
        """
        Adds services to a running application; all of them or none.

        Their files are brought to the cluster first, which takes the time it takes; it returns
        once the Application Master has taken note. They may depend on services that are there.

        Args:
            services: By name.
            timeout: For the call itself. Default: the client's.

        Raises:
            WrongStateError: There is or was a service of that name, or the application is ending.
            InvalidRequestError: One depends on an unknown service, or on itself in a circle.
            SpecError: One cannot run here: a file is missing, as an example.
            HistoryLostError: The Application Master was replaced, after it may have added them.
        """
        specs = self._yarn.stage(self._session.application_id, services)
        return self._session.change(
            lambda history_id: calls.add_services(
                self._session.application_id, specs, history_id=history_id
            ),
            timeout,
        )

    def remove_services(
        self, names: str | Iterable[str], *, timeout: timedelta | None = None
    ) -> list[ServiceStatus]:
        """
        Removes services: their containers are stopped, and they stay listed as REMOVED.

        Raises:
            ServiceNotFoundError: There is none of that name.
            WrongStateError: Another service that waits depends on it (reason SERVICE_NEEDED).
            HistoryLostError: The Application Master was replaced, after it may have done it.
        """
        wanted = [names] if isinstance(names, str) else list(names)
        return self._session.change(
            lambda history_id: calls.remove_services(
                self._session.application_id, wanted, history_id=history_id
            ),
            timeout,
        )

    def update_service(
        self,
        name: str,
        service: Service,
        *,
        from_revision: int | None = None,
        keeps_environment: bool = False,
        replaces_update: bool = False,
        timeout: timedelta | None = None,
    ) -> ServiceStatus:
        """
        Passes a service to another specification, container by container.

        Files of the new one are brought to the cluster first. It returns once the Application
        Master has taken note; `wait_for_update` waits for the end. The number of containers is
        not changed: `scale` does that.

        Args:
            name: Which service.
            service: What it is to become, whole: `attrs.evolve(status.spec, command=…)` changes
                one that is there, with `keeps_environment`.
            from_revision: Only if this is the present revision. Default: whichever is.
            keeps_environment: Whether variables whose values are empty keep the ones they have,
                as in a specification that was read from the application.
            replaces_update: Whether an update under way is given up for this one.
            timeout: For the call itself. Default: the client's.

        Raises:
            ServiceNotFoundError: There is none of that name.
            InvalidRequestError: It changes the number of instances, or what it depends on.
            WrongStateError: Another revision is there (reason REVISION_CHANGED), or an update is
                under way (UPDATE_UNDER_WAY).
            HistoryLostError: The Application Master was replaced, after it may have done it.
        """
        specs = self._yarn.stage(self._session.application_id, {name: service})
        return self._session.change(
            lambda history_id: calls.update_service(
                self._session.application_id,
                name,
                specs[name],
                from_revision=from_revision or 0,
                keeps_environment=keeps_environment,
                replaces_update=replaces_update,
                history_id=history_id,
            ),
            timeout,
        )

    def pause_update(self, name: str, *, timeout: timedelta | None = None) -> ServiceStatus:
        """
        Stops the update of a service where it is, until somebody decides.

        Raises:
            WrongStateError: None is under way (reason NO_UPDATE).
        """
        return self._steer(name, "pause", timeout)

    def continue_update(self, name: str, *, timeout: timedelta | None = None) -> ServiceStatus:
        """
        Goes on with the update of a service that was paused.

        Raises:
            WrongStateError: There is none (reason NO_UPDATE).
        """
        return self._steer(name, "go_on", timeout)

    def roll_back_update(self, name: str, *, timeout: timedelta | None = None) -> ServiceStatus:
        """
        Brings the revision before back.

        Raises:
            WrongStateError: There is none (reason NO_UPDATE).
        """
        return self._steer(name, "roll_back", timeout)

    def _steer(
        self, name: str, action: calls.UpdateAction, timeout: timedelta | None
    ) -> ServiceStatus:
        return self._session.change(
            lambda history_id: calls.steer_update(
                self._session.application_id, name, action, history_id=history_id
            ),
            timeout,
        )

    def wait_until_ready(
        self, services: str | Iterable[str] | None = None, *, timeout: timedelta | None = None
    ) -> list[ServiceStatus]:
        """
        Waits until services are READY, or have SUCCEEDED, all at the same time.

        It watches, and does not ask again and again.

        Args:
            services: Which. Default: all that were not removed.
            timeout: Default: none.

        Returns:
            They as they are then.

        Raises:
            WaitTimeoutError: They are not in time; the message says what each waits for.
            WrongStateError: One FAILED or was removed.
            ApplicationNotRunningError: The application has ended.
        """
        names = [services] if isinstance(services, str) else several("services", services)

        def is_ready(status: ServiceStatus) -> bool:
            is_gone = status.condition is ServiceCondition.REMOVED and bool(names)
            if status.condition is ServiceCondition.FAILED or is_gone:
                raise WrongStateError(
                    f"The service {status.name!r} of {self._session.application_id} is "
                    f"{status.condition} and becomes ready no more. `knit explain` says why."
                )
            return status.condition in (
                ServiceCondition.READY,
                ServiceCondition.SUCCEEDED,
                ServiceCondition.REMOVED,
            )

        return self._wait_for_services(names, is_ready, "to be ready", timeout)

    def wait_for_update(self, name: str, *, timeout: timedelta | None = None) -> ServiceStatus:
        """
        Waits until the update of a service is over, or waits for somebody to decide.

        Returns:
            The service as it is then: `update` is None, or PAUSED. Its `revision` says which one
            is there, for an update that failed may have been rolled back.

        Raises:
            WaitTimeoutError: It is not over in time.
        """

        def is_over(status: ServiceStatus) -> bool:
            return status.update is None or status.update.state is UpdateState.PAUSED

        return self._wait_for_services([name], is_over, "to be updated", timeout)[0]

    def _wait_for_services(
        self,
        names: list[str],
        is_done: Callable[[ServiceStatus], bool],
        what: str,
        timeout: timedelta | None,
    ) -> list[ServiceStatus]:
        """Lists, then watches; begins anew where what was to be watched is forgotten."""
        deadline = Deadline.never() if timeout is None else Deadline.after(timeout)
        while True:
            pages = calls.list_services(self._session.application_id, names)
            found = {s.name: s for s in self._session.collect(pages, self._asking(deadline))}
            after = Position(pages.sequence, pages.history_id)
            try:
                with self._watch_services(names, after, deadline) as watch:
                    while not all(is_done(status) for status in found.values()):
                        status = next(watch, None)
                        if status is None:
                            raise ApplicationNotRunningError(
                                f"{self._session.application_id} has ended, and "
                                f"{_listed(found)} were still {what}."
                            )
                        found[status.name] = status
                return [found[name] for name in sorted(found)]
            except EventsForgottenError:
                continue
            except WaitTimeoutError as error:
                raise WaitTimeoutError(
                    f"Waited {deadline.total.total_seconds():g} s for services of "
                    f"{self._session.application_id} {what}: {_listed(found)}. "
                    "`knit explain` says more."
                ) from error

    def _asking(self, deadline: Deadline) -> Deadline:
        return deadline.at_most(self._session.timeout)

    def _watch_services(
        self, names: list[str], after: Position, deadline: Deadline
    ) -> Watch[ServiceStatus]:
        def read(event: event_service_pb2.Event, _: Position) -> list[ServiceStatus]:
            return [
                ServiceStatus._from_proto(change.service)
                for change in event.changes
                if change.HasField("service")
            ]

        return Watch(
            self._session,
            watch_events(kinds=[EventKind.SERVICE], services=names),
            read,
            what=f"Watching the services of {self._session.application_id}",
            after=after,
            deadline=deadline,
        )


def _listed(found: Mapping[str, ServiceStatus]) -> str:
    parts = []
    for name, status in sorted(found.items()):
        why = "; ".join(reason.explanation for reason in status.waiting_reasons)
        parts.append(f"{name} is {status.condition}" + (f" ({why})" if why else ""))
    return ", ".join(parts) or "it has none"


def several(name: str, value: Iterable[str] | None) -> list[str]:
    """Names that were given as a list."""
    if isinstance(value, str):
        raise SpecError(f"{name} is the text {value!r}: give a list of names.")
    return list(value or ())
