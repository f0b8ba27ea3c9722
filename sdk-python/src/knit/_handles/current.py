"""What a program that knit has started finds around itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING

import attrs

from knit._handles.application import Application
from knit._handles.connecting import connect
from knit._values.references import ContainerRef
from knit._wire.calls.containers import report_ready
from knit.exceptions import CredentialsError, NotInApplicationError

if TYPE_CHECKING:
    from knit._handles.kv import KeyValueStore

CREDENTIALS = "KNIT_CREDENTIALS"


@attrs.frozen(kw_only=True)
class CurrentContainer:
    """The container that this program runs in, as its variables say."""

    container_id: str
    """YARN's identifier, `container_…`."""
    service: str
    """The name of its service."""
    rank: int
    """Its place in the service, from 0; its replacement has the same."""
    attempt_number: int
    """Which container at that place it is, from 1."""
    ordinal: int
    """Which container of the service it is, from 0; never given again."""
    memory_mib: int
    """What was granted."""
    vcores: int
    """What was granted."""

    @property
    def ref(self) -> ContainerRef:
        """Its name, for the store and for other calls."""
        return ContainerRef(self.service, self.ordinal)


class Current:
    """
    The application that this program is a part of, and the container that it runs in.

    It may what the `access` of its service, or of the driver, says: by default look, use the
    store, report, and, in a container, stop itself. Only the Application Master is asked, never
    the cluster, so it works where containers cannot reach the ResourceManager. An Application
    Master that is started anew is another attempt, whose containers are others: this one is
    ended by YARN then, and its calls fail.

    Leaving a `with` block closes the connection. Threads may share it.
    """

    def __init__(self, application: Application, container: CurrentContainer | None) -> None:
        self._application = application
        self._container = container

    @property
    def application(self) -> Application:
        """The application, with what this program may do with it."""
        return self._application

    @property
    def in_container(self) -> bool:
        """Whether this is a container, and not the application's driver."""
        return self._container is not None

    @property
    def container(self) -> CurrentContainer:
        """
        This container.

        Raises:
            NotInApplicationError: This is the application's driver, which runs in none of a
                service.
        """
        if self._container is None:
            raise NotInApplicationError(
                "This is the driver of its application and runs in no container of a service, so "
                "it has no rank and is never ready or not."
            )
        return self._container

    @property
    def kv(self) -> KeyValueStore:
        """The application's key-value store."""
        return self._application.kv

    def ready(self, *, timeout: timedelta | None = None) -> None:
        """
        Says that this program is ready. Calling it again is safe.

        Raises:
            WrongStateError: The service says otherwise when it is ready: its `readiness` is not
                `reported`.
            NotInApplicationError: This is the driver.
        """
        self._report_ready(is_ready=True, timeout=timeout)

    def not_ready(self, *, timeout: timedelta | None = None) -> None:
        """Says that this program is not ready any more; as `ready`."""
        self._report_ready(is_ready=False, timeout=timeout)

    def _report_ready(self, *, is_ready: bool, timeout: timedelta | None) -> None:
        call = report_ready(self._application.application_id, self.container.ref, is_ready=is_ready)
        self._application._session.call(call, timeout)

    def progress(self, progress: float | None, *, timeout: timedelta | None = None) -> None:
        """
        Says how far the application is, which YARN shows.

        Args:
            progress: 0 to 1. None: it is computed again, from the ranks that have ended.
            timeout: Default: 30 s.

        Raises:
            InvalidRequestError: It is not 0 to 1.
        """
        self._application.report_progress(progress, timeout=timeout)

    def __repr__(self) -> str:
        where = self._container.ref if self._container is not None else "its driver"
        return f"Current({self._application.application_id!r}, {where})"

    def __enter__(self) -> Current:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; the application goes on. Calling it again is safe."""
        self._application.close()


def current(
    *, environment: Mapping[str, str] | None = None, timeout: timedelta = timedelta(seconds=30)
) -> Current:
    """
    Returns the application that this program is a part of, and the container it runs in.

        with knit.current() as me:
            if me.container.rank == 0:
                me.kv["address"] = f"{socket.gethostname()}:{port}".encode()
            me.ready()

    Works in containers and in the driver, in every program there and whatever it has started
    itself. Asks nothing yet.

    Args:
        environment: The variables to go by. Default: this process's own.
        timeout: For each call that is given no other.

    Raises:
        NotInApplicationError: This program was not started by knit.
        CredentialsError: The files that its launch wrote are gone.
    """
    variables = os.environ if environment is None else environment
    application_id = variables.get("KNIT_APPLICATION_ID")
    if not application_id:
        raise NotInApplicationError(
            "This program runs in no application of knit: KNIT_APPLICATION_ID is not set, as it "
            "is in containers and drivers. Elsewhere use knit.Client or knit.connect."
        )
    directory = variables.get(CREDENTIALS)
    if not directory:
        raise NotInApplicationError(
            f"This program is a part of {application_id} and has no credentials: {CREDENTIALS} is "
            "not set. It was cleared on the way, or the application was submitted by an older knit."
        )
    container = _container(variables)
    application = connect(directory, timeout=timeout)
    if application.application_id != application_id:
        raise CredentialsError(
            f"{directory} holds credentials of {application.application_id}, and this program is "
            f"a part of {application_id}: {CREDENTIALS} names another directory than it should."
        )
    return Current(application, container)


def _container(variables: Mapping[str, str]) -> CurrentContainer | None:
    if not variables.get("KNIT_CONTAINER_ID"):
        return None
    return CurrentContainer(
        container_id=variables["KNIT_CONTAINER_ID"],
        service=_said(variables, "KNIT_SERVICE_NAME"),
        rank=_number(variables, "KNIT_RANK"),
        attempt_number=_number(variables, "KNIT_ATTEMPT_NUMBER"),
        ordinal=_number(variables, "KNIT_ORDINAL"),
        memory_mib=_number(variables, "KNIT_MEMORY_MIB"),
        vcores=_number(variables, "KNIT_VCORES"),
    )


def _said(variables: Mapping[str, str], name: str) -> str:
    value = variables.get(name)
    if not value:
        raise NotInApplicationError(
            f"This program is in a container of knit, and {name} is not set. It was cleared on the "
            "way, or the application was submitted by an older knit."
        )
    return value


def _number(variables: Mapping[str, str], name: str) -> int:
    value = _said(variables, name)
    if not value.isascii() or not value.isdigit():
        raise NotInApplicationError(
            f"{name} is {value!r} and must be a number, as knit sets it in containers."
        )
    return int(value)
