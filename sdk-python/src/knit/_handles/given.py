"""Finds an Application Master by credentials that somebody gave, as containers are given theirs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import attrs

from knit._handles.locating import Locator
from knit._values.access import Role
from knit._values.deadlines import Deadline, Pause
from knit._wire.endpoint import Endpoint
from knit.exceptions import (
    CLUSTER_SILENCE,
    ConfigurationError,
    CredentialsError,
    KerberosRequiredError,
)

if TYPE_CHECKING:
    from knit._handles.yarn import Yarn
    from knit._wire.tls import ClientTls


@attrs.frozen
class Given:
    """A directory of credentials, which is read whenever they are needed."""

    directory: str
    address: str | None = None
    """Where the Application Master is, in place of what the directory says."""

    def endpoint(self) -> Endpoint:
        """
        What the directory says now.

        Raises:
            CredentialsError: It holds none.
        """
        endpoint = Endpoint.load(self.directory)
        return endpoint if self.address is None else attrs.evolve(endpoint, address=self.address)


class GivenLocator(Locator):
    """
    What is known of one application by its credentials, and by YARN where that can be asked.

    The Application Master is called where the credentials say. Where it does not answer, and this
    process knows a cluster that does, YARN says where it has been started anew; without one
    nobody can, so it is called there again until the caller's time is up.
    """

    def __init__(
        self, yarn: Yarn, application_id: str, *, given: Given, timeout: timedelta
    ) -> None:
        super().__init__(yarn, application_id, tls=None, timeout=timeout)
        self._given = given

    def master(self, deadline: Deadline, failures: int, pause: Pause) -> tuple[str, ClientTls]:
        # Read anew each time: whoever replaces the files while this waits is heard.
        endpoint = self._given.endpoint()
        self._tls = endpoint._tls()
        if failures:
            try:
                return super().master(deadline, failures, pause)
            except (ConfigurationError, KerberosRequiredError, *CLUSTER_SILENCE):
                pass  # its own address is all there is
        return endpoint.address, self._tls

    def credentials_of(self, role: Role, deadline: Deadline) -> ClientTls:
        raise CredentialsError(
            f"The credentials in {self._given.directory} are for whoever has them. Whoever "
            "submitted the application gets others with: knit credentials APPLICATION --role "
            f"{role.name.lower()} --out DIRECTORY."
        )

    def has_left(self) -> bool:
        try:
            return super().has_left()
        except (ConfigurationError, KerberosRequiredError):
            return False
