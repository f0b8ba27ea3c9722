"""
The delegation tokens that a container holds, for clients that have no ticket.

YARN writes them into a file of the container's own and names it in HADOOP_TOKEN_FILE_LOCATION.
Nobody fetches new tokens with a token: what is here is handed on, and lives as long as it does.
Where an Application Master renews tokens itself, with a keytab, it gives those that ask for the
ResourceManager's token others beside them, which the ResourceManager can renew, to hand on.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import attrs

from knit._cluster.configuration.addresses import Properties
from knit._cluster.security.token_file import Credentials
from knit._cluster.security.token_services import file_system_service, resource_manager_service
from knit._cluster.security.tokens import (
    HDFS_KIND,
    KMS_KIND,
    RESOURCE_MANAGER_KIND,
    MalformedTokenError,
    Token,
    TokenIdentifier,
)
from knit.exceptions import ConfigurationError, TokenUnavailableError

SUBMISSION_SECRET = "knit.submission.tokens"  # noqa: S105  (the name of a secret, not one)
TOKEN_FILE_VARIABLE = "HADOOP_TOKEN_FILE_LOCATION"  # noqa: S105  (a variable's name)


@attrs.define
class HeldTokens:
    """Tokens of a container. Nothing of them is shown."""

    _credentials: Credentials = attrs.field(repr=False)
    _file: Path | None = None
    """Where they lie. A driver's is replaced while it runs."""
    _seen: tuple[int, ...] = ()
    """Which file that was."""

    @property
    def credentials(self) -> Credentials:
        """What is held at present: of a file that cannot be read any more, what it was."""
        if self._file is not None and (there := _identity_of(self._file)) not in ((), self._seen):
            with contextlib.suppress(OSError, MalformedTokenError):
                self._credentials = Credentials.from_file(self._file)
                self._seen = there
        return self._credentials

    @classmethod
    def of_environment(cls) -> HeldTokens | None:
        """
        Those of the container that this process runs in; None outside of one.

        Raises:
            ConfigurationError: The file that the environment names cannot be read.
        """
        path = os.environ.get(TOKEN_FILE_VARIABLE)
        if not path:
            return None
        try:
            seen = _identity_of(Path(path))
            return cls(Credentials.from_file(Path(path)), Path(path), seen)
        except (OSError, MalformedTokenError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            raise ConfigurationError(
                f"The file of tokens {path} ({TOKEN_FILE_VARIABLE}) cannot be used: {said}. Unset "
                "the variable to do without, or run kinit."
            ) from None

    def to_hand_on(self) -> HeldTokens:
        """
        What an application is given that is submitted from here.

        Raises:
            ConfigurationError: The container's file of tokens holds others for that, and these
                cannot be read.
        """
        others = self.credentials.secrets.get(SUBMISSION_SECRET)
        if others is None:
            return self
        try:
            return HeldTokens(Credentials.from_bytes(others))
        except MalformedTokenError as error:
            raise ConfigurationError(
                "The tokens to submit applications with, in the file that "
                f"{TOKEN_FILE_VARIABLE} names, cannot be used: {error}. Run kinit to do without."
            ) from None

    @property
    def owner(self) -> str:
        """The short name of whose they are; empty where none of them tells."""
        for kind in (HDFS_KIND, RESOURCE_MANAGER_KIND):
            for token in self.credentials.of_kind(kind):
                try:
                    found = TokenIdentifier.of(token)
                except MalformedTokenError:
                    continue
                if found is not None and found.owner:
                    return found.owner.partition("@")[0].partition("/")[0]
        return ""

    def of_file_system(self, properties: Properties, url: str) -> Token:
        """
        The token for a file system `hdfs://…`.

        Raises:
            TokenUnavailableError: There is none.
        """
        service = file_system_service(properties, url)
        return self._one(
            HDFS_KIND,
            service,
            f"{url} ({service}): name it in file_systems of the application that this container "
            "is of",
        )

    def of_resource_manager(self, properties: Properties) -> Token:
        """
        The token for the ResourceManager.

        Raises:
            TokenUnavailableError: There is none: the service has not asked for it.
        """
        return self._one(
            RESOURCE_MANAGER_KIND,
            resource_manager_service(properties),
            "the ResourceManager: set resource_manager_token of the service, or of the driver, "
            "that this container is of",
        )

    def of_key_management_server(self, uri: str) -> Token:
        """
        The token for a key management server.

        Raises:
            TokenUnavailableError: There is none.
        """
        return self._one(KMS_KIND, uri, f"the key management server {uri}")

    def _one(self, kind: str, service: str, whose: str) -> Token:
        tokens = self.credentials.of_kind(kind)
        # A container's configuration may name the service otherwise than the submission's did:
        # where there is but one, it is meant.
        found = [token for token in tokens if token.service == service] or (
            tokens if kind == RESOURCE_MANAGER_KIND else []
        )
        if not found:
            raise TokenUnavailableError(
                "This process has no Kerberos ticket, and its container holds no delegation token "
                f"for {whose}. Or run kinit."
            )
        return found[0]


def _identity_of(path: Path) -> tuple[int, ...]:
    """Changes when another file takes its place; empty where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size
